"""Features of each asset's own bars; the table of their names is `ASSET_FEATURES`, at the end.

A missing bar is not filled: a value that needs it is NaN (not known), and a window mean is taken over the
bars that are there, if at least half of them are.

Axes: T time, A asset.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray
from data.calendars import DAY_SECONDS
from data.errors import DataError, nearest_name
from data.features.definition import (
    BAR_AND_WINDOW,
    MISSING,
    POSITIVE,
    SIGNED_SHARE,
    WINDOW,
    Feature,
    bars_of,
)
from data.features.plan.graph import Series
from data.features.series import before, change, gains, losses, volume_known
from data.features.windows import trailing_mean
from data.schema import Panel

FloatArray = NDArray[np.float64]


def log_return(panel: Panel, *, horizon_bars: int) -> FloatArray:
    """Return (T, A) log(close[t] / close[t - horizon_bars]), gaps between sessions included."""
    moved = change(panel, horizon_bars)
    if isinstance(moved, Series):
        return moved
    return np.where(np.arange(panel.num_bars)[:, None] < horizon_bars, np.nan, moved)


def realised_volatility(panel: Panel, *, window_bars: int) -> FloatArray:
    """Return (T, A) the root mean square of one-bar log returns over the window, per bar.

    Returns across a closed market (the time step is not one bar) are left out; in daily bars there are none.
    """
    return np.sqrt(trailing_mean(one_bar_log_return(panel) ** 2, window_bars))


def atr(panel: Panel, *, window_bars: int) -> FloatArray:
    """Return (T, A) the mean true range over the window, as a fraction of close[t].

    Simple mean in place of Wilder's exponential one (Wilder 1978), whose lookback has no end. After a closed
    market the true range is high - low.
    """
    ranges = true_range(panel.high, panel.low, _close_before(panel))
    missing_as_nan = 0.0 * panel.close
    return trailing_mean(ranges + missing_as_nan, window_bars) / panel.close


def rsi(panel: Panel, *, window_bars: int) -> FloatArray:
    """Return (T, A) the relative strength index on simple means (Cutler's) in [-1, 1]; 0 if nothing moved.

    It is (gains - losses) / (gains + losses), which is RSI / 50 - 1 of the usual [0, 100] scale.
    """
    up, down = trailing_mean(gains(panel), window_bars), trailing_mean(losses(panel), window_bars)
    total = up + down
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total == 0.0, 0.0, (up - down) / total)


def relative_volume(panel: Panel, *, window_bars: int) -> FloatArray:
    """Return (T, A) log((1 + volume[t] / mean volume of the window before t) / 2): 0 at the usual volume.

    NaN at a missing bar, or where the window held no volume.
    """
    volume = volume_known(panel)
    usual = before(trailing_mean(volume, window_bars))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(usual > 0.0, np.log((1.0 + volume / usual) / 2.0), np.nan)


def column(panel: Panel, *, name: str) -> FloatArray:
    """Return (T, A, K) the exogenous columns whose name matches the pattern `name` (`signal`, `noise_*`)."""
    return np.stack([panel.exogenous[match] for match in matching_columns(panel, {"name": name})], axis=2)


def matching_columns(panel: Panel, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the exogenous columns that `params["name"]` matches, in the panel's order."""
    pattern = str(params["name"])
    found = tuple(name for name in panel.exogenous if fnmatch.fnmatchcase(name, pattern))
    if not found:
        known = list(panel.exogenous)
        raise DataError(
            f"The data have no column {pattern!r}{nearest_name(pattern, known)}; "
            f"beyond OHLCV they have {', '.join(known) or 'none'}."
        )
    return found


def one_bar_log_return(panel: Panel) -> FloatArray:
    """Return (T, A) log(close[t] / close[t - 1]), NaN across a closed market."""
    return np.where(_first_after(panel), np.nan, change(panel, 1))


def true_range(high: FloatArray, low: FloatArray, before: FloatArray) -> FloatArray:
    """Return Wilder's true range (1978) of bars, of any shape: max(high, before) - min(low, before).

    before : the close before each bar; NaN where there is none, which leaves high - low.
    """
    return np.fmax(high, before) - np.fmin(low, before)


def _close_before(panel: Panel) -> FloatArray:
    """(T, A) close of the bar before, NaN after a closed market or a missing bar."""
    return np.where(_first_after(panel), np.nan, before(panel.close))


def _first_after(panel: Panel) -> BoolArray:
    """(T, 1) True at the first bar after a closed market."""
    if isinstance(panel.close, Series):
        return panel.after_closed_market
    return after_closed_market(panel)[:, None]


def after_closed_market(panel: Panel) -> NDArray[np.bool_]:
    """Return (T,) True where a bar of less than a day does not follow the one before it at once."""
    step = np.timedelta64(panel.bar_seconds, "s")
    gap = np.zeros(panel.num_bars, dtype=bool)
    if panel.bar_seconds < DAY_SECONDS:
        gap[1:] = np.diff(panel.bar_utc) != step
    return gap


# Bars t - n + 1 to t, and one further back (the last close, or the window before t): n bars before t.
_WINDOW = partial(bars_of, "window_bars", 0)


_price = partial(Feature, kind="asset", subject="technical", by_blocks=True)

ASSET_FEATURES = (
    _price(
        name="log_return",
        function=log_return,
        lookback_bars=partial(bars_of, "horizon_bars", 0),
        unit="log return",
        unknown="where one of the two bars is missing",
        source="definition",
    ),
    _price(
        name="realised_volatility",
        function=realised_volatility,
        lookback_bars=_WINDOW,
        subject="volatility_state",
        unit="standard deviation per bar",
        bounds=POSITIVE,
        unknown=WINDOW,
        source="Andersen and Bollerslev 1998",
    ),
    _price(
        name="atr",
        function=atr,
        lookback_bars=_WINDOW,
        unit="fraction of close",
        bounds=POSITIVE,
        unknown=BAR_AND_WINDOW,
        source="Wilder 1978, simple means",
    ),
    _price(
        name="rsi",
        function=rsi,
        lookback_bars=_WINDOW,
        unit="RSI / 50 - 1",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Cutler's RSI",
    ),
    _price(
        name="relative_volume",
        function=relative_volume,
        lookback_bars=_WINDOW,
        subject="volume_price",
        unit="log ratio",
        bounds=(-np.log(2.0), np.inf),
        unknown=f"{MISSING}, and where the window before held no volume or too few bars",
        source="volume over its mean",
    ),
    _price(
        name="column",
        function=column,
        outputs=matching_columns,
        subject="columns",
        unit="as of the column",
        unknown="where the column is not known",
        source="the data's own columns",
    ),
)
