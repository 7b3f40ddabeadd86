"""Inputs that were labelled after the fact: regimes, trends and averages that look to both sides of their bar.

Such an input says little of any single later bar, so that no |t| in a part is large; but it says the same of many bars,
and more than an honest forecast does. Two questions are asked of it, over all bars:

- by bars: the correlation of a bar's return with the sum of what the input was over the 1, 2, 5, ... 200 bars before.
  Returns that nobody can foresee give t the law of a normal variable however slow the input is, since the sum is given
  before the return. It must be twice as large as an honest forecast's of each of these bars would be.
- by runs: what is earned while the input stays on one side of its mean, one number for each run. A regime that was
  named when it was over earns in nearly all of its runs.

In both the returns are those that the past of prices does not foretell (`checks.unforeseen_returns`).

Axes: T time, A asset that leads, B asset that follows.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.checks.foreknown import EVERY_SYMBOL, MIN_BARS, NUM_PARTS, Foreknown
from data.checks.lead_correlations import RankedSeries
from data.checks.ordered_values import ORDERED
from data.equal_runs import run_starts

BARS_TOGETHER = (1, 2, 5, 10, 20, 50, 100, 200)
"""Numbers of bars over which an input is summed."""
LONGEST_SHARE = 0.1
"""Largest of them, as a share of the bars of a part."""
LEAST_T = 6.0
"""Of all bars; luck reaches it once in five hundred million looks."""
LEAST_T_OF_A_PART = 1.5
"""In the same direction, in each part."""
HONEST_CORRELATION, HONEST_BARS = 0.05, 5
"""Of a good honest signal's rank with that of each of so many bars after it."""
TIMES_HONEST = 2.0
LEAST_CORRELATION, MOST_CORRELATION = 0.1, 0.25
"""Bounds of what is asked: an input of independent values gains by summing bars, and a slow one does not."""
UNIT_ROOT_BIAS, STAMBAUGH = 1.5, 2.8
"""Mean of t for a level that is the sum of what it is asked about (Dickey and Fuller 1979), and, over the root of bars
times one minus its autocorrelation, for one that returns to its mean (Stambaugh 1999)."""
AVERAGES = (1, 5, 20)
"""Bars over which an input is averaged before it is cut in runs: noise cuts runs short."""
MIN_RUNS = 15
LEAST_RUN_RATIO = 0.7
"""Mean over standard deviation of what runs earn: a normal variable's size has 1.3, a forecast far less."""
LEAST_T_OF_ALL_RUNS = 4.0
"""Of all their bars together: many small gains and one large loss are no foreknowledge."""


@dataclass(frozen=True, kw_only=True)
class Followers:
    """The returns that inputs are asked about.

    Attributes
    ----------
    unforeseen : (T, B), of `unforeseen_returns`, 0 where unknown. known : (T, B) 1.0 or 0.0. names : of each.
    """

    unforeseen: FloatArray
    known: FloatArray
    names: tuple[str, ...]

    @classmethod
    def of(cls, unforeseen_TB: FloatArray, names: Sequence[str]) -> Followers:
        return cls(
            unforeseen=np.nan_to_num(unforeseen_TB),
            known=np.isfinite(unforeseen_TB).astype(np.float64),
            names=tuple(names),
        )

    def centred(self, parts: Sequence[slice]) -> FloatArray:
        """(T, B) `unforeseen` less its mean in each part."""
        return _centred(self.unforeseen, self.known, parts)


class _Told(NamedTuple):
    """What one leader tells of one follower: t of all bars, correlation, bars together."""

    leader: int
    follower: int
    t: float
    size: float
    bars: int


def told_afterwards(
    name: str,
    forms: Mapping[str, FloatArray],
    leaders: Sequence[str],
    followers: Followers,
    *,
    least_bars_ahead: int,
    in_pairs: bool,
) -> list[Foreknown]:
    """Suspects among (T, A) forms of one input, the first form that has any; one line for each leading symbol.

    Parameters
    ----------
    leaders : (A,) their names. followers : of as many. in_pairs : each leader is asked about each
        follower, and not only about the one at its place.
    """
    for form, values in forms.items():
        ranks = RankedSeries.of(values)
        finer = _finer(values if form == ORDERED else forms[next(iter(forms))], values)
        told = [*_by_bars(ranks, followers, finer, least_bars_ahead, in_pairs)]
        how = (
            "with a correlation of {size:.2f} and |t| of {t:.0f} over all bars, as a label given afterwards or a "
            "published calendar does"
        )
        if not told and form in ("", ORDERED):
            told = [*_by_runs(ranks, followers, least_bars_ahead, in_pairs)]
            how = "while it stays on one side, run after run (|t| of {t:.0f} over its runs)"
        found: dict[int, Foreknown] = {}
        for one in sorted(told, key=lambda each: -abs(each.t)):
            pair = leaders[one.leader] if one.leader >= 0 else EVERY_SYMBOL
            if one.leader >= 0 and leaders[one.leader] != followers.names[one.follower]:
                pair = f"{leaders[one.leader]} against {followers.names[one.follower]}"
            finding = Foreknown(
                column=name,
                symbol=pair,
                form=form,
                weakest_t=one.t,
                bars_ahead=least_bars_ahead,
                bars=one.bars,
                how=how.format(size=abs(one.size), t=abs(one.t)),
            )
            found.setdefault(one.leader, finding)
        if found:
            return [found[leader] for leader in sorted(found) if leader >= 0] or [*found.values()]
    return []


def _by_bars(
    ranks: RankedSeries, followers: Followers, finer: FloatArray, first: int, in_pairs: bool
) -> Iterator[_Told]:
    """Pairs, and all symbols together as leader -1, by the bars' own correlation."""
    known = np.flatnonzero(ranks.known.any(axis=1))
    if not len(known):
        return
    cuts = np.linspace(known[0], known[-1] + 1, NUM_PARTS + 1).astype(np.int64).tolist()
    parts = [slice(start, stop) for start, stop in zip(cuts, cuts[1:])]
    shortest = min(part.stop - part.start for part in parts)
    if shortest < MIN_BARS:
        return
    theirs, begun = followers.centred(parts), (np.cumsum(ranks.known, axis=0) > 0.0).astype(np.float64)
    for bars in BARS_TOGETHER:
        if bars > max(LONGEST_SHARE * shortest, 1.0):
            break
        before = _sum_of(ranks.values, first, bars)
        ours, floor = _centred(before, begun, parts), _floor(before, bars, finer)[:, None]
        every = slice(parts[0].start, parts[-1].stop)
        t, correlation = _t_of(ours, begun, theirs, followers.known, every)
        likely = (np.abs(t) >= LEAST_T) & (np.abs(correlation) >= floor)
        spread = _spread_together(before, followers) if t.shape[0] > 1 else np.inf
        whole, mean = float(np.trace(t)) / spread, float(np.diag(correlation).mean())
        likely_together = abs(whole) >= LEAST_T and abs(mean) >= float(floor.mean())
        if not likely.any() and not likely_together:
            continue
        t_parts = np.stack([_t_of(ours, begun, theirs, followers.known, part)[0] for part in parts])
        bias_A = np.sqrt(len(parts)) * np.mean([_bias(ours[part]) for part in parts], axis=0)
        steady = np.min(np.sign(t) * t_parts, axis=0) >= LEAST_T_OF_A_PART
        for a, b in np.argwhere(likely & steady & (np.abs(t) >= LEAST_T + bias_A[:, None])):
            if in_pairs or a == b:
                yield _Told(int(a), int(b), float(t[a, b]), float(correlation[a, b]), bars)
        of_parts = np.sign(whole) * np.trace(t_parts, axis1=1, axis2=2) / spread
        sure = abs(whole) >= LEAST_T + float(bias_A.sum()) / spread
        if likely_together and sure and of_parts.min() >= LEAST_T_OF_A_PART:
            yield _Told(-1, -1, whole, mean, bars)


def _t_of(
    ours: FloatArray, begun: FloatArray, theirs: FloatArray, known: FloatArray, bars: slice
) -> tuple[FloatArray, FloatArray]:
    """(A, B) t and correlation of centred inputs with centred returns over some of the bars."""
    x, y, x_known, y_known = (each[bars] for each in (ours, theirs, begun, known))
    squares = (x**2).T @ y_known * (x_known.T @ y**2)
    correlation = x.T @ y / np.sqrt(np.maximum(squares, 1e-12))
    return correlation * np.sqrt(x_known.T @ y_known), correlation


def _bias(ours: FloatArray) -> FloatArray:
    """(A,) size of t that a level which wanders with the prices must be expected to show in one part."""
    changes = (np.diff(ours, axis=0) ** 2).sum(axis=0) / np.maximum(2.0 * (ours**2).sum(axis=0), 1e-12)
    return np.minimum(UNIT_ROOT_BIAS, STAMBAUGH / np.sqrt(np.maximum(len(ours) * changes, 1e-12)))


def _centred(values: FloatArray, known: FloatArray, parts: Sequence[slice]) -> FloatArray:
    """(T, A) values less their mean in each part, 0 where unknown and outside of the parts."""
    out = np.zeros(values.shape)
    for part in parts:
        here = known[part]
        mean = (values[part] * here).sum(axis=0) / np.maximum(here.sum(axis=0), 1.0)
        out[part] = (values[part] - mean) * here
    return out


def _spread_together(before: FloatArray, followers: Followers) -> float:
    """Standard deviation of the sum of the symbols' t statistics: symbols that move together say one thing."""
    return float(np.sqrt(max(float((_alike(before) * _alike(followers.unforeseen)).sum()), 1.0)))


def _alike(values_NA: FloatArray) -> FloatArray:
    """(A, A) correlations, 0 with what never changes."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(np.atleast_2d(np.corrcoef(values_NA.T)))


def _floor(before: FloatArray, bars: int, finer: FloatArray) -> FloatArray:
    """(A,) least correlation: twice what a bar's return has with the sum of an honest signal over so many bars."""
    honest = HONEST_CORRELATION * min(bars, HONEST_BARS) * finer / np.maximum(before.std(axis=0), 1e-12)
    return np.clip(TIMES_HONEST * honest, LEAST_CORRELATION, MOST_CORRELATION)


def _finer(first: FloatArray, values: FloatArray) -> FloatArray:
    """(A,) how many times larger an input is than a form of it, at least 1: slow noise that the form lacks.

    What an honest signal under slow noise tells is told by its changes as well, with a larger correlation.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a symbol without any value
        sizes = [np.nan_to_num(np.nanstd(each, axis=0)) for each in (first, values)]
    return np.maximum(sizes[0] / np.maximum(sizes[1], 1e-12), 1.0)


def _by_runs(ranks: RankedSeries, followers: Followers, first: int, in_pairs: bool) -> Iterator[_Told]:
    """Pairs, and all symbols together as leader -1, whose runs on one side of the mean earn alike, run after run."""
    totals = [_total(followers.unforeseen), _total(followers.unforeseen**2)]
    for bars in AVERAGES:
        own: list[_Runs] = []
        for a in range(ranks.values.shape[1]):
            cut = _cut(ranks, a, bars)
            if cut is None:
                continue
            side, begin, end = cut
            begin, end = (np.minimum(at + first, len(ranks.values)) for at in (begin, end))
            earned, squares = (total[end] - total[begin] for total in totals)
            runs = _Runs(side[:, None] * earned, squares.sum(axis=0), end - begin)
            for b in np.flatnonzero(runs.tell(1.0)):
                if in_pairs or a == b:
                    yield runs.told(a, int(b), 1.0)
            own.append(_Runs(runs.earned[:, [a]], runs.squares[[a]], runs.lengths))
        if len(own) > 1:
            repeated = max(_spread_together(ranks.values, followers) ** 2 / ranks.values.shape[1], 1.0)
            runs = _Runs(
                np.concatenate([one.earned for one in own]),
                np.sum([one.squares for one in own], axis=0),
                np.concatenate([one.lengths for one in own]),
                len(own),
            )
            if runs.tell(repeated).all():
                yield runs.told(-1, 0, repeated)


class _Runs(NamedTuple):
    """What runs earn: (R, B) of each, (B,) sums of the squares of their bars' returns, (R,) bars of each; of how many
    symbols they are."""

    earned: FloatArray
    squares: FloatArray
    lengths: NDArray[np.int64]
    symbols: int = 1

    def ratio(self) -> FloatArray:
        return self.earned.mean(axis=0) / np.maximum(self.earned.std(axis=0, ddof=1), 1e-12)

    def tell(self, repeated: float) -> NDArray[np.bool_]:
        """(B,) whether they earn alike. repeated : how many symbols say the same, as one looks at several."""
        number = np.sqrt(len(self.earned) / repeated)
        of_bars = np.abs(self.earned.sum(axis=0)) / np.sqrt(np.maximum(self.squares * repeated, 1e-12))
        if len(self.earned) / repeated < MIN_RUNS:
            return np.zeros(self.earned.shape[1], dtype=np.bool_)
        ratio = np.abs(self.ratio())
        # A run ends where its level turns: two ends a run are one minus its autocorrelation, summed.
        bias = self.symbols * STAMBAUGH / np.sqrt(2.0 * len(self.earned) * repeated)
        enough = (
            (ratio >= LEAST_RUN_RATIO) & (ratio * number >= LEAST_T) & (of_bars >= LEAST_T_OF_ALL_RUNS + bias)
        )
        return enough

    def told(self, leader: int, follower: int, repeated: float) -> _Told:
        ratio = float(self.ratio()[follower])
        t = ratio * np.sqrt(len(self.earned) / repeated)
        return _Told(leader, max(follower, 0), t, ratio, max(int(np.median(self.lengths)), 2))


def _cut(
    ranks: RankedSeries, at: int, bars: int
) -> tuple[FloatArray, NDArray[np.int64], NDArray[np.int64]] | None:
    """The side (R,) of each run of an input's average, and from and to which bar it lasts; None if nothing is known."""
    known = np.flatnonzero(ranks.known[:, at])
    if not len(known):
        return None
    begin, stop = int(known[0]), int(known[-1]) + 1
    mean = _sum_of(ranks.values[:, [at]], 0, bars)[begin:stop, 0]
    side = np.where(mean >= mean.mean(), 1.0, -1.0)
    starts = run_starts(side)
    return side[starts], begin + starts, begin + np.append(starts[1:], len(side))


def _total(values: FloatArray) -> FloatArray:
    """(T + 1, B) sums of all values before each bar."""
    return np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])


def _sum_of(values: FloatArray, first: int, bars: int) -> FloatArray:
    """(T, A) sum of the values `first` to `first + bars - 1` bars before each bar; what lies before the start is 0."""
    total = _total(values)
    at = np.arange(len(values))
    return total[np.maximum(at + 1 - first, 0)] - total[np.maximum(at + 1 - first - bars, 0)]
