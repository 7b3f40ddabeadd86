"""Context bars: symbols that are read and not traded, of other calendars and bar lengths, beside the bars of a panel.

Each bar of the panel is given the newest context bar that had closed when it closed: a daily bar of the VIX counts from
the session's close on, not from its date. The context becomes columns of the panel, `VIX.open` to `VIX.volume`, the
same for every asset, which features read as references (`data.features.references`) and leak checks redraw as any
other.

Axes: T time of the panel, A asset, J time of the context.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.array_types import TimeArray
from data.errors import DataError
from data.features.panel_parts import session_limits
from data.schema import BAR_COLUMNS, Panel


def join_context(panel: Panel, context: Panel, *, max_age_seconds: int) -> Panel:
    """Return the panel with the bars of every symbol of `context` as further columns.

    Parameters
    ----------
    context : bars of symbols that the panel does not trade; any calendar and bar length.
    max_age_seconds : how long after its close a context bar stands for the present, seconds; then the columns are NaN
        until the next one. A daily index before a long weekend is four days old.

    Raises
    ------
    DataError
        If a symbol is traded by the panel, a column of that name is there already, or `max_age_seconds` is below 0.
    """
    if max_age_seconds < 0:
        raise DataError(f"max_age_seconds is {max_age_seconds}; it must be 0 seconds or more.")
    closed, known = closing_instants(panel), closing_instants(context)
    columns = dict(panel.exogenous)
    for asset, symbol in enumerate(context.symbols):
        if symbol in panel.symbols:
            raise DataError(f"{symbol} is traded by the panel; leave it out of the context.")
        there = np.flatnonzero(np.isfinite(context.close[:, asset]))
        at = np.searchsorted(known[there], closed, side="right") - 1
        row = there[np.maximum(at, 0)] if len(there) else np.zeros(panel.num_bars, dtype=np.int64)
        age = (closed - known[row]) / np.timedelta64(1, "s")
        fresh = (at >= 0) & (age <= max_age_seconds) & bool(len(there))
        for name in BAR_COLUMNS:
            column = f"{symbol}.{name}"
            if column in columns:
                raise DataError(
                    f"The data have a column {column!r} already; rename it, or leave {symbol} out."
                )
            values = np.where(fresh, getattr(context, name)[row, asset], np.nan)
            columns[column] = np.repeat(values[:, None], panel.num_assets, axis=1)
    return replace(panel, exogenous=columns).with_ends(panel.end_bar)


def closing_instants(panel: Panel) -> TimeArray:
    """Return (T,) when each bar is known: its length after it opened, or the close of its session if that
    comes first.
    """
    _, session_closed = session_limits(panel)
    return np.minimum(panel.bar_utc + np.timedelta64(panel.bar_seconds, "s"), session_closed)
