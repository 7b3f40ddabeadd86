"""A position in a future with its stop and target at the double of TWS is rolled into the next month."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from random_markets import PLAIN, random_features, with_parts
from rolled_account import CLOSE_OPEN, FUTURE, NO_WINDOWS, series_behind
from test_contract_rolls import small_panel
from test_live_account import growing
from tws.book import Rejection
from tws.listings import ES_JUNE, ES_SEPTEMBER
from tws_venue import adapter, quick_rules

from envs.barriers import BarrierConfig
from envs.kernel import columns as c
from envs.live.account import LiveAccount
from envs.live.broker import BrokerError
from envs.live.desk import OrderDesk
from envs.live.growing_market import ClosedBar
from envs.live.journal import Journal
from envs.live.order_venue import OrderVenue
from envs.live.traded_contracts import TradedContracts, venue_symbols

pytestmark = pytest.mark.runs
LONG = 2
BARRIERS = BarrierConfig(
    unit="percent", profit_target=2.0, stop_loss=1.0, trailing_stop=None, time_limit_bars=None
)
MONTHS = ("ES:202406", "ES:202409")


def series_of(panel):
    whole = series_behind(panel, 0)
    listed = [
        replace(one, name=name, last_day=np.datetime64(day))
        for one, name, day in zip(whole.contracts, MONTHS, ("2024-06-21", "2024-09-20"))
    ]
    return replace(whole, contracts=tuple(listed))


class Trader:
    """Two ES contracts, bar by bar; June at 5000 and September sixty points above it."""

    def __init__(self, tws, path):
        self.tws, self.path = tws, path
        self.panel = replace(small_panel(), symbols=("ES",))
        self.series = series_of(self.panel)
        self.config = with_parts(
            PLAIN,
            initial_equity=1_000_000.0,
            sizing={"rule": "fixed_units", "units": 2.0},
            barriers=BARRIERS,
        )
        self.features, self.saved, self.at = random_features(self.panel), None, 3
        self.quote(5000.0, 5060.0)
        self.start()

    def quote(self, june, september=None):
        self.tws.do(lambda venue: venue.quote(ES_JUNE, june, june + 0.25))
        if september is not None:
            self.tws.do(lambda venue: venue.quote(ES_SEPTEMBER, september, september + 0.25))

    def start(self):
        self.market = growing(self.panel, self.features, {"ES": FUTURE}, NO_WINDOWS, held=self.at)
        self.account = LiveAccount(self.market, self.config, start_bar=3, seed=0)
        known = venue_symbols(self.panel.symbols, [self.series], np.datetime64("2024-06-03"))
        assert known == MONTHS
        contracts = TradedContracts(self.account, self.panel.symbols, lambda: [self.series], known)
        self.journal = Journal(self.path, "trial")
        self.broker = adapter(self.tws, known, contracts={"ES": {"sec_type": "FUT", "exchange": "CME"}})
        self.desk = OrderDesk(self.broker, self.journal, quick_rules(), lambda: datetime.now(UTC))
        self.venue = OrderVenue(
            self.desk, self.account, self.panel.symbols, "trial",
            cancel_wait_s=2.0, contracts=contracts, rolls=CLOSE_OPEN,
        )  # fmt: skip
        if self.saved is None:
            self.account.reset()
            self.save()
        else:
            self.account.set_state(self.saved["account"])
            self.venue.restore_booked(self.saved["booked"])
            self.venue.restore_state(self.saved["venue"])
        self.account.decide(np.array([LONG], np.float32))
        self.venue.open()
        self.send()

    def stop(self):
        self.broker.close()
        self.journal.close()

    def save(self):
        booked = list(self.venue._booked.values())
        self.saved = {"account": self.account.get_state(), "venue": self.venue.state(), "booked": booked}

    def send(self):
        self.venue.send(datetime(2024, 6, 3, 14, self.at, tzinfo=UTC), entries=True)

    def close_bar(self):
        bar = ClosedBar.of(self.panel, self.at)
        self.market.append(bar)
        self.venue.settle(bar)
        self.account.close()
        self.at += 1
        self.save()

    def go_on(self):
        self.account.decide(np.array([LONG], np.float32))
        self.send()

    def until(self, so, timeout_s=5.0):
        end = time.monotonic() + timeout_s
        while not so():
            assert time.monotonic() < end, (self.resting(), self.held(), self.desk.trouble)
            self.venue.attend(0.01)

    def held(self):
        return self.tws.do(lambda v: (v.account.units(ES_JUNE), v.account.units(ES_SEPTEMBER)))

    def resting(self):
        """(contract, kind, units that are left, price) of what is open at the venue."""

        def read(venue):
            return sorted(
                (
                    order.listing.local_symbol,
                    order.kind,
                    order.side * order.remaining,
                    float(order.fields["auxPrice" if order.kind == "STP" else "lmtPrice"] or 0.0),
                )
                for order in venue.open_orders()
            )

        return self.tws.do(read)

    def up_to_the_roll(self):
        """In June with its exits, and the last bar of June has closed."""
        self.until(lambda: self.held() == (2.0, 0.0) and len(self.resting()) == 2)
        for _ in range(3):
            self.close_bar()
            if self.at < 6:
                self.go_on()
        assert [contract for contract, *_ in self.resting()] == ["ESM4", "ESM4"]


@pytest.fixture
def trader(tws, tmp_path, client_logs):
    made = []

    def make():
        made.append(Trader(tws, tmp_path / "journal.sqlite"))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def fills_of(trial):
    return [
        (f.client_order_id.rpartition("/")[2], f.symbol, f.units, f.price) for f in trial.desk.orders.fills()
    ]


def test_a_roll_takes_the_exits_along_at_prices_that_the_step_has_moved(trader):
    trial = trader()
    trial.up_to_the_roll()
    # Bought at 5000.25: 1 % below on quarters is 4950.00, 2 % above 5100.25.
    assert [price for *_, price in trial.resting()] == [5100.25, 4950.0]
    trial.quote(5006.0, 5066.0)
    trial.go_on()
    trial.until(lambda: trial.held() == (0.0, 2.0) and len(trial.resting()) == 2)
    assert fills_of(trial)[1:] == [
        ("roll_out", "ES:202406", -2.0, 5006.0),
        ("roll_in", "ES:202409", 2.0, 5066.25),
    ]
    # What September cost above June, 60.25, is on top of 4950.2475 and 5100.255.
    assert trial.resting() == [("ESU4", "LMT", -2.0, 5160.5), ("ESU4", "STP", -2.0, 5010.25)]
    trial.close_bar()
    # The bars say sixty points: the entry stands at 5060.25, as the simulator has it.
    assert trial.account.env.rows.position[0, 0, c.ENTRY_PRICE] == pytest.approx(5060.25)
    trial.go_on()
    trial.until(lambda: [price for *_, price in trial.resting()] == [5161.25, 5009.5])
    names = trial.tws.do(lambda venue: [order.ref for order in venue.book.orders.values()])
    assert len(names) == len(set(names)) == 7
    assert trial.desk.is_ready


def test_a_process_that_dies_between_the_legs_is_followed_by_one_that_opens_the_next_month_once(trader, tws):
    trial = trader()
    trial.up_to_the_roll()
    tws.do(lambda venue: venue.book.quotes.pop(ES_SEPTEMBER.con_id))
    trial.go_on()
    trial.until(lambda: trial.held() == (0.0, 0.0) and [x[:2] for x in trial.resting()] == [("ESU4", "MKT")])
    trial.stop()
    trial.start()
    assert trial.held() == (0.0, 0.0)
    trial.quote(5006.0, 5066.0)
    trial.until(lambda: trial.held() == (0.0, 2.0) and len(trial.resting()) == 2)
    assert trial.venue.contracts.units() == {"ES:202409": 2.0}
    refs = tws.do(lambda venue: [order.ref for order in venue.book.orders.values()])
    assert sum("roll" in ref for ref in refs) == 2


def test_a_leg_that_is_refused_leaves_the_position_where_it_is_with_its_exits(trader, tws):
    trial = trader()
    trial.up_to_the_roll()
    before = trial.resting()
    name = "trial/20240603T140600/ES/roll_out"
    tws.do(lambda venue: venue.book.rejections.append(Rejection(order_ref=name)))
    trial.go_on()
    trial.until(lambda: [x[1:] for x in trial.resting()] == [x[1:] for x in before])
    assert trial.held() == (2.0, 0.0)
    trial.close_bar()
    trial.go_on()  # it is sent again under the name of this close
    trial.until(lambda: trial.held() == (0.0, 2.0) and len(trial.resting()) == 2)


def test_a_month_that_tws_takes_for_another_is_refused(tws, client_logs):
    from envs.live.ibkr_line import _require_month

    details = type("Details", (), {"contractMonth": "202407"})()
    with pytest.raises(BrokerError, match="TWS found the contract of 202407 for the month 202406"):
        _require_month("CL:202406", "202406", details)
    _require_month("CL:202406", "20240521", details)
