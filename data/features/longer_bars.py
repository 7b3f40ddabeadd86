"""Longer bars of some short ones each: where one begins and is complete, by the clock, and what it is made of.

They are counted from the open of each session by the published calendar; the last one of a session may be cut short by
the close. One that has been complete stays as it was, whatever session a later bar is said to be of.

Axes: T time, A asset, C longer bar.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray
from data.calendars import DAY_SECONDS
from data.equal_runs import begins_run
from data.features.kernels import compiled
from data.features.panel_parts import bounds_of_session, session_limits
from data.schema import Panel

_SECOND = 1_000_000_000
"""Nanoseconds."""


class Marks(NamedTuple):
    """Of each short bar.

    begins, ends : the longer bar begins, or is complete, with it. opened : when the longer bar did, ns.
    """

    begins: BoolArray
    ends: BoolArray
    opened: NDArray[np.int64]

    def part(self, start: int, stop: int) -> Marks:
        """Of the short bars from start to stop, stop left out."""
        return Marks(self.begins[start:stop], self.ends[start:stop], self.opened[start:stop])


class _Clock(NamedTuple):
    """Where short bars stand, numbers or arrays: the longer bar's number in its session, its beginning, its end."""

    bucket: Any
    opened: Any
    ends: Any


def _clock(bar: Any, opened: Any, closed: Any, bar_seconds: int, factor: int) -> _Clock:
    """bar, opened, closed : of the short bar, and open and close of its session, nanoseconds."""
    step, width = bar_seconds * _SECOND, factor * bar_seconds * _SECOND
    # By whole seconds, in which bars are labelled.
    since = (bar - opened) // _SECOND * _SECOND
    bucket = since // width
    ends = (since + step >= (bucket + 1) * width) | (bar + step >= closed)
    return _Clock(bucket, opened + bucket * width, ends)


def marks(panel: Panel, factor: int) -> Marks:
    """Where longer bars of `factor` bars begin and end; the panel's first bar begins one.

    Raises
    ------
    ValueError
        If the panel's bars are a day or longer: they have no session to be counted from.
    """
    _within_a_session(panel.bar_seconds)
    opened, closed = (limit.astype(np.int64) for limit in session_limits(panel))
    at = _clock(panel.bar_utc.astype(np.int64), opened, closed, panel.bar_seconds, factor)
    begins = begins_run(at.bucket) | begins_run(panel.session)
    begins[1:] |= at.ends[:-1]
    return Marks(begins, at.ends, at.opened)


def _within_a_session(bar_seconds: int) -> None:
    if bar_seconds >= DAY_SECONDS:
        raise ValueError(
            "higher_time_frame counts bars within a session; the data have bars of a day or longer."
        )


class MarksInTurn:
    """`marks` of bars that come one after another."""

    def __init__(self, calendar: str, bar_seconds: int, factor: int) -> None:
        _within_a_session(bar_seconds)
        self.calendar, self.bar_seconds, self.factor = calendar, bar_seconds, factor
        self.begin()

    def begin(self) -> None:
        """Forget all bars: the next one begins a longer bar."""
        self._last: tuple[int, int, bool] | None = None

    def next(self, bar_utc: np.datetime64, session: int) -> Marks:
        """Marks of the next bar, (1,) each."""
        opened, closed = (int(limit.astype(np.int64)) for limit in bounds_of_session(self.calendar, session))
        at = _clock(
            int(bar_utc.astype("datetime64[ns]").astype(np.int64)),
            opened,
            closed,
            self.bar_seconds,
            self.factor,
        )
        begins = self._last is None or self._last[:2] != (at.bucket, session) or self._last[2]
        self._last = (at.bucket, session, at.ends)
        return Marks(np.array([begins]), np.array([at.ends]), np.array([at.opened]))

    def go_on_after(self, bar_utc: np.datetime64, session: int) -> None:
        """Take the bar as the last one before the next."""
        self.next(bar_utc, session)


class LongerBars:
    """Longer bars that are put together from short ones as these arrive.

    Parameters
    ----------
    num_assets : A. width_seconds : of a longer bar.
    """

    def __init__(self, num_assets: int, width_seconds: int) -> None:
        self._width = width_seconds
        self._bar = np.full((PARTS, num_assets), np.nan)
        # Whether a bar is being made, its session, its opening and that of the last complete one.
        self._facts = np.array([0, 0, 0, _NEVER], dtype=np.int64)

    def add(
        self, rows: Any, session: Any, at: Marks
    ) -> tuple[dict[str, FloatArray], NDArray[np.int64], NDArray[np.int64]]:
        """Take the next short bars.

        Parameters
        ----------
        rows : (6, T, A) open, high, low, close, volume, tradable. session : (T,). at : of these bars.

        Returns
        -------
        bars : of the longer bars that are complete by now, in order: prices, volume and tradable (C, A), session and
            after_closed_market (C, 1). opened : (C,) ns. newest : (T,) the last of them that was complete at the close
            of each short bar; -1: one of an earlier call, or none.
        """
        count, num_assets = rows.shape[1], rows.shape[2]
        out = np.empty((PARTS, 2 * count, num_assets))
        facts, newest = np.empty((3, 2 * count), np.int64), np.empty(count, np.int64)
        step = self._width * _SECOND if self._width < DAY_SECONDS else 0
        made = _join(
            rows, np.asarray(session, np.int64), *at, self._bar, self._facts, step, out, facts, newest
        )
        return self._named(out[:, :made], facts[:, :made]), facts[1, :made], newest

    def begun(self) -> tuple[dict[str, FloatArray], NDArray[np.int64]]:
        """The longer bar that is being made, as it is so far: none or one, as `add` gives them."""
        out, facts = np.empty((PARTS, 1, self._bar.shape[1])), np.empty((3, 1), np.int64)
        step = self._width * _SECOND if self._width < DAY_SECONDS else 0
        made = _push(self._bar, self._facts.copy(), step, out, facts, 0) if self._facts[0] else 0
        return self._named(out[:, :made], facts[:, :made]), facts[1, :made]

    def _named(self, out: FloatArray, facts: NDArray[np.int64]) -> dict[str, FloatArray]:
        named = dict(zip(("open", "high", "low", "close", "volume", "tradable"), out, strict=True))
        return named | {
            "session": facts[0][:, None].astype(np.float64),
            "after_closed_market": facts[2][:, None].astype(np.float64),
        }


PARTS = 6
_NEVER = np.iinfo(np.int64).min


@compiled
def _push(bar, now, step, out, facts, made):  # type: ignore[no-untyped-def]
    """Write the bar that is being made as number `made` of out; returns how many there are then."""
    for part in range(PARTS):
        for a in range(bar.shape[1]):
            out[part, made, a] = bar[part, a]
    facts[0, made], facts[1, made] = now[1], now[2]
    facts[2, made] = 1 if step > 0 and now[3] != _NEVER and now[2] - now[3] != step else 0
    now[0], now[3] = 0, now[2]
    return made + 1


@compiled
def _join(rows, session, begins, ends, opened, bar, now, step, out, facts, newest):  # type: ignore[no-untyped-def]
    made = 0
    for t in range(rows.shape[1]):
        if begins[t]:
            if now[0]:
                made = _push(bar, now, step, out, facts, made)
            for a in range(bar.shape[1]):
                for part in range(4):
                    bar[part, a] = np.nan
                bar[4, a], bar[5, a] = 0.0, 0.0
            now[0], now[1], now[2] = 1, session[t], opened[t]
        for a in range(bar.shape[1]):
            if rows[3, t, a] == rows[3, t, a]:
                if bar[3, a] != bar[3, a]:
                    for part in range(3):
                        bar[part, a] = rows[part, t, a]
                bar[1, a], bar[2, a] = max(bar[1, a], rows[1, t, a]), min(bar[2, a], rows[2, t, a])
                bar[3, a] = rows[3, t, a]
            bar[4, a] += rows[4, t, a]
            bar[5, a] = max(bar[5, a], rows[5, t, a])
        if ends[t]:
            made = _push(bar, now, step, out, facts, made)
        newest[t] = made - 1
    return made


@compiled
def show_newest(block, own, last, newest, stride):  # type: ignore[no-untyped-def]
    """Write what the newest complete longer bar says at each short one; `last` : what the one before said."""
    for k in range(len(block)):
        for t in range(len(newest)):
            for a in range(stride):
                if newest[t] >= 0:
                    last[k, a] = own[k, newest[t] * stride + a]
                block[k, t * stride + a] = last[k, a]
