"""Whether an input ranks the return of one later bar, or of several together, beyond doubt in every part of the bars.

Axes: T time, A asset, N bars of a part, K leads, L lengths.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from data.array_types import FloatArray
from data.checks.foreknown import EVERY_SYMBOL, MAX_T, MIN_BARS, NUM_PARTS, Foreknown, furthest_lead
from data.checks.lead_correlations import RankedSeries, lead_correlations, student_t
from data.checks.unforeseen_returns import log_returns
from data.schema import Panel

MIN_CORRELATION = 0.1
"""What a form other than the column itself must reach as well: a lagged price over the close is honest, and bounces."""
MAX_BARS_AHEAD = 3
BARS_TOGETHER = (2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of bars whose returns are asked for together."""
LEAST_TOGETHER = 0.2
"""Correlation that these must have with the input, summed over as many bars."""


def parts_of(values: FloatArray) -> list[slice]:
    """Equal parts of the bars from the first that has a value to the last: what begins late is asked no less."""
    known = np.flatnonzero(np.isfinite(values).any(axis=1))
    bars = np.arange(known[0], known[-1] + 1) if len(known) else known
    return [slice(int(p[0]), int(p[-1]) + 1) for p in np.array_split(bars, NUM_PARTS) if len(p)]


def suspected(
    name: str,
    values: FloatArray,
    panel: Panel,
    parts: Sequence[slice],
    *,
    form: str = "",
    bars_ahead: int = 1,
) -> list[Foreknown]:
    """The symbols, or all of them together, of which (T, A) values rank the next return with |t| > 10 in every part."""
    ahead = future_return(panel, bars_ahead)

    def found(symbol: str, weakest_t: float) -> Foreknown:
        return Foreknown(column=name, symbol=symbol, form=form, weakest_t=weakest_t, bars_ahead=bars_ahead)

    weakest = [
        _weakest_t(_rank_t(values[p, a], ahead[p, a], form) for p in parts) for a in range(panel.num_assets)
    ]
    suspects = [found(symbol, t) for symbol, t in zip(panel.symbols, weakest) if t > MAX_T]
    if suspects or panel.num_assets == 1:
        return suspects
    together = _weakest_t(_pooled_t(values[p], ahead[p], form) for p in parts)
    return [found(EVERY_SYMBOL, together)] if together > MAX_T else []


def suspected_far(
    name: str, values: FloatArray, panel: Panel, parts: Sequence[slice], form: str
) -> list[Foreknown]:
    """Symbols of which the values rank the return at one lead beyond the next few bars, with |t| > 10 in every part."""
    furthest = furthest_lead(p.stop - p.start for p in parts)
    if furthest <= MAX_BARS_AHEAD:
        return []
    return [
        Foreknown(column=name, symbol=symbol, form=form, weakest_t=t, bars_ahead=lead + MAX_BARS_AHEAD + 1)
        for symbol, lead, t in _weakest_by_symbol(
            values, panel, parts, lambda ours, now: _lead_t(ours, now, furthest, form)
        )
    ]


def suspected_together(
    name: str,
    values: FloatArray,
    panel: Panel,
    parts: Sequence[slice],
    least_bars_ahead: int,
    form: str = "",
) -> list[Foreknown]:
    """Symbols of which the values rank the returns of several bars together: a label of ten bars, under noise."""
    furthest = furthest_lead(p.stop - p.start for p in parts)
    lengths = [bars for bars in BARS_TOGETHER if least_bars_ahead + bars - 1 <= furthest]
    if not lengths:
        return []
    return [
        Foreknown(
            column=name, symbol=symbol, form=form, weakest_t=t, bars_ahead=least_bars_ahead, bars=lengths[at]
        )
        for symbol, at, t in _weakest_by_symbol(
            values, panel, parts, lambda ours, now: _together_t(ours, now, least_bars_ahead, lengths)
        )
    ]


def _weakest_by_symbol(
    values: FloatArray,
    panel: Panel,
    parts: Sequence[slice],
    score: Callable[[FloatArray, FloatArray], FloatArray],
) -> list[tuple[str, int, float]]:
    """Symbols with a score beyond 10 in every part: the symbol, which of the scores, and its smallest size.

    Parameters
    ----------
    score : (N,) values and returns of a part -> (K,) scores; the other parts are not looked at where none is enough.
    """
    now, found = log_returns(panel), []
    for a, symbol in enumerate(panel.symbols):
        weakest: FloatArray | float = np.inf
        for p in parts:
            weakest = np.minimum(weakest, np.abs(score(values[p, a], now[p, a])))
            if not weakest.max() > MAX_T:
                break
        else:
            at = int(np.argmax(weakest))
            found.append((symbol, at, float(np.max(weakest))))
    return found


def _together_t(values: FloatArray, now: FloatArray, first: int, lengths: Sequence[int]) -> FloatArray:
    """(L,) sums of the t statistics of neighbouring leads over their standard deviation; 0 where they are too weak.

    Returns that cannot be foreseen make t statistics at two leads correlate as the values do so far apart, which is
    measured: a slow input gains nothing from many leads.
    """
    ours, theirs = (RankedSeries.of(each[:, None]) for each in (values, now))
    last = first + max(lengths) - 1
    correlation, counts = (each[:, 0, 0] for each in lead_correlations(ours, theirs, last))
    own = lead_correlations(ours, ours, max(lengths))[0][:, 0, 0]
    t = np.where(counts >= MIN_BARS, correlation * np.sqrt(counts), 0.0)
    scores = []
    for bars in lengths:
        apart = np.arange(1, bars)
        variance = bars + 2.0 * float(((bars - apart) * own[1:bars]).sum())
        score = float(t[first : first + bars].sum()) / np.sqrt(max(variance, 1.0))
        scores.append(score if abs(score) >= LEAST_TOGETHER * np.sqrt(counts[first]) else 0.0)
    return np.array(scores)


def _lead_t(values: FloatArray, now: FloatArray, furthest: int, form: str) -> FloatArray:
    """(K,) t statistics of the ranks of (N,) values with the return of the bar K bars later, 0 if unknown."""
    ours, theirs = (RankedSeries.of(each[:, None]) for each in (values, now))
    correlation, counts = (
        each[MAX_BARS_AHEAD + 1 :, 0, 0] for each in lead_correlations(ours, theirs, furthest)
    )
    enough = counts >= MIN_BARS
    if form:
        enough &= np.abs(correlation) >= MIN_CORRELATION
    return np.where(enough, student_t(correlation, counts), 0.0)


def _weakest_t(t_of_parts: Iterable[float]) -> float:
    """Smallest |t|; 0 as soon as a part says nothing or too little, so that the others need not be looked at."""
    weakest = np.inf
    for t in t_of_parts:
        if not abs(t) > MAX_T:
            return 0.0
        weakest = min(weakest, abs(t))
    return float(weakest)


def future_return(panel: Panel, bars_ahead: int) -> FloatArray:
    """(T, A) log return of one bar, close to close, some bars ahead; NaN where one of its two closes is missing."""
    ahead = np.full(panel.close.shape, np.nan)
    ahead[:-bars_ahead] = log_returns(panel)[bars_ahead:]
    return ahead


def _scores(values: FloatArray, ahead: FloatArray) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]] | None:
    """Average ranks of (N,) values and returns, standardised, and where both are known; None if they say nothing."""
    known = np.isfinite(values) & np.isfinite(ahead)
    if known.sum() < MIN_BARS:
        return None
    ranks = [rankdata(values[known]), rankdata(ahead[known])]  # ties share their mean rank
    spread = [rank.std() for rank in ranks]
    if min(spread) <= 0.0:
        return None
    first, second = ((rank - rank.mean()) / width for rank, width in zip(ranks, spread))
    return first, second, known


def _rank_t(values: FloatArray, ahead: FloatArray, form: str) -> float:
    """Student's t of Spearman's rank correlation; nan where it is not defined."""
    scores = _scores(values, ahead)
    if scores is None:
        return np.nan
    count = len(scores[0])
    correlation = float(np.mean(scores[0] * scores[1]))
    if form and abs(correlation) < MIN_CORRELATION:
        return 0.0
    return correlation * np.sqrt((count - 2) / max(1.0 - correlation**2, 1e-12))


def _pooled_t(values_NA: FloatArray, ahead_NA: FloatArray, form: str) -> float:
    """The t statistic of the mean product of ranks, a bar counting once: symbols that move together are one look."""
    products = np.full(values_NA.shape, np.nan)
    for a in range(values_NA.shape[1]):
        scores = _scores(values_NA[:, a], ahead_NA[:, a])
        if scores is not None:
            products[scores[2], a] = scores[0] * scores[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a bar without any symbol
        mean_N = np.nanmean(products, axis=1)
    mean_N = mean_N[np.isfinite(mean_N)]
    if len(mean_N) < MIN_BARS or (form and abs(mean_N.mean()) < MIN_CORRELATION):
        return np.nan
    spread = mean_N.std(ddof=1)
    return float(mean_N.mean() / (spread / np.sqrt(len(mean_N)))) if spread > 0.0 else np.nan
