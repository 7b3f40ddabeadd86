"""Lets the tests of vendors import the doubles that stand beside the tests of all packages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
