"""A process that trades without end, to be killed: `python trading_process.py PORT JOURNAL`.

It decides by its own journal what comes next, as a loop does that goes on after a kill: orders of one unit, bought and
sold in turn, some of them limits that are cancelled.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml

from envs.live.broker import BrokerUnavailable, Order
from envs.live.desk import DeskRules, OrderDesk
from envs.live.ibkr import IbkrBroker
from envs.live.ibkr_config import IbkrBrokerConfig
from envs.live.journal import Journal


def main(port: int, path: Path) -> None:
    """Trade until killed."""
    import ib_insync

    ib_insync.client.Client.MaxRequests = 0
    settings = yaml.safe_load((Path(__file__).parents[3] / "conf/broker/ibkr.yaml").read_text())
    settings.pop("kind")
    rules = settings.pop("desk") | {
        "settle_s": 0.02,
        "ask_again_s": 0.02,
        "retry_s": 0.01,
        "longest_retry_s": 0.05,
    }
    broker = IbkrBroker(IbkrBrokerConfig(**{**settings, "port": port, "calendar": "24/7"}), ["SPY"])
    desk = OrderDesk(broker, Journal(path, "trial"), DeskRules(**rules), lambda: datetime.now(UTC))
    number = len(desk.orders.all())
    while True:
        desk.advance(0.001)
        if not desk.is_ready or any(t.order.kind == "market" for t in desk.orders.open()):
            continue
        for tracked in desk.orders.open():
            if tracked.status == "working":
                desk.cancel(tracked.order.client_order_id)
        limit = {"kind": "limit", "limit_price": 90.0} if number % 3 == 2 else {}
        order = Order(client_order_id=f"n{number}", symbol="SPY", units=-1.0 if number % 2 else 1.0, **limit)
        try:
            desk.submit([order])
        except BrokerUnavailable:
            continue
        number += 1
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
