"""Where a bar stands in its session: sums and extremes since the session's first bar, and those of the session before.

A session is known from its first bar on only if that bar is seen to be the first: the bar before it is of another
session. So a feature of a session looks back `session_bars` bars, a number of the user's that no session of the data
should exceed: in bars of one minute 390 of New York's stocks, 1,380 of CME's futures, 1,440 of a market without a
close. What would need more is NaN, never a sum over a part of a session.

Axes: T time, A asset.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from data.array_types import FloatArray
from data.features.kernels import compiled
from data.features.plan import codes
from data.features.plan.graph import Series
from data.features.series import shared
from data.schema import Panel


class SessionPath(NamedTuple):
    """Of the session of t, over its known bars up to t, (T, A) each; NaN where the first bar of the session is not
    seen.

    value, volume : sum of typical price times volume, and of volume. open, high, low : of the session so far.
    before_high, before_low, before_close : of the whole session before.
    """

    value: FloatArray
    volume: FloatArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    before_high: FloatArray
    before_low: FloatArray
    before_close: FloatArray


def session_path(panel: Panel, session_bars: int) -> SessionPath:
    """The path of every bar's session, computed once for all features that ask for the same `session_bars`."""
    return _session_path(panel, session_bars)


@shared
def _session_path(panel: Panel, session_bars: int) -> SessionPath:
    return SessionPath(*_walked(codes.SESSION, panel, len(SessionPath._fields), session_bars))


def opening_range(panel: Panel, session_bars: int, opening_bars: int) -> tuple[FloatArray, FloatArray]:
    """Return (T, A) the highest and lowest price of the session's first `opening_bars` bars, NaN until they
    have closed.
    """
    high, low = _walked(codes.OPENING, panel, 2, session_bars, opening_bars)
    return high, low


def _walked(code: int, panel: Panel, outputs: int, *numbers: int) -> tuple[FloatArray, ...]:
    """What the walk of this code writes, (T, A) each, or the series of it."""
    read = (panel.open, panel.high, panel.low, panel.close, panel.volume)
    if isinstance(panel.close, Series):
        return panel.open.steps(code, outputs, *read[1:], panel.session, whole=numbers)
    shape, size = panel.close.shape, panel.close.size
    mem = np.full((READ + outputs) * size, np.nan)
    for k, values in enumerate(read):
        mem[k * size : (k + 1) * size] = values.reshape(-1)
    mem[5 * size : READ * size] = np.repeat(panel.session, shape[1])
    at, places = (np.arange(first, last) * size for first, last in ((0, READ), (READ, READ + outputs)))
    memory = np.full(state_size(code, shape[1]), np.nan)
    walk = walk_sessions if code == codes.SESSION else walk_opening
    walk(mem, at, shape[0], shape[1], *numbers, memory, places)
    return tuple(mem[place : place + size].reshape(shape) for place in places)


READ = 6
"""Series that a walk reads: open, high, low, close, volume, session."""
_PARTS = 9
"""Numbers of each asset that a walk over sessions remembers."""


def state_size(code: int, num_assets: int) -> int:
    """How many numbers a walk remembers from bar to bar; all NaN before the first one."""
    return 2 + (_PARTS if code == codes.SESSION else 2) * num_assets


@compiled
def walk_sessions(mem, at, rows, stride, session_bars, state, places):  # type: ignore[no-untyped-def]
    """Write `SessionPath` of the next bars to the places of mem that are asked for (not -1).

    at : (READ,) where in mem the series that are read begin. state : what was so far: session, bars of it (NaN: its
    first bar was not seen), and of each asset value, volume, open, high, low, close of it, and high, low, close of the
    one before.
    """
    now = state[2:]
    for t in range(rows):
        session = mem[at[5] + t * stride]
        if state[0] == state[0] and session != state[0]:
            whole = 0.0 < state[1] <= session_bars
            for a in range(stride):
                for k in range(3):
                    now[(6 + k) * stride + a] = now[(3 + k) * stride + a] if whole else np.nan
                now[a], now[stride + a] = 0.0, 0.0
                for k in range(2, 6):
                    now[k * stride + a] = np.nan
            state[1] = 0.0
        state[0] = session
        state[1] += 1.0
        told = state[1] <= session_bars
        if state[1] == state[1]:
            for a in range(stride):
                i = t * stride + a
                high, low, close, volume = mem[at[1] + i], mem[at[2] + i], mem[at[3] + i], mem[at[4] + i]
                if close == close:
                    now[a] += (high + low + close) / 3.0 * volume
                    now[stride + a] += volume
                    if now[2 * stride + a] != now[2 * stride + a]:
                        now[2 * stride + a] = mem[at[0] + i]
                        now[3 * stride + a], now[4 * stride + a] = high, low
                    now[3 * stride + a] = max(now[3 * stride + a], high)
                    now[4 * stride + a] = min(now[4 * stride + a], low)
                    now[5 * stride + a] = close
        for k in range(8):
            if places[k] >= 0:
                # The close of the session so far is the bar's own, and is not told.
                part = (k if k < 5 else k + 1) * stride
                for a in range(stride):
                    mem[places[k] + t * stride + a] = now[part + a] if told else np.nan


@compiled
def walk_opening(mem, at, rows, stride, session_bars, opening_bars, state, places):  # type: ignore[no-untyped-def]
    """Write the highest and lowest price of the session's first bars, as `walk_sessions` does."""
    now = state[2:]
    for t in range(rows):
        session = mem[at[5] + t * stride]
        if state[0] == state[0] and session != state[0]:
            state[1] = 0.0
            for k in range(2 * stride):
                now[k] = np.nan
        state[0] = session
        state[1] += 1.0
        told = opening_bars <= state[1] <= session_bars
        for a in range(stride):
            high, low = mem[at[1] + t * stride + a], mem[at[2] + t * stride + a]
            if state[1] <= opening_bars and high == high:
                now[a] = high if now[a] != now[a] else max(now[a], high)
                now[stride + a] = low if now[stride + a] != now[stride + a] else min(now[stride + a], low)
            for k in range(2):
                if places[k] >= 0:
                    mem[places[k] + t * stride + a] = now[k * stride + a] if told else np.nan
