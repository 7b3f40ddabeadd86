"""`python -m rayjobs COMMAND`: the same as `rayfold COMMAND`."""

from __future__ import annotations

import sys

from rayjobs.shell.commands import main

if __name__ == "__main__":
    sys.exit(main())
