"""The formulas of features as one graph: their functions are called with series that note what is done to them.

A feature is written once, as a function of a panel. Called with a `TracedPanel` it computes nothing; it leaves behind
which sums, quotients and windows it is made of. What two features have in common is noted once.

A series of the past (`before`) is no step of its own: it is the same series, read some bars earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray
from scipy.special import ndtr

from data.features.plan import codes

UFUNCS: dict[Any, int] = {
    np.negative: codes.NEGATIVE, np.absolute: codes.ABSOLUTE, np.sign: codes.SIGN, np.sqrt: codes.ROOT,
    np.isnan: codes.IS_NAN, np.invert: codes.NOT, np.logical_not: codes.NOT, np.square: codes.SQUARE,
    np.add: codes.ADD, np.subtract: codes.SUBTRACT, np.multiply: codes.MULTIPLY, np.divide: codes.DIVIDE,
    np.maximum: codes.LARGER, np.minimum: codes.SMALLER, np.fmax: codes.LARGER_KNOWN, np.fmin: codes.SMALLER_KNOWN,
    np.less: codes.LESS, np.less_equal: codes.LESS_EQUAL, np.greater: codes.GREATER,
    np.greater_equal: codes.GREATER_EQUAL, np.equal: codes.EQUAL, np.not_equal: codes.NOT_EQUAL,
    np.bitwise_and: codes.AND, np.logical_and: codes.AND, np.bitwise_or: codes.OR, np.logical_or: codes.OR,
}  # fmt: skip
"""Exact in every implementation, so that compiled code gives NumPy's bits."""
CALLED = (np.log, np.exp, np.log1p, np.expm1, np.tanh, ndtr)
"""Rounded by their own library's way, so that only the library itself gives its bits."""
FLAGS = frozenset(
    {codes.IS_NAN, codes.NOT, codes.LESS, codes.LESS_EQUAL, codes.GREATER, codes.GREATER_EQUAL, codes.EQUAL,
     codes.NOT_EQUAL, codes.AND, codes.OR}
)  # fmt: skip
"""Steps whose values are true or false, kept as 1 and 0."""

OF_ASSETS = "of assets "
"""What the name of an input begins with that is a flag of each asset."""


class UntraceableError(TypeError):
    """A function did with a series what no plan knows how to do."""


class Step(NamedTuple):
    """One step of a graph.

    code : what it does. inputs : (value, bars earlier) of each series that it reads. first, outputs : its values have
    the ids first to first + outputs - 1. whole, real : its numbers. call : the function of a CALL.
    """

    code: int
    inputs: tuple[tuple[int, int], ...]
    first: int
    outputs: int
    whole: tuple[int, ...]
    real: tuple[float, ...]
    call: Callable[..., Any] | None


@dataclass
class Graph:
    """Steps in an order in which each reads values of those before it.

    Attributes
    ----------
    steps : so far. num_values : ids given out. constants : value -> number. inputs : value -> name of what is read of
        each bar. flags : values that are true or false.
    """

    steps: list[Step] = field(default_factory=list)
    num_values: int = 0
    constants: dict[int, float] = field(default_factory=dict)
    inputs: dict[int, str] = field(default_factory=dict)
    flags: set[int] = field(default_factory=set)
    _known: dict[Any, int] = field(default_factory=dict)

    def input(self, name: str, *, flag: bool = False) -> Series:
        """The series of this name, read of each bar."""
        value = self._new(("input", name))
        self.inputs[value] = name
        if flag:
            self.flags.add(value)
        return Series(self, value, 0)

    def constant(self, number: float) -> Series:
        """A series that is the same at every bar."""
        value = self._new(("constant", float(number).hex()))
        self.constants[value] = float(number)
        return Series(self, value, 0)

    def _new(self, key: Any, outputs: int = 1) -> int:
        if key not in self._known:
            self._known[key] = self.num_values
            self.num_values += outputs
        return self._known[key]

    def series(self, operand: Any) -> Series:
        """The operand as a series: a number is a constant one."""
        if isinstance(operand, Series):
            if operand.graph is not self:
                raise UntraceableError("a series of another panel")
            return operand
        if isinstance(operand, bool | int | float | np.floating | np.integer | np.bool_):
            return self.constant(float(operand))
        raise UntraceableError(f"a {type(operand).__name__} beside a series")

    def step(
        self,
        code: int,
        *operands: Any,
        whole: tuple[int, ...] = (),
        real: tuple[float, ...] = (),
        outputs: int = 1,
        call: Callable[..., Any] | None = None,
    ) -> tuple[Series, ...]:
        """The values of a step, which is noted unless it is there already."""
        inputs = tuple((s.value, s.lag) for s in map(self.series, operands))
        real = tuple(float(number) for number in real)
        key = (code, inputs, whole, tuple(number.hex() for number in real), call)
        if key not in self._known:
            first = self._new(key, outputs)
            self.steps.append(Step(code, inputs, first, outputs, tuple(map(int, whole)), real, call))
            if code in FLAGS:
                self.flags.add(first)
        return tuple(Series(self, self._known[key] + k, 0) for k in range(outputs))


def _where(condition: Series, first: Any, second: Any) -> Any:
    return _graph_of(condition, first, second).step(codes.WHERE, condition, first, second)[0]


def _clip(values: Series, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(values, low), high)


def _stack(series: Any, axis: int = 0) -> Any:
    if axis != 2:
        raise UntraceableError(f"series stacked on axis {axis}")
    return tuple(_graph_of(*series).series(s) for s in series)


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: _where,
    np.clip: _clip,
    np.stack: _stack,
    np.broadcast_to: lambda values, shape: values,
}


def _graph_of(*operands: Any) -> Graph:
    return next(operand.graph for operand in operands if isinstance(operand, Series))


class Series(NDArrayOperatorsMixin):
    """A value of every bar and asset that a graph describes: `value`, as it was `lag` bars before.

    It stands for an array (T, A), or (T, 1), which is read as the same number for every asset.
    """

    shape = ("bars", "assets")

    def __init__(self, graph: Graph, value: int, lag: int) -> None:
        self.graph, self.value, self.lag = graph, value, lag

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        graph = _graph_of(*inputs)
        if method != "__call__" or options:
            raise UntraceableError(f"{ufunc.__name__} with {method} {sorted(options)}")
        if ufunc is np.power and not isinstance(inputs[1], Series) and inputs[1] == 2:
            return graph.step(codes.SQUARE, inputs[0])[0]
        if ufunc in UFUNCS:
            if ufunc in (np.invert, np.bitwise_and, np.bitwise_or):
                self._refuse_numbers(ufunc, inputs)
            return graph.step(UFUNCS[ufunc], *inputs)[0]
        if ufunc in CALLED:
            return graph.step(codes.CALL, *inputs, call=ufunc)[0]
        raise UntraceableError(f"the function {ufunc.__name__}")

    def _refuse_numbers(self, ufunc: Any, inputs: tuple[Any, ...]) -> None:
        if not all(isinstance(s, Series) and s.value in s.graph.flags for s in inputs):
            raise UntraceableError(f"{ufunc.__name__} of numbers")

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function not in FUNCTIONS:
            raise UntraceableError(f"the function {function.__name__}")
        return FUNCTIONS[function](*args, **options)

    def __getitem__(self, place: Any) -> Any:
        # values[:, a : a + 1]: one asset's, for all.
        if isinstance(place, tuple) and len(place) == 2 and place[0] == slice(None):
            columns = place[1]
            if (
                isinstance(columns, slice)
                and columns.step is None
                and columns.stop == (columns.start or 0) + 1
            ):
                return self.graph.step(codes.PICK, self, whole=(columns.start or 0,))[0]
        raise UntraceableError(f"the part {place} of a series")

    def astype(self, dtype: Any) -> Any:
        """Itself: flags are 1 and 0 already."""
        if dtype is not np.float64:
            raise UntraceableError(f"a series as {dtype}")
        return self

    def before(self, bars: int) -> Any:
        """The values some bars earlier."""
        return Series(self.graph, self.value, self.lag + bars)

    def step(self, code: int, *others: Any, **numbers: Any) -> Any:
        """What a step of one output gives."""
        return self.graph.step(code, self, *others, **numbers)[0]

    def steps(self, code: int, outputs: int, *others: Any, **numbers: Any) -> tuple[Any, ...]:
        """What a step of several outputs gives."""
        return self.graph.step(code, self, *others, outputs=outputs, **numbers)

    def _refuse(self, *args: Any, **options: Any) -> Any:
        raise UntraceableError("the numbers of a series")

    __array__ = __iter__ = __len__ = __bool__ = __float__ = _refuse
    __hash__ = object.__hash__


class TracedPanel:
    """What a feature's function reads of a panel, as series of a graph.

    Parameters
    ----------
    form : anything with the symbols, calendar, bar length and columns of the panels that the plan is for.
    """

    def __init__(self, graph: Graph, form: Any) -> None:
        self.symbols, self.calendar, self.bar_seconds = form.symbols, form.calendar, form.bar_seconds
        for name in ("open", "high", "low", "close", "volume", "session"):
            setattr(self, name, graph.input(name))
        self.tradable = graph.input("tradable", flag=True)
        self.after_closed_market = graph.input("after_closed_market", flag=True)
        self._graph = graph
        self.exogenous: Mapping[str, Any] = {name: graph.input(f"column {name}") for name in form.exogenous}

    def of_assets(self, flags: tuple[bool, ...]) -> Series:
        """A flag of each asset, the same at every bar."""
        return self._graph.input(OF_ASSETS + "".join("1" if flag else "0" for flag in flags), flag=True)


def flags_of_assets(name: str) -> NDArray[np.float64]:
    """(A,) the flags that an input of this name (`TracedPanel.of_assets`) stands for."""
    return np.array([float(digit) for digit in name.removeprefix(OF_ASSETS)])
