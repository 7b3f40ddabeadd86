"""Decisions about defects of bars. By default nothing is done: they are refused or reported (`data.checks.hygiene`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Repairs:
    """What is done with defects. The values here change nothing, as configurations from before this group meant.

    Parameters
    ----------
    duplicates : "refuse" several rows of one time, or "keep_first" of them.
    outside_sessions : "report" rows beside the calendar's sessions (they are left out; mostly such rows are
        refused), or
        "cut" them however many they are: Globex bars under a calendar of regular hours.
    outlier_score : robust standard deviations of the returns before a bar beyond which a bar is taken out;
        None takes none.
        A second such bar in a row is a new level, and stays.
    island_bars : runs of fewer bars than this between missing ones are taken out; 0 takes none. Decided by
        what follows, so
        with hindsight: for feeds that stutter, not for thin markets.
    fill_bars : at most this many bars of a gap repeat the last close, with volume 0, never tradable, and
        marked; 0 fills none.
    """

    duplicates: Literal["refuse", "keep_first"] = "refuse"
    outside_sessions: Literal["report", "cut"] = "report"
    outlier_score: float | None = None
    island_bars: int = 0
    fill_bars: int = 0

    def __post_init__(self) -> None:
        for name in ("island_bars", "fill_bars"):
            if getattr(self, name) < 0:
                raise DataError(
                    f"data.repair.{name} is {getattr(self, name)}; give a number of bars, 0 for none."
                )
        if self.outlier_score is not None and not self.outlier_score >= 5.0:
            raise DataError(
                f"data.repair.outlier_score is {self.outlier_score}; returns reach 5 robust standard deviations "
                "by themselves: "
                "give 5 or more, or null for none."
            )
        if self.duplicates not in ("refuse", "keep_first"):
            raise DataError(
                f"data.repair.duplicates is {self.duplicates!r}; it must be refuse or keep_first."
            )
        if self.outside_sessions not in ("report", "cut"):
            raise DataError(
                f"data.repair.outside_sessions is {self.outside_sessions!r}; it must be report or cut."
            )


NO_REPAIRS = Repairs()
