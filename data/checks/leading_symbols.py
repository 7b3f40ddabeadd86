"""Symbols whose bars or columns show another symbol's return some bars ahead: dated by what they are about.

Between neighbouring bars real markets lead one another (a close in New York and the next one in Tokyo, a large stock
and an illiquid one), and `checks.clock_shift` warns of clocks that disagree. Two bars on and further no honest series
does, by more than a fifth and twice what the two have in common at once.

Axes: T time, A asset, K leads.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data.array_types import FloatArray
from data.checks.foreknown import MAX_T, NUM_PARTS, Foreknown, furthest_lead
from data.checks.lead_correlations import RankedSeries, lead_correlations, student_t
from data.checks.unforeseen_returns import log_returns
from data.known_columns import CLOSE
from data.schema import Panel

LEAST_BARS_AHEAD = 2
LEAST_CORRELATION = 0.2
"""Of the ranks, in each part."""
BARS_OF_A_PART = 1 << 16
"""The first so many bars of each part are compared."""
BARS_OF_AN_INPUT = 1 << 13
"""The same for other inputs than closes, which are many: a correlation of a fifth shows in far fewer."""
MOST_SYMBOLS = 24
"""Symbols that are compared pair by pair; of more, each with the mean of all others."""
OTHERS = "the other symbols"


def leading_symbols(panel: Panel) -> tuple[Foreknown, ...]:
    """Pairs of symbols of which one's return ranks the other's some bars later, in each of four parts of the bars."""
    return leading_inputs(CLOSE, {"the change": log_returns(panel)}, panel, bars_of_a_part=BARS_OF_A_PART)


def leading_inputs(
    name: str, forms: Mapping[str, FloatArray], panel: Panel, *, bars_of_a_part: int = BARS_OF_AN_INPUT
) -> tuple[Foreknown, ...]:
    """The same for what one symbol's (T, A) input says of another's return; the first form that says anything."""
    if panel.num_assets < 2:
        return ()
    returns = log_returns(panel)
    parts = [part[:bars_of_a_part] for part in np.array_split(np.arange(1, panel.num_bars), NUM_PARTS)]
    furthest = furthest_lead(len(part) for part in parts)
    if furthest < LEAST_BARS_AHEAD:
        return ()
    for form, values in forms.items():
        weakest: FloatArray | float = np.inf
        for part in parts:
            weakest = np.minimum(weakest, _excess(values[part], returns[part], furthest))
            if not np.max(weakest) > MAX_T:
                break
        else:
            return _found(name, form, panel, np.asarray(weakest))
    return ()


def _found(name: str, form: str, panel: Panel, weakest_KAB: FloatArray) -> tuple[Foreknown, ...]:
    """A finding for each pair with a lead at which t is beyond 10 in every part."""
    names = panel.symbols if weakest_KAB.shape[2] > 1 else (OTHERS,)
    found = []
    for leader, symbol in enumerate(panel.symbols):
        for follower, other in enumerate(names):
            lead = int(weakest_KAB[:, leader, follower].argmax())
            if weakest_KAB[lead, leader, follower] > MAX_T:
                found.append(
                    Foreknown(
                        column=name,
                        symbol=f"{symbol} against {other}",
                        form=form,
                        weakest_t=float(weakest_KAB[lead, leader, follower]),
                        bars_ahead=lead + LEAST_BARS_AHEAD,
                    )
                )
    return tuple(found)


def _excess(values_NA: FloatArray, returns_NA: FloatArray, furthest: int) -> FloatArray:
    """(K, A, A or 1) |t| of a symbol's input with another's return K + 2 bars later; 0 where that is weak.

    More than `MOST_SYMBOLS` are compared with the mean of the others.
    """
    leaders, followers = RankedSeries.of(values_NA), RankedSeries.of(returns_NA)
    num_symbols = values_NA.shape[1]
    if num_symbols <= MOST_SYMBOLS:
        correlation, count = lead_correlations(leaders, followers, furthest)
        itself = np.arange(num_symbols)
        correlation[:, itself, itself] = 0.0
    else:
        each = [
            lead_correlations(leaders.at(a), followers.mean_of_others(a), furthest)
            for a in range(num_symbols)
        ]
        correlation, count = (np.concatenate(parts, axis=1) for parts in zip(*each))
    size = np.abs(correlation)
    ahead = size[LEAST_BARS_AHEAD:]
    meant = ahead > np.maximum(LEAST_CORRELATION, 2.0 * size[0])
    return np.where(meant, student_t(ahead, count[LEAST_BARS_AHEAD:]), 0.0)
