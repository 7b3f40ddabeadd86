"""The double of TWS as a scripted venue of the conformance suite, and the adapter that is tried against it."""

from collections import deque
from dataclasses import fields
from pathlib import Path

import yaml
from tws.faults import Fault
from tws.listings import SPY

from envs.live.conformance import VenueFill
from envs.live.desk import DeskRules
from envs.live.ibkr import IbkrBroker
from envs.live.ibkr_config import IbkrBrokerConfig

SETTINGS = yaml.safe_load((Path(__file__).parents[3] / "conf/broker/ibkr.yaml").read_text())
CONNECTION = {field.name for field in fields(IbkrBrokerConfig)}


class TwsVenue:
    """The double of TWS, driven as `envs.live.conformance.ScriptedVenue`; sessions count messages of one client."""

    cuts = ("cut_before", "cut_half", "cut_after")

    def __init__(self, tws, again=None):
        """again : (how many messages later, how) the connection is cut a second time."""
        self.tws, self.listing, self.symbol = tws, SPY, "SPY"
        self._from, self._again = 0, again

    def quote(self, bid, ask):
        self.tws.do(lambda venue: venue.quote(self.listing, bid, ask))

    def split(self, sizes):
        self.tws.do(lambda venue: venue.book.fill_sizes.update({self.listing.con_id: deque(sizes)}))

    def watch(self, message, how):
        def begin(_):
            self._from = len(self.tws.log)
            self.tws.faults.clear()
            if message is not None:
                self.tws.faults.plan(Fault(do=how, nth=message))
            if message is not None and self._again:
                self.tws.faults.plan(Fault(do=self._again[1], nth=message + self._again[0]))

        self.tws.do(begin)

    def passed(self):
        return self.tws.do(lambda _: len(self.tws.log)) - self._from

    def units(self):
        return self.tws.do(lambda venue: venue.account.units(self.listing))

    def fills(self):
        def read(venue):
            return [
                VenueFill(
                    execution_id=fill.exec_id.rpartition(".")[0],
                    order=fill.order.ref,
                    symbol=self.symbol,
                    units=fill.order.side * fill.shares,
                    price=fill.price,
                    commission=fill.commission,
                )
                for fill in venue.book.executions
            ]

        return self.tws.do(read)

    def order_names(self):
        return self.tws.do(lambda venue: [order.ref for order in venue.book.orders.values()])


def adapter(tws, symbols=("SPY",), **changes):
    own = {name: value for name, value in SETTINGS.items() if name in CONNECTION}
    own |= {"port": tws.port, "connect_timeout_s": 1.0, "answer_timeout_s": 1.0}
    return IbkrBroker(IbkrBrokerConfig(**{**own, **changes}), symbols)


def quick_rules(**changes):
    quick = {
        "settle_s": 0.02,
        "resend_within_s": 60.0,
        "ask_again_s": 0.02,
        "retry_s": 0.01,
        "longest_retry_s": 0.05,
    }
    return DeskRules(**{**SETTINGS["desk"], **quick, **changes})
