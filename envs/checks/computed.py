"""What leak checks compare: a subject's rows, computed from a panel as it is and with later bars redrawn.

Axes: T time, N compared row, M value of a row (asset), K name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from envs.checks.redraw import Redraw

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

ROUNDING = 1e-6
"""Share of a value's spread below which a dependence on bars before the lookback is the rounding of running sums."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """Something that is computed from a panel, row by row.

    Parameters
    ----------
    label : name of the whole.
    kinds, names : K kinds of findings and names, of the last axis.
    lookback_bars : bars before t that row t may read, as declared.
    compute : panel -> (T, ..., K).
    used : (T, ..., K) values as they are trained on; None takes what `compute` gives first.
    fixed_bars : bars at the start that are never redrawn, because something is fitted on them.
    sessions, truncate : redraw session ends, cut panels off; both False for what takes the calendar from the panel.
    reads_bars : what does not move with any bar is worth a note.
    """

    label: str
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    lookback_bars: int
    compute: Callable[[Panel], NDArray]
    used: NDArray | None = None
    fixed_bars: int = 0
    sessions: bool = True
    truncate: bool = True
    reads_bars: bool = True


class CannotCompute(Exception):
    """The subject raised on redrawn bars."""


class OutOfTime(Exception):
    """The deadline has passed."""


class Computed:
    """A subject's values on the panel, `base` (T, M, K), and on redrawn ones, until the deadline (CPU seconds).

    first : the first row that is compared. tolerance : (M, K) what counts as rounding; None until it is needed.
    """

    def __init__(self, subject: Subject, redraw: Redraw, deadline: float) -> None:
        self.subject, self.redraw, self.panel, self.deadline = subject, redraw, redraw.panel, deadline
        self.num_bars = self.panel.num_bars
        self.first = max(subject.lookback_bars, subject.fixed_bars)
        self.tolerance: NDArray | None = None
        self.computations = 0

    def start(self) -> None:
        """Compute the values that all others are compared with."""
        self.base = self.values(self.panel)

    def values(self, panel: Panel, rows: IntArray | slice = slice(None)) -> NDArray:
        """(N, M, K) a copy of these rows."""
        if time.process_time() > self.deadline:
            raise OutOfTime
        self.computations += 1
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(self.subject.compute(panel))
        except Exception as error:  # it is the user's own code
            raise CannotCompute(f"{type(error).__name__}: {error}") from error
        if found.shape[0] != panel.num_bars or found.shape[-1] != len(self.subject.names):
            raise CannotCompute(
                f"it returned shape {found.shape} for {panel.num_bars} bars and {len(self.subject.names)} names"
            )
        part = found[rows]
        return np.array(part).reshape(len(part), -1, part.shape[-1])

    def moved(self, values: NDArray, rows: IntArray | slice, *, rounded: bool = False) -> BoolArray:
        """(N, K) True where these rows are not what they were."""
        base = self.base[rows]
        differs = (values != base) & ~((values != values) & (base != base))
        if rounded:
            assert self.tolerance is not None
            with np.errstate(invalid="ignore"):
                differs &= ~(np.abs(values - base) <= self.tolerance)
        return differs.any(axis=1)

    def after(self, cut: int, variant: int, only: tuple[str, ...] | None = None) -> BoolArray:
        """(cut + 1, K) rows up to the cut that move when all bars after it are redrawn."""
        with self.redraw.after(cut, variant, only) as panel:
            return self.moved(self.values(panel, slice(0, cut + 1)), slice(0, cut + 1))

    def rounding(self) -> NDArray:
        """(M, K) what is rounding: a small share of the spread of each column."""
        with np.errstate(all="ignore"):
            finite = np.where(np.isfinite(self.base), self.base, np.nan).astype(np.float64)
            known = np.isfinite(finite)
            count = np.maximum(known.sum(axis=0), 1)
            mean = np.where(known, finite, 0.0).sum(axis=0) / count
            spread = np.sqrt((np.where(known, finite - mean, 0.0) ** 2).sum(axis=0) / count)
        return ROUNDING * np.where(spread > 0.0, spread, np.maximum(np.abs(mean), 1.0))
