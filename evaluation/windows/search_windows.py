"""Which bars a search may read, and the holdout at the end that stays sealed until the winner is judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evaluation.windows.splits import Fold, WalkForward


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
            start = last.start + (last.stop - last.start) // 2
            if start == last.start:
                raise ValueError(
                    "the only test window is one bar long; it cannot be halved into validation and holdout"
                )
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
