"""Orders through journal and desk to a scripted venue: what it reports is what is held, also over a restart."""

from __future__ import annotations

import pytest
from traded_experiment import TradedExperiment, assert_same

from envs.kernel import columns as c
from envs.live.desk import OrderDesk
from envs.live.journal import Journal
from envs.live.order_venue import ScriptedVenue
from envs.live.scripted_exchange import ExchangeScript, ScriptedExchange
from rayjobs.trading.session import AT_ONCE

SMALL = (
    "planted_signal", "data.num_bars=400", "data.num_assets=2", "policy=mlp", "env.sizing.fraction=0.4",
)  # fmt: skip


class Scripted:
    """Makes venues on one journal, as processes that follow each other do."""

    def __init__(self, path, **script):
        quiet = {"delay_bars": 0, "partial_share": 0.0, "reject_share": 0.0, "seed": 3}
        self.script = ExchangeScript(**{**quiet, "half_spread_bps": 1.0, "commission_bps": 1.0, **script})
        self.path, self.journal = path, None

    def __call__(self, account, ground):
        if self.journal is not None:
            self.journal.close()
        self.journal, self.account = Journal(self.path, "replay/test"), account
        instrument, symbols = account.env.instrument, ground.history.symbols
        self.exchange = ScriptedExchange(
            self.script,
            symbols,
            instrument[:, c.LOT_STEP].tolist(),
            instrument[:, c.MULTIPLIER].tolist(),
            self.path.with_suffix(".json"),
        )
        self.desk = OrderDesk(self.exchange, self.journal, AT_ONCE, ground.feed.now)
        return ScriptedVenue(self.exchange, self.desk, account, symbols, "test")

    def assert_agrees(self):
        """The account, the journal's fills and the venue hold the same."""
        held = {s: p.units for p in self.exchange.snapshot([]).positions for s in [p.symbol]}
        by_fills = self.desk.orders.units()
        for symbol, units in zip(self.account.env.market.symbols, self.account.units.tolist()):
            assert by_fills.get(symbol, 0.0) == pytest.approx(units, abs=1e-9)
            assert held.get(symbol, 0.0) == pytest.approx(units, abs=1e-9)
        return len({fill.execution_id for fill in self.journal.fills()})


def test_a_venue_that_fills_all_at_the_next_open_gives_the_backtests_equity(tmp_path):
    # 2 bps of the notional at the open, as costs=flat_2bps; all of it as commission, because a spread inside of the
    # price would move the entry price that the policy observes.
    traded = TradedExperiment(*SMALL, num_bars=80)
    _, backtest = traded.backtest()
    venue = Scripted(tmp_path / "journal.sqlite", half_spread_bps=0.0, commission_bps=2.0)
    _, recording, _ = traded.traded(tmp_path / "trading.sqlite", (), venue)
    assert venue.assert_agrees() > 20
    # At the end of the window the simulator closes at the last close; a venue is told at the next open.
    assert recording.equity[:-1] == pytest.approx(backtest.equity[:-1], rel=1e-9)


def test_delays_parts_and_refusals_change_fills_and_never_the_books(tmp_path):
    traded = TradedExperiment(*SMALL, num_bars=120)
    venue = Scripted(tmp_path / "journal.sqlite", delay_bars=1, partial_share=0.5, reject_share=0.2)
    _, recording, _ = traded.traded(tmp_path / "trading.sqlite", (), venue)
    assert venue.assert_agrees() > 10
    statuses = {tracked.status for tracked in venue.desk.orders.all()}
    assert {"filled", "cancelled", "rejected"} <= statuses
    # Every execution is a fill of the recording, also where a bar has several of one asset.
    assert sorted(recording.fills.units) == sorted(fill.units for fill in venue.journal.fills())
    closed = recording.trades.exit_reason != "open"
    assert recording.trades.pnl.sum() == pytest.approx(recording.equity[-1] - recording.equity[0], abs=1e-6)
    assert closed.sum() > 3
    _, backtest = traded.backtest()
    assert recording.equity[-1] != backtest.equity[-1]


def test_another_process_goes_on_with_orders_that_were_on_their_way(tmp_path):
    traded = TradedExperiment(*SMALL, num_bars=90)
    script = {"delay_bars": 1, "partial_share": 0.5, "reject_share": 0.2}
    whole, cut = (Scripted(tmp_path / f"journal{k}.sqlite", **script) for k in (0, 1))
    seen, one, _ = traded.traded(tmp_path / "whole.sqlite", (), whole)
    again, two, _ = traded.traded(tmp_path / "cut.sqlite", (11, 12, 40, 71), cut)
    assert whole.assert_agrees() == cut.assert_agrees()
    assert_same(one, two)
    assert all((again[bar] == seen[bar]).all() for bar in seen)


def test_a_late_bar_lets_positions_shrink_and_enters_nothing(tmp_path):
    traded = TradedExperiment(*SMALL, num_bars=60)
    venue = Scripted(tmp_path / "journal.sqlite")
    loop = traded.loop(tmp_path / "trading.sqlite", venue)
    send, late = loop.venue.send, []

    def send_late(decided_utc, *, entries):
        before = abs(loop.account.units)
        send(decided_utc, entries=False)
        late.append((before, [t.order for t in venue.desk.orders.open()]))

    loop.start()
    for _ in range(10):
        loop.step()
    loop.venue.send = send_late
    loop.step()  # in its bar the last order fills that was sent in time
    held = abs(loop.account.units).sum()
    while loop.step() is not None:
        assert abs(loop.account.units).sum() <= held + 1e-9
        held = abs(loop.account.units).sum()
    loop.record.close()
    assert any(orders for _, orders in late) or held > 0
