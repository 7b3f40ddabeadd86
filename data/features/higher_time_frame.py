"""Any feature of longer bars, each k bars of the panel's, known once the longer bar is complete.

Longer bars are counted from the open of each session by the published calendar; the last one of a session may be cut
short by the close. A bar is complete at the close of its last short bar, by the clock: nothing after it is looked at.

Axes: T time, A asset, C coarse bars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.features.definition import Feature
from data.features.longer_bars import LongerBars, marks
from data.features.panel_parts import unchecked_panel
from data.features.series import shared
from data.schema import BAR_COLUMNS, Panel

Resolve = Callable[[str], Feature]


@shared
def coarse_bars(panel: Panel, factor: int) -> tuple[Panel, NDArray[np.int64]]:
    """Bars of `factor` bars each, and (T,) the newest of them that is complete at the close of each short bar (-1:
    none).

    Raises
    ------
    ValueError
        If the panel's bars are a day or longer: they have no session to be counted from.
    """
    at = marks(panel, factor)
    width = factor * panel.bar_seconds
    made = LongerBars(panel.num_assets, width)
    rows = np.stack([getattr(panel, name) for name in (*BAR_COLUMNS, "tradable")]).astype(np.float64)
    complete, opened, newest = made.add(rows, panel.session, at)
    begun, opened_last = made.begun()
    bars = {name: np.concatenate([complete[name], begun[name]]) for name in complete}
    coarse = unchecked_panel(
        symbols=panel.symbols,
        bar_utc=np.concatenate([opened, opened_last]).astype("datetime64[ns]"),
        **{name: bars[name] for name in BAR_COLUMNS},
        tradable=bars["tradable"] > 0.0,
        session=bars["session"][:, 0].astype(np.int32),
        calendar=panel.calendar,
        bar_seconds=width,
    )
    return coarse, newest


def higher_time_frame_of(
    resolve: Resolve, check_wrapped: Callable[[Feature, Mapping[str, Any]], None]
) -> Feature:
    """The feature `higher_time_frame`, which finds the feature that it wraps by `resolve`, and checks its
    parameters.
    """

    def wrapped(params: Mapping[str, Any]) -> tuple[Feature, Mapping[str, Any]]:
        inner = resolve(str(params["feature"]))
        of_bars = inner.kind == "asset" and inner.reads_bars and inner.by_blocks and not inner.users_facts
        if not of_bars or inner.name in ("column", "higher_time_frame"):
            raise ValueError(
                f"higher_time_frame cannot wrap {inner.name!r}; name a feature of assets that reads bars, built in or "
                "your own with by_blocks=True."
            )
        return inner, params["params"]

    def higher_time_frame(
        panel: Panel, *, feature: str, factor: int, params: Mapping[str, Any]
    ) -> FloatArray:
        """(T, A, K) a feature of bars of `factor` bars each, as it was at the last one that is complete."""
        inner, own = wrapped({"feature": feature, "params": params})
        coarse, newest = coarse_bars(panel, factor)
        values = np.asarray(inner.function(coarse, **own), dtype=np.float64)
        shown = values[np.maximum(newest, 0)]
        shown[newest < 0] = np.nan
        return shown

    def lookback(params: Mapping[str, Any]) -> int:
        inner, own = wrapped(params)
        # The last complete bar began at most 2 factor - 2 bars ago, and each one before it factor bars earlier.
        return (int(inner.lookback_bars(own)) + 2) * int(params["factor"]) - 2

    def outputs(panel: Panel, params: Mapping[str, Any]) -> tuple[str, ...]:
        inner, own = wrapped(params)
        return inner.outputs(panel, own)

    def stem(name: str, params: Mapping[str, Any]) -> str:
        inner, own = wrapped(params)
        return f"{inner.stem(inner.name, own)}_of_{params['factor']}_bars"

    def check(params: Mapping[str, Any]) -> None:
        factor = params["factor"]
        if not isinstance(factor, int) or isinstance(factor, bool) or factor < 2:
            raise ValueError(f"factor is {factor!r}; it must be a whole number of bars, 2 or more.")
        if not isinstance(params["params"], Mapping):
            raise ValueError(
                f"params is {params['params']!r}; give the wrapped feature's parameters as a group."
            )
        check_wrapped(*wrapped(params))

    return Feature(
        name="higher_time_frame",
        check=check,
        kind="asset",
        function=higher_time_frame,
        lookback_bars=lookback,
        outputs=outputs,
        stem=stem,
        by_blocks=True,
        across_assets=True,
        subject="higher_time_frame",
        unit="as of the feature",
        unknown="as of the feature, on the longer bars; a longer bar is missing if all of its bars are",
        source="the feature",
    )
