"""Poisoned panels: the same market up to bar t, and quite another one after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.schema import PRICE_COLUMNS, Panel


def poison_after(panel: Panel, bar: int, seed: int) -> Panel:
    """Return a panel whose bars 0 .. bar are those of `panel`, bit for bit, and whose later bars all differ.

    Each later bar and asset gets its own factor on prices, between 0.4 and 0.8 or 1.25 and 2.5, and another on volume;
    further columns get noise of their own size; one bar in ten goes missing, one in ten comes back as a copy of the
    last known close. The calendar stays: it is published ahead. So does the bar at which an asset ends,
    an event of the simulation (docs/simulator.md, "Names that end"): its last bar stays, and none comes back after it.
    """
    rng = np.random.default_rng((seed, bar))
    later = slice(bar + 1, None)
    shape = panel.close[later].shape
    factor = rng.uniform(1.25, 2.5, shape)
    factor = np.where(rng.uniform(size=shape) < 0.5, factor, 1.0 / factor)
    last = np.where(np.isfinite(panel.last_close()[later]), panel.last_close()[later], 1.0)
    back = ~np.isfinite(panel.close[later])
    gone = rng.uniform(size=shape) < 0.1
    bars = np.arange(panel.num_bars)[later, None]
    gone = np.where(bars >= panel.end_bar, True, gone & (bars != panel.end_bar - 1))
    changed = {}
    for name in PRICE_COLUMNS:
        values = getattr(panel, name).copy()
        values[later] = np.where(gone, np.nan, np.where(back, last, values[later]) * factor)
        changed[name] = values
    volume = panel.volume.copy()
    volume[later] = np.where(
        gone, 0.0, volume[later] * rng.uniform(1.5, 3.0, shape) + rng.uniform(1, 2, shape)
    )
    tradable = panel.tradable.copy()
    tradable[later] = ~gone
    poisoned = replace(
        panel, **changed, volume=volume, tradable=tradable, exogenous=_poisoned_columns(panel, later, rng)
    )
    return poisoned.with_ends(panel.end_bar)


def _poisoned_columns(panel: Panel, later: slice, rng: np.random.Generator) -> dict[str, np.ndarray]:
    columns = {}
    for name, values in panel.exogenous.items():
        known = values[np.isfinite(values)]
        scale = float(np.std(known)) if known.size else 0.0
        poisoned = values.copy()
        noise = rng.uniform(1.0, 2.0, values[later].shape) * (scale if scale > 0 else 1.0)
        poisoned[later] = np.where(np.isfinite(values[later]), values[later], 0.0) + noise
        columns[name] = poisoned
    return columns
