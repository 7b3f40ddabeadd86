"""Lets the tests of this folder import the made runs beside them, and the made studies of the search's tests."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "search")]
