"""Questions to the reader process, by name: each imports what it needs there, so that the server imports none of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def warm() -> None:
    """Import what most questions need."""
    from rayjobs.pages import comparison_facts, study_facts

    study_facts.warm()
    comparison_facts.DRAWS  # noqa: B018  named, so that the import is not taken for an idle one


def study(directory: str) -> bytes:
    from rayjobs.pages.study_facts import study_answer

    return study_answer(directory)


def deflation(directory: str) -> bytes:
    from rayjobs.pages.study_facts import deflation_answer

    return deflation_answer(directory)


def importance(directory: str) -> bytes:
    from rayjobs.pages.study_facts import importance_answer

    return importance_answer(directory)


def equity(directory: str, trials: tuple[int, ...]) -> bytes:
    from rayjobs.pages.study_facts import equity_answer

    return equity_answer(directory, trials)


def trial(directory: str, number: int) -> bytes:
    from rayjobs.pages.study_facts import trial_answer

    return trial_answer(directory, number)


def comparison(root: str, names: tuple[str, ...]) -> bytes:
    from rayjobs.pages.comparison_facts import comparison_answer

    return comparison_answer(root, names)


def market(directory: str, stamp: int, symbol: str, start: int | None, count: int) -> bytes:
    from rayjobs.pages.market_facts import ONE_AT_A_TIME, market_answer

    with ONE_AT_A_TIME:
        return market_answer(directory, stamp, symbol, start, count)


def thoughts(directory: str, stamp: int, symbol: str, start: int | None, count: int) -> bytes:
    from rayjobs.pages.policy_facts import thoughts_answer

    return thoughts_answer(directory, stamp, symbol, start, count)


def trades(directory: str, stamp: int, order: str, count: int) -> bytes:
    from rayjobs.pages.market_facts import ONE_AT_A_TIME, trades_answer

    with ONE_AT_A_TIME:
        return trades_answer(directory, stamp, order, count)


def bar(directory: str, stamp: int, symbol: str, number: int) -> bytes:
    from rayjobs.pages.market_facts import ONE_AT_A_TIME, bar_answer

    with ONE_AT_A_TIME:
        return bar_answer(directory, stamp, symbol, number)


def lake(place: str) -> bytes:
    from rayjobs.pages.lake_facts import lake_answer

    return lake_answer(place)


def defaults_answer(root: str) -> bytes:
    """Dotted key -> today's default, of the configuration that a job starts from."""
    from rayjobs.config.compose import compose
    from rayjobs.pages.settings_sections import leaves

    return json.dumps(dict(leaves(compose(root)))).encode()


def verdict_of(run: Path) -> list[dict[str, Any]]:
    """Criteria of a run's verdict, in the server itself: it is a small file."""
    try:
        content = json.loads((run / "verdict.json").read_text(encoding="utf-8"))
        return [
            {name: row.get(name) for name in ("name", "label", "value", "threshold", "comparison", "pass",
                                              "enforced", "reason")}
            for row in content["criteria"]
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
