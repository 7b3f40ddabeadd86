"""Built-in features computed together by one plan: in a batch thousands of numbers at a time, in a stream bar by bar.

A plan is made of the features' own functions (`data.features.plan`), so that there is no second formula. What a
function does beyond a plan's steps, and features of the user's own, are computed by calling the function.

Axes: T time, A asset, K output.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.calendars import DAY_SECONDS
from data.features.definition import Feature
from data.features.library import FEATURES, find_feature
from data.features.longer_bars import LongerBars, Marks, MarksInTurn, marks, show_newest
from data.features.panel_parts import block_of
from data.features.plan.graph import (
    OF_ASSETS,
    Graph,
    Series,
    TracedPanel,
    UntraceableError,
    flags_of_assets,
)
from data.features.plan.program import Plan
from data.features.prices import after_closed_market
from data.schema import BAR_COLUMNS, Panel

CELLS = 4096
"""Bars times assets that a plan computes at once: so few that what it works on stays in the cache."""
LONGER = "higher_time_frame"
OWN_BARS = 1
"""The factor of features of the panel's own bars."""
Request = tuple[Feature, Mapping[str, Any]]


@dataclass
class _Traced:
    """Formulas on bars of one length: the graph, the panel that notes them, and outputs with their request."""

    graph: Graph
    panel: TracedPanel
    outputs: list[Series] = field(default_factory=list)
    of: list[tuple[int, int]] = field(default_factory=list)


@dataclass(frozen=True)
class _Plans:
    """Plans by the number of bars that one of theirs is made of, and what they were asked for; without memory."""

    by_factor: Mapping[int, Plan]
    of: tuple[tuple[int, int], ...]
    planned: tuple[int, ...]


_MADE: dict[Any, _Plans] = {}
_KEPT = 32
"""Plans that are kept for the next panel of the same form."""


def _plans(requests: Sequence[Request], form: Any, rows: int) -> _Plans:
    own = [FEATURES.get(feature.name) is feature for feature, _ in requests]
    asked = [
        (feature.name, dict(params)) if built_in else None
        for built_in, (feature, params) in zip(own, requests)
    ]
    key = (
        json.dumps(asked, sort_keys=True, default=repr),
        (tuple(form.symbols), form.calendar, form.bar_seconds, tuple(form.exogenous), rows),
    )
    if key not in _MADE:
        while len(_MADE) >= _KEPT:
            _MADE.pop(next(iter(_MADE)), None)
        _MADE[key] = _planned(requests, form, rows)
    return _MADE[key]


def _planned(requests: Sequence[Request], form: Any, rows: int) -> _Plans:
    traced: dict[int, _Traced] = {}
    planned = []
    for number, (feature, params) in enumerate(requests):
        if FEATURES.get(feature.name) is feature and feature.kind == "asset" and feature.reads_bars:
            try:
                _trace(traced, form, number, feature, params)
            except UntraceableError:
                continue
            planned.append(number)
    plans = {
        # Of longer bars up to two are complete with each short one: one that was cut off, and its own.
        factor: Plan(part.graph, part.outputs, len(form.symbols), rows if factor == OWN_BARS else 2 * rows)
        for factor, part in traced.items()
    }
    return _Plans(plans, tuple(of for part in traced.values() for of in part.of), tuple(planned))


def _trace(
    traced: dict[int, _Traced], form: Any, number: int, feature: Feature, params: Mapping[str, Any]
) -> None:
    """Note the formula of a feature among those of bars of the same length."""
    factor, own_form = OWN_BARS, form
    if feature.name == LONGER:
        factor = int(params["factor"])
        own_form = SimpleNamespace(
            symbols=form.symbols, calendar=form.calendar, bar_seconds=factor * form.bar_seconds, exogenous={}
        )
        feature, params = find_feature(str(params["feature"]), FEATURES), params["params"]
        if FEATURES.get(feature.name) is not feature or form.bar_seconds >= DAY_SECONDS:
            raise UntraceableError("a feature of the user's own, or bars without a session")
    if factor not in traced:
        graph = Graph()
        traced[factor] = _Traced(graph, TracedPanel(graph, own_form))
    part = traced[factor]
    found = feature.function(part.panel, **params)
    outputs = found if isinstance(found, tuple) else (found,)
    part.outputs += [part.graph.series(output) for output in outputs]
    part.of += [(number, k) for k in range(len(outputs))]


class PlannedFeatures:
    """What can be planned of some features of a panel, computed for some bars at a time.

    Parameters
    ----------
    requests : features and their parameters. form : anything with the symbols, calendar, bar_seconds and exogenous
        columns of the panels. rows : most bars that are computed at once.

    Attributes
    ----------
    of : (K) number of the request, and of its output, that each row of a block is. planned : numbers of the requests
        that are in it. block : (K, N) float32, of which each run overwrites the first rows * A cells.
    """

    def __init__(self, requests: Sequence[Request], form: Any, rows: int) -> None:
        plans = _plans(requests, form, rows)
        self.of, self.planned, self._num_assets = plans.of, plans.planned, len(form.symbols)
        self.block = block_of(len(self.of), rows * self._num_assets)
        self._own: Plan | None = None
        self._longer: dict[int, _LongerPlan] = {}
        reached = 0
        for factor, plan in plans.by_factor.items():
            block = self.block[reached : reached + plan.num_outputs]
            reached += plan.num_outputs
            if factor == OWN_BARS:
                self._own = plan.with_memory(block)
            else:
                self._longer[factor] = _LongerPlan(plan, form, factor, block)

    @property
    def inputs(self) -> set[str]:
        """Names of what the plans read of each bar."""
        wanted = set(self._own.inputs) if self._own else set()
        return wanted | ({*BAR_COLUMNS, "tradable", "session"} if self._longer else set())

    def begin(self) -> None:
        """Forget all bars."""
        if self._own:
            self._own.begin()
        for plan in self._longer.values():
            plan.begin()

    def parts_of(self, panel: Panel, rows: int) -> Iterator[tuple[int, int]]:
        """Compute a panel from the next bar on; yield the first and the end bar of each part that is in the block.

        Parameters
        ----------
        rows : bars of a part; the last one may be shorter.
        """
        if not self.of:
            return
        arrays = self._read(panel)
        at = {factor: marks(panel, factor) for factor in self._longer}
        for start in range(0, panel.num_bars, rows):
            stop = min(start + rows, panel.num_bars)
            bars = {name: values[start:stop] for name, values in arrays.items()}
            self._run(bars, stop - start, {f: own.part(start, stop) for f, own in at.items()})
            yield start, stop
        for plan in self._longer.values():
            plan.clock.go_on_after(panel.bar_utc[-1], int(panel.session[-1]))

    def next_bar(self, bars: Mapping[str, Any], bar_utc: np.datetime64, session: int) -> None:
        """Compute the next bar into the first cells of the block; bars : name of an input -> (1, A) or (1, 1)."""
        self._run(bars, 1, {f: plan.clock.next(bar_utc, session) for f, plan in self._longer.items()})

    def _run(self, bars: Mapping[str, Any], rows: int, at: Mapping[int, Marks]) -> None:
        if self._own:
            self._own.run(bars, rows)
        for factor, plan in self._longer.items():
            plan.run(bars, rows, at[factor])

    def _read(self, panel: Panel) -> dict[str, NDArray[Any]]:
        """What the plans read of a panel, (T, A) or (T, 1) each."""
        found: dict[str, NDArray[Any]] = {}
        for name in self.inputs:
            if name == "session":
                found[name] = panel.session[:, None]
            elif name == "after_closed_market":
                found[name] = after_closed_market(panel)[:, None]
            elif name.startswith(OF_ASSETS):
                found[name] = np.broadcast_to(flags_of_assets(name), panel.close.shape)
            elif name.startswith(COLUMN):
                found[name] = panel.exogenous[name.removeprefix(COLUMN)]
            else:
                found[name] = getattr(panel, name)
        return found


COLUMN = "column "


class _LongerPlan:
    """Features of bars of `factor` bars each, shown at the short bars until the next one is complete."""

    def __init__(self, plan: Plan, form: Any, factor: int, block: NDArray[np.float32]) -> None:
        num_assets = len(form.symbols)
        self._width = factor * form.bar_seconds
        self.clock = MarksInTurn(form.calendar, form.bar_seconds, factor)
        own = np.empty((plan.num_outputs, plan.rows * num_assets), np.float32)
        self._plan = plan.with_memory(own)
        self._own, self._block, self._num_assets = own, block, num_assets
        self.begin()

    def begin(self) -> None:
        """Forget all bars."""
        self._plan.begin()
        self._bars = LongerBars(self._num_assets, self._width)
        self.clock.begin()
        self._last = np.full((len(self._block), self._num_assets), np.nan, np.float32)

    def run(self, bars: Mapping[str, Any], rows: int, at: Marks) -> None:
        """Write the outputs of the next short bars into the block."""
        short = np.empty((6, rows, self._num_assets))
        for k, name in enumerate((*BAR_COLUMNS, "tradable")):
            short[k] = bars[name]
        made, _, newest = self._bars.add(short, np.asarray(bars["session"]).reshape(-1), at)
        count = len(made["close"])
        if count:
            self._plan.run(made, count)
        show_newest(self._block, self._own, self._last, newest, self._num_assets)


def bars_at_once(num_bars: int, num_assets: int) -> int:
    """How many bars of a batch are computed at once."""
    # In steps of twice as many, so that panels of about the same length share their plan.
    return max(1, min(1 << (num_bars - 1).bit_length(), CELLS // num_assets))
