"""What the market page shows of the policy itself: what it thought at each bar, and where its exits stood then."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.schema import Panel
from rayjobs.pages.answers import as_json, epoch_seconds, rounded
from rayjobs.pages.market_facts import ONE_AT_A_TIME, stretch
from rayjobs.pages.policy_process import think_again
from rayjobs.replay.finished_run import first_path

KEPT_WINDOWS = 32
ONE_POLICY_AT_A_TIME = threading.Lock()
"""It runs on one core for seconds: questions about a window wait for each other and share what was found."""
_kept: OrderedDict[tuple[str, int, int], Mapping[str, Any]] = OrderedDict()


def thoughts_answer(directory: str, stamp: int, symbol: str, start: int | None, count: int) -> bytes:
    """Of each bar of a stretch: what the policy thought at its close, and the exits that stood from there on.

    Parameters
    ----------
    directory, stamp, symbol, start, count : as `market_facts.stretch` takes them.

    Raises
    ------
    ConfigError
        If it cannot be told of these bars, with the reason.
    """
    with ONE_AT_A_TIME:
        shown = stretch(directory, stamp, symbol, start, count)
        windows = _windows(directory, shown.market.panel, shown.bars)
    with ONE_POLICY_AT_A_TIME:
        found = _of_windows(directory, stamp, windows)
    return as_json(
        {
            "symbol": shown.symbol,
            "start": shown.bars.start,
            "exact": all(bool(one["exact"]) for one in found),
            **_by_bar(found, shown.symbol, shown.utc),
        }
    )


def _windows(directory: str, panel: Panel, bars: slice) -> list[int]:
    """Test windows, as `finished_run.first_path` counts them, with a decision at one of the bars."""
    table = first_path(pd.read_csv(Path(directory) / "walk_forward" / "folds.csv"))
    first, last = (
        np.searchsorted(
            panel.bar_utc,
            pd.to_datetime(table[name], utc=True).dt.tz_localize(None).to_numpy("datetime64[ns]"),
        )
        for name in ("test_first_utc", "test_last_utc")
    )
    # What fills in a window is decided from the bar before it to the last but one.
    return np.flatnonzero((first - 1 < bars.stop) & (last - 1 >= bars.start)).tolist()


def _of_windows(directory: str, stamp: int, windows: Sequence[int]) -> list[Mapping[str, Any]]:
    missing = [window for window in windows if (directory, stamp, window) not in _kept]
    if missing:
        for window, one in think_again(directory, missing).items():
            _kept[directory, stamp, window] = one
    found = []
    for window in windows:
        _kept.move_to_end((directory, stamp, window))
        found.append(_kept[directory, stamp, window])
    while len(_kept) > max(KEPT_WINDOWS, len(windows)):
        _kept.popitem(last=False)
    return found


def _by_bar(found: Sequence[Mapping[str, Any]], symbol: str, utc: NDArray[np.datetime64]) -> dict[str, Any]:
    """Columns as long as the labels; null where nothing was decided, or nothing stood."""
    exits = {name: np.full(len(utc), np.nan) for name in ("value", "stop", "profit", "trails")}
    closes: list[int | None] = [None] * len(utc)
    parameters: dict[str, NDArray[np.float64]] = {}
    for one in found:
        asset = one["symbols"].tolist().index(symbol)
        _, to, of = np.intersect1d(utc, one["decided_utc"], assume_unique=True, return_indices=True)
        exits["value"][to] = one["value"][of]
        for name in ("stop", "profit", "trails"):
            exits[name][to] = one[name][of, asset]
        for k, name in enumerate(one["names"].tolist()):
            parameters.setdefault(name, np.full(len(utc), np.nan))[to] = one["parameters"][of, asset, k]
        ends = one["closes_utc"][of, asset]
        limited = ~np.isnat(ends)
        for place, second in zip(to[limited].tolist(), epoch_seconds(ends[limited])):
            closes[place] = second
    return {
        "parameters": {name: rounded(values) for name, values in parameters.items()},
        "value": rounded(exits["value"]),
        "stop": rounded(exits["stop"], 9),
        "profit": rounded(exits["profit"], 9),
        "trails": [value == 1.0 for value in exits["trails"].tolist()],
        "closes": closes,
    }
