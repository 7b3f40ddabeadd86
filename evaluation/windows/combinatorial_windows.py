"""Combinatorial purged cross-validation of a study's bars: its groups, and an embargo that is counted in days.

Every choice of test groups is a split: trained on the purged rest, scored on its groups. So every group is scored by
several policies, and the scored groups are put together into paths, each of which has every group once. What comes of
it is a distribution of a set-up's results, and no walk-forward record: most policies were trained on later bars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.schema import Panel
from evaluation.windows.splits import CombinatorialPurged, Fold


@dataclass(frozen=True, kw_only=True)
class CombinatorialWindows:
    """Splits of `CombinatorialPurged` over all bars of a panel.

    Parameters
    ----------
    groups, test_groups : N and k; C(N, k) policies are trained, and there are C(N - 1, k - 1) paths.
    horizon_bars : bars that a label, or a holding period, reaches forward: the purge on both sides of a test block.
    embargo_days : days, sessions of the data's calendar, left out of training behind a test block and its purge. A day
        counts as many bars as the longest session of the panel has.
    """

    groups: int
    test_groups: int
    horizon_bars: int = 0
    embargo_days: int = 0

    def __post_init__(self) -> None:
        if self.embargo_days < 0:
            raise ValueError(f"embargo_days is {self.embargo_days}; it must be 0 days or more")
        try:
            self._splitter(0)
        except ValueError as error:  # in the words of this class's keys
            words = str(error).replace("num_test_groups", "test_groups").replace("num_groups", "groups")
            raise ValueError(words.replace("number of bars", "number")) from error

    def _splitter(self, embargo_bars: int) -> CombinatorialPurged:
        return CombinatorialPurged(
            self.groups, self.test_groups, horizon_bars=self.horizon_bars, embargo_bars=embargo_bars
        )

    def splitter(self, panel: Panel) -> CombinatorialPurged:
        """The splitter with the embargo in bars of a panel."""
        return self._splitter(self.embargo_days * longest_session(panel))

    @property
    def num_splits(self) -> int:
        """C(N, k): policies that are trained."""
        return self._splitter(0).num_splits

    @property
    def embargo_bars(self) -> int:
        """None: days become bars on a panel only, and each split carries its gap in bars (`Fold.gap_bars`)."""
        return 0

    @property
    def gap_bars(self) -> int:
        """The purge alone, see `embargo_bars`."""
        return self.horizon_bars

    def folds_in(self, panel: Panel) -> list[Fold]:
        """The splits of a panel's bars, in the order of `itertools.combinations` of the groups.

        Raises
        ------
        ValueError
            If there are fewer bars than groups, a split keeps nothing to train on, or a group has no bar that can be
            traded.
        """
        splitter = self.splitter(panel)
        for number, window in enumerate(splitter.group_windows(panel.num_bars)):
            if not panel.tradable[window].any():
                raise ValueError(
                    f"group {number} of {self.groups}, bars {window.start} to {window.stop - 1}, holds no bar that can "
                    "be traded; use fewer groups (walk_forward.groups) or other bars"
                )
        return splitter.folds(panel.num_bars)

    def train_before(self, panel: Panel, stop: int) -> slice:
        """Every bar before ``stop``: other bars have no groups."""
        return slice(0, stop)


def longest_session(panel: Panel) -> int:
    """Bars of the session that has most of them."""
    return int(np.unique(panel.session, return_counts=True)[1].max())


def scored_groups(split: Fold, first_scored: int) -> tuple[Fold, ...]:
    """A split once for each of its groups, as far as it can be scored.

    Parameters
    ----------
    first_scored : first bar that can be scored: before it features are not known, so that the first group is shorter.

    Raises
    ------
    ValueError
        If nothing of a group is left.
    """
    found = []
    for number, window in split.groups:
        start = max(window.start, first_scored)
        if start >= window.stop:
            raise ValueError(
                f"group {number} ends at bar {window.stop}, but the first bar that can be scored after the features' "
                f"lookback and the warm-up is {first_scored}; use fewer groups (walk_forward.groups) or more bars"
            )
        found.append(split.of_group(number, slice(start, window.stop)))
    return tuple(found)
