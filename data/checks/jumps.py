"""Jumps: prices that are far from the one they should be near, and what a split would have done.

N rows of one symbol.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import BoolArray, TimeArray
from data.checks.hygiene import JUMP_RATIO, Finding, jumping_rows
from data.schema import PRICE_COLUMNS

SPLITS = tuple(
    Fraction(a, b)
    for a, b in (
        (5, 4),
        (4, 3),
        (3, 2),
        (2, 1),
        (5, 2),
        (3, 1),
        (4, 1),
        (5, 1),
        (6, 1),
        (7, 1),
        (8, 1),
        (10, 1),
        (15, 1),
        (20, 1),
        (25, 1),
        (30, 1),
        (50, 1),
        (100, 1),
    )
)
"""Shares for one that companies commonly give, and take back in a reverse split."""
SPLIT_TOLERANCE = 0.02
"""Relative distance from such a ratio at which a jump is called like one."""
_SIGMAS = 12.0
"""Robust standard deviations of one row's return that a smaller jump must exceed to be told."""
_ENOUGH = 30


def find_jumps(symbol: str, labels: TimeArray, rows: pd.DataFrame) -> list[Finding]:
    """Return a finding for each row that jumps, with the ratio in its note.

    Parameters
    ----------
    labels : (N,) of the rows. rows : with columns open, high, low, close; those at zero and below are left out, for
        they have no ratios.
    """
    priced = rows["low"].to_numpy() > 0.0
    if not priced.all():
        labels, rows = labels[priced], rows[priced]
        if not len(rows):
            return []
    gaps = _gaps(rows)
    flagged = jumping_rows(rows) | _small_splits(gaps, rows)
    return [
        Finding(
            symbol=symbol,
            kind="jump",
            first_utc=labels[i],
            last_utc=labels[i],
            bars=1,
            note=_note(rows, gaps, int(i)),
        )
        for i in np.flatnonzero(flagged)
    ]


def split_like(ratio: float) -> str | None:
    """Return '4:1' for a price that went to a quarter, '1:4' for one that went to four times; None for other ratios."""
    for split in SPLITS:
        if abs(ratio * float(split) - 1.0) <= SPLIT_TOLERANCE:
            return f"{split.numerator}:{split.denominator}"
        if abs(ratio / float(split) - 1.0) <= SPLIT_TOLERANCE:
            return f"{split.denominator}:{split.numerator}"
    return None


def _gaps(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return (N,) open over the close before; 1 in the first row."""
    opened, close = rows["open"].to_numpy(), rows["close"].to_numpy()
    return np.concatenate([[1.0], opened[1:] / close[:-1]])


def _small_splits(gaps: NDArray[np.float64], rows: pd.DataFrame) -> BoolArray:
    """Return (N,) True where a gap within `JUMP_RATIO` is like a split and far outside the symbol's own returns."""
    result = np.zeros(len(gaps), dtype=np.bool_)
    if len(gaps) < _ENOUGH:
        return result
    returns = np.diff(np.log(rows["close"].to_numpy()))
    sigma = 1.4826 * float(np.median(np.abs(returns - np.median(returns))))
    for i in np.flatnonzero(np.abs(np.log(gaps)) > max(_SIGMAS * sigma, np.log(1.2))):
        result[i] = split_like(float(gaps[i])) is not None
    return result


def _note(rows: pd.DataFrame, gaps: NDArray[np.float64], i: int) -> str:
    opened, high, low, close = (float(rows[name].iloc[i]) for name in PRICE_COLUMNS)
    moves = {
        "gap": (
            gaps[i],
            float(rows["close"].iloc[i - 1]) if i else opened,
            opened,
            "the last close",
            "the open",
        ),
        "body": (close / opened, opened, close, "open", "close"),
    }
    kind = max(moves, key=lambda name: abs(np.log(moves[name][0])))
    ratio, before, after, whence, whither = moves[kind]
    split = split_like(float(ratio)) if kind == "gap" else None
    if split is None and abs(np.log(ratio)) <= np.log(JUMP_RATIO):
        wick, name = (high, "high") if high / max(opened, close) > JUMP_RATIO else (low, "low")
        return f"wick: {name} {wick:.6g} beside open {opened:.6g} and close {close:.6g}"
    like = f", as where a {split} split is not adjusted for" if split else ""
    return f"x{ratio:.3g} from {whence} {before:.6g} to {whither} {after:.6g}{like}"
