"""A trading process killed at random moments, between journal and socket included: nothing doubled, nothing lost."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from tws.listings import SPY
from tws_venue import adapter, quick_rules

from envs.live.desk import OrderDesk
from envs.live.journal import Journal

ROOT = Path(__file__).parents[3]


def trade_and_die(tws, journal, after_s):
    """Let the process trade for so long once it has sent its first order, and kill it."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "trading_process.py"), str(tws.port), str(journal)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout.readline(), process.stderr.read().decode()
    time.sleep(after_s)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_after_fifty_kills_positions_journal_and_venue_agree(tws, tmp_path, client_logs):
    tws.do(lambda venue: venue.quote(SPY, 100.00, 100.02))
    rng = np.random.default_rng(7)
    for _ in range(50):
        trade_and_die(tws, tmp_path / "journal", float(rng.uniform(0.0, 0.25)))
    with Journal(tmp_path / "journal", "trial") as journal:
        broker = adapter(tws)
        desk = OrderDesk(broker, journal, quick_rules(), lambda: datetime.now(UTC))
        end = time.monotonic() + 10.0
        while not desk.is_ready or any(t.order.kind == "market" for t in desk.orders.open()):
            assert time.monotonic() < end, desk.trouble
            desk.advance(0.005)
        broker.close()
        orders = tws.do(lambda venue: [order.ref for order in venue.book.orders.values()])
        fills = tws.do(lambda venue: [fill.exec_id.rpartition(".")[0] for fill in venue.book.executions])
        assert len(orders) > 60
        assert len(orders) == len(set(orders))
        assert {fill.execution_id for fill in journal.fills()} == set(fills)
        assert desk.orders.units().get("SPY", 0.0) == tws.do(lambda venue: venue.account.units(SPY))
        assert {t.order.client_order_id for t in journal.orders()} >= set(orders)
