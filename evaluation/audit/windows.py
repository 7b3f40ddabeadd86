"""Data and splits: are these the bars, do training and test windows keep apart, and is every scored bar a test bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.schema import Panel
from evaluation.audit.findings import Check
from evaluation.audit.recorded_run import RecordedRun, bars_of
from evaluation.audit.split_windows import DATA, check_splits
from evaluation.windows.combinatorial_windows import CombinatorialWindows
from evaluation.windows.splits import Fold, FoldPlan


def check_windows(
    run: RecordedRun,
    panel: Panel,
    splitter: FoldPlan,
    fingerprint: str | None,
    *,
    searched: bool = False,
    first_scored: int = 0,
) -> list[Check]:
    """All checks of this section.

    Parameters
    ----------
    panel : the bars, loaded again. fingerprint : of the bars, as the run recorded it.
    splitter : of the run's configuration; its horizon and embargo are the gap that is demanded.
    searched : the folds are those of a search's holdout, which `splitter` alone does not give.
    first_scored : first bar that can be scored, after the features' lookback and the warm-up; of splits alone.
    """
    checks = [
        DATA.judges(
            "fingerprint",
            panel.fingerprint == fingerprint,
            f"{panel.num_bars:,} bars of {panel.num_assets} symbols are those that the run recorded",
            f"the bars have the fingerprint {panel.fingerprint[:12]}, the run recorded {str(fingerprint)[:12]}",
        )
    ]
    ends = np.stack(
        [
            bars_of(run.folds[name], panel.bar_utc)
            for name in ("train_first_utc", "train_last_utc", "test_first_utc", "test_last_utc")
        ],
        axis=1,
    )
    if (ends < 0).any():
        fold = run.folds["fold"].iloc[int(np.argwhere(ends < 0)[0, 0])]
        return [
            *checks,
            DATA.fails("fold windows", f"a window of fold {fold} begins or ends at no bar of the data"),
        ]
    if isinstance(splitter, CombinatorialWindows) and "group" in run.folds:
        return [*checks, *check_splits(run, panel, splitter, ends, first_scored)]
    recorded = [
        Fold(index=int(index), train=slice(a, b + 1), test=slice(c, d + 1), validation=chosen_on)
        for index, (a, b, c, d), chosen_on in zip(
            run.folds["fold"], ends.tolist(), _validations(run, panel), strict=True
        )
    ]
    if searched:
        checks.append(DATA.skips("configured windows", "the folds are those of a search's holdout"))
    else:
        checks.append(_as_configured(recorded, splitter.folds_in(panel)))
    checks += [_gap(recorded, splitter), _apart(recorded), _lengths(run, recorded)]
    return [*checks, *_scored_bars(run, panel, recorded)]


def _validations(run: RecordedRun, panel: Panel) -> list[slice | None]:
    """The validation window of each fold, where windows were named by their dates."""
    if "validation_first_utc" not in run.folds:
        return [None] * len(run.folds)
    ends = [bars_of(run.folds[f"validation_{end}_utc"], panel.bar_utc) for end in ("first", "last")]
    return [slice(int(first), int(last) + 1) for first, last in zip(*ends)]


def _as_configured(recorded: Sequence[Fold], configured: Sequence[Fold]) -> Check:
    expected = {fold.index: fold for fold in configured}
    for fold in recorded:
        if expected.get(fold.index) != fold:
            wanted = expected.get(fold.index)
            return DATA.fails(
                "configured windows",
                f"fold {fold.index} is recorded as {_windows(fold)}, but the configuration gives "
                f"{'no such fold' if wanted is None else _windows(wanted)}",
            )
    if len(recorded) < len(expected):
        return DATA.warns(
            "configured windows", f"{len(recorded)} of {len(expected)} configured folds were scored"
        )
    return DATA.passes("configured windows", f"all {len(recorded)} folds are those of the configuration")


def _gap(folds: Sequence[Fold], splitter: FoldPlan) -> Check:
    gaps = {fold.index: fold.test.start - fold.train.stop for fold in folds}
    worst = min(gaps, key=lambda index: gaps[index])
    needed = f"the purge of {splitter.horizon_bars} and the embargo of {splitter.embargo_bars} bars"
    return DATA.judges(
        "purge and embargo",
        gaps[worst] >= splitter.gap_bars,
        f"at least {gaps[worst]} bars lie between training and test; {needed} ask for {splitter.gap_bars}",
        f"fold {worst} leaves {gaps[worst]} bars between training and test; {needed} ask for {splitter.gap_bars}",
    )


def _apart(folds: Sequence[Fold]) -> Check:
    ordered = sorted(folds, key=lambda fold: fold.test.start)
    for earlier, later in zip(ordered, ordered[1:]):
        if later.test.start < earlier.test.stop:
            return DATA.fails(
                "overlap", f"the test windows of folds {earlier.index} and {later.index} overlap"
            )
    for fold in folds:
        if fold.train.stop > fold.test.start:
            return DATA.fails(
                "overlap", f"fold {fold.index} trains on bars that are not before its test window"
            )
    return DATA.passes("overlap", "every training window ends before its test window; no bar is tested twice")


def _lengths(run: RecordedRun, folds: Sequence[Fold]) -> Check:
    for fold, train, test in zip(folds, run.folds["train_bars"], run.folds["test_bars"]):
        if (fold.train.stop - fold.train.start, fold.test.stop - fold.test.start) != (train, test):
            return DATA.fails(
                "bar counts", f"fold {fold.index} counts {train} and {test} bars, its windows others"
            )
    return DATA.passes("bar counts", "the windows hold as many bars as folds.csv says")


def _scored_bars(run: RecordedRun, panel: Panel, folds: Sequence[Fold]) -> list[Check]:
    scored = bars_of(run.returns["bar_utc"], panel.bar_utc)
    ordered = sorted(folds, key=lambda fold: fold.test.start)
    expected = np.concatenate([np.arange(fold.test.start, fold.test.stop) for fold in ordered])
    owner = np.concatenate([np.full(fold.test.stop - fold.test.start, fold.index) for fold in ordered])
    same = np.array_equal(scored, expected) and np.array_equal(run.returns["fold"], owner)
    decided = bars_of(run.decisions["decided_utc"], panel.bar_utc) + 1
    inside = np.isin(decided, expected)
    return [
        DATA.judges(
            "scored bars",
            same,
            f"the {len(scored):,} bars of returns.parquet are the test windows, each once",
            f"returns.parquet holds {len(scored):,} bars that are not the {len(expected):,} of the test windows",
        ),
        DATA.judges(
            "decision bars",
            inside.all(),
            "every decision was taken on the bar before a scored one",
            f"{int((~inside).sum())} decisions belong to no scored bar",
        ),
    ]


def _windows(fold: Fold) -> str:
    chosen_on = "" if fold.validation is None else f", validation {_bars(fold.validation)}"
    return f"train {_bars(fold.train)}{chosen_on}, test {_bars(fold.test)}"


def _bars(window: slice) -> str:
    return f"[{window.start}, {window.stop})"
