"""What a feature is: a pure function of a panel, with its kind, outputs and lookback declared.

The built-in ones and the tables of their names stand in `prices` and `clocks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel

FloatArray = NDArray[np.float64]


def no_lookback(params: Mapping[str, Any]) -> int:
    """Return 0: the feature reads bar t only."""
    return 0


def single_output(panel: Panel, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the empty suffix: the feature has one output, named after itself and its parameters."""
    return ("",)


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
    """

    name: str
    kind: Literal["asset", "clock"]
    function: Callable[..., FloatArray]
    lookback_bars: Callable[[Mapping[str, Any]], int] = no_lookback
    outputs: Callable[[Panel, Mapping[str, Any]], tuple[str, ...]] = single_output
    version: int = 1

    def __post_init__(self) -> None:
        if self.kind not in ("asset", "clock"):
            raise ValueError(f"Feature {self.name!r} has kind {self.kind!r}; it must be 'asset' or 'clock'.")
