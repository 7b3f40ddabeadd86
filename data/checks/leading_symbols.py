"""Symbols whose bars show another symbol's return some bars ahead: a series dated by what it is about, not by release.

Between neighbouring bars real markets lead one another (a close in New York and the next one in Tokyo, a large stock
and an illiquid one), and `checks.clock_shift` warns of clocks that disagree. Two bars on and further no honest series
does, by more than a fifth and twice what the two have in common at once.

Axes: T time, A asset.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from data.array_types import FloatArray
from data.checks.foreknowledge import (
    MAX_T,
    NUM_PARTS,
    Foreknown,
    furthest_lead,
    log_returns,
    standardised_ranks,
)
from data.known_columns import CLOSE
from data.schema import Panel

LEAST_BARS_AHEAD = 2
LEAST_CORRELATION = 0.2
"""Of the ranks, in each part."""
BARS_OF_A_PART = 1 << 16
"""The first so many bars of each part are compared."""
MOST_SYMBOLS = 24
"""Symbols that are compared pair by pair; of more, each with the mean of all others."""
OTHERS = "the other symbols"


def leading_symbols(panel: Panel) -> tuple[Foreknown, ...]:
    """Pairs of symbols of which one's return ranks the other's some bars later, in each of four parts of the bars."""
    if panel.num_assets < 2:
        return ()
    returns = log_returns(panel)
    parts = [part[:BARS_OF_A_PART] for part in np.array_split(np.arange(1, panel.num_bars), NUM_PARTS)]
    furthest = furthest_lead(len(part) for part in parts)
    if furthest < LEAST_BARS_AHEAD:
        return ()
    weakest = np.min([_excess(returns[part], furthest) for part in parts], axis=0)  # (K, A, A or 1)
    names = panel.symbols if weakest.shape[2] > 1 else (OTHERS,)
    found = []
    for leader, symbol in enumerate(panel.symbols):
        for follower, other in enumerate(names):
            lead = int(weakest[:, leader, follower].argmax())
            if weakest[lead, leader, follower] > MAX_T:
                found.append(
                    Foreknown(
                        column=CLOSE,
                        symbol=f"{symbol} against {other}",
                        form="the change",
                        weakest_t=float(weakest[lead, leader, follower]),
                        bars_ahead=lead + LEAST_BARS_AHEAD,
                    )
                )
    return tuple(found)


def _excess(returns_TA: FloatArray, furthest: int) -> FloatArray:
    """(K, A, A or 1) |t| of a symbol's return with another's K + 2 bars later; 0 where it is too weak to be meant.

    All leads at once, by the convolution theorem. More than `MOST_SYMBOLS` are compared with the mean of the others.
    """
    ranks, known = (
        np.stack(each, axis=1).astype(np.float64) for each in zip(*map(standardised_ranks, returns_TA.T))
    )
    size, num_symbols = fft.next_fast_len(len(ranks) + furthest), ranks.shape[1]
    in_pairs = num_symbols <= MOST_SYMBOLS
    spectrum, known_spectrum = (fft.rfft(values, size, axis=0) for values in (ranks, known))
    out = np.zeros((furthest + 1 - LEAST_BARS_AHEAD, num_symbols, num_symbols if in_pairs else 1))
    for a in range(num_symbols):
        later, later_known, spread = spectrum, known_spectrum, np.ones(num_symbols)
        if not in_pairs:
            others = np.delete(np.arange(num_symbols), a)
            count = known[:, others].sum(axis=1, keepdims=True)
            mean = ranks[:, others].sum(axis=1, keepdims=True) / np.maximum(count, 1.0)
            later, later_known = (
                fft.rfft(values, size, axis=0) for values in (mean, (count > 0.0).astype(np.float64))
            )
            spread = np.maximum(mean.std(axis=0), 1e-12)
        products, count = (
            fft.irfft(np.conj(first[:, [a]]) * second, size, axis=0)[: furthest + 1]
            for first, second in ((spectrum, later), (known_spectrum, later_known))
        )
        count = np.maximum(np.rint(count), 1.0)
        correlation = np.abs(np.clip(products / count / spread, -1.0, 1.0))
        ahead, count = correlation[LEAST_BARS_AHEAD:], count[LEAST_BARS_AHEAD:]
        t = ahead * np.sqrt(np.maximum(count - 2.0, 0.0) / np.maximum(1.0 - ahead**2, 1e-12))
        out[:, a] = np.where(ahead > np.maximum(LEAST_CORRELATION, 2.0 * correlation[0]), t, 0.0)
        if in_pairs:
            out[:, a, a] = 0.0
    return out
