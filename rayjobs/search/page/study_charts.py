"""Charts of a study as inline SVG in the report's colours: parallel coordinates, slices, fronts, fold heat map."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.report.charts import nice_ticks
from rayjobs.search.space.parameter import Parameter

FloatArray = NDArray[np.float64]
STRONGEST = 45.0
"""Percent of its colour behind the largest number of a heat map: more leaves too little contrast on a dark page."""
TOP_SHARE = 0.2
"""Share of the trials that is drawn in the policy's colour: what good trials have in common is what one looks for."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: where each trial lies on it, from 0 to 1 (nan where it has no value), and what is written beside it."""

    name: str
    place: FloatArray
    ticks: tuple[tuple[float, str], ...]


def parameter_axis(label: str, parameter: Parameter, values: Sequence[Any]) -> Axis:
    """A parameter on the scale that it was drawn on; choices are spread evenly."""
    if parameter.kind == "categorical":
        choices = [_word(choice) for choice in parameter.choices]
        step = 1.0 / max(len(choices) - 1, 1)
        known = {choice: index * step for index, choice in enumerate(choices)}
        place = np.array([known.get(_word(value), math.nan) for value in values], dtype=np.float64)
        return Axis(
            name=label, place=place, ticks=tuple((position, word) for word, position in known.items())
        )
    assert parameter.low is not None
    assert parameter.high is not None
    logarithmic = parameter.kind == "log_uniform" or parameter.log
    scale: Callable[[Any], Any] = np.log if logarithmic else (lambda value: value)
    low, high = float(scale(parameter.low)), float(scale(parameter.high))
    numbers = np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)
    middle = (
        math.sqrt(parameter.low * parameter.high) if logarithmic else (parameter.low + parameter.high) / 2
    )
    ticks = tuple(
        (place, short(value))
        for place, value in zip((0.0, 0.5, 1.0), (parameter.low, middle, parameter.high))
    )
    return Axis(name=label, place=(scale(numbers) - low) / (high - low), ticks=ticks)


def score_axis(name: str, values: FloatArray) -> Axis:
    """A measured number; the axis spans round numbers around what was found."""
    found = values[np.isfinite(values)]
    ticks = nice_ticks(float(found.min()), float(found.max()), 4) if len(found) else np.array([0.0, 1.0])
    low, high = float(ticks[0]), float(ticks[-1])
    return Axis(
        name=name,
        place=(values - low) / (high - low),
        ticks=tuple(((tick - low) / (high - low), f"{tick:.4g}") for tick in ticks.tolist()),
    )


def parallel_coordinates(
    axes: Sequence[Axis], score: FloatArray, strong: NDArray[np.bool_], titles: Sequence[str]
) -> str:
    """A line per trial across all axes; it stops before an axis on which the trial has no value.

    Parameters
    ----------
    score : (N,) more is better; the best is drawn last.
    strong : (N,) lines that stand out.
    titles : shown when the pointer rests on a line.
    """
    width, height, top, bottom = 960.0, 330.0, 42.0, 16.0
    step = (width - 160.0) / max(len(axes) - 1, 1)
    xs = [80.0 + step * index for index in range(len(axes))]
    room = height - top - bottom
    place_of = {axis.name: place for place, axis in enumerate(axes)}
    parts = []
    for index in sorted(np.argsort(score), key=lambda place: bool(strong[place])):
        style, fade, wide = ("s0", 0.9, 1.8) if strong[index] else ("s5", 0.35, 1.0)
        title = f"<title>{escape(titles[index])}</title>"
        for stretch in _stretches([axis.place[index] for axis in axes]):
            points = [f"{xs[k]:.1f},{top + (1.0 - axes[k].place[index]) * room:.1f}" for k in stretch]
            if len(points) == 1:  # between two axes without a value
                across, down = points[0].split(",")
                parts.append(
                    f'<circle class="key {style}" cx="{across}" cy="{down}" r="2.5" opacity="{fade}">{title}</circle>'
                )
                continue
            parts.append(
                f'<polyline class="line {style}" style="stroke-width:{wide}" opacity="{fade}" '
                f'points="{" ".join(points)}">{title}</polyline>'
            )
    for x, axis in zip(xs, axes):
        parts.append(f'<line class="zero" x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{top + room:g}"/>')
        lift = 14 if place_of[axis.name] % 2 and len(axes) > 5 else 0  # neighbours' names would touch
        parts.append(
            f'<text class="axis" x="{x:.1f}" y="{26 - lift}" text-anchor="middle">{escape(words(axis.name))}</text>'
        )
        for place, text in axis.ticks:
            y = top + (1.0 - place) * room
            parts.append(f'<text class="tick" x="{x + 7:.1f}" y="{y + 4:.1f}">{escape(text)}</text>')
    return _svg(width, height, "".join(parts), "Parallel coordinates of all trials")


def _stretches(places: Sequence[float]) -> list[list[int]]:
    """Neighbouring axes on which a trial has values."""
    found: list[list[int]] = [[]]
    for index, place in enumerate(places):
        if np.isfinite(place):
            found[-1].append(index)
        elif found[-1]:
            found.append([])
    return [stretch for stretch in found if stretch]


def scatter(
    horizontal: Axis,
    vertical: Axis,
    *,
    strong: NDArray[np.bool_],
    titles: Sequence[str],
    front: NDArray[np.bool_] | None = None,
    width: float = 470.0,
    height: float = 230.0,
) -> str:
    """A dot per trial.

    Parameters
    ----------
    strong : (N,) dots that stand out.
    front : (N,) dots joined by a line from left to right, such as a Pareto front of these two axes.
    """
    left, right, top, bottom = 56.0, 14.0, 22.0, 34.0
    room_x, room_y = width - left - right, height - top - bottom
    xs = left + horizontal.place * room_x
    ys = top + (1.0 - vertical.place) * room_y
    parts = [f'<text class="tick" x="{left - 50:g}" y="12">{escape(vertical.name)}</text>']
    for place, text in vertical.ticks:
        y = top + (1.0 - place) * room_y
        parts.append(f'<line class="grid" x1="{left:g}" x2="{width - right:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{left - 6:g}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        )
    for place, text in horizontal.ticks:
        x = left + place * room_x
        anchor = "middle" if 0.05 < place < 0.95 else ("start" if place < 0.5 else "end")
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{height - 18:g}" text-anchor="{anchor}">{escape(text)}</text>'
        )
    parts.append(
        f'<text class="tick" x="{left + room_x / 2:.1f}" y="{height - 3:g}" text-anchor="middle">'
        f"{escape(words(horizontal.name))}</text>"
    )
    shown = np.isfinite(xs) & np.isfinite(ys)
    if front is not None and (front & shown).any():
        order = [index for index in np.argsort(xs) if front[index] and shown[index]]
        parts.append(
            f'<polyline class="line s0" points="{" ".join(f"{xs[i]:.1f},{ys[i]:.1f}" for i in order)}"/>'
        )
    for index in [*np.flatnonzero(shown & ~strong), *np.flatnonzero(shown & strong)]:
        style, radius, fade = ("s0", 4.5, 0.95) if strong[index] else ("s5", 3.5, 0.55)
        parts.append(
            f'<circle class="key {style}" cx="{xs[index]:.1f}" cy="{ys[index]:.1f}" r="{radius}" opacity="{fade}">'
            f"<title>{escape(titles[index])}</title></circle>"
        )
    return _svg(width, height, "".join(parts), f"{vertical.name} by {horizontal.name}")


def heat_rows(
    trials: Sequence[int], folds: Mapping[int, Sequence[Mapping[str, Any]]], metric: str, maximize: bool
) -> tuple[list[str], list[dict[str, Any]]]:
    """A table of a metric per trial and fold, shaded from the worst to the best of all cells.

    Returns
    -------
    Names of the columns, and rows of ``trial`` and ``cells`` (text, shade).
    """
    keys = sorted({(row["fold"], row["seed"]) for number in trials for row in folds.get(number, [])})
    several = len({seed for _, seed in keys}) > 1
    names = [f"fold {fold}" + (f", seed {seed}" if several else "") for fold, seed in keys]
    table = {
        number: {(r["fold"], r["seed"]): r.get(metric) for r in folds.get(number, [])} for number in trials
    }
    found = [value for row in table.values() for value in row.values() if value is not None]
    reach = max((abs(value) for value in found), default=1.0) or 1.0
    rows = []
    for number in trials:
        cells = []
        for key in keys:
            value = table[number].get(key)
            good = value is not None and (value > 0) == maximize
            strength = 0.0 if value is None else STRONGEST * abs(value) / reach
            colour = "--pass" if good else "--fail"
            shade = f"background: color-mix(in srgb, var({colour}) {strength:.0f}%, transparent)"
            cells.append({"text": "–" if value is None else f"{value:.2f}", "shade": shade if value else ""})
        rows.append({"trial": number, "cells": cells})
    return names, rows


def share_bars(shares: Mapping[str, float]) -> str:
    """A horizontal bar per name, with its share in per cent; empty without any."""
    row, left, width = 26.0, 150.0, 470.0
    longest = max(shares.values(), default=0.0) or 1.0
    parts = []
    for place, (name, share) in enumerate(shares.items()):
        y, length = 6 + place * row, (width - left - 50) * share / longest
        parts.append(
            f'<text class="label" x="0" y="{y + 14:g}">{escape(words(name))}</text>'
            f'<rect class="key s0" x="{left:g}" y="{y + 2:g}" width="{max(length, 1):.1f}" height="17" rx="3"/>'
            f'<text class="label" x="{left + length + 7:.1f}" y="{y + 14:g}">{share:.0%}</text>'
        )
    return _svg(width, row * len(shares) + 10, "".join(parts), "Importance of parameters") if shares else ""


def best_share(score: FloatArray, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) the best fifth of some trials, at least one where there is any; more is better.

    Parameters
    ----------
    among : (N,) trials that may be compared: those that were trained equally far.
    """
    best = np.zeros(len(score), dtype=bool)
    order = [index for index in np.argsort(score)[::-1] if among[index]]
    best[order[: max(1, round(TOP_SHARE * len(order)))]] = True
    return best


def words(name: str) -> str:
    """A label as it is shown."""
    return name.replace("_", " ")


def short(value: float) -> str:
    """A number in few characters: ``0.005``, ``894``, ``4,000``."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _word(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "null"
    if isinstance(value, float) and value.is_integer():  # a column with gaps holds whole numbers as floats
        return str(int(value))
    return str(value)


def _svg(width: float, height: float, body: str, label: str) -> str:
    return f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">{body}</svg>'
