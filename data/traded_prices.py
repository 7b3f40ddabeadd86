"""Prices that features see, and the prices that were traded at, where the two differ: series of joined contracts.

Features look at a series without the steps from one contract to the next. Orders are filled, and positions marked, at
the prices of the contract that is held. A panel of such a series has the first as its prices, and these columns:

| column         | meaning                                                                                       |
|----------------|-----------------------------------------------------------------------------------------------|
| `price_offset` | traded price = price + offset; of series that are joined by differences                       |
| `price_scale`  | traded price = price * scale; of series that are joined by ratios                             |
| `roll_close`   | in the first bar of a contract the open of the one that is left, as traded; NaN in other bars |

Both are those of the bar they stand in, known at its open, and never change for a bar that is past.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from data.array_types import FloatArray
from data.last_known import carried
from data.schema import PRICE_COLUMNS, Panel

OFFSET, SCALE, ROLL = "price_offset", "price_scale", "roll_close"
COLUMNS = (OFFSET, SCALE, ROLL)
DECIMALS = 9
"""Prices are quoted with fewer; what the arithmetic of adjusting adds beyond them is rounded away."""


def is_adjusted(panel: Panel) -> bool:
    """Whether prices of the panel are others than those that were traded at."""
    return OFFSET in panel.exogenous or SCALE in panel.exogenous


def terms(panel: Panel) -> tuple[FloatArray, FloatArray]:
    """(T, A) scale and offset: traded price = price * scale + offset; 1 and 0 where nothing is known of them."""
    scale, offset = panel.exogenous.get(SCALE), panel.exogenous.get(OFFSET)
    ones, zeros = np.ones(panel.close.shape), np.zeros(panel.close.shape)
    return (
        ones if scale is None else np.where(np.isfinite(scale), scale, 1.0),
        zeros if offset is None else np.where(np.isfinite(offset), offset, 0.0),
    )


def traded_prices(panel: Panel) -> dict[str, FloatArray]:
    """open, high, low, close -> (T, A) prices that were traded at; the panel's own arrays where they are no others."""
    prices: dict[str, FloatArray] = {name: getattr(panel, name) for name in PRICE_COLUMNS}
    if not is_adjusted(panel):
        return prices
    scale, offset = terms(panel)
    return {name: _traded(values, scale, offset) for name, values in prices.items()}


def traded_at(values: FloatArray, columns: Mapping[str, FloatArray]) -> FloatArray:
    """Prices of one bar (A,) as they were traded at, by the columns (A,) of the bar; see `traded_prices`."""
    scale, offset = columns.get(SCALE), columns.get(OFFSET)
    return _traded(
        values,
        np.ones(values.shape) if scale is None else np.where(np.isfinite(scale), scale, 1.0),
        np.zeros(values.shape) if offset is None else np.where(np.isfinite(offset), offset, 0.0),
    )


def _traded(values: FloatArray, scale: FloatArray, offset: FloatArray) -> FloatArray:
    moved = (scale != 1.0) | (offset != 0.0)
    return np.where(moved, np.round(values * scale + offset, DECIMALS), values)


def as_traded(panel: Panel) -> Panel:
    """The panel at the prices that were traded at; itself where they are no others."""
    if not is_adjusted(panel):
        return panel
    columns = {name: values for name, values in panel.exogenous.items() if name not in (OFFSET, SCALE)}
    prices: dict[str, Any] = {**traded_prices(panel)}
    return replace(panel, **prices, exogenous=columns).with_ends(panel.end_bar)


def without_rolls(panel: Panel) -> Panel:
    """The panel as a series of one instrument that is never rolled, at the prices that features see."""
    columns = {name: values for name, values in panel.exogenous.items() if name not in COLUMNS}
    if len(columns) == len(panel.exogenous):
        return panel
    return replace(panel, exogenous=columns).with_ends(panel.end_bar)


def last_traded(panel: Panel) -> FloatArray:
    """(T, A) the last known close at or before each bar, as traded; NaN only before an asset's first bar."""
    if not is_adjusted(panel):
        return panel.last_close()
    return carried(traded_prices(panel)["close"])
