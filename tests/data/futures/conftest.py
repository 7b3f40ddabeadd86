import sys
from pathlib import Path

# Test support modules of this folder are imported by name; tests have no __init__.py.
sys.path.insert(0, str(Path(__file__).parent))
