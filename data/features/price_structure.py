"""Price structure: levels of sessions, displacement, fair value gaps, swings, equal highs and lows, order blocks.

A swing is a bar that stands out among those around it, so it is known only once the bars after it have closed: here a
swing enters at the bar that confirms it, `strength_bars` later, and not before.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from data.array_types import FloatArray
from data.features.definition import (
    BAR_AND_WINDOW,
    MISSING,
    SIGNED_SHARE,
    WINDOW,
    Feature,
    bars_of,
    named_outputs,
    positive,
)
from data.features.price_gaps import falling_gaps, rising_gaps
from data.features.series import before, body, full_range, known, quotient, shared
from data.features.sessions import opening_range as range_of_opening
from data.features.sessions import session_path
from data.features.window_extremes import Events, highest, last_events
from data.features.window_sums import trailing_sum, window_mean
from data.schema import Panel


def prior_session(panel: Panel, *, session_bars: int) -> FloatArray:
    """(T, A, 4) log(close / level) of the prior session's high, low, equilibrium (their middle) and close."""
    path = session_path(panel, session_bars)
    high, low = path.before_high, path.before_low
    levels = (high, low, (high + low) / 2.0, path.before_close)
    return np.stack([np.log(panel.close / level) for level in levels], axis=2)


def session_position(panel: Panel, *, session_bars: int) -> FloatArray:
    """(T, A, 2) where the close stands in the session's range so far, 0 to 1 (0.5 without one), and log(close
    / open).
    """
    path = session_path(panel, session_bars)
    place = quotient(panel.close - path.low, path.high - path.low, still=0.5)
    return np.stack([place, np.log(panel.close / path.open)], axis=2)


def opening_range(panel: Panel, *, session_bars: int, opening_bars: int) -> FloatArray:
    """(T, A, 2) log(close / high) and log(close / low) of the session's first `opening_bars` bars, once they
    have closed.
    """
    high, low = range_of_opening(panel, session_bars, opening_bars)
    return np.stack([np.log(panel.close / level) for level in (high, low)], axis=2)


@shared
def displaced(panel: Panel, window_bars: int, multiple: float) -> FloatArray:
    """(T, A) sign of the body where it exceeds `multiple` times the mean body of the window before, else 0."""
    size = np.abs(body(panel))
    usual = before(window_mean(size, window_bars))
    flag = np.where(size > multiple * usual, np.sign(body(panel)), 0.0)
    return np.where(np.isnan(size) | np.isnan(usual), np.nan, flag)


def displacement(panel: Panel, *, window_bars: int, multiple: float) -> FloatArray:
    """(T, A, 2) 1 or -1 at a bar whose body exceeds `multiple` times the mean one before, else 0; share of
    such bars.
    """
    flag = displaced(panel, window_bars, multiple)
    return np.stack([flag, window_mean(np.abs(flag), window_bars)], axis=2)


def fair_value_gap(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A, 5) log(close / far edge) of the newest open gap up and down (0 if none is open), share of bars that
    opened a
    gap up and down, and the share of the window's gaps that are filled (0 if there was none)."""
    rising = rising_gaps(panel.high, panel.low, window_bars)
    falling = falling_gaps(panel.high, panel.low, window_bars)
    both = known(panel) & ~np.isnan(before(panel.close, 2))
    densities = [
        window_mean(np.where(both, opened, np.nan), window_bars)
        for opened in (panel.low > before(panel.high, 2), panel.high < before(panel.low, 2))
    ]
    # Counted whatever share of the window is known, as the open ones are.
    both_ways = (panel.low > before(panel.high, 2)).astype(np.float64) + (panel.high < before(panel.low, 2))
    number = trailing_sum(both_ways, window_bars)
    filled = quotient(number - (rising.number + falling.number), number)
    distances = [
        np.where(np.isnan(gaps.far_edge), 0.0 * panel.close, np.log(panel.close / gaps.far_edge))
        for gaps in (rising, falling)
    ]
    return np.stack([*distances, *densities, filled], axis=2)


@shared
def swings(panel: Panel, strength_bars: int, window_bars: int) -> tuple[Events, Events]:
    """The last two swing highs and swing lows that were confirmed at bars t - window_bars + 1 to t.

    A swing high is above the `strength_bars` highs before it and not below the `strength_bars` after it.
    """
    return (
        last_events(_swing_high(panel.high, strength_bars), window_bars),
        _negative(last_events(_swing_high(-panel.low, strength_bars), window_bars)),
    )


def _swing_high(high: FloatArray, strength_bars: int) -> FloatArray:
    """(T, A) at the bar that confirms it: the swing's high, `strength_bars` earlier; NaN elsewhere."""
    earlier = before(highest(high, strength_bars), strength_bars + 1)
    later = highest(high, strength_bars)
    at = before(high, strength_bars)
    return np.where((at > earlier) & (at >= later), at, np.nan)


def _negative(events: Events) -> Events:
    return Events(-events.last, -events.previous, events.age)


def swing(panel: Panel, *, strength_bars: int, window_bars: int) -> FloatArray:
    """(T, A, 4) log(close / last confirmed swing high), the same of the swing low, and the ages of both, share
    of window.
    """
    high, low = swings(panel, strength_bars, window_bars)
    distances = [np.log(panel.close / events.last) for events in (high, low)]
    return np.stack([*distances, high.age / window_bars, low.age / window_bars], axis=2)


def break_of_structure(panel: Panel, *, strength_bars: int, window_bars: int) -> FloatArray:
    """(T, A) 1 where the close is above the last confirmed swing high, -1 where below the last swing low, else 0."""
    high, low = swings(panel, strength_bars, window_bars)
    side = (panel.close > high.last).astype(np.float64) - (panel.close < low.last)
    unknown = ~known(panel) | (np.isnan(high.last) & np.isnan(low.last))
    return np.where(unknown, np.nan, side)


def equal_levels(panel: Panel, *, strength_bars: int, window_bars: int) -> FloatArray:
    """(T, A, 2) distance between the last two confirmed swing highs, and lows, in mean true ranges; at most 100."""
    usual = window_mean(full_range(panel), window_bars)
    high, low = swings(panel, strength_bars, window_bars)
    apart = [quotient(np.abs(e.last - e.previous), usual, still=0.0) for e in (high, low)]
    return np.stack([np.minimum(part, 100.0) for part in apart], axis=2)


def order_block(panel: Panel, *, window_bars: int, multiple: float) -> FloatArray:
    """(T, A, 2) log(close / middle) of the newest order block, up and down: the last opposite bar before a
    displacement.
    """
    flag, side = displaced(panel, window_bars, multiple), np.sign(body(panel))
    middle = before((panel.high + panel.low) / 2.0)
    found = [
        last_events(np.where((flag == way) & (before(side) == -way), middle, np.nan), window_bars).last
        for way in (1.0, -1.0)
    ]
    return np.stack([np.log(panel.close / level) for level in found], axis=2)


def _of_swings(params: Mapping[str, Any]) -> int:
    return int(params["window_bars"]) - 1 + 2 * int(params["strength_bars"])


def _session(sessions: int, params: Mapping[str, Any]) -> int:
    return sessions * int(params["session_bars"])


def _shorter_opening(params: Mapping[str, Any]) -> None:
    if params["opening_bars"] > params["session_bars"]:
        raise ValueError(
            f"opening_bars is {params['opening_bars']}; it must be at most session_bars, {params['session_bars']}."
        )


_structure = partial(Feature, kind="asset", subject="price_structure", by_blocks=True)
_LONG_SESSION = f"{MISSING}, and in or after a session longer than session_bars"
_NO_SWING = f"{MISSING}, and where no swing was confirmed in the window"

STRUCTURE_FEATURES = (
    _structure(
        name="prior_session",
        function=prior_session,
        lookback_bars=partial(_session, 2),
        outputs=named_outputs("high", "low", "equilibrium", "close"),
        unit="log ratio",
        unknown=_LONG_SESSION,
        source="prior day's levels",
    ),
    _structure(
        name="session_position",
        function=session_position,
        lookback_bars=partial(_session, 1),
        outputs=named_outputs("", "return"),
        unit="share of the range; log return",
        unknown=_LONG_SESSION,
        source="session's range",
    ),
    _structure(
        name="opening_range",
        function=opening_range,
        lookback_bars=partial(_session, 1),
        outputs=named_outputs("high", "low"),
        check=_shorter_opening,
        unit="log ratio",
        unknown=f"{_LONG_SESSION}, and until the opening bars have closed",
        source="Crabel 1990",
    ),
    _structure(
        name="displacement",
        function=displacement,
        lookback_bars=lambda p: 2 * p["window_bars"] - 1,
        outputs=named_outputs("", "density"),
        check=positive("multiple"),
        unit="flag; share of bars",
        bounds=SIGNED_SHARE,
        unknown=BAR_AND_WINDOW,
        source="body over its mean",
    ),
    _structure(
        name="fair_value_gap",
        function=fair_value_gap,
        lookback_bars=partial(bars_of, "window_bars", 1),
        outputs=named_outputs("up", "down", "up_density", "down_density", "filled"),
        unit="log ratios; shares",
        unknown=f"distances {MISSING}, densities {WINDOW}",
        source="three-bar gaps",
    ),
    _structure(
        name="swing",
        function=swing,
        lookback_bars=_of_swings,
        outputs=named_outputs("high", "low", "high_age", "low_age"),
        unit="log ratio; share of the window",
        unknown=_NO_SWING,
        source="Williams 1995, fractals",
    ),
    _structure(
        name="break_of_structure",
        function=break_of_structure,
        lookback_bars=_of_swings,
        unit="flag",
        bounds=SIGNED_SHARE,
        unknown=_NO_SWING,
        source="close beyond the last swing",
    ),
    _structure(
        name="equal_levels",
        function=equal_levels,
        lookback_bars=lambda p: max(_of_swings(p), p["window_bars"]),
        outputs=named_outputs("high", "low"),
        unit="mean true ranges",
        bounds=(0.0, 100.0),
        unknown=f"where fewer than two swings were confirmed in the window, and {WINDOW}",
        source="distance of swings",
    ),
    _structure(
        name="order_block",
        function=order_block,
        lookback_bars=lambda p: 2 * p["window_bars"] - 1,
        outputs=named_outputs("up", "down"),
        check=positive("multiple"),
        unit="log ratio",
        bounds=(-np.inf, np.inf),
        unknown=f"{MISSING}, and where the window has no order block",
        source="last opposite bar before a displacement",
    ),
)
