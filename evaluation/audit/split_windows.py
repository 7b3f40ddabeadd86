"""Splits of combinatorial cross-validation: are they as configured, purged, and is each group in every path.

Purge and embargo are counted again bar by bar from the recorded windows, not by the splitter that cut them.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import BoolArray
from data.schema import Panel
from evaluation.audit.findings import Check, Section
from evaluation.audit.recorded_run import RecordedRun, bars_of
from evaluation.windows.combinatorial_windows import CombinatorialWindows, longest_session
from evaluation.windows.splits import Fold

DATA = Section(name="data and splits")


def check_splits(
    run: RecordedRun,
    panel: Panel,
    plan: CombinatorialWindows,
    ends: NDArray[np.int64],
    first_scored: int,
) -> list[Check]:
    """The checks of `evaluation.audit.windows` for splits, whose groups are scored by several policies each.

    Parameters
    ----------
    ends : (R, 4) bar of each row of folds.csv: first and last trained on, first and last tested.
    first_scored : first bar that can be scored.
    """
    try:
        trained = [_trained(text, panel) for text in run.folds["train_stretches"]]
    except ValueError as error:
        return [DATA.fails("fold windows", str(error))]
    splits = {fold.index: fold for fold in plan.folds_in(panel)}
    checks = [
        _as_configured(run.folds, splits, trained, ends, first_scored),
        _purged(run.folds, plan, panel, trained, ends),
    ]
    return [*checks, *_paths(run, panel, plan)]


def _trained(text: str, panel: Panel) -> BoolArray:
    """(T,) True for the bars of the stretches that folds.csv names."""
    found = np.zeros(panel.num_bars, dtype=np.bool_)
    for part in str(text).split():
        first, last = bars_of(pd.Series(part.split("/")), panel.bar_utc)
        if min(first, last) < 0:
            raise ValueError(f"a training stretch, {part}, begins or ends at no bar of the data")
        found[first : last + 1] = True
    return found


def _as_configured(
    table: pd.DataFrame,
    splits: dict[int, Fold],
    trained: list[BoolArray],
    ends: NDArray[np.int64],
    first_scored: int,
) -> Check:
    rows = zip(table["fold"], table["group"], table["train_bars"], trained, ends.tolist(), strict=True)
    for index, group, count, bars, (_, _, first, last) in rows:
        split = splits.get(int(index))
        window = None if split is None else dict(split.groups).get(int(group))
        expected = np.zeros(len(bars), dtype=np.bool_)
        for part in () if split is None else split.training:
            expected[part] = True
        if window is None or not np.array_equal(bars, expected) or count != expected.sum():
            return DATA.fails(
                "configured windows", f"split {index} is not recorded with the windows of the configuration"
            )
        if (first, last + 1) != (max(window.start, first_scored), window.stop):
            return DATA.fails(
                "configured windows",
                f"split {index} is recorded as tested on bars [{first}, {last + 1}), but group {group} is "
                f"[{max(window.start, first_scored)}, {window.stop})",
            )
    found, wanted = set(zip(table["fold"], table["group"])), sum(len(s.groups) for s in splits.values())
    if len(found) < wanted or len(table) != len(found):
        return DATA.warns(
            "configured windows",
            f"{len(found)} of {wanted} groups of splits were scored, in {len(table)} rows",
        )
    return DATA.passes(
        "configured windows", f"all {len(splits)} splits, of {wanted} groups, are those of the configuration"
    )


def _purged(
    table: pd.DataFrame,
    plan: CombinatorialWindows,
    panel: Panel,
    trained: list[BoolArray],
    ends: NDArray[np.int64],
) -> Check:
    embargo = plan.embargo_days * longest_session(panel)
    for index, bars, (_, _, first, last) in zip(table["fold"], trained, ends.tolist(), strict=True):
        near = np.flatnonzero(bars)
        before, behind = near[near < first], near[near > last]
        if bars[first : last + 1].any():
            return DATA.fails("purge and embargo", f"split {index} was trained on bars that it is tested on")
        if len(before) and first - before[-1] <= plan.horizon_bars:
            return DATA.fails(
                "purge and embargo", f"split {index} trains within the purge before bar {first}"
            )
        if len(behind) and behind[0] - last <= plan.horizon_bars + embargo:
            return DATA.fails(
                "purge and embargo", f"split {index} trains within purge and embargo behind bar {last}"
            )
    return DATA.passes(
        "purge and embargo",
        f"no split trains on a bar that it is tested on, within {plan.horizon_bars} bars of one, or in the embargo of "
        f"{embargo} bars that follows",
    )


def _paths(run: RecordedRun, panel: Panel, plan: CombinatorialWindows) -> list[Check]:
    """Every path has every group once; returns.parquet is path 0, or what there is of a single split."""
    table = run.folds
    first = table[table["path"] == 0] if table["path"].notna().any() else table
    wrong = [
        int(path)
        for path, rows in table.dropna(subset=["path"]).groupby("path")
        if sorted(rows["group"]) != list(range(plan.groups))
    ]
    expected, owner = [], []
    tested = zip(*(bars_of(first[f"test_{end}_utc"], panel.bar_utc) for end in ("first", "last")))
    for (start, stop), fold in sorted(zip(tested, first["fold"])):
        expected.append(np.arange(start, stop + 1))
        owner.append(np.full(stop + 1 - start, fold))
    bars = np.concatenate(expected)
    scored = bars_of(run.returns["bar_utc"], panel.bar_utc)
    same = np.array_equal(scored, bars) and np.array_equal(run.returns["fold"], np.concatenate(owner))
    decided = bars_of(run.decisions["decided_utc"], panel.bar_utc) + 1
    num_paths = table["path"].nunique()
    twice = len(set(itertools.chain(*(part.tolist() for part in expected)))) < len(bars)
    return [
        DATA.judges(
            "paths",
            not wrong and not twice,
            f"each of {num_paths} paths has every group once",
            f"path {wrong[0] if wrong else 0} does not have every group once",
        ),
        DATA.judges(
            "scored bars",
            same,
            f"the {len(scored):,} bars of returns.parquet are those of path 0, each once",
            f"returns.parquet holds {len(scored):,} bars that are not the {len(bars):,} of path 0",
        ),
        DATA.judges(
            "decision bars",
            bool(np.isin(decided, bars).all()),
            "every decision was taken on the bar before a scored one",
            f"{int((~np.isin(decided, bars)).sum())} decisions belong to no scored bar",
        ),
    ]
