"""Dividends that the scored shorts of a study may owe and that its data do not know."""

from __future__ import annotations

from evaluation.scoring.short_dividends import ShortDividends, short_dividends
from evaluation.scoring.walk_forward import WalkForwardResult
from rayjobs.study.assumed_yields import assumed_yields
from rayjobs.study.study import Study

SHARE_OF_GAIN = 0.1
"""Share of the gain from which on dividends that were not charged are no by-product."""


def study_dividends(study: Study, result: WalkForwardResult) -> ShortDividends | None:
    """What the scored shorts may owe beyond what they were charged; None where nothing is unknown."""
    yields = assumed_yields(study.config, study.panel)
    return short_dividends([fold.recording for fold in result.folds], study.panel, yields) if yields else None


def unknown_dividends(study: Study, result: WalkForwardResult) -> list[str]:
    """A phrase where dividends that are not known may be much of the gain."""
    found = study_dividends(study, result)
    if found is None or not found.gain > 0.0 or found.owed <= SHARE_OF_GAIN * found.gain:
        return []
    return [
        f"shorts of {found.names} owed no dividends, which the data do not know; at {found.annual_yield:.1%} a year "
        f"they are up to {found.owed / found.gain:.0%} of the gain"
    ]
