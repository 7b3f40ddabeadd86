"""One feature beside the price: a page of its own, without scripts and without files beside it."""

from __future__ import annotations

from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.files import replacing
from evaluation.report.charts import Series, line_chart
from evaluation.report.feature_view import FeatureView, known_share
from evaluation.report.page import page_style

FloatArray = NDArray[np.float64]


def write_feature_page(folder: Path, view: FeatureView) -> Path:
    """Write the page of a feature, and return its path."""
    charts = [
        _chart(name, values, view.bar_utc, f"s{0 if k == 0 else 1 + (k - 1) % 6}")
        for k, (name, values) in enumerate(view.lines.items())
    ]
    path = folder / f"{view.file_name}.html"
    with replacing(path) as temporary:
        temporary.write_text(_page(view, charts), encoding="utf-8")
    return path


def _chart(name: str, values: FloatArray, labels: NDArray[np.datetime64], style: str) -> str:
    """A card of one line. Bars at which it is not known are left out, and their share is said."""
    known = np.isfinite(values)
    share = known_share(values)
    if known.sum() < 2:
        return f'<section class="card"><h2>{escape(name)}</h2><p class="what">{share}</p></section>'
    line = Series(name=name, values=values[known], style=style)
    chart = line_chart([line], labels[known], label=name, format_value=lambda v: f"{v:,.6g}", height=200.0)
    low, high = values[known].min(), values[known].max()
    what = f"{share}; from {low:,.5g} to {high:,.5g}, mean {values[known].mean():,.5g}"
    return f'<section class="card"><h2>{escape(name)}</h2><p class="what">{what}</p>{chart}</section>'


def _page(view: FeatureView, charts: list[str]) -> str:
    rows = "".join(
        f'<tr><td>{escape(key)}</td><td class="reason">{escape(value)}</td></tr>'
        for key, value in view.facts.items()
        if value
    )
    title = escape(view.title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{page_style()}</style></head>'
        f'<body><main><header><h1>{title}</h1></header><section class="card"><table>{rows}</table></section>'
        f"{''.join(charts)}</main></body></html>\n"
    )
