"""Entries held back: a side is taken only some bars after it was first wished for, if the wish still stands.

Exits go at once, so this asks another question than later fills do: how much of a return hangs on being in first.
Axes: E env row, A asset.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.actions import FLAT

IntArray = NDArray[np.int64]


class EntryDelay:
    """Changes the actions of the scheme `direction` (0 short, 1 flat, 2 long) on their way to the env.

    Parameters
    ----------
    bars_E : (E,) bars that each row's entries wait; 0 leaves the row's actions as they are. A turn from one side to
        the other is an exit at once and an entry later.
    """

    def __init__(self, bars_E: IntArray) -> None:
        self._bars = np.asarray(bars_E, dtype=np.int64)[:, None]
        self._wished: IntArray | None = None
        self._since: IntArray | None = None

    def apply(self, actions_EA: IntArray) -> IntArray:
        """(E, A) actions to be carried out at this bar, given those that the policy chose."""
        wished = np.asarray(actions_EA)
        if self._wished is None or self._since is None:
            self._since = np.zeros(wished.shape, dtype=np.int64)
        else:
            self._since = np.where(wished == self._wished, self._since + 1, 0)
        self._wished = wished.copy()
        return np.where((wished == FLAT) | (self._since >= self._bars), wished, FLAT)
