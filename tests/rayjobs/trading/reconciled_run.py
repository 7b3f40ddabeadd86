"""Holds the journal of a trading run that has ended to the double of TWS."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from clocked_market import ClockedMarket
from trade_process import ROOT

from envs.live.desk import DeskRules, OrderDesk
from envs.live.ibkr import IbkrBroker
from envs.live.ibkr_config import IbkrBrokerConfig
from envs.live.journal import Journal


def conf(name: str) -> dict:
    return yaml.safe_load((ROOT / "conf" / name).read_text())


def assert_reconciles(market: ClockedMarket, run: Path) -> None:
    """A desk on the run's journal finds every fill of the venue, each once, and the venue's positions in their sum."""
    from tws.clients import clean_client_logs, event_loop

    def fill_what_waits(venue) -> None:
        venue.book.fill_sizes.clear()
        for one in market.listings:
            venue.book.match(one.con_id)

    market.tws.do(fill_what_waits)
    settings = conf("broker/ibkr.yaml")
    rules = DeskRules(**settings.pop("desk"))
    settings.pop("kind")
    address = {"port": market.tws.port, "calendar": "24/7", "client_id": 61}
    with (
        clean_client_logs(),
        event_loop(),
        Journal(run / "journal.sqlite", f"ibkr/{run.name}") as journal,
    ):
        broker = IbkrBroker(IbkrBrokerConfig(**{**settings, **address}), ("SYN0", "SYN1"))
        desk = OrderDesk(broker, journal, rules, lambda: datetime.now(UTC))
        until = time.monotonic() + 30.0
        while not desk.is_ready or desk.orders.owes():
            assert time.monotonic() < until, desk.trouble
            desk.advance(0.02)
        broker.close()
        assert desk.orders.units() == pytest.approx(market.units())
        names = [name for name in market.order_names() if name]
        assert len(names) == len(set(names))
        assert {f.execution_id for f in journal.fills()} == {x for x, _, _ in market.executions()}
