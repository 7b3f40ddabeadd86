"""Compares features with themselves on panels whose future was redrawn, at enough bars to find rare peeks.

Five steps for each feature, cheap and telling ones first:

1. computed again from the same bars it gives the same bits, or else it is random and nothing can be said of it;
2. with *all* bars after a cut redrawn, or cut off, no row up to the cut moves: finds statistics of the whole sample,
   backward filters, and whatever reads ahead at most bars;
3. how far back it reads in truth is measured, because a declared lookback may be wrong;
4. islands of redrawn bars, further apart than that, test thousands of single rows (see `envs.checks.sampling`);
5. what has no end of memory is computed once for each cut instead.

A row that moved is a finding only if it moves when nothing but later bars is redrawn. Redrawn panels have the length
and the positions of the original, so that a peek that depends on the bar's number, time or neighbours cannot hide.

Axes: T time, N compared row, M value of a row (asset), K name.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from data.equal_runs import run_ends
from data.schema import Panel
from envs.checks.blame import Found, finding, judge, random_after, refuse_unrepeatable
from envs.checks.computed import ROUNDING, CannotCompute, Computed, IntArray, OutOfTime, Subject
from envs.checks.findings import BROKEN, LeakFinding
from envs.checks.redraw import VARIANTS, Redraw
from envs.checks.sampling import Sampling, islands, needed_rows
from envs.checks.tested_rows import FEWEST_ROWS, TestedRows

SEQUENTIAL_ROWS = 4096
"""Rows before a cut that are compared when there is one computation for each cut."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What came of one subject."""

    findings: tuple[LeakFinding, ...]
    notes: tuple[str, ...]
    sampling: Sampling | None


def compare_prefixes(
    subject: Subject,
    panel: Panel,
    *,
    seed: int = 0,
    max_seconds: float = float("inf"),
    redraw: Redraw | None = None,
) -> Compared:
    """Redraw the future at many cuts; a panel with too few bars to cut gives no sampling.

    Parameters
    ----------
    seed : of the cuts. max_seconds : CPU time. redraw : redrawn bars of this panel; None draws them.
    """
    deadline = time.process_time() + max_seconds
    redraw = (redraw or Redraw(panel, seed)).sharing(sessions=subject.sessions)
    try:
        return _Comparison(subject, redraw, seed, deadline).run()
    except CannotCompute:
        # What takes no missing bars or other sessions is compared without them.
        try:
            plain = Redraw(panel, seed, holes=False, sessions=False)
            compared = _Comparison(subject, plain, seed, deadline).run()
        except CannotCompute as error:
            return Compared(findings=(_broken(subject, str(error)),), notes=(), sampling=None)
        note = f"{subject.label!r} cannot be computed with missing bars or moved session ends: not redrawn for it"
        return Compared(findings=compared.findings, notes=(note, *compared.notes), sampling=compared.sampling)


class _Comparison:
    """One subject on one panel, step by step. lookback : bars, as measured so far; None where it has no end."""

    def __init__(self, subject: Subject, redraw: Redraw, seed: int, deadline: float) -> None:
        self.computed = Computed(subject, redraw, deadline)
        self.subject, self.redraw, self.panel = subject, redraw, redraw.panel
        self.first, self.num_bars = self.computed.first, self.computed.num_bars
        self.rng = np.random.default_rng((seed, self.num_bars))
        self.lookback: int | None = subject.lookback_bars
        self.tested = TestedRows(self.first, self.num_bars, subject.lookback_bars)
        self.notes: list[str] = []

    def run(self) -> Compared:
        try:
            self.computed.start()
            self.check_repeats()
            if self.num_bars - self.first < FEWEST_ROWS:
                return Compared(findings=(), notes=(), sampling=None)
            self.cut_everything_after()
            self.cut_off()
            self.measure_lookback()
            while self.lookback is not None and not self.redraw_islands():
                pass
            if self.lookback is None:
                self.cut_one_by_one()
        except Found as found:
            return Compared(findings=found.findings, notes=tuple(self.notes), sampling=self.sampling())
        except OutOfTime:
            self.notes.append(
                f"{self.subject.label!r} was given up after {self.computed.computations} computations: it is too slow; "
                "make it quicker, or declare the lookback that it has"
            )
        return Compared(findings=(), notes=tuple(self.notes), sampling=self.sampling())

    def sampling(self) -> Sampling:
        """How much was compared so far."""
        return self.tested.sampling(self.subject.label, self.computed.computations)

    def check_repeats(self) -> None:
        used = self.subject.used
        if used is None:
            refuse_unrepeatable(self.computed, self.computed.values(self.panel), slice(None))
        else:
            again = np.asarray(used).reshape(self.computed.base.shape)
            refuse_unrepeatable(self.computed, again, slice(None), against="what it was trained on")

    def cut_everything_after(self) -> None:
        """Step 2: all bars after each of a few cuts, redrawn in each way."""
        span, rest = self.num_bars - self.first, self.tested.rest
        share = needed_rows(span) / span
        count = int(np.clip(np.ceil(2.0 * share * span / rest.reach), 2, 10))
        edges = np.linspace(self.first, self.num_bars - 2, count + 1)
        cuts = sorted(
            {int(self.rng.integers(int(a), int(b) + 1)) for a, b in zip(edges[:-1], edges[1:], strict=True)}
        )
        read = np.zeros(len(self.subject.names), dtype=bool)
        for cut in cuts:
            for variant in VARIANTS:
                with self.redraw.after(cut, variant) as panel:
                    moved = self.computed.moved(self.computed.values(panel), slice(None))
                judge(self.computed, moved[: cut + 1], cut, variant)
                read |= moved[cut + 1 :].any(axis=0)
            self.tested.count(np.arange(self.num_bars) <= cut, np.arange(self.num_bars) > cut)
        if self.subject.reads_bars:
            for k in np.flatnonzero(~read):
                self.notes.append(
                    f"{self.subject.names[k]!r} does not depend on any bar: it comes from elsewhere (a file, a "
                    "constant, a cache), and whether it looks ahead cannot be seen here"
                )

    def cut_off(self) -> None:
        """The panel ends at the cut: half of the cuts at ends of sessions."""
        if not self.subject.truncate:
            return
        low = self.first + 1
        ends = low + run_ends(self.panel.session[low:])[:-1]
        cuts = set(self.rng.integers(low, self.num_bars - 1, size=2).tolist())
        cuts |= set(self.rng.choice(ends, size=min(2, len(ends)), replace=False).tolist())
        tolerance = self.computed.rounding()
        for cut in sorted(cuts):
            panel = self.panel.slice_bars(0, cut + 1)
            values = self.computed.values(panel)
            rows = slice(0, cut + 1)
            moved = self.computed.moved(values, rows)
            if moved.any():  # other lengths may round otherwise
                with np.errstate(invalid="ignore"):
                    small = (np.abs(values - self.computed.base[rows]) <= tolerance).all(axis=1)
                moved &= ~small
            if moved.any():
                for variant in VARIANTS:  # what is read of bars that stay is told more precisely
                    judge(self.computed, self.computed.after(cut, variant), cut, variant)
            for k in np.flatnonzero(moved.any(axis=0)):
                bars = np.flatnonzero(moved[:, k])
                raise Found(
                    finding(
                        self.computed,
                        k,
                        cut,
                        bars,
                        "it reads which bars follow (their times, sessions or number), which is not "
                        "known at the bar; take what is published from data.calendars",
                    )
                )

    def measure_lookback(self) -> None:
        """Step 3: redraw a few bars here and there; rows further on than the lookback must not move."""
        declared = self.subject.lookback_bars
        span = self.num_bars - self.first
        count = int(np.clip(span // (4 * max(declared, 8)), 1, 6))
        gap = span // (count + 1)
        ends = self.first + gap * np.arange(1, count + 1) - gap // 2
        rows = np.unique(np.concatenate([np.maximum(ends - back, self.first) for back in range(4)]))
        last = self.last_redrawn(rows)
        nearby = np.concatenate(
            [np.arange(end + 1, min(end + 1 + (3 * gap) // 4, self.num_bars)) for end in ends]
        )
        furthest, rounded = -1, True
        for variant in VARIANTS:
            with self.redraw.changed(rows, variant) as panel:
                values = self.computed.values(panel, nearby)
            moved = self.computed.moved(values, nearby)
            beyond = moved.any(axis=1) & (self.redraw.oldest_row_shown(declared)[nearby] > last[nearby])
            if beyond.any():
                self.computed.tolerance = self.computed.rounding()
                moved = self.computed.moved(values, nearby, rounded=True)
                rounded &= not (moved.any(axis=1) & beyond).any()
                far = nearby[moved.any(axis=1) & beyond]
                furthest = max(furthest, int((far - last[far]).max(initial=-1)))
        if self.computed.tolerance is not None and rounded:
            self.note_rounding()
        if furthest > 0:
            self.lengthen(None if furthest >= gap // 2 else furthest + furthest // 2 + 2, furthest)

    def note_rounding(self) -> None:
        self.notes.append(
            f"{self.subject.label!r} carries rounding from before its lookback (a running sum?): compared to "
            f"{ROUNDING:g} of its spread"
        )

    def lengthen(self, lookback: int | None, seen: int) -> None:
        """Go on with a longer lookback than declared; None: it has no end."""
        if lookback is not None and lookback > (self.num_bars - self.first) // 3:
            lookback = None
        if self.lookback == self.subject.lookback_bars:
            self.notes.append(
                f"{self.subject.label!r} reads {seen} bars back or more, but declares {self.subject.lookback_bars}; "
                "declare what it reads"
            )
        self.lookback = lookback

    def last_redrawn(self, rows: IntArray) -> IntArray:
        """(T,) the last of these rows at or before t, -1 before the first."""
        last = np.full(self.num_bars, -1)
        last[rows] = rows
        return np.maximum.accumulate(last)

    def redraw_islands(self) -> bool:
        """Step 4; False where the lookback turned out to be longer and islands must be further apart."""
        assert self.lookback is not None
        shown = self.redraw.oldest_row_shown(self.lookback)
        for level in reversed(self.tested.levels):
            domain, tested = self.tested.rows_of(level), self.tested[level]
            wanted, barren = needed_rows(int(domain.sum())), 0
            while (before := int((tested & domain).sum())) < wanted and barren < 3:
                starts = islands(domain & ~tested, level, self.lookback, self.first, self.rng)
                if not len(starts):
                    break
                island, rows = _rows_of_islands(starts, level.length, self.num_bars)
                last = self.last_redrawn(rows)
                redrawn = np.zeros(self.num_bars, dtype=bool)
                redrawn[rows] = True
                valid = ~redrawn & (shown > last)
                valid[: self.first] = valid[rows[-1] :] = False
                near = np.flatnonzero(valid)
                for turn in VARIANTS:
                    variant = (island + turn) % len(VARIANTS)
                    if not self.compare_islands(near, rows, variant, last):
                        return False
                self.tested.count(valid, redrawn)
                barren = 0 if int((tested & domain).sum()) > before else barren + 1
        return True

    def compare_islands(self, near: IntArray, rows: IntArray, variant: IntArray, last: IntArray) -> bool:
        """One computation; False where rows moved with bars before their lookback."""
        with self.redraw.changed(rows, variant) as panel:
            values = self.computed.values(panel, near)
        moved = self.computed.moved(values, near, rounded=self.computed.tolerance is not None).any(axis=1)
        if not moved.any():
            return True
        suspects = near[moved]
        following = np.searchsorted(rows, suspects)  # the island after each
        order = np.argsort(rows[following] - suspects, kind="stable")[:3]
        for place in order:
            first = int(rows[following[place]])
            kinds = [int(variant[following[place]]), *VARIANTS]
            for kind in dict.fromkeys(kinds):
                judge(self.computed, self.computed.after(first - 1, kind), first - 1, kind)
        if self.computed.tolerance is None:
            self.computed.tolerance = self.computed.rounding()
            if not self.computed.moved(values, near, rounded=True).any():
                self.note_rounding()
                return True
            suspects = near[self.computed.moved(values, near, rounded=True).any(axis=1)]
        seen = int((suspects - last[suspects])[last[suspects] >= 0].max(initial=1))
        assert self.lookback is not None
        self.lengthen(max(2 * self.lookback, 2 * seen, 8), seen)
        return False

    def cut_one_by_one(self) -> None:
        """Step 5: one computation for each cut and each way of redrawing."""
        domain = self.tested.rows_of(self.tested.levels[0])
        cuts = np.sort(
            self.rng.choice(np.flatnonzero(domain), size=needed_rows(int(domain.sum())), replace=False)
        )
        order = [
            cuts[start::16] for start in range(16)
        ]  # when time runs out, the cuts made are spread over all bars
        for part in order:
            self._walk(part)

    def _walk(self, cuts: IntArray) -> None:
        for variant in VARIANTS:
            at = int(cuts[0])
            self.redraw.apply(np.arange(at + 1, self.num_bars), variant, to_the_end=True)
            try:
                for cut in map(int, cuts):
                    self.redraw.restore(slice(at + 1, cut + 1))
                    at = cut
                    rows = slice(max(cut + 1 - SEQUENTIAL_ROWS, 0), cut + 1)
                    moved = self.computed.moved(self.computed.values(self.redraw.view(), rows), rows)
                    if moved.any():
                        self.redraw.restore(slice(None))
                        judge(self.computed, self.computed.after(cut, variant), cut, variant)
                        random_after(self.computed, cut)
            finally:
                self.redraw.restore(slice(None))
        for cut in cuts:
            self.tested.count_before(int(cut), SEQUENTIAL_ROWS)


def _rows_of_islands(starts: IntArray, length: int, num_bars: int) -> tuple[IntArray, IntArray]:
    """Number of the island and row, for each row of all islands."""
    rows = (starts[:, None] + np.arange(length)).ravel()
    island = np.repeat(np.arange(len(starts)), length)
    inside = rows < num_bars
    return island[inside], rows[inside]


def _broken(subject: Subject, error: str) -> LeakFinding:
    return LeakFinding(
        kind=BROKEN,
        culprit=subject.label,
        cut_bar=0,
        first_bar=0,
        last_bar=0,
        hint=f"on other valid bars it raises {error}; it must take any valid panel",
    )
