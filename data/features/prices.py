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
from data.features.windows import trailing_mean
from data.schema import Panel

FloatArray = NDArray[np.float64]


def log_return(panel: Panel, *, horizon_bars: int) -> FloatArray:
    """Return (T, A) log(close[t] / close[t - horizon_bars]), gaps between sessions included."""
    out = np.full(panel.close.shape, np.nan)
    if horizon_bars < panel.num_bars:
        out[horizon_bars:] = np.log(panel.close[horizon_bars:]) - np.log(panel.close[:-horizon_bars])
    return out


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
    change = np.full(panel.close.shape, np.nan)
    change[1:] = np.diff(panel.close, axis=0)
    gains = trailing_mean(np.maximum(change, 0.0), window_bars)
    losses = trailing_mean(np.maximum(-change, 0.0), window_bars)
    total = gains + losses
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total == 0.0, 0.0, (gains - losses) / total)


def relative_volume(panel: Panel, *, window_bars: int) -> FloatArray:
    """Return (T, A) log((1 + volume[t] / mean volume of the window before t) / 2): 0 at the usual volume.

    NaN at a missing bar, or where the window held no volume.
    """
    volume = np.where(np.isfinite(panel.close), panel.volume, np.nan)
    usual = np.full(volume.shape, np.nan)
    usual[1:] = trailing_mean(volume, window_bars)[:-1]
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
    out = np.full(panel.close.shape, np.nan)
    out[1:] = np.diff(np.log(panel.close), axis=0)
    out[after_closed_market(panel)] = np.nan
    return out


def true_range(high: FloatArray, low: FloatArray, before: FloatArray) -> FloatArray:
    """Return Wilder's true range (1978) of bars, of any shape: max(high, before) - min(low, before).

    before : the close before each bar; NaN where there is none, which leaves high - low.
    """
    return np.fmax(high, before) - np.fmin(low, before)


def _close_before(panel: Panel) -> FloatArray:
    """(T, A) close of the bar before, NaN after a closed market or a missing bar."""
    before = np.full(panel.close.shape, np.nan)
    before[1:] = panel.close[:-1]
    before[after_closed_market(panel)] = np.nan
    return before


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
