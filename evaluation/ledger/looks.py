"""How many looks a result was chosen from: one count, one variance, for the gate, the summary and the leaderboard.

A look counts when it was scored on any of the bars that are judged (`judged_bars.looks_at`). An exact repetition is
one look; looks whose returns are nearly the same count by their effective number; those that left no returns count one
each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from evaluation.ledger.lead_choices import MIN_SHARED, looks_in_lead
from evaluation.ledger.look_clusters import cluster_looks
from evaluation.ledger.records import KINDS, FloatArray, Look, LookKind, Record
from evaluation.ledger.return_sketch import Sketch
from evaluation.ledger.shown_features import feature_choices, of_screenings
from evaluation.ledger.shown_results import of_longer_looks, of_wider_looks, symbols_shown, windows_shown
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.statistics.trial_count import effective_number, in_digits, number_of_choices, whole_number

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
        inside = ", ".join(parts) + (f"; {in_digits(self.effective)} effective" if self.total > 1 else "")
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
    looks : `judged_bars.looks_at` them, the judged one included, in the order of entry.
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
        [
            num_symbols if look.returns == own_returns else symbols_shown(look, symbols or {})
            for look in known
        ],
        dtype=np.int64,
    )
    # Of a look that does not say how many it traded all symbols of the bars are compared.
    taken = [num_symbols if look.symbols else of_bars for look in known]
    choices = np.array([number_of_choices(*pair) for pair in zip(shown.tolist(), taken, strict=True)])
    effective = effective_number(leader, correlation, windows * choices) if known else 0.0
    unknown = [look for look in counted if look.sketch not in sketches]
    screened = [feature_choices(look, features) for look in unknown]
    effective += sum(screened)
    notes = [*notes, *of_screenings(unknown, screened, features)]
    if windows.max(initial=1) > 1:
        notes = [*notes, of_longer_looks(windows)]
    if choices.max(initial=1.0) > 1.0:
        notes = [*notes, of_wider_looks(shown, choices, np.array(taken), of_bars)]
    in_lead = looks_in_lead([sketches[look.sketch] for look in known], leader, mine)
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
    one, other = (sketch.at(level).known_buckets for sketch in (theirs, mine))
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared >= MIN_SHARED * max(len(one), len(other))


def sharpe_ratios(returns_TN: FloatArray) -> list[float]:
    """Per-bar Sharpe ratio of each column; nan where undefined."""
    return [sharpe_ratio(column) for column in returns_TN.T]
