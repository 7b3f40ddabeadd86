"""A vendor that is made for tests: bars drawn from a law of the symbol and the instant, and faults as a plan says."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from data.lake.spans import Span, months
from data.vendors.definition import (
    AnswerRefused,
    BarRequest,
    Budget,
    Delivery,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
)


def law(symbol: str, start: pd.Timestamp, stop: pd.Timestamp, bar_seconds: int) -> pd.DataFrame:
    """Every bar of [start, stop), around the clock: the same for the same symbol and instant, whoever asks."""
    labels = pd.date_range(start.ceil(f"{bar_seconds}s"), stop, freq=f"{bar_seconds}s", inclusive="left")
    number = (labels.as_unit("s").asi8 // bar_seconds) % 977
    opened = 100.0 + sum(map(ord, symbol)) % 50 + number * 0.01
    rows = pd.DataFrame({"open": opened, "close": opened + 0.005}, index=labels.as_unit("ns"))
    return rows.assign(high=rows["close"] + 0.01, low=rows["open"] - 0.01, volume=1.0 + number)


@dataclass
class MadeVendor:
    """Speaks the protocol; `faults` are raised one after the other, call by call, before anything is delivered."""

    name: str = "made"
    budget: Budget = field(
        default_factory=lambda: Budget(calls_per_minute=None, calls_per_day=None, at_a_time=4)
    )
    faults: list[Exception | None] = field(default_factory=list)
    factor: float = 1.0
    complete_to_utc: pd.Timestamp | None = None
    empty_days: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    calls: list[BarRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        return [
            replace(request, start_utc=share.start_utc, stop_utc=share.stop_utc)
            for _, share in months(Span.between(request.start_utc, request.stop_utc))
        ]

    def fetch(self, piece: BarRequest) -> Delivery:
        with self._lock:
            self.calls.append(piece)
            fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        if piece.symbol in self.unknown:
            raise AnswerRefused(f"{self.name} knows no {piece.symbol}")
        rows = law(piece.symbol, piece.start_utc, piece.stop_utc, piece.bar_seconds)
        rows = rows[~np.isin(rows.index.strftime("%Y-%m-%d"), list(self.empty_days))]
        if self.factor != 1.0:
            rows[["open", "high", "low", "close"]] *= self.factor
        return Delivery(
            rows=rows,
            source_uri=f"{self.name}:/{piece.symbol}",
            calls=1,
            complete_to_utc=self.complete_to_utc,
        )


def own_vendor(name: str = "made", fault: str | None = None, **options: Mapping[str, object]) -> MadeVendor:
    """What a configuration names: a vendor whose every call fails in one way, or none."""
    kinds: dict[str | None, type[Exception]] = {
        "key": KeyRefused,
        "rate": RateLimited,
        "down": TemporarilyUnavailable,
        "malformed": MalformedAnswer,
    }
    vendor = MadeVendor(name=name)
    if fault is not None:
        vendor.faults = [kinds[fault](f"{name} says no")] * 1000
    return vendor
