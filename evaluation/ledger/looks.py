"""How many looks a result was chosen from: one count, one variance, for the gate, the summary and the leaderboard.

A look counts when it was scored on any of the bars that are judged (`looks_at`). An exact repetition is one look; looks
whose returns are nearly the same count by their effective number; those that left no returns count one each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.coverage.coverage import Coverage, all_shapes, bar_closes
from data.coverage.shifted_copies import shifted_copies
from data.schema import Panel
from evaluation.ledger.look_clusters import cluster_looks
from evaluation.ledger.records import KINDS, FloatArray, Look, LookKind, Record
from evaluation.ledger.return_sketch import Sketch
from evaluation.ledger.shown_features import feature_choices, of_screenings
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.statistics.trial_count import (
    MIN_COMMON,
    comparable,
    effective_number,
    effective_number_apart,
    needed_correlation,
    number_of_choices,
    similarity,
    whole_number,
)

PLURALS: Mapping[LookKind, str] = {
    "training": "trainings", "sweep trial": "sweep trials", "single fold": "single folds", "re-scoring": "re-scorings",
    "scripted policy": "scripted policies", "supervised policy": "supervised policies", "screening": "screenings",
    "comparison": "comparisons", "holdout opening": "holdout openings",
    "other seed": "other seeds",
}  # fmt: skip
REPEATS: tuple[LookKind, ...] = ("re-scoring", "single fold", "comparison")
"""Kinds that are the look itself again where they earn the same on every bar."""
NO_RIVALS: tuple[LookKind, ...] = ("scripted policy", "screening")
"""Kinds that count, but say nothing about how far the results of a search are spread."""
NO_SYMBOLS: tuple[LookKind, ...] = ("screening",)
"""Kinds that show nothing of each symbol by itself."""
TRAININGS: tuple[LookKind, ...] = ("training", "single fold", "other seed")
"""Kinds that are one configuration trained with one seed."""
HUGE = 1_000_000_000
"""Looks from which on their power of ten is told."""
WHOLE_WINDOW = 0.1
"""Part of a window that may be missing from one that counts as whole."""
MIN_SHARED = 0.5
"""Share of its own and of the judged bars that a look must have in common to be a rival by its Sharpe ratio."""


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What a result was chosen from.

    Attributes
    ----------
    kinds : kind -> number of looks at the judged bars, however they ended, the judged one included.
    effective : the number that is deflated for: near-copies counted by their effective number.
    in_lead : effective number, the judged one included, of looks that are nearly the same as it by their returns, but
        apart from it each another: what a lead over a baseline was chosen from beyond `effective`.
    sharpe_variance : across different looks, of the per-bar Sharpe ratio, and no less than looks without skill have;
        None where there are fewer than two.
    notes : sentences about what is wrong with the ledger, and what was counted instead.
    """

    kinds: Mapping[str, int]
    effective: int
    sharpe_variance: float | None
    notes: tuple[str, ...] = ()
    in_lead: int = 1

    @property
    def total(self) -> int:
        """All looks."""
        return sum(self.kinds.values())

    @property
    def sentence(self) -> str:
        """``37 looks at these bars (24 sweep trials, 9 trainings; 31 effective)``."""
        parts = [_number(count, kind) for kind, count in sorted(self.kinds.items(), key=_most_first)]
        inside = ", ".join(parts) + (f"; {_in_digits(self.effective)} effective" if self.total > 1 else "")
        return f"{self.total} look{'s' if self.total != 1 else ''} at these bars ({inside})"

    def for_gate(self) -> dict[str, Any]:
        """Fields of `SupportingEvidence`."""
        return {"looks": self, "num_trials": self.effective, "trial_sharpe_variance": self.sharpe_variance}

    def to_json(self) -> dict[str, Any]:
        """As it stands in verdict.json and summary.json."""
        return {"all": self.total, **asdict(self), "kinds": dict(self.kinds), "notes": list(self.notes)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Looks:
        return cls(
            kinds=dict(facts["kinds"]),
            effective=int(facts["effective"]),
            sharpe_variance=facts["sharpe_variance"],
            notes=tuple(facts["notes"]),
            in_lead=int(facts.get("in_lead", 1)),
        )


def _in_digits(number: int) -> str:
    """A whole number; of a huge one the power of ten."""
    return f"{number}" if number < HUGE else f"{float(number):.0e}"


def _most_first(item: tuple[str, int]) -> tuple[int, int]:
    return -item[1], KINDS.index(item[0]) if item[0] in KINDS else len(KINDS)  # type: ignore[arg-type]


def _number(count: int, kind: str) -> str:
    return f"{count} {kind if count == 1 else PLURALS.get(kind, f'{kind}s')}"  # type: ignore[call-overload]


def sharpe_variance(sharpes: Sequence[float | None], num_bars: int) -> float | None:
    """Variance (ddof=1) of per-bar Sharpe ratios; at least that of looks without skill, 1 / (T - 1).

    Parameters
    ----------
    sharpes : of different looks; undefined ones are left out. None is returned below two.
    num_bars : T, of the record that is judged.
    """
    known = np.array([one for one in sharpes if one is not None and np.isfinite(one)], dtype=np.float64)
    if known.size < 2:
        return None
    return max(float(known.var(ddof=1)), 1.0 / max(num_bars - 1, 1))


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Counted:
    """What was counted.

    Attributes
    ----------
    rivals_TN : (T, N) returns on the very bars that are judged, the judged ones first.
    other_seeds : seed -> returns of the same configuration, trained with this seed by another job, on the judged bars
        or those of them that it was scored on.
    doubts : why the judged weights may not be what the configuration gives (`trained_weights.doubts`).
    """

    looks: Looks
    rivals_TN: FloatArray
    other_seeds: Mapping[int, FloatArray] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


def count_looks(
    looks: Sequence[Look],
    own: Record,
    sketches: Mapping[str, Sketch],
    returns: Callable[[Sequence[str]], Mapping[str, FloatArray]],
    *,
    own_instants: str,
    own_returns: str,
    symbols: Mapping[str, int] | None = None,
    num_symbols: int = 1,
    features: Sequence[str] = (),
    notes: Sequence[str] = (),
    max_rivals: int = 500,
) -> Counted:
    """Count looks at the judged bars.

    Parameters
    ----------
    looks : `looks_at` them, the judged one included, in the order of entry.
    own : what is judged.
    sketches, returns : contents by hash.
    own_instants, own_returns : hashes of the judged record.
    symbols : hash of a coverage -> symbols that it shows while the judged bars last; None where nobody chose among
        symbols. num_symbols : of the judged bars; those that are traded count, where it is known how many they are.
    features : names of those that the judged policy reads; none of a script.
    max_rivals : columns of `rivals_TN` beyond which every k-th is taken.
    """
    counted = without_repetitions(looks)
    of_bars, num_symbols = num_symbols, min(own.symbols or num_symbols, num_symbols)
    known = [look for look in counted if look.sketch in sketches]
    leader, correlation = cluster_looks([sketches[look.sketch] for look in known])
    mine = Sketch.of(own)
    windows = np.array(
        [windows_shown(look, own, sketches[look.sketch], mine) for look in known], dtype=np.int64
    )
    shown = np.array(
        [num_symbols if look.returns == own_returns else _symbols_of(look, symbols or {}) for look in known],
        dtype=np.int64,
    )
    # Of a look that does not say how many it traded all symbols of the bars are compared.
    taken = [num_symbols if look.symbols else of_bars for look in known]
    choices = np.array([number_of_choices(*pair) for pair in zip(shown.tolist(), taken, strict=True)])
    effective = effective_number(leader, correlation, windows * choices) if known else 0.0
    unknown = [look for look in counted if look.sketch not in sketches]
    screened = [feature_choices(look, features) for look in unknown]
    effective += sum(screened)
    notes = [
        *notes,
        *of_screenings(unknown, screened, features, _in_digits(whole_number(max(screened, default=1.0)))),
    ]
    if windows.max(initial=1) > 1:
        notes = [*notes, _of_longer_looks(windows)]
    if choices.max(initial=1.0) > 1.0:
        notes = [*notes, _of_wider_looks(shown, choices, np.array(taken), of_bars)]
    in_lead = _in_lead([sketches[look.sketch] for look in known], leader, mine)
    leading = [known[k] for k in np.flatnonzero(leader == np.arange(len(known)))]
    rivals = [look for look in leading if look.kind not in NO_RIVALS or look.returns == own_returns]
    close: dict[str, bool] = {own_instants: True}
    for look in rivals:
        if look.instants not in close:
            close[look.instants] = _comparable(look, own, sketches.get(look.sketch), mine)
    beside = [look for look in rivals if look.instants and close[look.instants]]
    others = [
        look.returns for look in rivals if look.instants == own_instants and look.returns != own_returns
    ]
    others = others[:: -(-len(others) // max_rivals)] if len(others) > max_rivals else others
    contents = returns(others)
    columns = [contents[name] for name in others if name in contents]
    kinds = Counter(look.kind for look in counted)
    return Counted(
        looks=Looks(
            kinds={kind: kinds[kind] for kind in KINDS if kinds[kind]},
            effective=whole_number(effective),
            sharpe_variance=sharpe_variance([look.sharpe for look in beside], len(own.net_return)),
            notes=tuple(notes),
            in_lead=in_lead,
        ),
        rivals_TN=np.column_stack([own.net_return, *columns]),
    )


def windows_shown(look: Look, own: Record, theirs: Sketch, mine: Sketch | None) -> int:
    """How many windows as long as the judged record a look showed: the best of them may be the one that is judged."""
    if look.bar_seconds == own.bar_seconds:
        return max(int(look.num_bars / len(own.net_return) + WHOLE_WINDOW), 1)
    if mine is None:
        return 1
    level = max(theirs.level, mine.level)
    shown, judged = (len(_known_buckets(sketch.at(level))) for sketch in (theirs, mine))
    return max(int(shown / judged + WHOLE_WINDOW), 1)


def _in_lead(sketches: Sequence[Sketch], leader: NDArray[np.int64], mine: Sketch | None) -> int:
    """Effective number of looks that are nearly the same as the judged one, by what they earned apart from it.

    Looks at other times (a day later, a fold less) count by the times in common, if these are half of the judged ones;
    where a look was not, it is taken for the judged one.
    """
    own = next((k for k, sketch in enumerate(sketches) if _same_sketch(sketch, mine)), None)
    if own is None or mine is None:
        return 1
    others = [k for k in range(len(sketches)) if k != own]
    level = max((sketches[k].level for k in others), default=mine.level)
    judged = mine.at(max(level, mine.level))
    known = np.isfinite(judged.sums)
    rows = np.array([_at_times(sketches[k].at(judged.level), judged)[known] for k in others])
    if not len(rows):
        return 1
    enough = np.isfinite(rows).sum(axis=1) >= max(MIN_COMMON, MIN_SHARED * int(known.sum()))
    together = leader[others] == leader[own]
    beside = [
        row
        for row, alike in zip(rows[enough], together[enough], strict=True)
        if alike or _nearly_same(row, judged.sums[known])
    ]
    if not beside:
        return 1
    return whole_number(effective_number_apart(np.array(beside), judged.sums[known]))


def _nearly_same(row: NDArray[np.float32], judged: NDArray[np.float32]) -> bool:
    """Whether two looks correlate where both were, as it takes to be in one cluster."""
    both = np.isfinite(row)
    pair = np.stack([row[both], judged[both].astype(np.float64)])
    centred = pair - pair.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(centred, axis=1)
    least = needed_correlation(int(both.sum()))
    if not sizes.min() > 0.0 or float(centred[0] @ centred[1]) < least * float(sizes.prod()):
        return False
    return float(similarity(comparable(pair[:1]), comparable(pair[1:]))[0, 0]) >= least


def _at_times(theirs: Sketch, mine: Sketch) -> NDArray[np.float32]:
    """(D,) sums of a sketch at the buckets of another one of its level; NaN where it has none."""
    out = np.full(len(mine.sums), np.nan, dtype=np.float32)
    start, stop = (
        max(theirs.first, mine.first),
        min(theirs.first + len(theirs.sums), mine.first + len(mine.sums)),
    )
    if stop > start:
        out[start - mine.first : stop - mine.first] = theirs.sums[start - theirs.first : stop - theirs.first]
    return out


def _same_times(one: Sketch, other: Sketch) -> bool:
    return (one.level, one.first, one.bar_seconds) == (
        other.level,
        other.first,
        other.bar_seconds,
    ) and np.array_equal(np.isfinite(one.sums), np.isfinite(other.sums))


def _same_sketch(one: Sketch, other: Sketch | None) -> bool:
    return (
        other is not None and _same_times(one, other) and np.array_equal(one.sums, other.sums, equal_nan=True)
    )


def _symbols_of(look: Look, symbols: Mapping[str, int]) -> int:
    """Symbols whose results a look showed each by itself; 1 where it showed none."""
    if look.kind in NO_SYMBOLS:
        return 1
    most = max((symbols.get(name, 1) for name in look.coverages), default=1)
    return min(look.symbols or most, most)


def _of_wider_looks(
    shown: NDArray[np.int64], choices: FloatArray, taken: NDArray[np.int64], of_bars: int
) -> str:
    wide = choices > 1.0
    number, most, judged = int(np.count_nonzero(wide)), int(shown[wide].max()), int(taken[wide].min())
    traded = "traded" if judged < of_bars else "judged"
    looks = "1 look showed" if number == 1 else f"{number} looks showed up to"
    chosen = "the one" if judged == 1 else f"the {judged}"
    return (
        f"{looks} {most} symbols, of which {chosen} that {'is' if judged == 1 else 'are'} {traded} could be the best; "
        f"{'it counts' if number == 1 else 'they count'} as {_in_digits(whole_number(float(choices.max())))} looks"
        f"{'' if number == 1 else ' each at most'}."
    )


def _of_longer_looks(windows: NDArray[np.int64]) -> str:
    number, most = int(np.count_nonzero(windows > 1)), int(windows.max())
    looks = "1 look showed" if number == 1 else f"{number} looks showed up to"
    return (
        f"{looks} {most} windows as long as the judged bars, of which the best could be chosen; "
        f"{'it counts' if number == 1 else 'they count'} as that many."
    )


def same_trainings(
    looks: Sequence[Look], run: str, weights: Mapping[str, frozenset[str]] | None = None
) -> list[Look]:
    """Looks, by other jobs than this run, of the configuration that it trained, with other seeds, in order of entry.

    A setting that changes nothing makes another configuration by name, but neither other returns nor other weights. The
    code may have changed since: who doubts an old result of a seed trains that seed again.

    Parameters
    ----------
    weights : key of a look -> hashes of the policies that its trainings gave (`trained_weights.policies`).
    """
    trained = [look for look in looks if look.kind in TRAININGS and look.identity]
    own = [look for look in trained if run in look.runs]
    earned = {look.returns for look in own if look.returns}
    given = weights or {}
    mine = frozenset().union(*(given.get(look.key, ()) for look in own))
    identities = {look.identity for look in own}
    identities |= {x.identity for x in trained if x.returns in earned or given.get(x.key, frozenset()) & mine}
    seeds = {look.seed for look in own}
    return [
        look
        for look in trained
        if look.identity in identities and look.seed is not None and look.seed not in seeds and look.returns
    ]


def returns_in_common(
    looks: Sequence[Look],
    own: Record,
    instants: Callable[[Sequence[str]], Mapping[str, NDArray[np.datetime64]]],
    returns: Callable[[Sequence[str]], Mapping[str, FloatArray]],
) -> dict[int, FloatArray]:
    """Seed -> returns of its look on the judged bars, as far as it has them: half of them at least.

    Of several looks the one with the most of these bars counts, the latest of equals.

    Parameters
    ----------
    own : what is judged. instants, returns : contents by hash.
    """
    if own.bar_utc is None or not looks:
        return {}
    judged = own.bar_utc.astype("datetime64[s]")
    labels, earned = instants([one.instants for one in looks]), returns([one.returns for one in looks])
    found: dict[int, FloatArray] = {}
    for look in looks:
        if look.seed is None or look.instants not in labels or look.returns not in earned:
            continue
        common = np.isin(labels[look.instants], judged)
        enough = max(MIN_SHARED * len(judged), len(found.get(look.seed, ())))
        if common.sum() >= enough:
            found[look.seed] = earned[look.returns][common]
    return found


def without_repetitions(looks: Sequence[Look]) -> list[Look]:
    """Leave out looks that are another one again: a re-scoring that earned the same on every bar."""
    first = {(one.returns, one.instants) for one in looks if one.returns and one.kind not in REPEATS}
    kept = []
    for look in looks:
        if look.kind in REPEATS and look.returns:
            if (look.returns, look.instants) in first:
                continue
            first.add((look.returns, look.instants))
        kept.append(look)
    return kept


def _comparable(look: Look, own: Record, theirs: Sketch | None, mine: Sketch | None) -> bool:
    """Whether a look's Sharpe ratio per bar can stand beside the judged one's."""
    if theirs is None or mine is None or look.bar_seconds != own.bar_seconds:
        return False
    level = max(theirs.level, mine.level)
    one, other = (_known_buckets(sketch.at(level)) for sketch in (theirs, mine))
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared >= MIN_SHARED * max(len(one), len(other))


def _known_buckets(sketch: Sketch) -> NDArray[np.int64]:
    return sketch.first + np.flatnonzero(np.isfinite(sketch.sums))


def sharpe_ratios(returns_TN: FloatArray) -> list[float]:
    """Per-bar Sharpe ratio of each column; nan where undefined."""
    return [sharpe_ratio(column) for column in returns_TN.T]
