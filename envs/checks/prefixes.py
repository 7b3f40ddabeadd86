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
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from envs.checks.findings import BROKEN, RANDOM, LeakFinding
from envs.checks.redraw import VARIANTS, Redraw
from envs.checks.sampling import Level, Sampling, islands, levels, needed_rows

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

ROUNDING = 1e-6
"""Share of a value's spread below which a dependence on bars before the lookback is the rounding of running sums."""
SEQUENTIAL_ROWS = 4096
"""Rows before a cut that are compared when there is one computation for each cut."""


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


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What came of one subject."""

    findings: tuple[LeakFinding, ...]
    notes: tuple[str, ...]
    sampling: Sampling | None


class _Found(Exception):
    """Carries findings out of the steps."""

    def __init__(self, *findings: LeakFinding) -> None:
        super().__init__()
        self.findings = findings


class _CannotCompute(Exception):
    """The subject raised on redrawn bars."""


class _OutOfTime(Exception):
    """The deadline has passed."""


def compare(
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
    except _CannotCompute:
        # What takes no missing bars or other sessions is compared without them.
        try:
            plain = Redraw(panel, seed, holes=False, sessions=False)
            compared = _Comparison(subject, plain, seed, deadline).run()
        except _CannotCompute as error:
            return Compared(findings=(_broken(subject, str(error)),), notes=(), sampling=None)
        note = f"{subject.label!r} cannot be computed with missing bars or moved session ends: not redrawn for it"
        return Compared(findings=compared.findings, notes=(note, *compared.notes), sampling=compared.sampling)


class _Comparison:
    """One subject on one panel; `tested[level]` is (T,) bool."""

    def __init__(self, subject: Subject, redraw: Redraw, seed: int, deadline: float) -> None:
        self.subject, self.redraw, self.panel, self.deadline = subject, redraw, redraw.panel, deadline
        self.num_bars = self.panel.num_bars
        self.rng = np.random.default_rng((seed, self.num_bars))
        self.first = max(subject.lookback_bars, subject.fixed_bars)
        self.lookback: int | None = subject.lookback_bars
        self.tolerance: NDArray | None = None
        self.computations = 0
        self.notes: list[str] = []
        self.tested: dict[Level, BoolArray] = {}

    # Computing.

    def values(self, panel: Panel, rows: IntArray | slice = slice(None)) -> NDArray:
        """(N, M, K) a copy of these rows."""
        if time.process_time() > self.deadline:
            raise _OutOfTime
        self.computations += 1
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(self.subject.compute(panel))
        except Exception as error:  # it is the user's own code
            raise _CannotCompute(f"{type(error).__name__}: {error}") from error
        if found.shape[0] != panel.num_bars or found.shape[-1] != len(self.subject.names):
            raise _CannotCompute(
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

    # The steps.

    def run(self) -> Compared:
        try:
            self.base = self.values(self.panel)
            self.check_repeats()
            if self.num_bars - self.first < 3:
                return Compared(findings=(), notes=(), sampling=None)
            self.plan()
            self.cut_everything_after()
            self.cut_off()
            self.measure_lookback()
            while self.lookback is not None and not self.redraw_islands():
                pass
            if self.lookback is None:
                self.cut_one_by_one()
        except _Found as found:
            return Compared(findings=found.findings, notes=tuple(self.notes), sampling=self.sampling())
        except _OutOfTime:
            self.notes.append(
                f"{self.subject.label!r} was given up after {self.computations} computations: it is too slow; make it "
                "quicker, or declare the lookback that it has"
            )
        return Compared(findings=(), notes=tuple(self.notes), sampling=self.sampling())

    def check_repeats(self) -> None:
        used = self.subject.used
        again = self.values(self.panel) if used is None else np.asarray(used).reshape(self.base.shape)
        self.demand_repeat(
            again, slice(None), against="what it was trained on" if used is not None else "itself"
        )

    def demand_repeat(self, again: NDArray, rows: IntArray | slice, against: str = "itself") -> None:
        """Raise if the same bars gave other values."""
        differs = self.moved(again, rows)
        if differs.any():
            raise _Found(
                *(
                    LeakFinding(
                        kind=RANDOM,
                        culprit=self.subject.names[k],
                        cut_bar=self.num_bars - 1,
                        first_bar=int(np.flatnonzero(differs[:, k])[0]),
                        last_bar=int(np.flatnonzero(differs[:, k])[-1]),
                        hint=f"computed again from the same bars it differs from {against}, so it is random or keeps a "
                        "state; make it a pure function of the panel, with a fixed seed",
                    )
                    for k in np.flatnonzero(differs.any(axis=0))
                )
            )

    def plan(self) -> None:
        span = self.num_bars - self.first
        self.levels = levels(span, self.lookback or 0)
        last = self.levels[-1].length + 1
        rest = Level(reach=min(last, max(span - 2, 1)), length=self.num_bars)
        self.tested = {level: np.zeros(self.num_bars, dtype=bool) for level in [*self.levels, rest]}

    def cut_everything_after(self) -> None:
        """Step 2: all bars after each of a few cuts, redrawn in each way."""
        span, rest = self.num_bars - self.first, list(self.tested)[-1]
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
                    moved = self.moved(self.values(panel), slice(None))
                self.judge(moved[: cut + 1], cut, variant)
                read |= moved[cut + 1 :].any(axis=0)
            self.count(np.arange(self.num_bars) <= cut, np.arange(self.num_bars) > cut)
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
        ends = low + np.flatnonzero(np.diff(self.panel.session[low:]))
        cuts = set(self.rng.integers(low, self.num_bars - 1, size=2).tolist())
        cuts |= set(self.rng.choice(ends, size=min(2, len(ends)), replace=False).tolist())
        tolerance = self.rounding()
        for cut in sorted(cuts):
            panel = self.panel.slice_bars(0, cut + 1)
            values = self.values(panel)
            rows = slice(0, cut + 1)
            moved = self.moved(values, rows)
            if moved.any():  # other lengths may round otherwise
                with np.errstate(invalid="ignore"):
                    small = (np.abs(values - self.base[rows]) <= tolerance).all(axis=1)
                moved &= ~small
            if moved.any():
                for variant in VARIANTS:  # what is read of bars that stay is told more precisely
                    self.judge(self.after(cut, variant), cut, variant)
            for k in np.flatnonzero(moved.any(axis=0)):
                bars = np.flatnonzero(moved[:, k])
                raise _Found(
                    self.finding(
                        k,
                        cut,
                        bars,
                        "it reads which bars follow (their times, sessions or number), which is not "
                        "known at the bar; take what is published from data.calendars",
                    )
                )

    def rounding(self) -> NDArray:
        """(M, K) what is rounding: a small share of the spread of each column."""
        with np.errstate(all="ignore"):
            finite = np.where(np.isfinite(self.base), self.base, np.nan).astype(np.float64)
            known = np.isfinite(finite)
            count = np.maximum(known.sum(axis=0), 1)
            mean = np.where(known, finite, 0.0).sum(axis=0) / count
            spread = np.sqrt((np.where(known, finite - mean, 0.0) ** 2).sum(axis=0) / count)
        return ROUNDING * np.where(spread > 0.0, spread, np.maximum(np.abs(mean), 1.0))

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
                values = self.values(panel, nearby)
            moved = self.moved(values, nearby)
            beyond = moved.any(axis=1) & (self.redraw.oldest_row_shown(declared)[nearby] > last[nearby])
            if beyond.any():
                self.tolerance = self.rounding()
                moved = self.moved(values, nearby, rounded=True)
                rounded &= not (moved.any(axis=1) & beyond).any()
                far = nearby[moved.any(axis=1) & beyond]
                furthest = max(furthest, int((far - last[far]).max(initial=-1)))
        if self.tolerance is not None and rounded:
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

    def count(self, valid: BoolArray, redrawn: BoolArray) -> None:
        """Enter which rows were tested for each look-ahead."""
        for level, tested in self.tested.items():
            tested[: -level.reach] |= valid[: -level.reach] & redrawn[level.reach :]

    def rows_of(self, level: Level) -> BoolArray:
        """(T,) rows that could look so far ahead."""
        rows = np.zeros(self.num_bars, dtype=bool)
        rows[self.first : self.num_bars - level.reach] = True
        return rows

    def redraw_islands(self) -> bool:
        """Step 4; False where the lookback turned out to be longer and islands must be further apart."""
        assert self.lookback is not None
        shown = self.redraw.oldest_row_shown(self.lookback)
        for level in reversed(self.levels):
            domain, tested = self.rows_of(level), self.tested[level]
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
                self.count(valid, redrawn)
                barren = 0 if int((tested & domain).sum()) > before else barren + 1
        return True

    def compare_islands(self, near: IntArray, rows: IntArray, variant: IntArray, last: IntArray) -> bool:
        """One computation; False where rows moved with bars before their lookback."""
        with self.redraw.changed(rows, variant) as panel:
            values = self.values(panel, near)
        moved = self.moved(values, near, rounded=self.tolerance is not None).any(axis=1)
        if not moved.any():
            return True
        suspects = near[moved]
        following = np.searchsorted(rows, suspects)  # the island after each
        order = np.argsort(rows[following] - suspects, kind="stable")[:3]
        for place in order:
            first = int(rows[following[place]])
            kinds = [int(variant[following[place]]), *VARIANTS]
            for kind in dict.fromkeys(kinds):
                self.judge(self.after(first - 1, kind), first - 1, kind)
        if self.tolerance is None:
            self.tolerance = self.rounding()
            if not self.moved(values, near, rounded=True).any():
                self.note_rounding()
                return True
            suspects = near[self.moved(values, near, rounded=True).any(axis=1)]
        seen = int((suspects - last[suspects])[last[suspects] >= 0].max(initial=1))
        assert self.lookback is not None
        self.lengthen(max(2 * self.lookback, 2 * seen, 8), seen)
        return False

    def cut_one_by_one(self) -> None:
        """Step 5: one computation for each cut and each way of redrawing."""
        domain = self.rows_of(self.levels[0])
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
                    moved = self.moved(self.values(self.redraw.view(), rows), rows)
                    if moved.any():
                        self.redraw.restore(slice(None))
                        self.judge(self.after(cut, variant), cut, variant)
                        self.random_after(cut)
            finally:
                self.redraw.restore(slice(None))
        for level, tested in self.tested.items():
            if level.reach <= SEQUENTIAL_ROWS:
                for cut in cuts:
                    tested[max(cut + 1 - level.reach, 0) : cut + 1] = True

    # Findings.

    def judge(self, moved: BoolArray, cut: int, variant: int) -> None:
        """Raise findings if rows up to the cut moved, and move again when it is computed once more."""
        if not moved.any():
            return
        self.demand_repeat(self.values(self.panel), slice(None))
        if (self.after(cut, variant) != moved).any():
            self.random_after(cut)
        raise _Found(
            *(
                self.finding(
                    int(k), cut, np.flatnonzero(moved[:, k]), self.hint(int(k), cut, moved[:, k], variant)
                )
                for k in np.flatnonzero(moved.any(axis=0))
            )
        )

    def random_after(self, cut: int) -> None:
        raise _Found(
            LeakFinding(
                kind=RANDOM,
                culprit=self.subject.label,
                cut_bar=cut,
                first_bar=0,
                last_bar=cut,
                hint="computed twice from the same redrawn bars it differs; make it a pure function of the panel",
            )
        )

    def finding(self, k: int, cut: int, bars: IntArray, hint: str) -> LeakFinding:
        return LeakFinding(
            kind=self.subject.kinds[k],
            culprit=self.subject.names[k],
            cut_bar=cut,
            first_bar=int(bars[0]),
            last_bar=int(bars[-1]),
            hint=hint,
        )

    def hint(self, k: int, cut: int, moved: BoolArray, variant: int) -> str:
        """What it reads: bar and input, found by redrawing less and less."""
        bars = np.flatnonzero(moved)
        start = self.first
        if len(bars) > 0.9 * (cut - start + 1) and cut - start > 8:
            return (
                "it moved at nearly every bar, as a statistic of the whole sample does (a normaliser's fit?)"
            )
        row = int(bars[-1])
        low, high = cut + 1, self.num_bars
        while high - low > 1:
            middle = (low + high) // 2
            if self.row_moves(row, k, middle, variant):
                low = middle
            else:
                high = middle
        read = [name for name in self.redraw.inputs() if self.row_moves(row, k, low, variant, (name,))]
        what = f"{', '.join(read)} of bar" if read else "bar"
        return (
            f"it reads up to {low - row} bar(s) ahead, at bar {row} the {what} {low}, {self.panel.bar_utc[low]}Z "
            "(a shift(-k), a centred window or a backward fill?)"
        )

    def row_moves(
        self, row: int, k: int, first: int, variant: int, only: tuple[str, ...] | None = None
    ) -> bool:
        """Whether this row moves when bars from `first` on are redrawn."""
        try:
            with self.redraw.after(first - 1, variant, only) as panel:
                return bool(self.moved(self.values(panel, slice(row, row + 1)), slice(row, row + 1))[0, k])
        except (_CannotCompute, _OutOfTime):
            return False

    def sampling(self) -> Sampling:
        """How much was compared so far."""
        if not self.tested:
            rows = self.num_bars - self.first
            return Sampling(
                name=self.subject.label, num_rows=rows, tested_rows=0, computations=self.computations
            )
        shares = []
        for level, tested in self.tested.items():
            domain = self.rows_of(level)
            shares.append((int((tested & domain).sum()), int(domain.sum())))
        least, rows = min(shares, key=lambda pair: pair[0] / max(pair[1], 1))
        return Sampling(
            name=self.subject.label, num_rows=rows, tested_rows=least, computations=self.computations
        )


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
