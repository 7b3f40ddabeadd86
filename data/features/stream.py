"""Features one bar at a time: what a live loop computes at the close of a bar, to the bit what training saw there.

A stream keeps the last bars that some feature still reads. Built-in features are computed by the plan that computes
them in a batch (`data.features.planned`), one bar at a time; of others the function is called on the bars kept. There
is no second implementation that could drift away from the first: row t of a feature is a function of bars t - lookback
to t, whoever hands them over, and what a plan remembers is made anew from the bars kept.

Axes: A asset, F asset feature, C clock feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray
from data.calendars import DAY_SECONDS
from data.errors import DataError
from data.features.compute import FeatureSpec, resolve_feature
from data.features.definition import Feature
from data.features.panel_parts import ROWS, rows_of, unchecked_panel
from data.features.plan.graph import OF_ASSETS, flags_of_assets
from data.features.planned import COLUMN, PlannedFeatures
from data.schema import BAR_COLUMNS, PRICE_COLUMNS, Panel

STEPS = (0, 32, 128, 512, 2048)
"""Features with lookbacks up to the same step are evaluated on the same bars, and share the series they are made of."""
PLANNED_BARS = 64
"""Bars after which a plan moves its past."""
SLACK = 4
"""The buffer holds this many lookbacks, so that its bars are moved to its beginning only once in a while."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClosedBar:
    """One bar of every asset, as it was known at its close.

    Parameters
    ----------
    bar_utc : opening instant. session : id of its session, days from 1970-01-01.
    open, high, low, close : (A,) price; all four NaN where the asset has no bar.
    volume : (A,) units, 0 where there is no bar. tradable : (A,) bool.
    exogenous : name -> (A,) further columns, NaN = unknown.
    """

    bar_utc: np.datetime64
    session: int
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    tradable: BoolArray
    exogenous: Mapping[str, FloatArray] = field(default_factory=dict)

    @classmethod
    def of(cls, panel: Panel, row: int) -> ClosedBar:
        """One row of a panel."""
        arrays = {name: getattr(panel, name)[row] for name in (*BAR_COLUMNS, "tradable")}
        exogenous = {name: values[row] for name, values in panel.exogenous.items()}
        return cls(bar_utc=panel.bar_utc[row], session=int(panel.session[row]), **arrays, exogenous=exogenous)


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamedFeatures:
    """asset : (A, F) float32, NaN where not known. clock : (C,) float32."""

    asset: NDArray[np.float32]
    clock: NDArray[np.float32]


@dataclass(frozen=True)
class _Slot:
    feature: Feature
    params: Mapping[str, Any]
    lookback_bars: int
    unknown_bars: int
    place: slice


class FeatureStream:
    """Features of bars that arrive one after another.

    Parameters
    ----------
    specs : as `data.features.compute_features` takes them; outputs stand in the same order.
    like : a panel of the same symbols, calendar, bar length and columns; only its form is read, and `push` begins with
        none of its bars. To begin warm, `FeatureStream.after(specs, panel)`.
    """

    def __init__(self, specs: Sequence[FeatureSpec], like: Panel) -> None:
        self.specs = tuple(specs)
        self._form = {name: getattr(like, name) for name in ("symbols", "calendar", "bar_seconds")}
        self._within_a_day = like.bar_seconds < DAY_SECONDS
        self._columns = tuple(like.exogenous)
        self._below = np.isin(like.symbols, like.nonpositive)
        self.num_bars = 0
        self._slots: dict[str, dict[int, list[_Slot]]] = {"asset": {}, "clock": {}}
        self._width = {"asset": 0, "clock": 0}
        self._unchanging: dict[int, FloatArray] = {}
        self._of_session: dict[int, tuple[int, FloatArray]] = {}
        slots = [self._slot(spec, like) for spec in self.specs]
        self._plan = PlannedFeatures([(s.feature, s.params) for s in slots], like, PLANNED_BARS)
        self._flags = {
            name: flags_of_assets(name) for name in self._plan.inputs if name.startswith(OF_ASSETS)
        }
        self._places = np.array([slots[n].place.start + k for n, k in self._plan.of], dtype=np.int64)
        self._unknown = np.array([slots[n].unknown_bars for n, _ in self._plan.of], dtype=np.int64)
        for number in sorted(set(range(len(slots))) - set(self._plan.planned)):
            slot = slots[number]
            step = int(np.searchsorted(STEPS, slot.lookback_bars))
            self._slots[slot.feature.kind].setdefault(step, []).append(slot)
        self.lookback_bars = max((slot.lookback_bars for slot in slots), default=0)
        self._capacity = SLACK * (self.lookback_bars + 1)
        self._end = 0
        self._rows = self._empty()

    def _slot(self, spec: FeatureSpec, like: Panel) -> _Slot:
        feature = resolve_feature(spec.name)
        start = self._width[feature.kind]
        self._width[feature.kind] += len(feature.outputs(like, spec.params))
        place = slice(start, self._width[feature.kind])
        lookback = int(feature.lookback_bars(spec.params))
        return _Slot(feature, spec.params, lookback, feature.unknown_bars(spec.params), place)

    def _empty(self) -> dict[str, NDArray[Any]]:
        shape = (self._capacity, len(self._form["symbols"]))
        rows: dict[str, NDArray[Any]] = {name: np.full(shape, np.nan) for name in BAR_COLUMNS}
        rows["tradable"] = np.zeros(shape, dtype=bool)
        rows["bar_utc"] = np.zeros(self._capacity, dtype="datetime64[ns]")
        rows["session"] = np.zeros(self._capacity, dtype=np.int32)
        return rows | {_key(name): np.full(shape, np.nan) for name in self._columns}

    @classmethod
    def after(cls, specs: Sequence[FeatureSpec], panel: Panel) -> FeatureStream:
        """A stream that has seen the bars of a panel: the next `push` is the bar after its last one."""
        stream = cls(specs, panel)
        panel = panel.positive()
        kept = min(panel.num_bars, stream.lookback_bars + 1)
        for name in ROWS:
            stream._rows[name][:kept] = getattr(panel, name)[-kept:]
        for name in stream._columns:
            stream._rows[_key(name)][:kept] = panel.exogenous[name][-kept:]
        stream._end, stream.num_bars = kept, panel.num_bars
        stream._plan_again()
        return stream

    def _plan_again(self) -> None:
        """Let the plan go through the bars that are kept."""
        self._plan.begin()
        if self._end:
            with np.errstate(all="ignore"):
                for _ in self._plan.parts_of(rows_of(self._panel(), 0, self._end), PLANNED_BARS):
                    pass

    def push(self, bar: ClosedBar) -> StreamedFeatures:
        """Take a bar, and return the features at its close.

        Raises
        ------
        DataError
            If the bar is not after the last one, or does not have the form of the stream's panel.
        """
        self._check(bar)
        if self._end == self._capacity:
            kept = self.lookback_bars
            for values in self._rows.values():
                values[:kept] = values[self._end - kept :].copy()
            self._end = kept
        at = self._end
        for name in ROWS:
            self._rows[name][at] = getattr(bar, name)
        for name in self._columns:
            self._rows[_key(name)][at] = bar.exogenous[name]
        self._forget_below(at)
        self._end += 1
        self.num_bars += 1
        return self._evaluate(bar)

    def _forget_below(self, at: int) -> None:
        """Take a bar with a price of zero or below for a missing one, as `Panel.positive` does."""
        if self._below.any():
            below = self._below & (self._rows["low"][at] <= 0.0)
            for name in (*PRICE_COLUMNS, "volume", "tradable"):
                self._rows[name][at, below] = {"volume": 0.0, "tradable": False}.get(name, np.nan)

    def _evaluate(self, bar: ClosedBar) -> StreamedFeatures:
        asset = np.full((len(self._form["symbols"]), self._width["asset"]), np.nan, dtype=np.float32)
        clock = np.zeros(self._width["clock"], dtype=np.float32)
        held = self._panel()
        with np.errstate(all="ignore"):
            self._follow_plan(bar, asset)
            for group in self._slots["asset"].values():
                part = self._part(held, group)
                for slot in group:
                    if slot.feature.unscaled:
                        asset[:, slot.place] = self._unchanging_values(slot, part)
                    elif self.num_bars > slot.unknown_bars:
                        values = np.asarray(slot.feature.function(part, **slot.params))[-1]
                        asset[:, slot.place] = values if values.ndim == 2 else values[:, None]
            for group in self._slots["clock"].values():
                part = self._part(held, group)
                for slot in group:
                    clock[slot.place] = self._clock_values(slot, part, bar.session)
        bar_utc = self._rows["bar_utc"][self._end - 1]
        if np.isinf(asset).any() or not np.isfinite(clock).all():
            raise ValueError(
                f"A feature is not finite at the bar {bar_utc}; only asset features may be NaN, for not known."
            )
        return StreamedFeatures(asset=asset, clock=clock)

    def _unchanging_values(self, slot: _Slot, part: Panel) -> FloatArray:
        """(A, K) flags, which are the same at every bar and computed once."""
        if slot.place.start not in self._unchanging:
            values = np.asarray(slot.feature.function(part, **slot.params))[-1]
            self._unchanging[slot.place.start] = values if values.ndim == 2 else values[:, None]
        return self._unchanging[slot.place.start]

    def _clock_values(self, slot: _Slot, part: Panel, session: int) -> FloatArray:
        """Of the last bar of a part."""
        if slot.feature.by_session:
            known = self._of_session.get(slot.place.start)
            if known is None or known[0] != session:
                known = session, np.asarray(slot.feature.function(part, **slot.params))[-1]
                self._of_session[slot.place.start] = known
            return known[1]
        return np.asarray(slot.feature.function(part, **slot.params))[-1]

    def _follow_plan(self, bar: ClosedBar, asset: NDArray[np.float32]) -> None:
        """Write what is planned into asset (A, F)."""
        if not len(self._places):
            return
        at, step = self._end - 1, np.timedelta64(self._form["bar_seconds"], "s")
        bars: dict[str, Any] = {}
        for name in self._plan.inputs:
            if name == "session":
                bars[name] = bar.session
            elif name == "after_closed_market":
                utc = self._rows["bar_utc"]
                bars[name] = self._within_a_day and at > 0 and utc[at] - utc[at - 1] != step
            elif name.startswith(OF_ASSETS):
                bars[name] = self._flags[name]
            elif name.startswith(COLUMN):
                bars[name] = bar.exogenous[name.removeprefix(COLUMN)]
            else:
                bars[name] = getattr(bar, name)
        self._plan.next_bar(bars, bar.bar_utc, bar.session)
        asset[:, self._places] = self._plan.block[:, : len(asset)].T
        if self.num_bars <= self.lookback_bars:
            asset[:, self._places[self._unknown >= self.num_bars]] = np.nan

    def _panel(self) -> Panel:
        rows = {name: self._rows[name] for name in ROWS}
        return unchecked_panel(
            **self._form, **rows, exogenous={name: self._rows[_key(name)] for name in self._columns}
        )

    def _part(self, held: Panel, group: Sequence[_Slot]) -> Panel:
        lookback = max(slot.lookback_bars for slot in group)
        return rows_of(held, max(self._end - lookback - 1, 0), self._end)

    def _check(self, bar: ClosedBar) -> None:
        count = len(self._form["symbols"])
        for name in (*BAR_COLUMNS, "tradable"):
            if np.shape(getattr(bar, name)) != (count,):
                raise DataError(
                    f"The bar's {name} has shape {np.shape(getattr(bar, name))}; one number for each of the {count} "
                    "symbols is needed."
                )
        missing = [name for name in self._columns if name not in bar.exogenous]
        if missing:
            raise DataError(f"The bar lacks the column {missing[0]!r}; the stream began with it.")
        if self._end and bar.bar_utc <= self._rows["bar_utc"][self._end - 1]:
            last = self._rows["bar_utc"][self._end - 1]
            raise DataError(
                f"The bar {bar.bar_utc} is not after the last one, {last}; push bars in order, each once."
            )
        known = ~np.isnan([getattr(bar, name) for name in PRICE_COLUMNS])
        if (known.all(axis=0) != known.any(axis=0)).any():
            raise DataError(
                "A bar has some prices and lacks others; its four prices are all known or all NaN."
            )

    def state(self) -> dict[str, Any]:
        """What `restore` takes: plain arrays and numbers, for `np.savez` or a checkpoint."""
        first = max(self._end - self.lookback_bars - 1, 0)
        rows = {name: values[first : self._end].copy() for name, values in self._rows.items()}
        return {"num_bars": self.num_bars, **rows}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where the stream that gave this state stood.

        Raises
        ------
        DataError
            If the state is that of a stream of other symbols, columns or longer or shorter lookback.
        """
        lengths = {len(state[name]) for name in self._rows if name in state}
        wanted = min(int(state.get("num_bars", -1)), self.lookback_bars + 1)
        if not set(self._rows) <= set(state) or lengths != {wanted}:
            raise DataError(
                f"The state holds {sorted(lengths)} bars and {sorted(set(state) - {'num_bars'})}; this stream needs "
                f"{wanted} bars and {sorted(self._rows)}: restore it into a stream of the same features and data."
            )
        self._rows, self._end = self._empty(), wanted
        for name, values in self._rows.items():
            values[:wanted] = state[name]
        self.num_bars = int(state["num_bars"])
        self._plan_again()


def _key(column: str) -> str:
    return f"column {column}"
