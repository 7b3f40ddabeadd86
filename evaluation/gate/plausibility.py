"""What is too good: a Sharpe ratio that neither skill nor luck reaches, and what hangs on one bar of one input.

An input is suspected when its delay by one bar takes more than half of a score, beyond chance.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evaluation.scoring.delayed_inputs import LateTrack
from evaluation.scoring.inside_fills import REACH, REACH_COLUMNS
from evaluation.scoring.known_volume import OWN_VOLUME
from evaluation.scoring.owed import NUM_BLOCKS, SIGNIFICANCE, return_without
from evaluation.scoring.stop_fills import STOPS
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.statistics.time_blocks import block_mean

FloatArray = NDArray[np.float64]
MAX_SHARE_LOST = 0.5
"""Largest share of the Sharpe ratio that may hang on one bar of one input."""
PARTY_SHARE = 0.05
"""Share that one of several late inputs takes alone, above which it is named among those that must be explained."""
SURE_SCORE = 0.95
"""Confidence in a score above zero below which it is asked nothing: no such record is long enough to be approved."""
CHANCE = 0.01
"""Share of honest records, however short, whose Sharpe ratio may be above what is believed of them."""


OTHERWISE = {
    REACH: "bars that reach no further than their open and close take",
    STOPS: "stops that fill at the close of their bar take",
    OWN_VOLUME: "the volume of the bar before in place of the bar's own takes",
}
"""What was done, where nothing was late, in words."""


@dataclass(frozen=True, kw_only=True)
class DelayLoss:
    """What the delay of some inputs by one bar takes, or by as long as they stand.

    Attributes
    ----------
    names : of the columns or features that were late together; `inside_fills.REACH`, where nothing was late and bars
        reached no further than their open and close; `known_volume.OWN_VOLUME`, where fills read volumes before theirs;
        `stop_fills.STOPS`, where stops filled at the close of their bar.
    share_lost : of the Sharpe ratio; above 1 a gain became a loss.
    t : of the mean paired difference of returns, over blocks of time.
    late_by : periods for which some of them stand ("session"), by which these were late in place of a bar.
    """

    names: tuple[str, ...]
    share_lost: float
    t: float
    late_by: tuple[str, ...] = ()

    @property
    def delay(self) -> str:
        """By how much they were late, in words."""
        if not self.late_by:
            return "one bar"
        periods = " or ".join(f"one {period}" for period in self.late_by)
        return periods if len(self.names) == 1 else f"one bar ({periods} for what stands so long)"


def most_plausible(limit: float, years: float) -> float:
    """Annual Sharpe ratio above which a record of this length is not believed.

    A Sharpe ratio that was measured over y years is off by 1 / sqrt(y) (Lo, "The statistics of Sharpe ratios", 2002):
    a true one of 3 shows 9 and more in a month of twenty. So half of the limit is given to skill, and to luck what one
    record in a hundred gains by it; from 0.6 years on the limit of 6 itself is more.

    Parameters
    ----------
    limit : `GateConfig.max_plausible_sharpe`, of long records. years : length of the record, above 0.
    """
    return max(limit, limit / 2.0 + float(stats.norm.ppf(1.0 - CHANCE)) / math.sqrt(years))


def delay_losses(result: WalkForwardResult) -> tuple[DelayLoss, ...] | None:
    """The inputs whose delay takes more than half of the score, largest loss first; None where it was not measured.

    Only a score that is above zero beyond chance can be suspicious, and only a loss beyond chance counts. A lone fold
    whose score promised nothing was not run again.
    """
    if any(fold.delayed is None for fold in result.folds):
        return None
    score = sharpe_ratio(result.net_return)
    if not score * math.sqrt(len(result.net_return)) > stats.norm.ppf(SURE_SCORE):
        return ()
    names = list(dict.fromkeys(name for fold in result.folds for name in fold.delayed or ()))
    measured = {}
    for name in names:
        late = return_without(result, name)
        assert late is not None
        sharpe = sharpe_ratio(late)
        share = 1.0 - (0.0 if math.isnan(sharpe) else sharpe) / score
        lost = block_mean(result.net_return - late, NUM_BLOCKS)
        beyond_chance = lost.t > stats.t.ppf(1.0 - SIGNIFICANCE / len(names), lost.num_blocks - 1)
        measured[name] = DelayLoss(
            names=name,
            share_lost=share,
            t=lost.t if beyond_chance else 0.0,
            late_by=_periods(result, name),
        )
    found = [
        replace(loss, names=_parties(name, measured))
        for name, loss in measured.items()
        if loss.share_lost > MAX_SHARE_LOST and loss.t > 0.0
    ]
    return tuple(sorted(found, key=lambda loss: (len(loss.names), -loss.share_lost)))


def _parties(names: tuple[str, ...], measured: Mapping[tuple[str, ...], DelayLoss]) -> tuple[str, ...]:
    """Of inputs that were late together those that take part in the loss, by what the delay of each alone takes."""
    alone = {name: measured[(name,)].share_lost if (name,) in measured else 0.0 for name in names}
    taking = tuple(sorted((n for n in names if alone[n] > PARTY_SHARE), key=lambda n: -alone[n]))
    return taking or names


def _periods(result: WalkForwardResult, name: tuple[str, ...]) -> tuple[str, ...]:
    tracks = [(fold.delayed or {}).get(name) for fold in result.folds]
    late = [track.late_by for track in tracks if isinstance(track, LateTrack)]
    return tuple(dict.fromkeys(period for periods in late for period in periods))


def in_doubt(losses: Sequence[DelayLoss], stated: Collection[str]) -> list[DelayLoss]:
    """The losses that no statement explains; several inputs together only where none of them does alone."""
    doubted = [
        loss
        for loss in losses
        if not all(name in stated for name in (REACH_COLUMNS if loss.names == REACH else loss.names))
    ]
    alone = {loss.names[0] for loss in doubted if len(loss.names) == 1}
    return [loss for loss in doubted if len(loss.names) == 1 or not alone & set(loss.names)]


def suspicion(losses: Sequence[DelayLoss]) -> str:
    """The losses as a list in words: which inputs, and how much of the score goes with each."""
    late = [
        f"a delay by {delay} of {'; '.join(taken)}"
        for delay, taken in _by_delay(loss for loss in losses if loss.names not in OTHERWISE).items()
    ]
    others = [
        f"{OTHERWISE[loss.names]} {loss.share_lost:.0%}"
        for name in OTHERWISE
        for loss in losses
        if loss.names == name
    ]
    return "; ".join([*late, *others])


def _by_delay(losses: Iterable[DelayLoss]) -> dict[str, list[str]]:
    """By how much inputs were late -> what the delay of each takes, in words."""
    found: dict[str, list[str]] = {}
    for loss in losses:
        found.setdefault(loss.delay, []).append(f"{_named(loss.names)} takes {loss.share_lost:.0%}")
    return found


def _named(names: Sequence[str]) -> str:
    if len(names) == 1:
        return repr(names[0])
    shown = ", ".join(repr(name) for name in names[:3])
    return f"{shown} and {len(names) - 3} more together" if len(names) > 3 else f"{shown} together"
