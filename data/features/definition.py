"""What a feature is: a pure function of a panel, with its kind, outputs, lookback and what a reader must know of it.

The built-in ones stand in rooms by subject (`technical`, `microstructure`, ...); `library` lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel

FloatArray = NDArray[np.float64]
ANY = (-np.inf, np.inf)
"""Bounds of what has none."""
POSITIVE, SHARE, SIGNED_SHARE = (0.0, np.inf), (0.0, 1.0), (-1.0, 1.0)
MISSING = "at a missing bar"
WINDOW = "with fewer than half of the window known"
BAR_AND_WINDOW = f"{MISSING}, and {WINDOW}"
"""When a value is not known, in the words of most features."""


def bars_of(name: str, more: int, params: Mapping[str, Any]) -> int:
    """Return the number of bars that the parameter `name` states, and `more`; for `partial`, as a lookback."""
    return int(params[name]) + more


def no_lookback(params: Mapping[str, Any]) -> int:
    """Return 0: the feature reads bar t only."""
    return 0


def single_output(panel: Panel, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the empty suffix: the feature has one output, named after itself and its parameters."""
    return ("",)


def named_outputs(*suffixes: str) -> Callable[[Panel, Mapping[str, Any]], tuple[str, ...]]:
    """Outputs that are the same on every panel; "" is the feature's own name."""

    def of(panel: Panel, params: Mapping[str, Any]) -> tuple[str, ...]:
        return suffixes

    return of


def no_check(params: Mapping[str, Any]) -> None:
    """Accept all parameters."""


def nothing_lacks(panel: Panel, params: Mapping[str, Any]) -> str:
    """Return the empty text: panel and parameters say all that the feature needs."""
    return ""


def positive(*names: str) -> Callable[[Mapping[str, Any]], None]:
    """Refuse parameters of these names that are no numbers above 0, as a ValueError."""

    def check(params: Mapping[str, Any]) -> None:
        for name in names:
            value = params[name]
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 < value < np.inf:
                raise ValueError(f"{name} is {value!r}; it must be a number above 0.")

    return check


def default_stem(name: str, params: Mapping[str, Any]) -> str:
    """Name and parameters, in the order of their keys: what the names of outputs begin with. Without `events`, which
    are a table of dates.
    """
    return "_".join([name, *(str(params[key]) for key in sorted(params) if key != "events")])


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A named causal function of a panel.

    Parameters
    ----------
    name : what configs call it.
    kind : "asset" for one value per bar and asset, "clock" for values that all assets share.
    function : (panel, **params) -> float64 array; asset: (T, A), or (T, A, K) for K outputs; clock: (T,) or
        (T, K). Row t may depend on bars t - lookback to t and on the published calendar, and on nothing else.
        NaN = not known.
    lookback_bars : params -> number of bars before t that row t reads.
    outputs : (panel, params) -> K suffixes, appended to the name of each output.
    version : raise it when the meaning changes, so that a model trained on the old one refuses the new.
    by_blocks : a large panel is handed over in parts of some thousand bars, each with its lookback before it, which
        keeps arrays in the cache and memory small. Only for a function whose row t is the same to the bit on every
        part.
    across_assets : the value of an asset reads other assets too.
    by_session : a clock feature that is the same at all bars of a session; a stream asks for it once a session.
    users_facts : its parameters hold facts of the user's, such as dates, of which nobody knows when they were known; it
        is judged as a feature of the user's own.
    reads_bars : False for a feature of assets that reads times and its parameters alone, and no bar.
    unscaled : its values are flags of an asset, the same at every bar, which a policy sees as they are, whatever
        `Standardiser` does with others: by the asset's own mean they would be 0. A stream asks for them once.
    tells_symbols_apart : its outputs are one for each symbol, so that it says nothing of a symbol that was not trained
        on.
    lacks : (panel, params) -> what they do not say that the feature needs, in words for the user; "" for nothing.
    stem : (name, params) -> what the names of outputs begin with.
    check : params -> nothing, or a ValueError that says what is wrong with them; numbers of bars are checked before.
    filter_bars : params -> bars over which a hidden Markov model is filtered, where the function gives what it
        observes: `Standardiser.fit` fits one on the training window (`data.features.hidden_markov`), and what a policy
        sees is the probability of its wild state. None where the function gives the feature itself.
    subject, unit, bounds, unknown, source : what a reader must know: the room it stands in, the unit of its values and
        the range that they cannot leave, when a value is NaN, and where the formula comes from. All built-in ones
        say so.
    """

    name: str
    kind: Literal["asset", "clock"]
    function: Callable[..., FloatArray]
    lookback_bars: Callable[[Mapping[str, Any]], int] = no_lookback
    outputs: Callable[[Panel, Mapping[str, Any]], tuple[str, ...]] = single_output
    version: int = 1
    by_blocks: bool = False
    across_assets: bool = False
    by_session: bool = False
    users_facts: bool = False
    reads_bars: bool = True
    unscaled: bool = False
    tells_symbols_apart: bool = False
    lacks: Callable[[Panel, Mapping[str, Any]], str] = nothing_lacks
    stem: Callable[[str, Mapping[str, Any]], str] = default_stem
    check: Callable[[Mapping[str, Any]], None] = no_check
    filter_bars: Callable[[Mapping[str, Any]], int] | None = None
    subject: str = "your own"
    unit: str = ""
    bounds: tuple[float, float] = ANY
    unknown: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.kind not in ("asset", "clock"):
            raise ValueError(f"Feature {self.name!r} has kind {self.kind!r}; it must be 'asset' or 'clock'.")

    def unknown_bars(self, params: Mapping[str, Any]) -> int:
        """Return how many first rows of a panel the function cannot know: its lookback, without a filter's."""
        lookback = int(self.lookback_bars(params))
        return lookback if self.filter_bars is None else lookback - self.filter_bars(params) + 1

    @property
    def summary(self) -> str:
        """What it is: the first paragraph of its function's documentation, on one line, without the shape of
        the values.
        """
        text = " ".join((self.function.__doc__ or "").strip().split("\n\n")[0].split()).removeprefix(
            "Return "
        )
        return text.partition(") ")[2] if text.startswith("(T") else text
