"""Compare studies and runs: a table to sort and filter, the settings that differ, and an HTML page.

Run: python -m rayjobs.compare runs/crypto_portfolio/sweeps/STUDY sort=-dsr "filter=spread < 1"
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rayjobs.config.arguments import command_line, is_flag, is_override, split
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.entry import run_entry_point


def compare(values: dict[str, Any], paths: Sequence[Path]) -> ExitCode:
    """Read, print, write; ``values`` is the resolved ``conf/compare.yaml``."""
    if not paths:
        raise ConfigError(
            "nothing to compare; name studies, runs, or a folder of them: rayjobs.compare runs/EXPERIMENT"
        )
    from rayjobs.config.typed_config import build_dataclass
    from rayjobs.search.comparison.compared_looks import enter_compared
    from rayjobs.search.comparison.comparison import CompareConfig, compare_runs, compare_study
    from rayjobs.search.comparison.run_view import find_results
    from rayjobs.search.comparison.studies_compared import compare_studies

    config = build_dataclass(CompareConfig, values, "")
    studies, runs = find_results(paths)
    if config.output is not None and studies and runs:
        raise ConfigError(
            f"output={config.output} names one page, but there are 2 to write: studies and runs"
        )
    enter_compared([*studies, *runs], config.ledger)  # before anything of them is shown
    if len(studies) == 1:
        compare_study(studies[0], config)
    elif studies:
        compare_studies(studies, config)
    if runs:
        compare_runs(runs, config)
    return ExitCode.DONE


def split_arguments(arguments: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Paths, and what is for Hydra: options and ``key=value``."""
    options, names = split(arguments, lambda argument: is_flag(argument) or is_override(argument))
    paths = [Path(name).expanduser() for name in names]
    if "--cfg" in options:  # its value has no dash
        options.append(str(paths.pop()))
    return paths, [_quoted(option) for option in options]


def _quoted(option: str) -> str:
    """A filter is an expression: it is handed to Hydra as a quoted text."""
    key, equals, value = option.partition("=")
    if key != "filter" or not equals or value[:1] in ("'", '"') or value in ("", "null"):
        return option
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'filter="{escaped}"'


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """The entry point."""
    paths, options = split_arguments(command_line(argv))
    return run_entry_point(partial(compare, paths=paths), "compare", options)


if __name__ == "__main__":
    sys.exit(main())
