"""Longs of names whose bars end, which were paid the last close: named where much of the gain hangs on it."""

from __future__ import annotations

import math

from evaluation.scoring.ended_longs import EndedLongs, ended_longs
from evaluation.scoring.walk_forward import WalkForwardResult
from rayjobs.study.study import Study

MOST_OF_GAIN = 0.1
"""Share of the gain from which on what was paid at last closes is no by-product."""


def lowered_by_ends(study: Study, result: WalkForwardResult) -> list[str]:
    """A phrase where more than a tenth of the gain was paid to longs at last closes that nobody vouches for."""
    found = ended_longs(result, stated=_stated(study))
    if found is None or not found.gain > 0.0 or found.share <= MOST_OF_GAIN:
        return []
    without = "is not defined" if math.isnan(found.without) else f"is {found.without:.2f}"
    return [
        f"{_phrase(found)}: with nothing recovered the annual Sharpe ratio {without} instead of {found.sharpe:.2f} "
        f"(costs.delisting_recovery; or state when a name was delisted at its last price, as "
        f"instruments.symbols.{found.symbols[0]}.delisted_utc)"
    ]


def told_of_ends(study: Study, result: WalkForwardResult) -> tuple[str, ...]:
    """A sentence on such longs where they are no reason to lower an approval: few, or of names that are stated."""
    found = ended_longs(result)
    if found is None or lowered_by_ends(study, result):
        return ()
    stated = sum(name in _stated(study) for name in found.symbols)
    by = f"; of {stated} of these names the delisting is stated" if stated else ""
    phrase = _phrase(found)
    return (f"{phrase[0].upper()}{phrase[1:]}{by}.",)


def _stated(study: Study) -> frozenset[str]:
    instruments = study.config.instruments.for_symbols(study.panel.symbols)
    return frozenset(name for name, one in instruments.items() if one.delisted_utc is not None)


def _phrase(found: EndedLongs) -> str:
    longs = f"{found.count:,} long{'' if found.count == 1 else 's'}"
    share = f", {found.share:.0%} of the gain" if math.isfinite(found.share) else ""
    were = "was" if found.count == 1 else "were"
    return f"{longs} of names whose bars end ({found.named}) {were} paid at the last close{share}"
