"""Columns that change seldom and came out later than they are dated: fundamentals by the end of their quarter.

Each value stands for many bars, and what it tells of any one of them is little, for the day on which it came out
varies. So a step is asked as a whole, from a few bars after its value appeared to a few before the next one:

- by its largest return: prices jump on the day of the release, in the direction of the value that stood there already.
  What a signal of several Sharpe ratios knows of the sign of the largest of sixty returns is a fraction of that.
- by all that it earns: beyond what a very good honest signal earns in as many years.

Events are asked in the same way: values of a column that mostly shows another one (0, or nothing), such as trades of
insiders that stand at the date of the trade and move the price when they are filed, each for the bars after it.

The steps of all symbols are pooled, once with the market's mean in the returns, for a figure that is the same for all,
and once without it. Steps that begin at about the same time count as one in the t statistics: symbols move together.

Axes: T time, A asset, S steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.checks.foreknown import EVERY_SYMBOL, Foreknown
from data.checks.lead_correlations import standardised_ranks
from data.checks.unforeseen_returns import log_returns
from data.schema import Panel

LEAST_STEP_BARS = 10
"""Median length of a step from which on a column is said to change seldom."""
FIRST_BAR = 2
"""First bar after a value appeared whose return is asked: a release after the close moves the next open."""
LAST_BARS = 2
"""Bars before the next value that are not asked: rumours of the next release, which one value tells of the next."""
EVENT_BARS = 12
"""Bars from an event on that are asked."""
USUAL_SHARE = 0.7
"""Share of the bars that show the usual value of a column of events."""
MIN_STEPS = 24
"""Of all symbols together, at distinct times."""
NUM_PARTS = 3
LEAST_T, LEAST_T_OF_A_PART = 4.5, 1.5
"""Of all steps, and in the same direction in each part of the history. It is at most the root of the distinct times, as
the sum is measured by its own squares: luck reaches it once in three hundred thousand looks."""
LEAST_CORRELATION = 0.3
"""Of a step's value with its largest return; 0.25 where one symbol's signal has a Sharpe ratio of 2 on daily bars."""
HONEST_SHARPE, BEYOND_LUCK = 2.0, 4.5
"""Annual, of all symbols together, and standard deviations beyond it that what is earned must lie."""


Spans = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class _Steps:
    """Steps of all symbols: (S,) the bar at which each begins; ranks of its value, its largest return and their sum."""

    begin: NDArray[np.int64]
    value: FloatArray
    largest: FloatArray
    earned: FloatArray
    bars: int


def told_steps(name: str, values_TA: FloatArray, panel: Panel) -> list[Foreknown]:
    """One line for all symbols where the steps of a column (T, A) tell what came after them, or its events do."""
    events = _events(values_TA)
    asked = [
        (form, values_TA, cuts) for cuts in [[_begins(c) for c in values_TA.T]] for form in ("", "the change")
    ]
    asked += [] if events is None else [("its events", *events)]
    for form, values, cuts in asked:
        if sum(len(cut) for cut in cuts) < MIN_STEPS:
            continue
        for returns in _returns(panel):
            steps = _steps(values, returns, cuts, change=form == "the change")
            found = None if steps is None else _told(name, form, steps, panel)
            if found is not None:
                return [found]
    return []


def _events(values_TA: FloatArray) -> tuple[FloatArray, list[Spans]] | None:
    """Values (T, A) less the one that a column mostly shows, and the bars from each other value on, symbol by symbol.

    None where no value is that of most bars. Unknown is the usual one where that is what most bars show.
    """
    known = np.isfinite(values_TA)
    begun = np.maximum.accumulate(known, axis=0).sum()
    if not begun:
        return None
    distinct, counts = np.unique(values_TA[known], return_counts=True)
    usual, share = float(distinct[counts.argmax()]), counts.max() / begun
    if 1.0 - known.sum() / begun >= USUAL_SHARE:  # unknown: of signs and sizes zero is what divides them
        usual, share = 0.0, 1.0
    if share < USUAL_SHARE:
        return None
    apart = np.where(known, values_TA - usual, 0.0)
    spans = []
    for column in apart.T:
        at = np.flatnonzero(column)
        stops = np.minimum(at + EVENT_BARS + LAST_BARS, np.append(at[1:], len(column)))
        spans.append(np.column_stack([at, stops]))
    return apart, spans


def _returns(panel: Panel) -> Iterator[FloatArray]:
    """Log returns (T, A) over their standard deviation: as they are, and less the mean of all symbols."""
    returns = log_returns(panel)
    for each in (returns, returns - _mean(returns)) if panel.num_assets > 2 else (returns,):
        count = np.maximum(np.isfinite(each).sum(axis=0), 1)
        size = np.sqrt(np.nansum(each**2, axis=0) / count)
        yield np.nan_to_num(each / np.where(size > 0.0, size, 1.0))


def _mean(values_TA: FloatArray) -> FloatArray:
    """(T, 1) mean of what is known at each bar."""
    known = np.isfinite(values_TA)
    return np.nansum(values_TA, axis=1, keepdims=True) / np.maximum(known.sum(axis=1, keepdims=True), 1)


def _begins(values: FloatArray) -> Spans:
    """(S, 2) from the bar at which a value (T,) appears that is not the last known one to that of the next, or the end;
    unknown bars change nothing."""
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    changed = np.concatenate([[True], np.diff(values[known]) != 0.0])
    begins = np.append(known[changed], known[-1] + 1)
    seldom = np.median(np.diff(begins)) >= LEAST_STEP_BARS
    return np.column_stack([begins[:-1], begins[1:]]) if seldom else np.zeros((0, 2), dtype=np.int64)


def _steps(
    values_TA: FloatArray, returns_TA: FloatArray, cuts: list[Spans], *, change: bool
) -> _Steps | None:
    """The steps of all symbols, ranks taken over all of them, in the order of time; None where they are too few."""
    begin, value, largest, earned, lengths = [], [], [], [], []
    for a, cut in enumerate(cuts):
        last = np.nan
        for start, stop in cut.tolist():
            level = float(values_TA[start, a])
            told, last = (level - last if change else level), level
            inside = returns_TA[start + FIRST_BAR : stop - LAST_BARS, a]
            if not np.isfinite(told) or len(inside) < LEAST_STEP_BARS // 2:
                continue
            begin.append(int(start))
            value.append(told)
            largest.append(float(inside[np.argmax(np.abs(inside))]))
            earned.append(float(inside.sum() / np.sqrt(len(inside))))
            lengths.append(stop - start)
    if len(begin) < MIN_STEPS:
        return None
    order = np.argsort(begin, kind="stable")
    return _Steps(
        begin=np.array(begin)[order],
        value=standardised_ranks(np.array(value)[order])[0],
        largest=standardised_ranks(np.array(largest)[order])[0],
        earned=standardised_ranks(np.array(earned)[order])[0],
        bars=int(np.median(lengths)),
    )


def _told(name: str, form: str, steps: _Steps, panel: Panel) -> Foreknown | None:
    """The finding, if the steps tell either of what is asked."""
    years = panel.num_bars / panel.bars_a_year()
    for after, least_correlation, least_t, what in (
        (steps.largest, LEAST_CORRELATION, LEAST_T, "the largest of"),
        (
            steps.earned,
            0.0,
            max(LEAST_T, HONEST_SHARPE * float(np.sqrt(years)) + BEYOND_LUCK),
            "what is earned in",
        ),
    ):
        products = steps.value * after
        correlation, (t, sums) = float(products.mean()), _t(products, steps)
        if len(sums) < MIN_STEPS or abs(t) < least_t or abs(correlation) < least_correlation:
            continue
        parts = [np.sign(t) * _t_of(part) for part in np.array_split(sums, NUM_PARTS)]
        if min(parts) >= LEAST_T_OF_A_PART:
            how = (
                f"with a correlation of {correlation:.2f} of each new value and {what} the returns until the next "
                f"(|t| of {abs(t):.0f} over {len(products)} steps), as a figure that came out later than it is dated, "
                f"which data.columns.{name}.released_in moves to when it was known"
            )
            return Foreknown(
                column=name,
                symbol=EVERY_SYMBOL,
                form=form,
                weakest_t=t,
                bars_ahead=FIRST_BAR,
                bars=steps.bars,
                how=how,
            )
    return None


def _t(products: FloatArray, steps: _Steps) -> tuple[float, FloatArray]:
    """The t statistic of the sum of products, those of a third of a step's length together, and their sums."""
    together = steps.begin // max(steps.bars // 3, 1)
    sums: FloatArray = np.bincount(np.unique(together, return_inverse=True)[1], products).astype(np.float64)
    return _t_of(sums), sums


def _t_of(sums: FloatArray) -> float:
    """Sum over the root of the sum of squares: its mean is zero where nothing is told."""
    error = float(np.sqrt((sums**2).sum()))
    return float(sums.sum()) / error if error > 0.0 else 0.0
