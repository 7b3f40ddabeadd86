"""The loop over Interactive Brokers' client and a TWS on loopback: the venue, the journal and the account agree."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from traded_experiment import TradedExperiment

from envs.live.desk import OrderDesk
from envs.live.journal import Journal
from envs.live.order_venue import OrderVenue

pytestmark = pytest.mark.runs
BARS = 30
SPY_BARS = (
    "spy_intraday", "data.start_utc=2017-11-01", "data.stop_utc=2017-11-10", "policy=mlp", "risk=unleveraged",
    "costs.slippage=none",
)  # fmt: skip


class QuotedFeed:
    """History whose opens are what TWS quotes while the bar runs."""

    def __init__(self, feed, experiment, double):
        self._feed, self._panel, self._double = feed, experiment.panel, double
        self.now = feed.now

    def next_bar(self, attend):
        at = self._feed._at
        opened = float(self._panel.open[min(at, self._panel.num_bars - 1), 0])
        self._double.quote(round(opened - 0.01, 2), round(opened + 0.01, 2))
        for _ in range(6):
            attend(0.02)
        return self._feed.next_bar(attend)


@pytest.fixture
def clean_logs():
    from tws.clients import clean_client_logs, event_loop

    with clean_client_logs(), event_loop():
        yield


def test_targets_become_orders_at_tws_and_its_fills_the_accounts(tws, clean_logs, tmp_path):
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[2] / "envs" / "live"))
    from tws_venue import TwsVenue, adapter, quick_rules

    traded = TradedExperiment(*SPY_BARS, num_bars=BARS)
    double, made = TwsVenue(tws), []
    double.quote(250.00, 250.02)

    def make_venue(account, ground):
        if made:
            made[-1][0].close()
            made[-1][1].close()
        journal = Journal(tmp_path / "journal.sqlite", "ibkr/test")
        broker = adapter(tws)
        made.append((broker, journal))
        desk = OrderDesk(broker, journal, quick_rules(), lambda: datetime.now(UTC))
        return OrderVenue(desk, account, ground.history.symbols, "test", cancel_wait_s=2.0)

    ticks = 0
    loop = traded.loop(tmp_path / "trading.sqlite", make_venue)
    loop.feed = QuotedFeed(loop.feed, traded, double)
    loop.start()
    while loop.step() is not None:
        ticks += 1
        for _ in range(100):  # what was just sent fills at once
            if double.units() == loop.account.units[0]:
                break
            loop.venue.attend(0.02)
        assert double.units() == loop.account.units[0]
        if ticks == 12:  # the process is gone, another one goes on
            loop.record.close()
            loop = traded.loop(tmp_path / "trading.sqlite", make_venue)
            loop.feed = QuotedFeed(loop.feed, traded, double)
            loop.start()
    fills = double.fills()
    assert ticks == BARS
    assert len(fills) >= 5
    assert len({fill.order for fill in fills}) == len(double.order_names())
    assert sum(fill.units for fill in fills) == pytest.approx(loop.account.units[0])
    paid = sum(fill.units * fill.price + (fill.commission or 0.0) for fill in fills)
    held = loop.account.units[0] * traded.panel.close[int(loop.account.bar), 0]
    assert loop.account.equity == pytest.approx(traded.config.env.initial_equity - paid + held)
    for broker, journal in made:
        broker.close()
        journal.close()
