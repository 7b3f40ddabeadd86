"""Foreknowledge: columns that rank the next bar's return better than anything that is known at the close can.

For each column and symbol, and for all symbols together, the rank correlation with the return of the next bar is
measured in each of several parts of the bars. A t statistic beyond 10 in every part is no edge that a market leaves
lying about: the column was written after the fact, or labelled a bar early. It is found and said; nothing is changed.
The same is asked of every lead up to a fifth of a part: the change of a label of the next 48 bars ranks the return 48
bars ahead, although the next bar's return is but a small part of it.

Axes: T time, A asset, N bars of a part.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.stats import rankdata

from data.array_types import FloatArray
from data.known_columns import ColumnStatement
from data.schema import Panel

LOG = logging.getLogger(__name__)
MAX_T = 10.0
NUM_PARTS = 4
MIN_BARS = 20
"""Bars of a part with both numbers known, below which nothing is said."""
MIN_CORRELATION = 0.1
"""What a form other than the column itself must reach as well: a lagged price over the close is honest, and bounces."""
MAX_BARS_AHEAD = 3
FURTHEST_SHARE = 0.2
"""Largest lead that is looked at, as a share of a part's bars."""
MOST_BARS_AHEAD = 5_000
BARS_TOGETHER = (2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of bars whose returns are asked for together."""
EVERY_SYMBOL = "all symbols"


@dataclass(frozen=True, kw_only=True)
class Foreknown:
    """A column under suspicion.

    Attributes
    ----------
    column, symbol : names; `symbol` may be `EVERY_SYMBOL`.
    form : "" for the column as it is, else what was made of it.
    weakest_t : the t statistic of the part in which it is smallest in size.
    bars_ahead : which bar's return it ranks; 1 is the next.
    bars : how many bars' returns together, from that one on.
    kind : "column", or "feature" of the user's own.
    """

    column: str
    symbol: str
    form: str
    weakest_t: float
    bars_ahead: int = 1
    bars: int = 1
    kind: str = "column"

    def __str__(self) -> str:
        what = f"{self.form} of " if self.form else ""
        whose = (
            "the next bar's return" if self.bars_ahead == 1 else f"the return {self.bars_ahead} bars ahead"
        )
        if self.bars > 1:
            whose = f"the returns {self.bars_ahead} to {self.bars_ahead + self.bars - 1} bars ahead"
        return (
            f"{what}{self.kind} {self.column!r} ({self.symbol}) ranks {whose} with |t| of "
            f"{abs(self.weakest_t):.0f} or more in every part: known at the close?"
        )


def foreknown_columns(
    panel: Panel, statements: Mapping[str, ColumnStatement] | None = None
) -> tuple[Foreknown, ...]:
    """Suspects among the exogenous columns and the volume of a panel, in four equal parts; stated ones are left out.

    A column is looked at as it is, by its change, and over the close: a forecast of the next price gives itself away by
    the distance to this one. It is asked for the next bar first, and for the few after it.
    """
    return foreknown_values(panel, {**panel.exogenous, "volume": panel.volume}, statements)


def foreknown_values(
    panel: Panel,
    inputs: Mapping[str, FloatArray],
    statements: Mapping[str, ColumnStatement] | None = None,
    *,
    least_bars_ahead: int = 1,
) -> tuple[Foreknown, ...]:
    """Suspects among (T, A) inputs by name, stated ones left out; see `foreknown_columns`.

    Parameters
    ----------
    least_bars_ahead : leads below it are not looked at.
    """
    found: list[Foreknown] = []
    for name, values in inputs.items():
        parts = _parts(values)
        if not parts or (statements and name in statements):
            continue
        forms = _forms(values, panel)
        looks = ((form, bars) for form in forms for bars in range(least_bars_ahead, MAX_BARS_AHEAD + 1))
        suspects = (
            suspected(name, forms[form], panel, parts, form=form, bars_ahead=bars) for form, bars in looks
        )
        some = next((some for some in suspects if some), [])
        some = some or next(
            (far for form in forms if (far := _suspected_far(name, forms[form], panel, parts, form))), []
        )
        found += some or _suspected_together(name, values, panel, parts, least_bars_ahead)
    return tuple(found)


def _parts(values: FloatArray) -> list[slice]:
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


def furthest_lead(lengths: Iterable[int]) -> int:
    """Largest lead that is looked at in parts of so many bars."""
    return min(int(FURTHEST_SHARE * min(lengths)), MOST_BARS_AHEAD)


def _suspected_far(
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


def _suspected_together(
    name: str, values: FloatArray, panel: Panel, parts: Sequence[slice], least_bars_ahead: int
) -> list[Foreknown]:
    """Symbols of which the values rank the returns of several bars together: a label of ten bars, under noise."""
    furthest = furthest_lead(p.stop - p.start for p in parts)
    lengths = [bars for bars in BARS_TOGETHER if least_bars_ahead + bars - 1 <= furthest]
    if not lengths:
        return []
    return [
        Foreknown(
            column=name, symbol=symbol, form="", weakest_t=t, bars_ahead=least_bars_ahead, bars=lengths[at]
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
    """(L,) sums of the t statistics of neighbouring leads over their standard deviation.

    Returns that cannot be foreseen make t statistics at two leads correlate as the values do so far apart, which is
    measured: a slow input gains nothing from many leads.
    """
    (ranks, known), (returns, returns_known) = standardised_ranks(values), standardised_ranks(now)
    last = first + max(lengths) - 1
    size = fft.next_fast_len(len(values) + last)
    spectrum, known_spectrum = fft.rfft(ranks, size), fft.rfft(known.astype(np.float64), size)

    def per_pair(
        ours: NDArray[np.complex128], theirs: NDArray[np.complex128]
    ) -> tuple[FloatArray, FloatArray]:
        sums = fft.irfft(np.conj(spectrum) * ours, size)[: last + 1]
        counts = np.maximum(np.rint(fft.irfft(np.conj(known_spectrum) * theirs, size)[: last + 1]), 1.0)
        return sums / counts, counts

    correlation, counts = per_pair(fft.rfft(returns, size), fft.rfft(returns_known.astype(np.float64), size))
    own, _ = per_pair(spectrum, known_spectrum)
    t = np.where(counts >= MIN_BARS, correlation * np.sqrt(counts), 0.0)
    scores = []
    for bars in lengths:
        apart = np.arange(1, bars)
        variance = bars + 2.0 * float(((bars - apart) * own[1:bars]).sum())
        scores.append(float(t[first : first + bars].sum()) / np.sqrt(max(variance, 1.0)))
    return np.array(scores)


def _lead_t(values: FloatArray, now: FloatArray, furthest: int, form: str) -> FloatArray:
    """(K,) t statistics of the rank correlation of (N,) values with the return of the bar K bars later, 0 if unknown.

    All leads at once, by the convolution theorem; the same ranks serve all of them.
    """
    ranks, known = zip(*(standardised_ranks(each) for each in (values, now)))
    size = fft.next_fast_len(len(values) + furthest)
    sums, counts = (
        fft.irfft(np.conj(fft.rfft(first, size)) * fft.rfft(second, size), size)[
            MAX_BARS_AHEAD + 1 : furthest + 1
        ]
        for first, second in (ranks, [mask.astype(np.float64) for mask in known])
    )
    counts = np.round(counts)
    correlation = np.clip(sums / np.maximum(counts, 1.0), -1.0, 1.0)
    t = correlation * np.sqrt(np.maximum(counts - 2, 0.0) / np.maximum(1.0 - correlation**2, 1e-12))
    enough = counts >= MIN_BARS
    if form:
        enough &= np.abs(correlation) >= MIN_CORRELATION
    return np.where(enough, t, 0.0)


def standardised_ranks(values: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Average ranks of (N,) values, standardised, 0 where unknown; and where they are known."""
    known = np.isfinite(values)
    out = np.zeros(len(values))
    if known.any():
        rank = rankdata(values[known])
        spread = rank.std()
        out[known] = (rank - rank.mean()) / spread if spread > 0.0 else 0.0
    return out, known


def log_returns(panel: Panel) -> FloatArray:
    """(T, A) log return of each bar, close to close; NaN where one of its two closes is missing."""
    now = np.full(panel.close.shape, np.nan)
    now[1:] = np.diff(np.log(panel.close), axis=0)
    return now


def _weakest_t(t_of_parts: Iterable[float]) -> float:
    """Smallest |t|; 0 as soon as a part says nothing or too little, so that the others need not be looked at."""
    weakest = np.inf
    for t in t_of_parts:
        if not abs(t) > MAX_T:
            return 0.0
        weakest = min(weakest, abs(t))
    return float(weakest)


def warn_of_foreknowledge(panel: Panel, statements: Mapping[str, ColumnStatement]) -> None:
    """Log a line for each suspect; how to state when a column is known is said once."""
    found = foreknown_columns(panel, statements)
    for suspect in found:
        LOG.warning("%s", suspect)
    if found:
        LOG.warning(
            "state when it is known in the data config, such as data.columns.%s.known_after: 1 bar",
            found[0].column,
        )


def future_return(panel: Panel, bars_ahead: int) -> FloatArray:
    """(T, A) log return of one bar, close to close, some bars ahead; NaN where one of its two closes is missing."""
    ahead = np.full(panel.close.shape, np.nan)
    ahead[:-bars_ahead] = log_returns(panel)[bars_ahead:]
    return ahead


def _forms(values: FloatArray, panel: Panel) -> dict[str, FloatArray]:
    change = np.full(values.shape, np.nan)
    change[1:] = np.diff(values, axis=0)
    forms = {"": values, "the change": change}
    known = values[np.isfinite(values)]
    if known.size and (known > 0.0).all():
        forms["the distance to the close"] = np.log(values) - np.log(panel.close)
    return forms


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
