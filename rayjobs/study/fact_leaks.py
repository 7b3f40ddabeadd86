"""Leak checks of features that look dates up: at a bar nothing may depend on a date that was not known when it closed.

To redraw bars says nothing of a calendar that a feature was handed. So it is computed again with the events alone that
were known at the close of a bar, just before another one came to be known: what moves at that bar or before it used a
date before it was announced. Asked of every feature with a parameter `events`, dates by symbol
(`data.features.event_dates`), a user's own among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray
from data.calendars import time_zone
from data.features import FeatureSpec
from data.features.compute import SingleFeature
from data.features.event_dates import Int64Array, check_events, closes, instants_of, known_by, written
from data.schema import Panel
from envs.checks.findings import BROKEN, LeakFinding
from envs.checks.prefixes import Compared

EVENTS = "events"
"""The parameter that holds them."""
MOST_CUTS = 64
"""Instants at which something came to be known that are asked about; others are drawn by lot."""
ROWS = 4096
"""Rows before a cut that are compared."""


def has_events(spec: FeatureSpec) -> bool:
    """Whether a feature is handed events by symbol."""
    try:
        check_events(spec.params.get(EVENTS))
    except ValueError:
        return False
    return True


def compare_events(spec: FeatureSpec, panel: Panel, *, seed: int) -> Compared:
    """A feature with all events and with those that were known alone, at bars before something came to be known."""
    feature, events, now = SingleFeature.of(spec, panel), spec.params[EVENTS], closes(panel)
    for cut, symbols in _cuts(panel, events, now, np.random.default_rng((seed, len(now)))):
        start = max(cut + 1 - ROWS - feature.lookback_bars, 0)
        first = start + feature.lookback_bars
        if first > cut:
            continue
        part = panel.slice_bars(start, cut + 1)
        known = {**spec.params, EVENTS: known_by(events, int(now[cut]), panel.calendar)}
        try:
            early = replace(feature, spec=FeatureSpec(name=spec.name, params=known))
            moved = _moved(feature.values(part), early.values(part))[feature.lookback_bars :]
        except Exception as error:  # it is the user's own code
            return _told(_unusable(feature, error))
        if moved.any():
            bars = first + np.flatnonzero(moved.any(axis=1))
            k = int(np.flatnonzero(moved.any(axis=0))[0])
            return _told(_early(feature.names[k], cut, bars, symbols, now))
    return Compared(findings=(), notes=(), sampling=None)


def _cuts(
    panel: Panel, events: Mapping[str, Any], now: Int64Array, random: np.random.Generator
) -> list[tuple[int, tuple[str, ...]]]:
    """Last bars that closed before something was known, and the symbols of which it was."""
    zone = time_zone(panel.calendar)
    heard: dict[int, list[str]] = {}
    for symbol in panel.symbols:
        known = instants_of(written(events.get(symbol, ""), symbol), zone)[1]
        for cut in np.unique(np.searchsorted(now, known) - 1):
            heard.setdefault(int(cut), []).append(symbol)
    cuts = sorted(cut for cut in heard if cut >= 0)
    if len(cuts) > MOST_CUTS:
        cuts = sorted(random.choice(cuts, MOST_CUTS, replace=False).tolist())
    return [(cut, tuple(heard[cut])) for cut in cuts]


def _moved(here: NDArray[np.float32], there: NDArray[np.float32]) -> BoolArray:
    """(N, K) True where a value of some asset is another."""
    differs = (here != there) & ~(np.isnan(here) & np.isnan(there))
    return differs.any(axis=1) if differs.ndim == 3 else differs


def _told(finding: LeakFinding) -> Compared:
    return Compared(findings=(finding,), notes=(), sampling=None)


def _early(name: str, cut: int, bars: Int64Array, symbols: tuple[str, ...], now: Int64Array) -> LeakFinding:
    closed = now[cut].astype("datetime64[ns]").astype("datetime64[m]")
    return LeakFinding(
        kind="feature",
        culprit=name,
        cut_bar=cut,
        first_bar=int(bars[0]),
        last_bar=int(bars[-1]),
        hint=f"it uses a date of {' or '.join(symbols[:3])} before it was announced: what was known later than "
        f"{closed}, when that bar closed, moves it; take what was known from data.features.event_dates.events_of",
    )


def _unusable(feature: SingleFeature, error: Exception) -> LeakFinding:
    return LeakFinding(
        kind=BROKEN,
        culprit=feature.names[0],
        cut_bar=0,
        first_bar=0,
        last_bar=0,
        hint=f"with the events alone that were known at a bar it raises {type(error).__name__}: {error}; it must take "
        "a symbol without events, too",
    )
