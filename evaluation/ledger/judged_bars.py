"""Which looks were scored on any of the bars that are judged: by their coverages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from data.coverage.coverage import Coverage, all_shapes, bar_closes
from data.coverage.shifted_copies import shifted_copies
from data.schema import Panel
from evaluation.ledger.records import Look


def overlaps(coverages: Mapping[str, Coverage], panel: Panel, bars: slice, *, source: str) -> set[str]:
    """Hashes of the coverages that hold any of a panel's bars, for a symbol of it.

    Parameters
    ----------
    bars : those that are judged.
    source : where the panel comes from (`data.sources.describe`).
    """
    judged = panel.slice_bars(bars.start, bars.stop)
    opens, closes = judged.bar_utc.astype("datetime64[s]"), bar_closes(judged)
    common: dict[tuple[int, int], Coverage] = {}  # by stretch of the judged bars, for all coverages
    shapes = all_shapes(judged)

    def holds_any(coverage: Coverage) -> bool:
        for one in coverage.symbols:
            inside = np.flatnonzero((opens < one.last_utc) & (closes > one.first_utc))
            if not len(inside):
                continue
            start, stop = int(inside[0]), int(inside[-1]) + 1
            if (start, stop) not in common:
                common[start, stop] = Coverage.of(judged, slice(start, stop), source=source)
            ours = common[start, stop]
            if any(coverage.same_instrument(one, ours, another) for another in ours.symbols):
                return True
        if coverage.bar_seconds == judged.bar_seconds and coverage.moved(judged, shapes).any():
            return True
        return bool(shifted_copies(coverage, judged).any())

    return {name for name, coverage in coverages.items() if holds_any(coverage)}


def looks_at(looks: Sequence[Look], covering: set[str], data_fingerprint: str) -> list[Look]:
    """Looks at the judged bars: by coverage; where an old ledger did not know it, by the data's fingerprint."""
    return [
        look
        for look in looks
        if any(name in covering for name in look.coverages)
        or (not look.coverages and look.data_fingerprint == data_fingerprint)
    ]
