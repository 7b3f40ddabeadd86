"""A plan: the steps of a graph in the order in which they run, where their values lie in memory, and their run.

Values of which only the newest bars are read share a few slots of memory, which stay in the cache; the others keep as
many bars of their past as some step reads. A run computes some bars at a time: thousands of numbers for a batch, one
bar for a stream, by the same steps.

Axes: T time, A asset, K output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.features.plan import codes
from data.features.plan.graph import Graph, Series, Step
from data.features.plan.interpreter import (
    CODE,
    COLUMNS,
    INPUT,
    OUT,
    OUTPUTS,
    REAL,
    STATE,
    WHOLE,
    WORK_BANDS,
    keep_the_past,
    run_steps,
)
from data.features.sessions import READ, state_size
from data.features.window_extremes import TILE

_ALIGNED = 8
"""Numbers of a cache line, at whose multiples slots begin."""


class _Call(NamedTuple):
    function: Callable[..., Any]
    inputs: tuple[tuple[int, int], ...]
    out: int


class Plan:
    """Some series of a graph, computed for some bars at a time once it has memory (`with_memory`).

    Parameters
    ----------
    graph : what was noted. outputs : (K,) series that are asked for. num_assets : A. rows : most bars that are computed
        at once, and between two moves of the past.
    """

    block: NDArray[np.float32]
    _work: FloatArray
    _places: NDArray[np.int64]

    def __init__(self, graph: Graph, outputs: Sequence[Series], num_assets: int, rows: int) -> None:
        self.num_assets, self.rows, self.num_outputs = num_assets, rows, len(outputs)
        steps = _needed(graph, outputs)
        self.inputs = {name: value for value, name in graph.inputs.items()}
        self._history = _history(graph, steps)
        order = _order(graph, steps)
        self._lay_out(graph, order)
        self._tables(order)

    def with_memory(self, block: NDArray[np.float32]) -> Plan:
        """The plan with memory of its own; block : (K, N), at whose first rows * A cells outputs are written, bar
        after bar.
        """
        own = copy(self)
        own.block = block
        own._work = np.empty(self._work_size)
        own._places = np.empty(OUTPUTS + READ, np.int64)
        own.begin()
        return own

    def _lay_out(self, graph: Graph, order: list[list[Step]]) -> None:
        """Give every value that is read its place."""
        items = [step for part in order for step in part]
        last_use = {value: at for at, step in enumerate(items) for value, _ in step.inputs}
        ends: dict[int, list[int]] = {}
        for value, at in last_use.items():
            ends.setdefault(at, []).append(value)
        # A step may look for more outputs than it has.
        base = np.full(graph.num_values + _ALIGNED, -1, np.int64)
        wide = -(-self.rows * self.num_assets // _ALIGNED) * _ALIGNED
        reached = 0
        free: list[int] = []
        kept = {*graph.inputs, *graph.constants}

        def place(value: int) -> None:
            nonlocal reached
            if self._history[value] == 0 and value not in kept and free:
                base[value] = free.pop()
                return
            base[value] = reached
            past = -(-self._history[value] * self.num_assets // _ALIGNED) * _ALIGNED
            reached += wide + past

        self.inputs = {name: value for name, value in self.inputs.items() if value in last_use}
        self._constants = {value: graph.constants[value] for value in graph.constants if value in last_use}
        for value in (*self.inputs.values(), *self._constants):
            place(value)
        for at, step in enumerate(items):
            for value in range(step.first, step.first + step.outputs):
                if value in last_use:
                    place(value)
            free += [int(base[v]) for v in ends.get(at, ()) if self._history[v] == 0 and v not in kept]
        self._base, self._size = base, reached

    def _tables(self, order: list[list[Step]]) -> None:
        """Write the steps down for the interpreter: a table and the calls after it, part after part."""
        real: list[float] = []
        self._parts: list[tuple[NDArray[np.int64], list[_Call]]] = []
        self._state_size, widest = 0, 1
        for part in order:
            rows, calls = [], []
            for step in part:
                if step.code == codes.CALL:
                    assert step.call is not None
                    calls.append(_Call(step.call, step.inputs, step.first))
                    continue
                row = [0] * COLUMNS
                row[CODE], row[OUT], row[REAL], row[STATE] = (
                    step.code,
                    step.first,
                    len(real),
                    self._state_size,
                )
                for k, pair in enumerate(step.inputs[:3]):
                    row[INPUT + 2 * k : INPUT + 2 * k + 2] = pair
                row[WHOLE : WHOLE + len(step.whole)] = step.whole
                real += step.real
                if step.code in (codes.SESSION, codes.OPENING):
                    assert all(pair == (step.inputs[0][0] + k, 0) for k, pair in enumerate(step.inputs))
                    self._state_size += state_size(step.code, self.num_assets)
                if codes.LAST_OF_THREE < step.code <= codes.LAST_WINDOW:
                    widest = max(widest, step.whole[0])
                rows.append(row)
            self._parts.append((np.array(rows, np.int64).reshape(-1, COLUMNS), calls))
        self._real = np.array([*real, 0.0])
        self._work_size = WORK_BANDS * (widest - 1 + self.rows) * self.num_assets + 3 * TILE

    def begin(self) -> None:
        """Forget all bars."""
        self._mem = np.zeros(self._size)
        self._state = np.full(self._state_size, np.nan)
        self.position = 0
        for value, number in self._constants.items():
            self._mem[self._base[value] :][: self.rows * self.num_assets] = number

    def _view(self, value: int, lag: int, size: int) -> FloatArray:
        at = int(self._base[value])
        if self._history[value]:
            at += (int(self._history[value]) + self.position - lag) * self.num_assets
        return self._mem[at : at + size]

    def run(self, bars: Mapping[str, NDArray[Any]], rows: int) -> None:
        """Write the outputs of the next bars into the block.

        Parameters
        ----------
        bars : name of an input -> (rows, A), or (rows, 1) of what is the same for all assets.
        rows : number of bars, at most `rows` of the plan.
        """
        if self.position + rows > self.rows:
            keep_the_past(self._mem, self._base, self._history, self.position, self.num_assets)
            self.position = 0
        size = rows * self.num_assets
        for name, value in self.inputs.items():
            self._view(value, 0, size).reshape(rows, self.num_assets)[...] = bars[name]
        for table, calls in self._parts:
            run_steps(
                self._mem, self._work, self._state, table, self._real, self._base, self._history, self.position, rows,
                self.num_assets, self._places, self.block,
            )  # fmt: skip
            for function, inputs, out in calls:
                function(*[self._view(*pair, size) for pair in inputs], self._view(out, 0, size))
        self.position += rows


def _needed(graph: Graph, outputs: Sequence[Series]) -> list[Step]:
    """The steps that the outputs are made of, and one for each output that writes it down."""
    wanted = {series.value for series in outputs}
    kept = []
    for step in reversed(graph.steps):
        if wanted.intersection(range(step.first, step.first + step.outputs)):
            kept.append(step)
            wanted.update(value for value, _ in step.inputs)
    writes = [
        Step(codes.OUTPUT, ((series.value, series.lag),), k, 0, (), (), None)
        for k, series in enumerate(outputs)
    ]
    return [*reversed(kept), *writes]


def _history(graph: Graph, steps: Sequence[Step]) -> NDArray[np.int64]:
    """(V,) how many bars of its past are read of each value."""
    found = np.zeros(graph.num_values + _ALIGNED, np.int64)
    for step in steps:
        for k, (value, lag) in enumerate(step.inputs):
            if value not in graph.constants:
                found[value] = max(found[value], lag + _window(step, k))
    return found


def _window(step: Step, place: int) -> int:
    """Bars before the newest one that a step reads of its input at this place."""
    if not codes.LAST_OF_THREE < step.code <= codes.LAST_WINDOW:
        return 0
    if step.code in (codes.SHARE_BELOW, codes.DEVIATION) and place == 1:
        return 0
    return step.whole[0] + (1 if step.code == codes.GAPS else -1)


def _order(graph: Graph, steps: Sequence[Step]) -> list[list[Step]]:
    """Parts of steps, each with its calls at the end: a call's value is there for the parts after its own."""
    level = np.zeros(graph.num_values, np.int64)
    parts: list[tuple[list[Step], list[Step]]] = []
    for step in steps:
        own = max((int(level[value]) for value, _ in step.inputs), default=0)
        while len(parts) <= own:
            parts.append(([], []))
        called = step.code == codes.CALL
        parts[own][called].append(step)
        level[step.first : step.first + step.outputs] = own + called
    return [[*_written_soon(regular), *calls] for regular, calls in parts]


def _written_soon(steps: Sequence[Step]) -> list[Step]:
    """The steps with what writes an output right after the step that computes it, while it is in the cache."""
    writes: dict[int, list[Step]] = {}
    for step in steps:
        if step.code == codes.OUTPUT:
            writes.setdefault(step.inputs[0][0], []).append(step)
    ordered = []
    for step in steps:
        if step.code != codes.OUTPUT:
            ordered.append(step)
            for value in range(step.first, step.first + step.outputs):
                ordered += writes.pop(value, [])
    return [*(write for group in writes.values() for write in group), *ordered]
