"""Half spreads that the bars of a study show, where trades were charged less: said, and charged by the stress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluation.scoring.charged_costs import ChargedCost
from rayjobs.study.study import Study


def cheap_trades(study: Study, charged: Sequence[ChargedCost]) -> dict[str, float]:
    """Symbols whose trades were charged less than the half spread that their bars show -> that spread, bps."""
    return {
        one.symbol: study.half_spreads[one.symbol]
        for one in charged
        if one.notional > 0.0 and study.half_spreads.get(one.symbol, 0.0) > one.bps
    }


def told_of_spreads(charged: Sequence[ChargedCost], cheap: Mapping[str, float]) -> tuple[str, ...]:
    """A sentence on such symbols; none without any."""
    if not cheap:
        return ()
    worst = max(cheap, key=lambda name: cheap[name])
    paid = next(one.bps for one in charged if one.symbol == worst)
    others = len(cheap) - 1
    more = f", and so do {others} more symbol{'' if others == 1 else 's'}" if others else ""
    return (
        f"The bars of {worst} bounce by a half spread of {cheap[worst]:.1f} bps, and its trades were charged "
        f"{paid:.1f} bps{more}.",
    )
