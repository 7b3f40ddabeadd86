"""Small inline SVG charts for the report: no file beside the page, colours from the page's style sheet.

They stand without a script; line charts carry their values, which ``page.js`` shows under the pointer.

The horizontal axis counts bars, labelled with their dates, so that nights and gaps take no room.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.equal_runs import run_starts

FloatArray = NDArray[np.float64]
WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960.0, 58.0, 12.0, 10.0, 24.0
MAX_POINTS = 900


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line: `style` is a CSS class of the report (s0 is the policy, s1 ... the others).

    When there are more bars than pixels, `averaged` lines show the mean of each bucket and the others its extremes.
    """

    name: str
    values: FloatArray
    style: str
    filled: bool = False
    averaged: bool = False


def nice_ticks(low: float, high: float, count: int = 5) -> FloatArray:
    """Round numbers that span [low, high]: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    return np.arange(math.floor(low / step), math.ceil(high / step) + 1, dtype=np.float64) * step


def log_ticks(low: float, high: float) -> FloatArray:
    """Values 1, 2 and 5 times powers of ten that span [low, high], every other one left out where there are many."""
    powers = 10.0 ** np.arange(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    marks = np.sort(np.outer(powers, (1.0, 2.0, 5.0)).ravel())
    first = max(int(np.searchsorted(marks, low, side="right")) - 1, 0)
    last = min(int(np.searchsorted(marks, high, side="left")), len(marks) - 1)
    chosen = marks[first : last + 1]
    if len(chosen) > 9:  # powers of ten alone
        inner = chosen[1:-1]
        chosen = np.concatenate([chosen[:1], inner[np.isin(inner, powers)], chosen[-1:]])
    return chosen


def envelope(values: FloatArray, max_points: int = MAX_POINTS) -> NDArray[np.int64]:
    """Indices to draw: all, or the lowest and the highest of each bucket, so that no peak is lost."""
    size = len(values)
    if size <= max_points:
        return np.arange(size)
    edges = np.linspace(0, size, max_points // 2 + 1).astype(int)
    picked = [0, size - 1]
    for start, stop in zip(edges[:-1], edges[1:]):
        part = values[start:stop]
        picked += [start + int(part.argmin()), start + int(part.argmax())]
    return np.unique(picked)


def drawn_points(line: Series, max_points: int = MAX_POINTS) -> tuple[FloatArray, FloatArray]:
    """Bar positions and values to draw of a line."""
    size = len(line.values)
    if not line.averaged or size <= max_points:
        index = envelope(line.values, max_points)
        return index.astype(np.float64), line.values[index]
    edges = np.linspace(0, size, max_points // 3 + 1).astype(int)
    counts = np.diff(edges)
    return edges[:-1] + (counts - 1) / 2.0, np.add.reduceat(line.values, edges[:-1]) / counts


def date_ticks(bar_utc: NDArray[np.datetime64], count: int = 7) -> list[tuple[int, str]]:
    """(bar index, label) of round dates: years, months or days, whichever gives about `count` labels."""
    stamps = pd.DatetimeIndex(bar_utc)
    units = (
        (stamps.year.to_numpy(), "%Y"),
        (stamps.year.to_numpy() * 12 + stamps.month.to_numpy(), "%b %Y"),
        (stamps.normalize().asi8, "%d %b"),
        (stamps.floor("h").asi8, "%d %b %H:%M"),
    )
    for keys, pattern in units:
        starts = run_starts(keys)[1:]
        if len(starts) >= min(count // 2, max(len(stamps) - 1, 1)):
            every = starts[:: math.ceil(len(starts) / count)]
            return [(int(i), stamps[int(i)].strftime(pattern)) for i in every]
    return [(0, stamps[0].strftime("%d %b %Y"))] if len(stamps) else []


def _frame(height: float, body: str, label: str, width: float = WIDTH, facts: str = "") -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}" {facts}'
        f'preserveAspectRatio="xMidYMid meet">{body}</svg>'
    )


@dataclass(frozen=True, kw_only=True)
class _Plot:
    """Where bars and values lie in a chart of `height`: `size` bars from left to right, values between the ticks."""

    size: int
    height: float
    ticks: FloatArray
    logarithmic: bool

    @property
    def plot_height(self) -> float:
        return self.height - TOP - BOTTOM

    def x(self, index: FloatArray | float) -> NDArray[np.float64]:
        return LEFT + np.asarray(index) * (WIDTH - LEFT - RIGHT) / max(self.size - 1, 1)

    def y(self, value: FloatArray | float) -> NDArray[np.float64]:
        scaled = np.log if self.logarithmic else np.asarray
        bottom, top = float(scaled(self.ticks[0])), float(scaled(self.ticks[-1]))
        return TOP + (top - scaled(value)) * self.plot_height / (top - bottom)

    def ruled(self, format_value: Callable[[float], str], boundaries: Sequence[int]) -> list[str]:
        """A horizontal line and its value at each tick, a vertical one at each boundary."""
        y = {t: self.y(t) for t in self.ticks.tolist()}
        lines = [
            f'<line class="grid" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y[t]:.1f}" y2="{y[t]:.1f}"/>'
            f'<text class="tick" x="{LEFT - 8:g}" y="{y[t] + 4:.1f}" text-anchor="end">{escape(format_value(t))}</text>'
            for t in y
        ]
        folds = [
            f'<line class="fold" x1="{self.x(b):.1f}" x2="{self.x(b):.1f}" y1="{TOP:g}" '
            f'y2="{TOP + self.plot_height:.1f}"/>'
            for b in boundaries
        ]
        return lines + folds

    def dated(self, bar_utc: NDArray[np.datetime64]) -> list[str]:
        """Round dates below the plot."""
        places = [(self.x(i + self.size - len(bar_utc)), text) for i, text in date_ticks(bar_utc)]
        dates = [
            f'<text class="tick" x="{x:.1f}" y="{self.height - 6:g}" text-anchor="middle">{escape(text)}</text>'
            for x, text in places
            if LEFT + 10 < x < WIDTH - RIGHT - 20
        ]
        return ['<g class="dates">', *dates, "</g>"]

    def line(self, line: Series, baseline: float | None) -> list[str]:
        """A line with its values, over an area down or up to the baseline where it is filled."""
        parts = []
        index, values = drawn_points(line)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(self.x(index), self.y(values)))
        if line.filled:
            floor = self.y(float(self.ticks[0]) if baseline is None else baseline)
            area = f"{self.x(index[0]):.1f},{floor:.1f} {points} {self.x(index[-1]):.1f},{floor:.1f}"
            parts.append(f'<polygon class="area {line.style}" points="{area}"/>')
        weight = " thin" if line.filled else ""
        parts.append(
            f'<polyline class="line {line.style}{weight}" points="{points}" data-name="{escape(line.name)}" '
            f'data-v="{escape(" ".join(f"{value:.5g}" for value in values))}">'
            f"<title>{escape(line.name)}</title></polyline>"
        )
        return parts


def line_chart(
    series: Sequence[Series],
    bar_utc: NDArray[np.datetime64],
    *,
    label: str,
    format_value: Callable[[float], str],
    height: float = 300.0,
    baseline: float | None = None,
    boundaries: Sequence[int] = (),
    logarithmic: bool = False,
) -> str:
    """Lines over bars.

    Parameters
    ----------
    series : lines of one length N; drawn in order, so the most important one comes last.
    bar_utc : (N,) or (N - 1,) labels; with N - 1 the first point lies before the first bar.
    baseline : value drawn as a heavier horizontal line, which filled series reach down or up to.
    boundaries : bar indices drawn as thin vertical lines (fold starts).
    logarithmic : equal ratios take equal heights; for positive values only.
    """
    size = max(len(s.values) for s in series)
    low = min(float(np.min(s.values)) for s in series)
    high = max(float(np.max(s.values)) for s in series)
    if baseline is not None:
        low, high = min(low, baseline), max(high, baseline)
    ticks = log_ticks(low, high) if logarithmic else nice_ticks(low, high)
    plot = _Plot(size=size, height=height, ticks=ticks, logarithmic=logarithmic)
    parts = plot.ruled(format_value, boundaries) + plot.dated(bar_utc)
    if baseline is not None:
        zero = plot.y(baseline)
        parts.append(
            f'<line class="zero" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{zero:.1f}" y2="{zero:.1f}"/>'
        )
    clip = f"c{zlib.crc32(f'{label} {height} {size}'.encode()):x}"
    parts.append(
        f'<clipPath id="{clip}"><rect x="{LEFT:g}" y="0" width="{WIDTH - LEFT - RIGHT:g}" height="{height:g}"/>'
        f'</clipPath><g clip-path="url(#{clip})"><g class="plot">'
    )
    for line in series:
        parts += plot.line(line, baseline)
    parts.append("</g></g>")
    return _frame(height, "".join(parts), label, facts=_times(bar_utc, size, plot.plot_height))


def _times(bar_utc: NDArray[np.datetime64], size: int, plot_height: float) -> str:
    """What a script needs to say where the pointer is: the plot's place, and when each of its columns begins.

    Times are seconds, each but the first less the one before. With more bars than columns a column is several bars, and
    ``data-exact`` is 0. A point before the first bar has the first bar's time.
    """
    columns = min(size, int(WIDTH - LEFT - RIGHT))
    at = np.linspace(0, size - 1, columns).astype(int) - (size - len(bar_utc))
    facts = f'data-left="{LEFT:g}" data-right="{WIDTH - RIGHT:g}" data-top="{TOP:g}" data-height="{plot_height:g}" '
    if not len(bar_utc):
        return ""
    naive = pd.DatetimeIndex(bar_utc).tz_localize(None)  # of files they carry the name of UTC
    seconds = naive.to_numpy().astype("datetime64[s]").astype(np.int64)[np.maximum(at, 0)]
    steps = " ".join(map(str, np.diff(seconds, prepend=0)))
    return f'{facts}data-exact="{int(columns == size)}" data-times="{steps}" '


def histogram(
    values: FloatArray,
    *,
    label: str,
    format_value: Callable[[float], str],
    height: float = 200.0,
    bins: int = 41,
) -> str:
    """Counts of values in equal bins, losses and gains in their own colours; the extreme 1 % lie in the end bins."""
    low, high = np.quantile(values, [0.005, 0.995])
    reach = max(abs(low), abs(high)) or 1.0
    counts, edges = np.histogram(np.clip(values, -reach, reach), bins=bins, range=(-reach, reach))
    plot_height = height - TOP - BOTTOM
    step = (WIDTH - LEFT - RIGHT) / bins
    bars = []
    for i, count in enumerate(counts):
        tall = plot_height * count / max(int(counts.max()), 1)
        middle = 0.5 * (edges[i] + edges[i + 1])
        style = "gain" if middle > reach / bins else ("loss" if middle < -reach / bins else "even")
        bars.append(
            f'<rect class="{style}" x="{LEFT + i * step + 1:.1f}" y="{TOP + plot_height - tall:.1f}" '
            f'width="{step - 2:.1f}" height="{tall:.1f}"><title>{format_value(float(middle))}: {count}</title></rect>'
        )
    labels = []
    for share, anchor in ((0.0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1.0, "end")):
        text = escape(format_value((2.0 * share - 1.0) * reach))
        labels.append(
            f'<text class="tick" x="{LEFT + share * (WIDTH - LEFT - RIGHT):.1f}" y="{height - 6:g}" '
            f'text-anchor="{anchor}">{text}</text>'
        )
    base = TOP + plot_height
    rule = f'<line class="zero" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{base:g}" y2="{base:g}"/>'
    return _frame(height, "".join([*bars, rule, *labels]), label)


def bar_chart(
    names: Sequence[str],
    values: Sequence[float],
    *,
    label: str,
    format_value: Callable[[float], str],
    style: str = "",
) -> str:
    """Horizontal bars for half the page's width, names on the left and numbers on the right.

    Gains and losses have their own colours unless a `style` is given; losses reach to the left of the zero line.
    """
    longest = max(len(format_value(value)) for value in values)
    row, left, right, width = 30.0, 112.0, max(82.0, 8.6 * longest + 8.0), 470.0
    low, high = min(0.0, *values), max(0.0, *values)
    scale = (width - left - right) / ((high - low) or 1.0)
    zero = left - low * scale
    parts = []
    for i, (name, value) in enumerate(zip(names, values)):
        top = 4 + i * row
        colour = style or ("gain" if value > 0 else "loss")
        start = min(zero, zero + value * scale)
        parts.append(
            f'<text class="name" x="0" y="{top + 19:g}">{escape(name)}</text>'
            f'<rect class="{colour}" x="{start:.1f}" y="{top + 5:g}" width="{max(abs(value) * scale, 1):.1f}" '
            f'height="{row - 11:g}" rx="3"/>'
            f'<text class="name" x="{width:g}" y="{top + 19:g}" text-anchor="end">'
            f"{escape(format_value(value))}</text>"
        )
    height = row * len(names) + 8
    if low < 0.0:
        parts.append(f'<line class="zero" x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{height:g}"/>')
    return _frame(height, "".join(parts), label, width)


def column_chart(
    names: Sequence[str], values: Sequence[float], *, label: str, format_value: Callable[[float], str]
) -> str:
    """Upright bars for half the page's width, gains above the zero line and losses below; the extremes are labelled."""
    width, top, bottom, height = 470.0, 18.0, 22.0, 136.0
    low, high = min(0.0, *values), max(0.0, *values)
    scale = (height - top - bottom) / ((high - low) or 1.0)
    zero, step = top + high * scale, width / len(names)
    every = math.ceil(len(names) / 12)
    parts = []
    for i, (name, value) in enumerate(zip(names, values)):
        tall, middle = abs(value) * scale, (i + 0.5) * step
        start = zero - tall if value > 0 else zero
        parts.append(
            f'<rect class="{"gain" if value > 0 else "loss"}" x="{i * step + 1:.1f}" y="{start:.1f}" rx="2" '
            f'width="{max(step - 3, 1):.1f}" height="{max(tall, 0.5):.1f}">'
            f"<title>{escape(name)}: {escape(format_value(value))}</title></rect>"
        )
        if i % every == 0:
            parts.append(
                f'<text class="tick" x="{middle:.1f}" y="{height - 6:g}" text-anchor="middle">{escape(name)}</text>'
            )
    best = max(range(len(values)), key=lambda i: abs(values[i]))
    anchor = "start" if best < len(values) / 2 else "end"
    parts.append(
        f'<text class="tick" x="{(best + 0.5) * step:.1f}" y="12" text-anchor="{anchor}">'
        f"{escape(names[best])} h: {escape(format_value(values[best]))}</text>"
    )
    parts.append(f'<line class="zero" x1="0" x2="{width:g}" y1="{zero:.1f}" y2="{zero:.1f}"/>')
    return _frame(height, "".join(parts), label, width)
