"""Redrawn bars: other valid bars on the same grid, put in place of a panel's own at chosen rows.

Three kinds, so that whatever reads a redrawn bar shows it, be it only a sign, a rank or a comparison:

- up: prices multiplied by 2 to 6, wide candles, more volume than was ever seen, all of them tradable;
- down: prices divided by the same factors, so that every order and every sign of a change is the reverse of `up`;
  bodies of the other colour, no range to speak of, next to no volume, none tradable; a session's end moved;
- gone: bars that were there are missing, and some that were missing are there.

Further columns rise, fall, or become unknown. What a bar becomes depends on its row, its asset and the seed alone.

Axes: T time, A asset, N redrawn row.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from data.equal_runs import run_starts
from data.last_known import last_known_row
from data.schema import PRICE_COLUMNS, Panel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

UP, DOWN, GONE = 0, 1, 2
VARIANTS = (UP, DOWN, GONE)
GROUPS = dict.fromkeys(PRICE_COLUMNS, "prices") | {"tradable": "tradable mask"}
"""What a finding calls the columns of a bar."""
CACHED_VALUES = 20_000_000
"""Values of a panel up to which its redrawn bars are kept, three times 8 bytes each."""
LONG_GAP_BARS = 64
"""Where the next known bar of an asset is further away, its last one stays: what fills forward shows it for long."""


class Redraw:
    """A working copy of a panel's bars, in which rows can be redrawn and restored.

    Parameters
    ----------
    panel : the market; it is not changed.
    seed : of what is drawn.
    holes : draw missing bars; False for what cannot be computed with them (`gone` is then another `up`).
    sessions : move the ends of sessions.
    """

    def __init__(self, panel: Panel, seed: int, *, holes: bool = True, sessions: bool = True) -> None:
        self.panel, self.seed, self.holes, self.sessions = panel, seed, holes, sessions
        self.known = np.isfinite(panel.close)
        self.last_row, self.next_row = _neighbours(self.known)
        self.last_close = panel.last_close()
        if panel.nonpositive:  # redrawn prices are multiples, and valid where they are positive
            self.last_close = np.where(self.last_close == 0.0, 1.0, np.abs(self.last_close))
        gap = self.next_row - self.last_row > LONG_GAP_BARS
        self.protected = self.known & np.concatenate([gap[1:], gap[-1:]])
        self.fillable = ~self.known & (self.last_row >= 0) & ~gap
        self._loud, self._quiet = _volumes(panel)
        self._scales = {name: _scale(values) for name, values in panel.exogenous.items()}
        names = (*PRICE_COLUMNS, "volume", "tradable", "session")
        self._own = {name: getattr(panel, name) for name in names} | {
            _key(name): values for name, values in panel.exogenous.items()
        }
        self._buffers = {name: values.copy() for name, values in self._own.items()}
        self._keeps = self.protected.any(axis=1)
        self._cache: dict[int, dict[str, NDArray]] = {}

    def sharing(self, *, sessions: bool) -> Redraw:
        """The same redrawn bars and working copy, with session ends moved or not."""
        other = copy.copy(self)
        other.sessions = sessions
        return other

    def inputs(self) -> tuple[str, ...]:
        """What a feature may read of a bar: groups that `apply` can redraw alone."""
        return ("prices", "volume", "tradable mask", "sessions", *map(_key, self.panel.exogenous))

    def view(self) -> Panel:
        """The panel as it now stands: a new object over the working copy, to be read before the next change."""
        state = {f.name: getattr(self.panel, f.name) for f in fields(Panel)}
        state |= {name: buffer.view() for name, buffer in self._buffers.items() if name in state}
        state["exogenous"] = {name: self._buffers[_key(name)].view() for name in self.panel.exogenous}
        panel = object.__new__(Panel)
        panel.__setstate__(state)
        return panel

    def restore(self, rows: IntArray | slice) -> None:
        """Put the panel's own bars back."""
        for name, own in self._own.items():
            self._buffers[name][rows] = own[rows]

    def apply(
        self,
        rows: IntArray,
        variant: IntArray | int,
        *,
        to_the_end: bool = False,
        only: Collection[str] | None = None,
    ) -> None:
        """Redraw these rows.

        Parameters
        ----------
        rows : (N,) ascending. variant : (N,) or one for all.
        to_the_end : the rows are all that follow some bar; else bars before a long gap stay, because rows that come
            after it may still show them.
        only : redraw these inputs alone.
        """
        if not len(rows):
            return
        variant = np.broadcast_to(np.asarray(variant), rows.shape)
        for kind in (int(variant[0]),) if to_the_end else VARIANTS:
            part = slice(int(rows[0]), int(rows[-1]) + 1) if to_the_end else rows[variant == kind]
            for name, values in self._drawn(kind, part).items():
                group = GROUPS.get(name, name)
                if only is None or group in only:
                    self._buffers[name][part] = values
        kept = rows[self._keeps[rows]]
        if not to_the_end and len(kept):
            for name in (*PRICE_COLUMNS, "volume", "tradable"):
                own, buffer = self._own[name][kept], self._buffers[name]
                buffer[kept] = np.where(self.protected[kept], own, buffer[kept])
        if self.sessions and (only is None or "sessions" in only):
            self._move_sessions(rows, variant, to_the_end)

    @contextmanager
    def changed(
        self,
        rows: IntArray,
        variant: IntArray | int,
        *,
        to_the_end: bool = False,
        only: Collection[str] | None = None,
    ) -> Iterator[Panel]:
        """The panel with these rows redrawn; what is computed from it must be copied before this ends."""
        self.apply(rows, variant, to_the_end=to_the_end, only=only)
        try:
            yield self.view()
        finally:
            self.restore(slice(int(rows[0]), None) if to_the_end and len(rows) else rows)

    def after(
        self, bar: int, variant: int, only: Collection[str] | None = None
    ) -> AbstractContextManager[Panel]:
        """`changed` for all bars after `bar`."""
        rows = np.arange(bar + 1, self.panel.num_bars)
        return self.changed(rows, variant, to_the_end=True, only=only)

    def _drawn(self, variant: int, rows: IntArray | slice) -> dict[str, NDArray]:
        """Redrawn values of these rows; of all rows once, where memory allows."""
        if variant not in self._cache and self.panel.close.size * len(self._own) <= CACHED_VALUES:
            self._cache[variant] = self._draw(variant, np.arange(self.panel.num_bars))
        if variant in self._cache:
            return {name: values[rows] for name, values in self._cache[variant].items()}
        return self._draw(variant, np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows)

    def _draw(self, variant: int, rows: IntArray) -> dict[str, NDArray]:
        down, gone = variant == DOWN, variant == GONE and self.holes
        u, v, w = (self._uniform(rows, stream) for stream in range(3))
        close = self.last_close[rows] * np.exp((-1.0 if down else 1.0) * (0.7 + 1.1 * u))
        body = (-1e-3 if down else 0.3) * (0.2 + v) * np.where(w < 0.5, 1.0, -1.0)
        opened, wide = close * np.exp(-body), 1e-4 if down else 0.25
        there = self.fillable[rows] if gone else self.known[rows]
        prices = {
            "open": opened,
            "high": np.maximum(opened, close) * np.exp(wide * (0.1 + w)),
            "low": np.minimum(opened, close) * np.exp(-wide * (0.1 + u)),
            "close": close,
        }
        drawn: dict[str, NDArray] = {name: np.where(there, values, np.nan) for name, values in prices.items()}
        volume = self._quiet * (0.5 + v) if down else self._loud * (2.0 + 2.0 * v)
        drawn |= {"volume": np.where(there, volume, 0.0), "tradable": there & (not down)}
        for stream, name in enumerate(self.panel.exogenous):
            u = self._uniform(rows, 10 + stream)
            drawn[_key(name)] = self._column(name, self._own[_key(name)][rows], variant, u)
        return drawn

    def _column(self, name: str, own: FloatArray, variant: int, u: FloatArray) -> FloatArray:
        centre, spread, positive = self._scales[name]
        if variant == GONE and self.holes:
            return np.where(np.isfinite(own), np.nan, centre + spread * u)
        sign = -1.0 if variant == DOWN else 1.0
        return own * np.exp(sign * (0.7 + 1.1 * u)) if positive else own + sign * spread * (1.0 + u)

    def _move_sessions(self, rows: IntArray, variant: IntArray, to_the_end: bool) -> None:
        session, buffer = self.panel.session, self._buffers["session"]
        if to_the_end:
            first = int(rows[0])
            ends = first - 1 + run_starts(session[first - 1 :])[1:] if first else np.empty(0, int)
            if variant[0] == DOWN and len(ends):  # the session of the cut ends at once
                buffer[first : ends[0]] = session[ends[0]]
            elif variant[0] == UP and len(ends):  # or goes on for longer
                stop = ends[1] if len(ends) > 1 else len(session)
                buffer[first:stop] = session[first - 1]
            return
        starts = rows[np.diff(rows, prepend=-2) != 1]
        island = np.searchsorted(starts, rows, side="right") - 1
        before = session[np.maximum(starts - 1, 0)][island]
        buffer[rows] = np.where(variant == DOWN, before, session[rows])

    def _uniform(self, rows: IntArray, stream: int) -> FloatArray:
        """(N, A) numbers in [0, 1), a hash (splitmix64) of row, asset, stream and seed."""
        num_assets = self.panel.num_assets
        cell = (rows[:, None] * num_assets + np.arange(num_assets)).astype(np.uint64)
        salt = np.uint64((self.seed * 64 + stream + 1) * 0x9E3779B97F4A7C15 % 2**64)
        with np.errstate(over="ignore"):
            x: NDArray[np.uint64] = cell * np.uint64(0x9E3779B97F4A7C15) + salt
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            x = (x ^ (x >> np.uint64(31))) >> np.uint64(11)
        return x.astype(np.float64) * 2.0**-53

    def oldest_row_shown(self, lookback_bars: int) -> IntArray:
        """(T,) the oldest bar that row t may show, reading `lookback_bars` back; for a missing one, the last known."""
        num_bars = self.panel.num_bars
        at = np.maximum(np.arange(num_bars) - lookback_bars, 0)
        last = np.where(self.next_row - self.last_row > LONG_GAP_BARS, num_bars, self.last_row)
        last = np.where(self.known | (last >= 0), last, num_bars)[at]
        return np.minimum(at, last.min(axis=1))


def _key(column: str) -> str:
    return f"column {column!r}"


def _neighbours(known: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """(T, A) the last known row at or before t (-1: none), and the next one at or after t (far: none)."""
    num_bars = len(known)
    rows = np.arange(num_bars)[:, None]
    far = num_bars + LONG_GAP_BARS + 1
    following = np.minimum.accumulate(np.where(known, rows, far)[::-1], axis=0)[::-1]
    return last_known_row(known), following


def _volumes(panel: Panel) -> tuple[FloatArray, FloatArray]:
    """(A,) the largest volume (at least 1), and a thousandth of the mean one."""
    return np.maximum(panel.volume.max(axis=0), 1.0), 1e-3 * panel.volume.mean(axis=0)


def _scale(values: FloatArray) -> tuple[float, float, bool]:
    """Mean and spread of the known values, 1 where they do not vary, and whether all are positive."""
    known = values[np.isfinite(values)]
    if not known.size:
        return 0.0, 1.0, False
    spread = float(np.std(known))
    return float(np.mean(known)), spread if spread > 0.0 else 1.0, bool((known > 0.0).all())
