"""One feature of one symbol, computed for a plot: its values beside the price, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.features import FeatureSpec, Standardiser, compute_features, resolve_feature
from data.schema import Panel

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureView:
    """What is shown of a feature.

    Parameters
    ----------
    name, symbol : of the feature and of whose it is.
    bar_utc : (N,) opening instants. close : (N,) price, NaN where the bar is missing.
    outputs : name -> (N,) values, NaN where not known.
    facts : what it is, its parameters, lookback, unit, NaN rule and source.
    """

    name: str
    symbol: str
    bar_utc: NDArray[np.datetime64]
    close: FloatArray
    outputs: Mapping[str, FloatArray]
    facts: Mapping[str, str]

    @property
    def title(self) -> str:
        """What stands above the plot."""
        return f"{self.name} of {self.symbol}"

    @property
    def file_name(self) -> str:
        """Of the files that show it, without the ending."""
        return f"{self.name}_{self.symbol.replace('/', '_')}"

    @property
    def lines(self) -> dict[str, FloatArray]:
        """Name -> (N,): the price, and each output below it."""
        return {"close": self.close, **self.outputs}


def feature_view(panel: Panel, spec: FeatureSpec, *, symbol: str, bars: int) -> FeatureView:
    """Compute a feature of one symbol over the last `bars` bars.

    Raises
    ------
    ValueError
        If the data are shorter than the feature's lookback, or `bars` is below 2.
    """
    if bars < 2:
        raise ValueError(f"bars is {bars}; a plot needs 2 or more")
    feature = resolve_feature(spec.name)
    lookback = int(feature.lookback_bars(spec.params))
    fitted = feature.filter_bars is not None  # on all bars before those that are shown
    part = panel if fitted else panel.slice_bars(max(panel.num_bars - bars - lookback, 0), panel.num_bars)
    computed = compute_features(part, [spec])
    shown = slice(max(part.num_bars - bars, min(lookback, part.num_bars - 1)), part.num_bars)
    if fitted:
        models = Standardiser.fit(computed, slice(0, shown.start))
        computed = replace(computed, asset=models.known(computed, slice(0, part.num_bars)), filtered={})
    at = panel.symbols.index(symbol)
    names, values = computed.asset_names, computed.asset[shown, at]
    if feature.kind == "clock":
        names, values = computed.clock_names, computed.clock[shown]
    facts = {
        "what": feature.summary,
        "parameters": ", ".join(f"{key}={value}" for key, value in spec.params.items()) or "none",
        "lookback": f"{lookback} bars",
        "unit": feature.unit,
        "NaN": feature.unknown,
        "source": feature.source,
    }
    return FeatureView(
        name=feature.name,
        symbol=symbol,
        bar_utc=part.bar_utc[shown],
        close=part.close[shown, at],
        outputs={name: column.astype(np.float64) for name, column in zip(names, values.T)},
        facts=facts,
    )


def known_share(values: FloatArray) -> str:
    """At how many bars a line is known, in words."""
    return f"known at {np.isfinite(values).mean():.1%} of {len(values):,} bars"
