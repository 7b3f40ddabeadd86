"""Folds by the calendar: counted in sessions, weeks or months, or named by their dates.

A period belongs to the session's date, so that a Globex session which opens on Sunday evening counts for Monday.
Windows are never moved: what the data do not hold is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.calendars import Sessions, sessions_between
from data.equal_runs import run_starts
from data.errors import DataError
from data.schema import Panel, utc_instant
from evaluation.windows.splits import Fold, WalkForward

Unit = Literal["sessions", "weeks", "months"]
Dates = tuple[str, str]
_LONGER_THAN_A_PERIOD = np.timedelta64(45, "D")
_MONDAY = 3
"""1970-01-01, day 0, was a Thursday: day + 3 counts from a Monday."""


@dataclass(frozen=True, kw_only=True)
class _Gap:
    """Bars that are left out before a window that is scored: `horizon_bars` and `embargo_bars` as of `WalkForward`."""

    horizon_bars: int = 0
    embargo_bars: int = 0

    def __post_init__(self) -> None:
        for name in ("horizon_bars", "embargo_bars"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")

    @property
    def gap_bars(self) -> int:
        """Bars between the end of training and the start of testing."""
        return self.horizon_bars + self.embargo_bars


@dataclass(frozen=True, kw_only=True)
class PeriodWalkForward(_Gap):
    """Walk-forward windows of whole sessions, weeks (from Monday) or calendar months.

    A first or last period that the data do not hold whole is left out. The gap of horizon and embargo is taken from the
    end of training, because a test window begins with its period.

    Parameters
    ----------
    unit : sessions, weeks or months.
    train, test : number of periods to train on and to test on.
    step : periods from one test window to the next; ``test`` when None.
    horizon_bars, embargo_bars, anchored : as of `WalkForward`.
    """

    unit: Unit
    train: int
    test: int
    step: int | None = None
    anchored: bool = False

    def __post_init__(self) -> None:
        for name in ("train", "test", "step"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1 of the {self.unit}")
        super().__post_init__()

    def folds_in(self, panel: Panel) -> list[Fold]:
        """The folds of a panel's bars, in time order.

        Raises
        ------
        ValueError
            If not even one fold fits, the gap swallows a training window, or a test window holds no bar that can be
            traded.
        """
        edges = _whole_periods(panel, self.unit)
        counted = WalkForward(self.train, self.test, step_bars=self.step, anchored=self.anchored)
        whole = len(edges) - 1
        if whole < self.train + self.test:
            raise ValueError(
                f"one fold needs {self.train + self.test} whole {self.unit} (train {self.train} + test {self.test}) "
                f"but the data hold {max(whole, 0)}; shorten the windows or give more data"
            )
        folds = []
        for fold in counted.folds(whole):
            train = slice(int(edges[fold.train.start]), int(edges[fold.train.stop]) - self.gap_bars)
            test = slice(int(edges[fold.test.start]), int(edges[fold.test.stop]))
            if train.stop <= train.start:
                raise ValueError(
                    f"a gap of {self.gap_bars} bars swallows the training window of fold {fold.index}; train longer"
                )
            _refuse_untradable(panel, test, f"the test window of fold {fold.index}")
            folds.append(Fold(index=fold.index, train=train, test=test))
        return folds

    def train_before(self, panel: Panel, stop: int) -> slice:
        """The ``train`` periods before bar ``stop``, as many as there are; a begun one counts."""
        numbers = period_numbers(panel.session[:stop], self.unit)
        starts = run_starts(numbers)
        return slice(int(starts[-self.train]) if len(starts) >= self.train else 0, stop)


@dataclass(frozen=True, kw_only=True)
class DatedWindows(_Gap):
    """One fold whose windows are named: first and last date of each, both included, dates of sessions.

    Parameters
    ----------
    train, test : dates to train on and to test on.
    validation : dates between the two on which the checkpoint, and in a sweep the trial, is chosen; None takes them
        from the end of training.
    horizon_bars, embargo_bars : bars left out before validation and before test, where the windows lie closer.
    """

    train: Dates
    test: Dates
    validation: Dates | None = None

    def __post_init__(self) -> None:
        named = self._named()
        for name, (first, last) in named:
            if _date(name, first) > _date(name, last):
                raise ValueError(f"{name} is [{first}, {last}]; its first date lies after its last")
        for (before, (_, end)), (after, (begin, _)) in zip(named, named[1:]):
            if _date(after, begin) <= _date(before, end):
                raise ValueError(f"{after} begins on {begin}, not after {before} ends on {end}")
        super().__post_init__()

    def _named(self) -> list[tuple[str, Dates]]:
        middle = [] if self.validation is None else [("validation", self.validation)]
        return [("train", self.train), *middle, ("test", self.test)]

    def folds_in(self, panel: Panel) -> list[Fold]:
        """The one fold.

        Raises
        ------
        ValueError
            If the data do not hold a window whole, a window holds no bar that can be traded, or the gap swallows one.
        """
        windows = {name: _bars_of_dates(panel, name, dates) for name, dates in self._named()}
        for name, window in windows.items():
            _refuse_untradable(panel, window, name)
        test, validation = windows["test"], windows.get("validation")
        if validation is not None:
            validation = self._before("validation", validation, test)
        train = self._before("train", windows["train"], test if validation is None else validation)
        return [Fold(index=0, train=train, test=test, validation=validation)]

    def _before(self, name: str, window: slice, following: slice) -> slice:
        stop = min(window.stop, following.start - self.gap_bars)
        if stop <= window.start:
            raise ValueError(f"a gap of {self.gap_bars} bars swallows the window {name}; widen it")
        return slice(window.start, stop)

    def train_before(self, panel: Panel, stop: int) -> slice:
        """Every bar before ``stop``: dates of other bars say nothing of these."""
        return slice(0, stop)


CalendarWindows = PeriodWalkForward | DatedWindows


def period_numbers(session: NDArray[np.integer], unit: Unit) -> NDArray[np.int64]:
    """(T,) number of the period that each session's date lies in; equal within a period, never decreasing."""
    days = np.asarray(session, dtype=np.int64)
    if unit == "sessions":
        return days
    if unit == "weeks":
        return (days + _MONDAY) // 7
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _whole_periods(panel: Panel, unit: Unit) -> NDArray[np.int64]:
    """First bars of the periods that the panel holds whole, and the bar after the last of them."""
    numbers = period_numbers(panel.session, unit)
    starts = np.append(run_starts(numbers), len(numbers))
    calendar = sessions_between(
        panel.calendar, panel.bar_utc[0] - _LONGER_THAN_A_PERIOD, panel.bar_utc[-1] + _LONGER_THAN_A_PERIOD
    )
    of_calendar = period_numbers(calendar.session, unit)
    first_session = calendar.open_utc[np.argmax(of_calendar == numbers[0])]
    last_session = calendar.close_utc[np.flatnonzero(of_calendar == numbers[-1])[-1]]
    if panel.bar_utc[0] > first_session:
        starts = starts[1:]
    if panel.bar_utc[-1] + np.timedelta64(panel.bar_seconds, "s") < last_session:
        starts = starts[:-1]
    return starts


def _bars_of_dates(panel: Panel, name: str, dates: Dates) -> slice:
    first, last = (_date(name, text) for text in dates)
    held = panel.session
    low, high = (
        np.searchsorted(held, int(first.astype(int))),
        np.searchsorted(held, int(last.astype(int)), side="right"),
    )
    wanted = sessions_between(
        panel.calendar,
        first.astype("datetime64[ns]") - np.timedelta64(2, "D"),
        last.astype("datetime64[ns]") + np.timedelta64(3, "D"),
    )
    inside = (wanted.session >= first.astype(int)) & (wanted.session <= last.astype(int))
    if not inside.any():
        raise DataError(f"the window {name}, {dates[0]} to {dates[1]}, holds no session of {panel.calendar}")
    if low >= high or not _held_whole(panel, wanted, inside):
        days = [str(held[at].astype("datetime64[D]")) for at in (0, -1)]
        raise DataError(
            f"the window {name}, {dates[0]} to {dates[1]}, reaches outside the data, whose sessions run from {days[0]} "
            f"to {days[1]}; name dates inside them, or give more data"
        )
    return slice(int(low), int(high))


def _held_whole(panel: Panel, wanted: Sessions, inside: NDArray[np.bool_]) -> bool:
    step = np.timedelta64(panel.bar_seconds, "s")
    opened, closed = wanted.open_utc[inside][0], wanted.close_utc[inside][-1]
    return bool(panel.bar_utc[0] <= opened and panel.bar_utc[-1] + step >= closed)


def _refuse_untradable(panel: Panel, window: slice, name: str) -> None:
    if not panel.tradable[window].any():
        labels = panel.bar_utc[[window.start, window.stop - 1]].astype("datetime64[D]")
        raise DataError(f"{name}, {labels[0]} to {labels[1]}, holds no bar that can be traded")


def _date(name: str, text: str) -> np.datetime64:
    try:
        instant = utc_instant(text)
    except DataError as error:
        raise ValueError(f"{name}: {error}") from error
    day = instant.astype("datetime64[D]")
    if day != instant:
        raise ValueError(f"{name} holds {text!r}; windows are named by dates, such as 2022-12-31")
    return day
