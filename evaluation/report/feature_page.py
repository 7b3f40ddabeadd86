"""One feature beside the price: a page of its own, without scripts and without files beside it."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.features import FeatureSpec, Standardiser, compute_features, resolve_feature
from data.schema import Panel
from evaluation.files import replacing
from evaluation.report.charts import Series, line_chart
from evaluation.report.page import page_style

FloatArray = NDArray[np.float64]


def write_feature_page(folder: Path, panel: Panel, spec: FeatureSpec, *, symbol: str, bars: int) -> Path:
    """Write the page of a feature of one symbol over the last `bars` bars, and return its path.

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
    labels = part.bar_utc[shown]
    charts = [_chart("close", part.close[shown, at], labels, "s0")]
    charts += [
        _chart(name, column.astype(np.float64), labels, f"s{1 + k % 6}")
        for k, (name, column) in enumerate(zip(names, values.T))
    ]
    facts = {
        "what": feature.summary,
        "parameters": ", ".join(f"{key}={value}" for key, value in spec.params.items()) or "none",
        "lookback": f"{lookback} bars",
        "unit": feature.unit,
        "NaN": feature.unknown,
        "source": feature.source,
    }
    name = f"{feature.name}_{symbol.replace('/', '_')}.html"
    path = folder / name
    with replacing(path) as temporary:
        temporary.write_text(_page(f"{feature.name} of {symbol}", facts, charts), encoding="utf-8")
    return path


def _chart(name: str, values: FloatArray, labels: NDArray[np.datetime64], style: str) -> str:
    """A card of one line. Bars at which it is not known are left out, and their share is said."""
    known = np.isfinite(values)
    share = f"known at {known.mean():.1%} of {len(values):,} bars"
    if known.sum() < 2:
        return f'<section class="card"><h2>{escape(name)}</h2><p class="what">{share}</p></section>'
    line = Series(name=name, values=values[known], style=style)
    chart = line_chart([line], labels[known], label=name, format_value=lambda v: f"{v:,.6g}", height=200.0)
    low, high = values[known].min(), values[known].max()
    what = f"{share}; from {low:,.5g} to {high:,.5g}, mean {values[known].mean():,.5g}"
    return f'<section class="card"><h2>{escape(name)}</h2><p class="what">{what}</p>{chart}</section>'


def _page(title: str, facts: dict[str, str], charts: list[str]) -> str:
    rows = "".join(
        f'<tr><td>{escape(key)}</td><td class="reason">{escape(value)}</td></tr>'
        for key, value in facts.items()
        if value
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{page_style()}</style></head>'
        f'<body><main><header><h1>{escape(title)}</h1></header><section class="card"><table>{rows}</table></section>'
        f"{''.join(charts)}</main></body></html>\n"
    )
