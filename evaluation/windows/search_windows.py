"""Which bars a search may read, and the holdout at the end that stays sealed until the winner is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from data.schema import Panel
from evaluation.windows.combinatorial_windows import CombinatorialWindows
from evaluation.windows.splits import Fold, FoldPlan, WalkForward


@dataclass(frozen=True, kw_only=True)
class SearchWindows:
    """The bars of a study.

    Attributes
    ----------
    folds : validation folds: trials train and are scored on these.
    holdout_start : first sealed bar; trials are handed bars before it only.
    holdout_folds : walk-forward into the holdout, for the winner.
    """

    folds: tuple[Fold, ...]
    holdout_start: int
    holdout_folds: tuple[Fold, ...]


def search_windows_in(
    plan: FoldPlan, panel: Panel, holdout_bars: int | Literal["auto"], *, keep_remainder: bool = False
) -> SearchWindows:
    """Cut the validation folds and the sealed holdout of a panel's bars; see `search_windows`.

    Where windows follow the calendar, the holdout is of whole test windows; where a validation window is named by its
    dates, trials are scored on it and the test window is sealed.

    Raises
    ------
    ValueError
        If no validation fold fits before the holdout, or the holdout begins inside a test window of the calendar's.
    """
    if isinstance(plan, CombinatorialWindows):
        raise ValueError(
            "walk_forward=cpcv has no bars to seal: a search chooses on some bars and is judged on later ones; choose "
            "walk_forward=rolling, anchored, calendar or dates"
        )
    if isinstance(plan, WalkForward):
        return search_windows(plan, panel.num_bars, holdout_bars, keep_remainder=keep_remainder)
    folds = plan.folds_in(panel)
    start = _seal(folds) if holdout_bars == "auto" else panel.num_bars - holdout_bars
    scored, sealed = _parted(folds, start)
    return SearchWindows(folds=scored, holdout_start=start, holdout_folds=sealed)


def _seal(folds: Sequence[Fold]) -> int:
    """First bar of the last test window; of half of it where it is the only one and no validation window is named."""
    only = len(folds) == 1 and folds[0].validation is None
    return _middle(folds[0].test) if only else folds[-1].test.start


def _middle(window: slice) -> int:
    start = window.start + (window.stop - window.start) // 2
    if start == window.start:
        raise ValueError(
            "the only test window is one bar long; it cannot be halved into validation and holdout"
        )
    return start


def _parted(folds: Sequence[Fold], start: int) -> tuple[tuple[Fold, ...], tuple[Fold, ...]]:
    """Folds that a search scores, and those of the holdout from bar ``start`` on."""
    only = folds[0]
    if len(folds) == 1 and only.validation is not None and start == only.test.start:
        return (Fold(index=0, train=only.train, test=only.validation),), (replace(only, index=1),)
    if len(folds) == 1 and start == _middle(only.test):
        return (
            (replace(only, test=slice(only.test.start, start)),),
            (replace(only, index=1, test=slice(start, only.test.stop)),),
        )
    for fold in folds:
        if fold.test.start < start < fold.test.stop:
            raise ValueError(
                f"a holdout from bar {start} on begins inside the test window of fold {fold.index}; where windows "
                "follow the calendar leave search.holdout_bars at auto"
            )
    scored = tuple(fold for fold in folds if fold.test.stop <= start)
    sealed = tuple(fold for fold in folds if fold.test.start >= start)
    if not scored or not sealed:
        raise ValueError(f"a holdout from bar {start} on leaves no test window on one side of it")
    return scored, sealed


def search_windows(
    walk_forward: WalkForward,
    num_bars: int,
    holdout_bars: int | Literal["auto"],
    *,
    keep_remainder: bool = False,
) -> SearchWindows:
    """Cut the validation folds and the sealed holdout.

    Parameters
    ----------
    holdout_bars : length of the holdout, bars; auto seals from the last test window on. Where there is one test window
        only, its first half validates and its second is sealed.
    keep_remainder : give what is left after the last whole test window of the holdout a window of its own, however
        short, as winners of earlier releases were judged; else less than half a window belongs to the one before.

    Raises
    ------
    ValueError
        If no validation fold fits before the holdout.
    """
    folds = walk_forward.folds(num_bars)
    if holdout_bars == "auto":
        last = folds[-1].test
        if len(folds) > 1:
            start, validation = last.start, folds[:-1]
        else:
            start = _middle(last)
            validation = [Fold(index=0, train=folds[0].train, test=slice(last.start, start))]
    else:
        start = num_bars - holdout_bars
        try:
            validation = walk_forward.folds(start) if start > 0 else []
        except ValueError as error:
            raise ValueError(f"before the holdout of {holdout_bars} bars {error}") from error
        if not validation:
            raise ValueError(f"a holdout of {holdout_bars} bars leaves none of {num_bars} to search on")
    return SearchWindows(
        folds=tuple(validation),
        holdout_start=start,
        holdout_folds=_holdout_folds(walk_forward, start, num_bars, len(validation), keep_remainder),
    )


def _holdout_folds(
    walk_forward: WalkForward, start: int, num_bars: int, first_index: int, keep_remainder: bool
) -> tuple[Fold, ...]:
    """Test windows through the holdout, the last one up to the end of the bars."""
    starts = list(range(start, num_bars, walk_forward.test_bars))
    if len(starts) > 1 and 2 * (num_bars - starts[-1]) < walk_forward.test_bars and not keep_remainder:
        del starts[-1]  # a policy trained anew for a few bars would tell nothing
    stops = [*starts[1:], num_bars]
    found = []
    for number, (test_start, test_stop) in enumerate(zip(starts, stops)):
        train_stop = test_start - walk_forward.gap_bars
        found.append(
            Fold(
                index=first_index + number,
                train=slice(0 if walk_forward.anchored else train_stop - walk_forward.train_bars, train_stop),
                test=slice(test_start, test_stop),
            )
        )
    return tuple(found)
