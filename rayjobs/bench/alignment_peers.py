"""Aligning by pandas: the same work as fast as it goes, the bare minimum, and a long table pivoted.

Axes: T time on the grid, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from data.array_types import FloatArray
from data.checks.hygiene import JUMP_RATIO
from data.schema import BAR_COLUMNS


def as_read(bars: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The same rows under indices of their own, which have no tables of earlier look-ups."""
    return {
        symbol: rows.set_axis(pd.DatetimeIndex(rows.index.to_numpy(), copy=True), axis=0)
        for symbol, rows in bars.items()
    }


def grid_of(bars: Mapping[str, pd.DataFrame], step: str) -> pd.DatetimeIndex:
    """Every label from the first to the last."""
    first, last = min(r.index[0] for r in bars.values()), max(r.index[-1] for r in bars.values())
    return pd.date_range(first, last, freq=step).as_unit("ns")


def side_by_side(frames: Sequence[pd.DataFrame]) -> dict[str, FloatArray]:
    """Column -> (T, A), as simulators and networks take it."""
    return {name: np.column_stack([frame[name].to_numpy() for frame in frames]) for name in BAR_COLUMNS}


def pandas_way(bars: Mapping[str, pd.DataFrame], step: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The panel and the counts of what was found, by pandas as fast as it goes: checks on whole columns, a reindex."""
    grid = grid_of(bars, step)
    counts = dict.fromkeys(("missing", "missing_runs", "zero_volume", "inconsistent", "jump"), 0)
    frames = []
    for symbol, rows in bars.items():
        if not rows.index.is_monotonic_increasing or not rows.index.is_unique:
            raise ValueError(symbol)
        opened, high, low, close, volume = (rows[name].to_numpy() for name in BAR_COLUMNS)
        if not all(np.isfinite(rows[name].to_numpy()).all() for name in BAR_COLUMNS):
            raise ValueError(symbol)
        if min(opened.min(), high.min(), low.min(), close.min()) <= 0.0 or volume.min() < 0.0:
            raise ValueError(symbol)
        top, bottom = np.maximum(opened, close), np.minimum(opened, close)
        bad = (high < top) | (low > bottom)
        gap = opened / np.concatenate([opened[:1], close[:-1]])
        body = close / opened
        jumps = (np.maximum.reduce([gap, body, high / top]) > JUMP_RATIO) | (
            np.minimum.reduce([gap, body, low / bottom]) < 1.0 / JUMP_RATIO
        )
        whole = (rows.mask(bad) if bad.any() else rows).reindex(grid)
        absent = whole["close"].isna().to_numpy()
        counts["missing"] += int(absent.sum() - bad.sum())
        counts["missing_runs"] += int((absent[1:] & ~absent[:-1]).sum() + absent[0])
        counts["zero_volume"] += int((volume == 0.0).sum())
        counts["inconsistent"] += int(bad.sum())
        counts["jump"] += int(jumps.sum())
        frames.append(whole)
    panel: dict[str, Any] = side_by_side(frames)
    panel["volume"] = np.nan_to_num(panel["volume"], copy=False)
    panel["tradable"] = panel["volume"] > 0.0
    return panel, counts


def bare_way(bars: Mapping[str, pd.DataFrame], step: str) -> dict[str, FloatArray]:
    """The columns alone, by pandas: reindexed and put side by side; nothing is looked at, and nothing counted."""
    grid = grid_of(bars, step)
    return side_by_side([rows.reindex(grid) for rows in bars.values()])


def long_table_way(bars: Mapping[str, pd.DataFrame], step: str) -> dict[str, pd.DataFrame]:
    """The columns from one long table, as files of several symbols and databases give it; nothing is looked at."""
    table = pd.concat(bars, names=["symbol", "opened"]).reset_index()
    grid = grid_of(bars, step)
    return {
        name: table.pivot(index="opened", columns="symbol", values=name).reindex(grid) for name in BAR_COLUMNS
    }
