"""The risk guard of a trading run, as a process of its own: watches the account, halts, flattens.

It is started by rayjobs.trade; by hand where a loop died and its account is to be watched:
Run: python -m rayjobs.guard runs/crypto_portfolio/trading/RUN_ID
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rayjobs.config.arguments import command_line
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.entry import run_words


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """The entry point: one word, the directory of a trading run; settings were left there by the loop."""
    return run_words(guard, "guard", command_line(argv), help_text=__doc__)


def guard(words: Sequence[str]) -> ExitCode:
    """Watch until the loop is over and the account is flat.

    Raises
    ------
    ConfigError
        Unless one directory is named, and it is a trading run's.
    """
    from rayjobs.guarding.process import ACCOUNT_VARIABLE, watch_account

    if len(words) != 1 or words[0].startswith("-"):
        raise ConfigError("guard takes one word, the directory of a trading run: rayjobs.guard RUN_DIRECTORY")
    logging.getLogger("ib_insync").setLevel(logging.ERROR)  # it writes the account's number
    watch_account(Path(words[0]), os.environ.get(ACCOUNT_VARIABLE, ""))
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
