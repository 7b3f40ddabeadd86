"""One feature beside the price as a PNG, drawn without a screen by matplotlib.

The horizontal axis counts bars, so that nights and gaps take no room; where a value is not known the line is broken.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.files import replacing
from evaluation.report.feature_view import FeatureView, known_share

WIDTH_INCHES, PRICE_INCHES, OUTPUT_INCHES, DOTS_PER_INCH = 11.0, 2.6, 1.8, 120
MAX_TICKS = 7


def write_feature_image(folder: Path, view: FeatureView) -> Path:
    """Draw the price and, below it, each output of the feature, and return the path of the PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # half a second, and only here
    from matplotlib.figure import Figure

    lines = view.lines
    heights = [PRICE_INCHES, *([OUTPUT_INCHES] * len(view.outputs))]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 0.8), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(lines), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    bars = np.arange(len(view.bar_utc))
    for k, (axis, (name, values)) in enumerate(zip(axes, lines.items())):
        axis.plot(bars, values, color=f"C{k % 10}", linewidth=1.0)
        axis.set_title(f"{name}, {known_share(values)}", loc="left", fontsize=9)
        axis.grid(alpha=0.25)
    ticks = np.unique(np.linspace(0, len(bars) - 1, MAX_TICKS).round().astype(int))
    axes[-1].set_xticks(ticks, [_instant(view.bar_utc[tick]) for tick in ticks], fontsize=8)
    axes[-1].set_xlabel("bars, opened UTC", fontsize=8)
    figure.suptitle(f"{view.title} ({view.facts['parameters']})", fontsize=11)
    path = folder / f"{view.file_name}.png"
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
    return path


def _instant(bar_utc: np.datetime64) -> str:
    return pd.Timestamp(bar_utc).strftime("%Y-%m-%d\n%H:%M")
