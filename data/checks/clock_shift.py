"""Clocks that disagree: a symbol whose bars move with those of the others, but some bars later or earlier.

A file in another zone, or labelled by its closes among files that are labelled by their opens, shows a policy the next
bar of every other symbol before it happens. Returns of instruments that belong together then correlate at a lag and not
at once, which is looked for here. Nothing is moved: it is for the user to correct the file.

Axes: T time, A asset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from data.array_types import FloatArray
from data.schema import Panel

MIN_RETURNS = 200
"""Returns in common from which a clock is judged."""
LONGEST_SHIFT_SECONDS = 14 * 3600
"""The largest shift that is looked for: a zone's offset; and at least `LEAST_LAGS` bars."""
LEAST_LAGS = 5
MIN_CORRELATION = 0.2
"""Correlation at the lag that is asked for, beyond twice the one without a lag."""
MIN_SCORE = 10.0
"""... and beyond so many standard errors, 1 / sqrt(number of returns)."""


@dataclass(frozen=True, kw_only=True)
class ClockShift:
    """One symbol's clock against that of the others.

    Parameters
    ----------
    symbol : whose clock. others : whose mean return it was compared with.
    bars : by how many bars its labels are late (> 0) or early (< 0).
    correlation : of its returns with theirs at the same label; shifted_correlation : after moving its labels back.
    """

    symbol: str
    others: tuple[str, ...]
    bars: int
    correlation: float
    shifted_correlation: float

    @property
    def fact(self) -> str:
        """What was found, of the symbol, without its name."""
        against = self.others[0] if len(self.others) == 1 else f"the other {len(self.others)} symbols"
        count = f"{abs(self.bars)} bar{'s' if abs(self.bars) != 1 else ''}"
        return (
            f"its clock seems {count} {'late' if self.bars > 0 else 'early'} against {against} (returns "
            f"correlate by {self.correlation:.2f} as labelled and by {self.shifted_correlation:.2f} when moved); "
            "whoever is early shows the others their future, so check data.timezone and what the labels mean"
        )

    def __str__(self) -> str:
        return f"{self.symbol}: {self.fact}"


def clock_shifts(panel: Panel) -> list[ClockShift]:
    """Every symbol whose returns follow those of the others at a lag and not at once; of two symbols, the later one.

    Notes
    -----
    Compared are standardised log returns between known neighbouring closes with the mean of the other symbols'.
    """
    if panel.num_assets < 2 or panel.num_bars <= MIN_RETURNS:
        return []
    returns, known = _standardised_returns(panel)
    lags = max(LEAST_LAGS, LONGEST_SHIFT_SECONDS // panel.bar_seconds)
    lags = min(lags, panel.num_bars // 4)
    found = []
    for asset, symbol in enumerate(panel.symbols):
        if known[:, asset].sum() < MIN_RETURNS:
            continue
        others = np.delete(np.arange(panel.num_assets), asset)
        count = known[:, others].sum(axis=1)
        mean = returns[:, others].sum(axis=1) / np.maximum(count, 1)
        correlation, size = _lagged_correlation(returns[:, asset], known[:, asset], mean, count > 0, lags)
        at = int(np.nanargmax(correlation))
        now, best, shift = float(correlation[lags]), float(correlation[at]), at - lags
        if shift and best > max(2.0 * now, 0.0) + MIN_CORRELATION and best * np.sqrt(size[at]) > MIN_SCORE:
            names = tuple(panel.symbols[other] for other in others)
            found.append(
                ClockShift(symbol=symbol, others=names, bars=shift, correlation=now, shifted_correlation=best)
            )
    if panel.num_assets == 2:
        return [one for one in found if one.bars > 0]
    worst = max((abs(one.shifted_correlation) for one in found), default=0.0)
    return [one for one in found if one.shifted_correlation > 0.5 * worst]


def _standardised_returns(panel: Panel) -> tuple[FloatArray, NDArray[np.bool_]]:
    """(T, A) log returns with mean 0 and deviation 1, clipped to +-5, 0 where unknown; and where they are known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.diff(np.log(panel.positive().close), axis=0, prepend=np.nan)
    known = np.isfinite(change)
    count = np.maximum(known.sum(axis=0), 1)
    change = np.where(known, change, 0.0)
    change = np.where(known, change - change.sum(axis=0) / count, 0.0)
    deviation = np.sqrt((change**2).sum(axis=0) / count)
    standard = np.clip(change / np.where(deviation > 0.0, deviation, 1.0), -5.0, 5.0)
    return standard, known


def _lagged_correlation(
    ours: FloatArray,
    ours_known: NDArray[np.bool_],
    theirs: FloatArray,
    theirs_known: NDArray[np.bool_],
    lags: int,
) -> tuple[FloatArray, FloatArray]:
    """(2 lags + 1,) correlation of ours at t + lag with theirs at t, and on how many returns; nan where few."""
    size = next_fast_len(len(ours) + lags)

    def products(left: FloatArray, right: FloatArray) -> FloatArray:
        whole = irfft(rfft(left, size) * np.conj(rfft(right, size)), size)
        return np.concatenate([whole[-lags:], whole[: lags + 1]])

    a, b = ours_known.astype(np.float64), theirs_known.astype(np.float64)
    count = np.rint(products(a, b))
    ours, theirs = ours * a, theirs * b
    variance = products(ours**2, b) * products(a, theirs**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = products(ours, theirs) / np.sqrt(variance)
    enough = (count >= MIN_RETURNS) & (variance > 0.0)
    correlation = np.where(enough, correlation, np.nan)
    if not np.isfinite(correlation[lags]):
        correlation[lags] = 0.0
    return correlation, count
