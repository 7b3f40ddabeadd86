"""How many results a look showed each by itself, of which the judged one may be the best: windows and symbols."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from evaluation.ledger.records import FloatArray, Look, LookKind, Record
from evaluation.ledger.return_sketch import Sketch
from evaluation.statistics.trial_count import in_digits, whole_number

NO_SYMBOLS: tuple[LookKind, ...] = ("screening",)
"""Kinds that show nothing of each symbol by itself."""
WHOLE_WINDOW = 0.1
"""Part of a window that may be missing from one that counts as whole."""


def windows_shown(look: Look, own: Record, theirs: Sketch, mine: Sketch | None) -> int:
    """How many windows as long as the judged record a look showed: the best of them may be the one that is judged."""
    if look.bar_seconds == own.bar_seconds:
        return max(int(look.num_bars / len(own.net_return) + WHOLE_WINDOW), 1)
    if mine is None:
        return 1
    level = max(theirs.level, mine.level)
    shown, judged = (len(sketch.at(level).known_buckets) for sketch in (theirs, mine))
    return max(int(shown / judged + WHOLE_WINDOW), 1)


def symbols_shown(look: Look, symbols: Mapping[str, int]) -> int:
    """Symbols whose results a look showed each by itself; 1 where it showed none."""
    if look.kind in NO_SYMBOLS:
        return 1
    listed = [symbols[name] for name in look.coverages if name in symbols]
    if not listed:  # its bars are the judged ones, of which it may have traded more symbols
        return look.symbols or 1
    return min(look.symbols or max(listed), max(listed))


def of_wider_looks(
    shown: NDArray[np.int64], choices: FloatArray, taken: NDArray[np.int64], of_bars: int
) -> str:
    """What a reader is told of looks that showed more symbols than are judged.

    Parameters
    ----------
    shown : (N,) symbols that each look showed. choices : (N,) looks that each counts as. taken : (N,) symbols that are
        judged, or traded where each look says how many it traded. of_bars : symbols of the judged bars.
    """
    wide = choices > 1.0
    number, most, judged = int(np.count_nonzero(wide)), int(shown[wide].max()), int(taken[wide].min())
    traded = "traded" if judged < of_bars else "judged"
    looks = "1 look showed" if number == 1 else f"{number} looks showed up to"
    chosen = "the one" if judged == 1 else f"the {judged}"
    return (
        f"{looks} {most} symbols, of which {chosen} that {'is' if judged == 1 else 'are'} {traded} could be the best; "
        f"{'it counts' if number == 1 else 'they count'} as {in_digits(whole_number(float(choices.max())))} looks"
        f"{'' if number == 1 else ' each at most'}."
    )


def of_longer_looks(windows: NDArray[np.int64]) -> str:
    """What a reader is told of looks that showed (N,) windows, some of them several."""
    number, most = int(np.count_nonzero(windows > 1)), int(windows.max())
    looks = "1 look showed" if number == 1 else f"{number} looks showed up to"
    return (
        f"{looks} {most} windows as long as the judged bars, of which the best could be chosen; "
        f"{'it counts' if number == 1 else 'they count'} as that many."
    )
