"""Inputs that know how large the returns to come are: volatility averaged to both sides of its bar, a range to come.

Such an input ranks no return, for it has no sign; a network multiplies it by one that it sees. So the mean size of the
returns from the bar after the next on is asked, beyond what past sizes of the symbol and of the others, the range of
the bar and the place in the session tell. Implied volatility and calendars of events know more of it than past prices
do, yet far less than what was measured afterwards does.

Axes: T time, A asset, K regressors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from data.array_types import FloatArray
from data.checks.foreknown import NUM_PARTS, Foreknown
from data.checks.lead_correlations import standardised_ranks
from data.checks.unforeseen_returns import log_returns
from data.schema import Panel

FIRST_BAR = 2
BARS_AHEAD = (5, 20)
"""Numbers of bars whose sizes are averaged."""
PAST_BARS = (1, 2, 5, 10, 20, 50, 100, 200)
LEAST_CORRELATION = 0.5
"""Rank correlation in every part, of what the past tells neither of the input nor of the sizes. Implied volatility has
0.3 to 0.4, a calendar of events less."""
WORTH_ASKING = 0.2
"""The same of the input as it is, from which on the past is taken out of it, too."""
LEAST_LENGTHS = 30
"""Of a part, in numbers of bars that are averaged."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of returns that the past does not tell, made once for all inputs of a panel.

    Attributes
    ----------
    panel : of the bars. unforeseen : bars ahead -> (T, A) ranks of the mean size of so many returns, less what is known
        at the close; NaN where unknown.
    """

    panel: Panel
    unforeseen: Mapping[int, FloatArray]

    @classmethod
    def of(cls, panel: Panel) -> Sizes:
        size = np.abs(log_returns(panel))
        known = [_known(panel, size, a) for a in range(panel.num_assets)]
        return cls(
            panel=panel,
            unforeseen={
                bars: np.stack(
                    [_left(_ahead(size[:, a], bars), known[a]) for a in range(panel.num_assets)], axis=1
                )
                for bars in BARS_AHEAD
                if panel.num_bars >= LEAST_LENGTHS * NUM_PARTS * bars
            },
        )


def told_sizes(name: str, values_TA: FloatArray, sizes: Sizes) -> list[Foreknown]:
    """The symbols of which the values rank the size of what comes, by at least `LEAST_CORRELATION` in every part."""
    found, size_TA = [], np.abs(log_returns(sizes.panel))
    for a, symbol in enumerate(sizes.panel.symbols):
        values = values_TA[:, a]
        weakest = {bars: _weakest(values, left[:, a], bars) for bars, left in sizes.unforeseen.items()}
        if max(weakest.values(), default=0.0) >= WORTH_ASKING:
            values = _left(values, _known(sizes.panel, size_TA, a))
            weakest = {bars: _weakest(values, left[:, a], bars) for bars, left in sizes.unforeseen.items()}
        bars = max(weakest, key=lambda each: weakest[each], default=0)
        if not bars or weakest[bars] < LEAST_CORRELATION:
            continue
        how = f"by their size, with a correlation of {weakest[bars]:.2f} or more in every part, beyond past sizes"
        found.append(
            Foreknown(
                column=name,
                symbol=symbol,
                form="",
                weakest_t=weakest[bars],
                bars_ahead=FIRST_BAR,
                bars=bars,
                how=how,
            )
        )
    return found


def _weakest(values: FloatArray, left: FloatArray, bars: int) -> float:
    """Smallest size of the rank correlation in a part; 0 where one has another sign, or too few bars."""
    both = np.flatnonzero(np.isfinite(values) & np.isfinite(left))
    if len(both) < LEAST_LENGTHS * NUM_PARTS * bars:
        return 0.0
    parts = [
        float(np.mean(standardised_ranks(values[part])[0] * standardised_ranks(left[part])[0]))
        for part in np.array_split(both, NUM_PARTS)
    ]
    return float(np.abs(parts).min()) if len({np.sign(one) for one in parts}) == 1 else 0.0


def _known(panel: Panel, size_TA: FloatArray, asset: int) -> FloatArray:
    """(T, K) what is known at each close of the sizes to come: ranks, and 0 where unknown."""
    own = size_TA[:, asset]
    regressors = [_past(own, bars) for bars in PAST_BARS if bars * 10 <= len(own)]
    with np.errstate(invalid="ignore", divide="ignore"):
        regressors.append(np.log(panel.high[:, asset]) - np.log(panel.low[:, asset]))
    regressors.append(panel.volume[:, asset])
    if size_TA.shape[1] > 1:
        others = np.delete(size_TA, asset, axis=1)
        count = np.isfinite(others).sum(axis=1)
        mean = np.where(count > 0, np.nansum(others, axis=1) / np.maximum(count, 1), np.nan)
        regressors += [_past(mean, bars) for bars in (1, 5, 20) if bars * 10 <= len(own)]
    ranked = [standardised_ranks(np.asarray(each))[0] for each in regressors]
    return np.column_stack([*ranked, *_places(panel, own)])


def _places(panel: Panel, size: FloatArray) -> list[FloatArray]:
    """(T,) mean rank of the sizes that follow each place in the session, as far as sessions have several bars."""
    starts = np.diff(panel.session, prepend=panel.session[:1] - 1) != 0
    place = np.arange(panel.num_bars) - np.maximum.accumulate(np.where(starts, np.arange(panel.num_bars), 0))
    if place.max() == 0:
        return []
    found = []
    for bars in BARS_AHEAD:
        ranks, known = standardised_ranks(_ahead(size, bars))
        total = np.bincount(place[known], ranks[known], minlength=int(place.max()) + 1)
        count = np.bincount(place[known], minlength=int(place.max()) + 1)
        found.append((total / np.maximum(count, 1))[place])
    return found


def _past(values: FloatArray, bars: int) -> FloatArray:
    """(T,) mean of the last so many known values up to each bar."""
    known = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(known, values, 0.0))])
    count = np.concatenate([[0.0], np.cumsum(known)])
    at = np.arange(len(values)) + 1
    before = np.maximum(at - bars, 0)
    number = count[at] - count[before]
    return np.where(number > 0, (total[at] - total[before]) / np.maximum(number, 1.0), np.nan)


def _ahead(size: FloatArray, bars: int) -> FloatArray:
    """(T,) mean of the known values `FIRST_BAR` and so many bars after each; NaN where the bars end before."""
    out = np.full(len(size), np.nan)
    last = len(size) - FIRST_BAR - bars + 1
    if last > 0:
        out[:last] = _past(size, bars)[FIRST_BAR + bars - 1 :]
    return out


def _left(ahead: FloatArray, known_TK: FloatArray) -> FloatArray:
    """(T,) ranks less their regression on what is known; NaN where unknown."""
    ranks, known = standardised_ranks(ahead)
    out = np.full(len(ahead), np.nan)
    if known.sum() > known_TK.shape[1]:
        design = np.column_stack([np.ones(int(known.sum())), known_TK[known]])
        out[known] = ranks[known] - design @ np.linalg.lstsq(design, ranks[known], rcond=None)[0]
    return out
