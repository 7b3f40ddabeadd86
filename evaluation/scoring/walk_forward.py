"""Walk-forward evaluation: each fold's policy, trained elsewhere, is scored on the next, unseen window.

Training is injected as a callable, so that folds may run one by one, in any order, alone, or side by side on a cluster:
a fold's numbers depend on the fold alone. Axes: N bars of all test windows together, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from envs.recording import Recording
from envs.trades import OPEN_REASON
from evaluation.scoring.rollout import Track
from evaluation.windows.splits import Fold
from policies.origin import SeenLabels

FloatArray = NDArray[np.float64]
ORACLE = "oracle"
"""Name of the reference that knows a synthetic market's best direction; never a baseline to beat."""


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """What one fold left behind: plain arrays that travel between processes.

    Attributes
    ----------
    fold : its windows.
    recording : the policy on the test window.
    baselines : name -> the baseline on the same window and costs; its limits: docs/evaluation.md.
    stressed, stressed_baselines : the same with the gate's multiple of all costs; None and empty if not measured.
    stress : name of a scenario of costs or latency -> the policy under it.
    in_sample_return : per-bar net returns of the policy on its own training window; None if not measured.
    parameters : hyperparameters the fold was trained with, as flat names and values.
    policy_hash : digest of the policy's weights.
    seed : of the training run.
    cost_factor : multiple of all costs, baselines' included, at which everything here was measured.
    placebo_return : (N, K) returns of K placebo strategies on the test window (`scoring.placebo_strategies`).
    delayed : names of inputs -> the policy with these a bar late (`scoring.delayed_inputs`), empty where the fold's
        score is nothing to be suspicious of; None if not measured.
    exposure : (N,) int8 what the policy had seen of each scored bar (`policies.origin`); None when it is not known.
    contract_hash : digest of the policy's contract, which says what it has seen; "" for a script.
    trained_on : first open and last close of the bars that the policy was trained on, whatever `fold` says (another
        data set is scored); None for a script, or where it is not known.
    """

    fold: Fold
    recording: Recording
    baselines: Mapping[str, Track] = field(default_factory=dict)
    stressed: Track | None = None
    stressed_baselines: Mapping[str, Track] = field(default_factory=dict)
    stress: Mapping[str, Track] = field(default_factory=dict)
    in_sample_return: FloatArray | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    policy_hash: str = ""
    seed: int = 0
    cost_factor: float = 1.0
    placebo_return: FloatArray | None = None
    delayed: Mapping[tuple[str, ...], Track] | None = None
    exposure: SeenLabels | None = None
    contract_hash: str = ""
    trained_on: tuple[np.datetime64, np.datetime64] | None = None


def closed_mask(recording: Recording) -> NDArray[np.bool_]:
    """(K,) True for the trades that were closed; what is still open at the end is no trade yet."""
    return recording.trades.exit_reason != OPEN_REASON


def window_return(recording: Recording | Track, window: slice) -> FloatArray:
    """Per-bar net returns over the whole window; an account that ended early (ruin) earns 0 from there on.

    Raises
    ------
    ValueError
        If the recording does not start at the window's first bar or reaches outside it.
    """
    bars = np.asarray(recording.bar)
    expected = np.arange(window.start, window.start + len(bars))
    if len(bars) > window.stop - window.start or not np.array_equal(bars, expected):
        found = f"{bars[0]} to {bars[-1]}" if len(bars) else "no bar"
        raise ValueError(
            f"the recording covers {found} but the test window is [{window.start}, {window.stop}); "
            "roll the policy out over exactly that window"
        )
    returns = np.zeros(window.stop - window.start)
    returns[: len(bars)] = recording.net_return
    return returns


def refuse_overlap(folds: Sequence[Fold]) -> None:
    """ValueError if two folds score the same bar."""
    ordered = sorted(folds, key=lambda fold: fold.test.start)
    for earlier, later in zip(ordered, ordered[1:]):
        if later.test.start < earlier.test.stop:
            raise ValueError(
                f"the test windows of folds {earlier.index} and {later.index} overlap; a bar may be scored once only, "
                "so give a step (walk_forward.step_bars) of at least the test length"
            )


@dataclass(frozen=True, kw_only=True)
class WalkForwardResult:
    """The folds of one study in time order, chained into one out-of-sample record.

    Attributes
    ----------
    panel : the bars that the folds index.
    folds : in time order, their test windows disjoint. Of combinatorial cross-validation those of its first path.
    paths : of combinatorial cross-validation, every path as its folds in time order; empty where there are none.
    """

    panel: Panel
    folds: tuple[FoldResult, ...]
    paths: tuple[tuple[FoldResult, ...], ...] = ()

    @classmethod
    def of(cls, panel: Panel, results: Sequence[FoldResult]) -> WalkForwardResult:
        """The record of all results of a study: the folds chained, or the groups of splits put together into paths.

        The j-th split that tests a group, in their order, gives path j its record of that group. Where splits are
        missing, so that no path is whole, each group is chained as the first split there has it.
        """
        tested: dict[int, list[FoldResult]] = {}
        for result in sorted(results, key=lambda one: one.fold.index):
            if result.fold.group is not None:
                tested.setdefault(result.fold.group, []).append(result)
        if not tested:
            return cls(panel=panel, folds=tuple(results))
        columns = [tested[group] for group in sorted(tested)]
        whole = len({len(column) for column in columns}) == 1 and sorted(tested) == list(range(len(tested)))
        paths = tuple(zip(*columns)) if whole and len(columns) > 1 else ()
        return cls(panel=panel, folds=tuple(column[0] for column in columns), paths=paths)

    @cached_property
    def scored(self) -> tuple[FoldResult, ...]:
        """Every result: of all paths where there are any, by split and group."""
        found = [one for path in self.paths for one in path] or list(self.folds)
        return (
            tuple(sorted(found, key=lambda one: (one.fold.index, one.fold.test.start)))
            if self.paths
            else self.folds
        )

    @cached_property
    def by_path(self) -> tuple[WalkForwardResult, ...]:
        """Each path as a record of its own."""
        return tuple(WalkForwardResult(panel=self.panel, folds=path) for path in self.paths)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.folds, key=lambda result: result.fold.test.start))
        object.__setattr__(self, "folds", ordered)
        if not ordered:
            raise ValueError("there is no fold to report; run at least one")
        refuse_overlap([result.fold for result in ordered])

    @cached_property
    def bar(self) -> NDArray[np.int64]:
        """(N,) panel index of every scored bar."""
        return np.concatenate([np.arange(r.fold.test.start, r.fold.test.stop) for r in self.folds])

    @cached_property
    def periods_per_year(self) -> float:
        """Bars a year, by the calendar in the years of the record: every annual number is computed with it."""
        return self.panel.bars_a_year(slice(int(self.bar[0]), int(self.bar[-1]) + 1))

    @cached_property
    def fold_index(self) -> NDArray[np.int64]:
        """(N,) index of the fold that each bar belongs to."""
        return np.concatenate(
            [np.full(r.fold.test.stop - r.fold.test.start, r.fold.index) for r in self.folds]
        )

    @cached_property
    def net_return(self) -> FloatArray:
        """(N,) per-bar net returns of the policy: every headline number is computed from these."""
        return np.concatenate([window_return(r.recording, r.fold.test) for r in self.folds])

    @cached_property
    def baseline_names(self) -> tuple[str, ...]:
        """Baselines that every fold has, in the first fold's order."""
        return tuple(
            name for name in self.folds[0].baselines if all(name in result.baselines for result in self.folds)
        )

    def baseline_return(self, name: str) -> FloatArray:
        """(N,) per-bar net returns of a baseline on the same bars."""
        return np.concatenate([window_return(r.baselines[name], r.fold.test) for r in self.folds])

    def baseline_turnover(self, name: str) -> float:
        """Traded notional over equity of a baseline, summed over all bars; nan where it was not measured."""
        parts = [r.baselines[name].turnover for r in self.folds]
        return float(sum(part.sum() if part is not None else np.nan for part in parts))

    def stressed_return(self) -> FloatArray | None:
        """(N,) returns of the policy under the gate's costs; None unless every fold measured them."""
        if any(r.stressed is None for r in self.folds):
            return None
        return np.concatenate([window_return(r.stressed, r.fold.test) for r in self.folds if r.stressed])

    @cached_property
    def stress_names(self) -> tuple[str, ...]:
        """Scenarios that every fold has, in the first fold's order."""
        return tuple(name for name in self.folds[0].stress if all(name in r.stress for r in self.folds))

    def stress_return(self, name: str) -> FloatArray:
        """(N,) returns of the policy under a scenario."""
        return np.concatenate([window_return(r.stress[name], r.fold.test) for r in self.folds])

    @cached_property
    def placebo_return(self) -> FloatArray:
        """(N, K) returns of the placebo strategies; K = 0 unless every fold has the same number of them."""
        found = [r.placebo_return for r in self.folds if r.placebo_return is not None]
        if len(found) < len(self.folds) or len({part.shape[1] for part in found}) != 1:
            return np.zeros((len(self.bar), 0))
        return np.concatenate(found)

    @cached_property
    def exposure(self) -> SeenLabels | None:
        """(N,) int8 what the policies had seen of each bar, as `FoldResult.exposure`; None unless every fold knows."""
        found = [r.exposure for r in self.folds if r.exposure is not None]
        return np.concatenate(found) if len(found) == len(self.folds) else None

    def stressed_baseline_return(self, name: str) -> FloatArray:
        """(N,) returns of a baseline under the gate's costs."""
        return np.concatenate([window_return(r.stressed_baselines[name], r.fold.test) for r in self.folds])


def ordered_folds(
    folds: Sequence[Fold], *, only_fold: int | None = None, fold_order: Sequence[int] | None = None
) -> list[Fold]:
    """The folds to run, in the order to run them: all in time order, or a chosen order, or one alone.

    Raises
    ------
    ValueError
        For an index that no fold has, or an order that names a fold twice or leaves one out.
    """
    by_index = {fold.index: fold for fold in folds}
    wanted = list(by_index) if fold_order is None else list(fold_order)
    if only_fold is not None:
        wanted = [only_fold]
    unknown = [index for index in wanted if index not in by_index]
    if unknown:
        raise ValueError(f"there is no fold {unknown[0]}; the folds are 0 to {len(by_index) - 1}")
    if len(set(wanted)) != len(wanted):
        raise ValueError(f"fold_order {wanted} names a fold twice")
    left_out = sorted(set(by_index) - set(wanted))
    if left_out and only_fold is None:
        raise ValueError(
            f"fold_order {wanted} leaves out fold {left_out[0]} of 0 to {len(by_index) - 1}; an order changes no "
            "number, so name every fold"
        )
    return [by_index[index] for index in wanted]
