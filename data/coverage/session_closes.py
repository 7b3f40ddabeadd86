"""The closes of a symbol's sessions as arrays, made once for all that they are compared with.

Axes: N sessions, M returns between neighbouring sessions, D days from the first session to the last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.coverage.price_sketch import Marks

DECIMALS = 7
"""Log returns are compared to so many decimals: copies agree, other bars of an instrument do not."""
Int64Array = NDArray[np.int64]
_GAP = np.int64(1) << np.int64(40)


@dataclass(frozen=True, kw_only=True, eq=False)
class Closes:
    """Sessions and their last closes.

    Attributes
    ----------
    marks : session -> close. sessions : (N,) in order. log_close : (N,).
    """

    marks: Marks
    sessions: Int64Array
    log_close: FloatArray

    @classmethod
    def of(cls, marks: Marks) -> Closes:
        sessions = np.array(sorted(marks), dtype=np.int64)
        return cls(
            marks=marks,
            sessions=sessions,
            log_close=np.log(np.array([marks[key] for key in sessions.tolist()], dtype=np.float64)),
        )

    @cached_property
    def _moving(self) -> NDArray[np.bool_]:
        """(N - 1,) whether the close moved from a session to the next."""
        closes = np.array([self.marks[key] for key in self.sessions.tolist()], dtype=np.float64)
        return closes[1:] != closes[:-1]

    @cached_property
    def starts(self) -> Int64Array:
        """(M,) sessions from which the close moved to the next."""
        return self.sessions[:-1][self._moving]

    @cached_property
    def gaps(self) -> Int64Array:
        """(M,) days to the next session."""
        return np.diff(self.sessions)[self._moving]

    @cached_property
    def moved(self) -> FloatArray:
        """(M,) log returns to the next session."""
        return np.diff(self.log_close)[self._moving]

    @cached_property
    def evenly_apart(self) -> tuple[int, FloatArray]:
        """Days between most neighbouring sessions, and (N - 1,) log returns, NaN where they lie otherwise apart.

        Marks of every session lie a night or a weekend apart; thinned ones by a multiple of days that must be kept.
        """
        apart = np.diff(self.sessions)
        values, counts = np.unique(apart, return_counts=True)
        step, returns = int(values[counts.argmax()]), np.diff(self.log_close)
        return step, returns if step == 1 else np.where(apart == step, returns, np.nan)

    @cached_property
    def typical(self) -> float:
        """Median size of the returns to the next session; nan without any."""
        return float(np.median(np.abs(self.moved))) if len(self.moved) else float("nan")

    @cached_property
    def by_day(self) -> FloatArray:
        """(D,) log closes, NaN on days without one."""
        out = np.full(int(self.sessions[-1] - self.sessions[0]) + 1, np.nan)
        out[self.sessions - self.sessions[0]] = self.log_close
        return out

    def codes(self, gaps: Iterable[int]) -> Int64Array:
        """Sorted numbers of all returns over so many days, rounded to `DECIMALS`."""
        found = [np.zeros(0, dtype=np.int64)]
        for gap in gaps:
            if len(self.sessions) and gap < len(self.by_day):
                between = self.by_day[gap:] - self.by_day[:-gap]
                found.append(_codes(np.full(1, gap), between[np.isfinite(between)]))
        return np.unique(np.concatenate(found))

    def number_among(self, codes: Int64Array) -> int:
        """How many of the returns between neighbouring sessions are among these, one digit more or less."""
        ours = _codes(self.gaps, self.moved)
        if not len(ours) or not len(codes):
            return 0
        at = np.searchsorted(codes, ours - 1)
        near = codes[np.minimum(at, len(codes) - 1)]
        return int(((at < len(codes)) & (near <= ours + 1)).sum())


def _codes(gaps: Int64Array, returns: FloatArray) -> Int64Array:
    return gaps.astype(np.int64) * _GAP + np.rint(returns * 10.0**DECIMALS).astype(np.int64)
