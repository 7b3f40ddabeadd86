"""From rows that moved to findings: whether they move again, and what they read of which bar.

Axes: T time, N compared row, K name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.checks.computed import BoolArray, CannotCompute, Computed, IntArray, OutOfTime
from envs.checks.findings import RANDOM, LeakFinding


class Found(Exception):
    """Carries findings out of the steps of a comparison."""

    def __init__(self, *findings: LeakFinding) -> None:
        super().__init__()
        self.findings = findings


def judge(computed: Computed, moved: BoolArray, cut: int, variant: int) -> None:
    """Raise findings if rows up to the cut moved, and move again when it is computed once more."""
    if not moved.any():
        return
    refuse_unrepeatable(computed, computed.values(computed.panel), slice(None))
    if (computed.after(cut, variant) != moved).any():
        random_after(computed, cut)
    raise Found(
        *(
            finding(
                computed,
                int(k),
                cut,
                np.flatnonzero(moved[:, k]),
                hint(computed, int(k), cut, moved[:, k], variant),
            )
            for k in np.flatnonzero(moved.any(axis=0))
        )
    )


def refuse_unrepeatable(
    computed: Computed, again: NDArray, rows: IntArray | slice, against: str = "itself"
) -> None:
    """Raise if the same bars gave other values."""
    differs = computed.moved(again, rows)
    if differs.any():
        raise Found(
            *(
                LeakFinding(
                    kind=RANDOM,
                    culprit=computed.subject.names[k],
                    cut_bar=computed.num_bars - 1,
                    first_bar=int(np.flatnonzero(differs[:, k])[0]),
                    last_bar=int(np.flatnonzero(differs[:, k])[-1]),
                    hint=f"computed again from the same bars it differs from {against}, so it is random or keeps a "
                    "state; make it a pure function of the panel, with a fixed seed",
                )
                for k in np.flatnonzero(differs.any(axis=0))
            )
        )


def random_after(computed: Computed, cut: int) -> None:
    """Raise that what was computed from the same redrawn bars differs."""
    raise Found(
        LeakFinding(
            kind=RANDOM,
            culprit=computed.subject.label,
            cut_bar=cut,
            first_bar=0,
            last_bar=cut,
            hint="computed twice from the same redrawn bars it differs; make it a pure function of the panel",
        )
    )


def finding(computed: Computed, k: int, cut: int, bars: IntArray, hint: str) -> LeakFinding:
    """Name k moved at these bars, with all bars after the cut redrawn."""
    return LeakFinding(
        kind=computed.subject.kinds[k],
        culprit=computed.subject.names[k],
        cut_bar=cut,
        first_bar=int(bars[0]),
        last_bar=int(bars[-1]),
        hint=hint,
    )


def hint(computed: Computed, k: int, cut: int, moved: BoolArray, variant: int) -> str:
    """What it reads: bar and input, found by redrawing less and less."""
    bars = np.flatnonzero(moved)
    start = computed.first
    if len(bars) > 0.9 * (cut - start + 1) and cut - start > 8:
        return "it moved at nearly every bar, as a statistic of the whole sample does (a normaliser's fit?)"
    row = int(bars[-1])
    low, high = cut + 1, computed.num_bars
    while high - low > 1:
        middle = (low + high) // 2
        if row_moves(computed, row, k, middle, variant):
            low = middle
        else:
            high = middle
    read = [name for name in computed.redraw.inputs() if row_moves(computed, row, k, low, variant, (name,))]
    what = f"{', '.join(read)} of bar" if read else "bar"
    return (
        f"it reads up to {low - row} bar(s) ahead, at bar {row} the {what} {low}, {computed.panel.bar_utc[low]}Z "
        "(a shift(-k), a centred window or a backward fill?)"
    )


def row_moves(
    computed: Computed, row: int, k: int, first: int, variant: int, only: tuple[str, ...] | None = None
) -> bool:
    """Whether this row moves when bars from `first` on are redrawn."""
    try:
        with computed.redraw.after(first - 1, variant, only) as panel:
            return bool(
                computed.moved(computed.values(panel, slice(row, row + 1)), slice(row, row + 1))[0, k]
            )
    except (CannotCompute, OutOfTime):
        return False
