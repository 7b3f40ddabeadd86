"""Bars of a vendor for a loop: paced history, symbols that do not trade for a while, a session that is ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from data.errors import DataError
from data.vendors.definition import Budget, Delivery, RateLimited
from rayjobs.trading.vendor_bars import VendorBars

BEGUN = datetime(2024, 6, 3, 14, tzinfo=UTC)


class Minutes:
    """Bars of a minute; those that a test takes away are not there, and it can be slow to answer."""

    name = "minutes"
    budget = Budget(calls_per_minute=None, calls_per_day=None, at_a_time=1)

    def __init__(self):
        self.without, self.untraded, self.refusals, self.closed = set(), set(), [], False

    def pieces(self, request):
        return [request]

    def fetch(self, piece):
        if self.refusals:
            raise RateLimited("slower", self.refusals.pop())
        labels = pd.date_range(piece.start_utc.ceil("min"), piece.stop_utc, freq="min", inclusive="left")
        labels = [label for label in labels if (piece.symbol, label.to_pydatetime()) not in self.without]
        volume = [0.0 if (piece.symbol, x.to_pydatetime()) in self.untraded else 9.0 for x in labels]
        price = np.full(len(labels), 100.0)
        columns = dict.fromkeys(("open", "high", "low", "close"), price) | {"volume": volume}
        return Delivery(
            rows=pd.DataFrame(columns, index=pd.DatetimeIndex(labels)), source_uri="minutes:", calls=1
        )

    def close(self):
        self.closed = True


@pytest.fixture
def vendor():
    return Minutes()


def bars(vendor, now=BEGUN, sleep=None):
    return VendorBars(
        vendor=vendor,
        calendar="24/7",
        symbols=("A", "B"),
        bar_seconds=60,
        adjustment="raw",
        history_days=0.01,
        now=lambda: now,
        sleep=sleep or (lambda seconds: pytest.fail("nothing was to be waited for")),
    )


def test_history_waits_as_long_as_the_vendor_says_and_a_running_loop_does_not(vendor):
    slept = []
    made = bars(vendor, sleep=slept.append)
    vendor.refusals = [3.0, 7.0]
    assert made.history(None).num_bars == 14  # 0.01 days are 14.4 minutes
    assert slept == [7.0, 3.0]
    vendor.refusals = [5.0]
    with pytest.raises(DataError, match="slower"):
        made.since(np.datetime64("2024-06-03T13:58", "ns"))


def test_a_symbol_that_does_not_trade_in_a_bar_leaves_the_others_their_prices(vendor):
    last = BEGUN - timedelta(minutes=1)
    vendor.without = {("B", last)}
    made = bars(vendor)
    made.history(None)
    panel = made.since(np.datetime64("2024-06-03T13:59", "ns"))
    assert panel.num_bars == 1
    assert panel.close[0, 0] == 100.0
    assert np.isnan(panel.close[0, 1])


def test_a_bar_without_any_volume_is_handed_over_and_stops_nothing(vendor):
    vendor.untraded = {("B", BEGUN - timedelta(minutes=1))}
    made = bars(vendor)
    made.history(None)
    panel = made.since(np.datetime64("2024-06-03T13:59", "ns"))
    assert panel.close[0].tolist() == [100.0, 100.0]
    assert panel.tradable[0].tolist() == [True, False]


def test_a_bar_that_runs_is_left_out_and_nothing_is_handed_over_before_one_has_closed(vendor):
    made = bars(vendor, now=BEGUN + timedelta(seconds=30))
    assert made.history(None).bar_utc[-1] == np.datetime64("2024-06-03T13:59", "ns")
    assert made.since(np.datetime64("2024-06-03T14:00", "ns")) is None


def test_the_vendors_session_is_ended_with_the_loops(vendor):
    bars(vendor).close()
    assert vendor.closed
