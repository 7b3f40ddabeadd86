"""A vendor of bars of one second, made of the time of day alone: there as soon as they have closed."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd

from data.vendors.definition import BarRequest, Budget, Delivery


class SecondBars:
    """Bars of SYN0 and SYN1 with the columns of `planted_signal`."""

    name = "seconds"
    budget = Budget(calls_per_minute=None, calls_per_day=None, at_a_time=1)

    def __init__(self, **options):
        self.options = options

    def pieces(self, request: BarRequest) -> list[BarRequest]:
        return [request]

    def fetch(self, piece: BarRequest) -> Delivery:
        first = int(np.ceil(piece.start_utc.timestamp()))
        seconds = np.arange(first, int(min(time.time(), piece.stop_utc.timestamp())))
        shift = float(piece.symbol[-1])
        close = 100.0 + np.sin(seconds / 7.0 + shift) + shift
        opened = 100.0 + np.sin((seconds - 1) / 7.0 + shift) + shift
        rows = pd.DataFrame(
            {
                "open": opened,
                "high": np.maximum(opened, close),
                "low": np.minimum(opened, close),
                "close": close,
                "volume": np.full(len(seconds), 1e6),
                "signal": np.cos(seconds / 7.0 + shift),
                "noise_00": np.sin(seconds * 1.7 + shift),
            },
            index=pd.to_datetime(seconds, unit="s", utc=True).rename("timestamp_utc"),
        )
        return Delivery(rows=rows, source_uri="seconds:", calls=1)
