"""When a stand-in market trades, and which part of a session's variance and volume each bar has.

Axes: T time (bars), S session.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import FloatArray, TimeArray
from data.calendars import DAY_SECONDS, bar_grid, periods_per_year, session_bounds
from data.errors import DataError
from data.schema import utc_instant
from data.stand_in.law import ActiveHours, DayShape, StandInConfig


@dataclass(frozen=True, kw_only=True)
class Hours:
    """The bars and how the day lies over them.

    Parameters
    ----------
    bar_utc, session : (T,) as in `data.schema.Panel`.
    place : (T,) index of the bar's session among all sessions, 0 to S - 1.
    first_bar : (S,) index of each session's first bar.
    variance_share : (T,) part of a full day's variance that falls into the bar; the rest is overnight.
    volume_share : (T,) part of a full session's volume.
    """

    bar_utc: TimeArray
    session: NDArray[np.int32]
    place: NDArray[np.int64]
    first_bar: NDArray[np.int64]
    variance_share: FloatArray
    volume_share: FloatArray


def trading_hours(config: StandInConfig) -> Hours:
    """The first `num_bars` bars of the calendar from `start_utc` on.

    Raises
    ------
    data.errors.DataError
        If the calendar has no such bars.
    """
    bar_utc, session = _first_bars(config)
    _, first_bar, place = np.unique(session, return_index=True, return_inverse=True)
    where = _place_in_day(config, bar_utc, session)
    intraday = 1.0 - config.overnight_share
    variance = intraday * _shares(day_level(config.volatility_shape, where) ** 2, first_bar)
    return Hours(
        bar_utc=bar_utc,
        session=session,
        place=place.astype(np.int64),
        first_bar=first_bar.astype(np.int64),
        variance_share=variance,
        volume_share=_shares(day_level(config.volume_shape, where), first_bar),
    )


def day_level(shape: DayShape, where_T: FloatArray) -> FloatArray:
    """(T,) the level of a shape at places of the active hours, 0 to 1; NaN is outside of them."""
    inside = (
        shape.middle
        + shape.open * np.exp(-shape.decay * where_T)
        + shape.close * np.exp(-shape.decay * (1.0 - where_T))
    )
    return np.where(np.isnan(where_T), shape.outside, inside)


def _first_bars(config: StandInConfig) -> tuple[TimeArray, NDArray[np.int32]]:
    start = utc_instant(config.start_utc)
    years = config.num_bars / periods_per_year(config.calendar, config.bar_seconds)
    # A tenth and ten days more than the mean needs: holidays are not spread evenly.
    stop = start + np.timedelta64(round((1.1 * years * 365.25 + 10.0) * DAY_SECONDS), "s")
    grid = bar_grid(config.calendar, config.bar_seconds, start, stop)
    if len(grid.bar_utc) < config.num_bars:
        raise DataError(
            f"The calendar {config.calendar!r} has {len(grid.bar_utc):,} bars from {config.start_utc} to "
            f"{stop.astype('datetime64[D]')}, not {config.num_bars:,}; begin earlier or ask for fewer."
        )
    return grid.bar_utc[: config.num_bars], grid.session[: config.num_bars]


def _place_in_day(config: StandInConfig, bar_utc: TimeArray, session: NDArray[np.int32]) -> FloatArray:
    """(T,) where the middle of each bar lies in the active hours, 0 to 1; NaN outside of them."""
    opens, closes = session_bounds(config.calendar, session)
    step = np.timedelta64(config.bar_seconds, "s")
    ends = np.minimum(bar_utc + step, closes)
    middle = bar_utc + (ends - bar_utc) // 2
    if config.active_hours is None:
        return np.asarray((middle - opens) / (closes - opens), dtype=np.float64)
    minute = local_minute(middle, config.active_hours)
    low, high = config.active_hours.open_minute, config.active_hours.close_minute
    where = (minute - low) / (high - low)
    return np.where((where >= 0.0) & (where <= 1.0), where, np.nan)


def local_minute(instant_T: TimeArray, hours: ActiveHours) -> FloatArray:
    """(T,) minutes from local midnight."""
    local = pd.DatetimeIndex(instant_T).tz_localize("UTC").tz_convert(hours.timezone)
    return np.asarray(local.hour * 60.0 + local.minute + local.second / 60.0, dtype=np.float64)


def _shares(level_T: FloatArray, first_bar: NDArray[np.int64]) -> FloatArray:
    """(T,) levels divided by the sum over a full session, which is the largest that there is: half-days have less."""
    return level_T / np.add.reduceat(level_T, first_bar).max()
