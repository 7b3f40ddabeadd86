"""Symbols that a policy was trained on beside those that were held out: the same numbers of both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.scoring.walk_forward import ORACLE

COMPARED = {
    "sharpe": "Sharpe ratio, annual, net",
    "total_return": "total net return",
    "max_drawdown": "maximum drawdown",
    "oracle_fraction": "of the oracle",
    "best_baseline_sharpe": "Sharpe ratio of the best baseline",
    "num_trades": "closed trades",
    "annual_turnover": "turnover a year",
    "hindsight_share": "bars scored with hindsight",
    "in_sample_share": "bars scored in sample",
}
"""Entries of summary.json that are shown side by side, and what they are called."""


def side_by_side(
    seen_symbols: Sequence[str],
    unseen_symbols: Sequence[str],
    seen: Mapping[str, Any],
    unseen: Mapping[str, Any],
) -> dict[str, Any]:
    """The entry `unseen_symbols` of summary.json: symbols and numbers of both, and what share is kept.

    Parameters
    ----------
    seen, unseen : the summaries of both records (`evaluation.artefacts.summary.summarise`).
    """
    found: dict[str, Any] = {"seen": _numbers(seen_symbols, seen), "unseen": _numbers(unseen_symbols, unseen)}
    ours, theirs = (part.get("oracle_fraction", math.nan) for part in (seen, unseen))
    if "oracle_fraction" in seen:
        found["oracle_fraction_kept"] = theirs / ours if ours > 0.0 else math.nan
    return found


def _numbers(symbols: Sequence[str], summary: Mapping[str, Any]) -> dict[str, Any]:
    rivals = [part["sharpe"] for name, part in summary["baselines"].items() if name not in (ORACLE, "flat")]
    known = [value for value in rivals if not math.isnan(value)]
    numbers = {**summary, "best_baseline_sharpe": max(known, default=math.nan)}
    return {"symbols": list(symbols)} | {name: numbers[name] for name in COMPARED if name in numbers}


def rows_of(compared: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A row per number, for a table: what it is, of the symbols seen, of those held out."""
    seen, unseen = compared["seen"], compared["unseen"]
    first = {
        "": "symbols",
        "trained on": ", ".join(seen["symbols"]),
        "held out": ", ".join(unseen["symbols"]),
    }
    rows = [
        {"": label, "trained on": _text(seen[name]), "held out": _text(unseen[name])}
        for name, label in COMPARED.items()
        if name in seen and name in unseen
    ]
    return [first, *rows]


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
