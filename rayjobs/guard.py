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

from rich.console import Console

from rayjobs.config.arguments import command_line
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """The entry point: one word, the directory of a trading run; settings were left there by the loop."""
    from rayjobs.guarding.process import ACCOUNT_VARIABLE, watch_account

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    words = command_line(argv)
    if len(words) != 1 or words[0].startswith("-"):
        console.print((__doc__ or "").strip(), markup=False)
        return ExitCode.DONE if words in (["--help"], ["-h"]) else ExitCode.BAD_INPUT
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("ib_insync").setLevel(logging.ERROR)  # it writes the account's number
    try:
        watch_account(Path(words[0]), os.environ.get(ACCOUNT_VARIABLE, ""))
    except ConfigError as error:
        console.print(f"error: {error}", markup=False)
        return ExitCode.BAD_INPUT
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
