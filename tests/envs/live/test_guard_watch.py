"""The guard against the double of TWS: it flattens who hangs, waits for a venue that is away, closes nothing twice."""

import time
from collections import deque
from datetime import UTC, datetime

import pytest
from test_guard_limits import DEFAULT
from tws.faults import Fault
from tws.listings import SPY
from tws_venue import adapter, quick_rules

from envs.live.broker import BrokerError, Order
from envs.live.desk import OrderDesk
from envs.live.guard_check import OrderCheck, OrderRefused
from envs.live.guard_folder import GUARD_BEAT, HALT, KILL, LOOP_BEAT, GuardFolder
from envs.live.guard_limits import GuardLimits
from envs.live.guard_watch import GuardWatch
from envs.live.guarded_account import AccountView
from envs.live.journal import Journal

WIDE = {"max_order_notional": 1e9, "watch_s": 0.05}


@pytest.fixture
def folder(tmp_path):
    return GuardFolder(tmp_path / "guard")


@pytest.fixture
def told():
    return []


@pytest.fixture
def guard(tws, folder, told, client_logs):
    brokers = []

    def make(**changes):
        broker = adapter(tws, client_id=62)
        brokers.append(broker)
        limits = GuardLimits(**{**DEFAULT, **WIDE, **changes})
        return GuardWatch(
            broker, folder, limits, ("SPY",), zone="UTC", alert=lambda what, words: told.append((what, words))
        )

    yield make
    for broker in brokers:
        broker.close()


def held(tws):
    return tws.do(lambda venue: venue.account.units(SPY))


def hold(tws, units, price=100.0):
    """A position, and a quote at which it can be closed."""
    tws.do(lambda venue: venue.quote(SPY, price, price + 0.02))
    tws.do(lambda venue: venue.account.book(SPY, units, price, 0.0))


def watch_until(watch, condition, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the guard did not do it in time"
        watch.step()
        watch._broker.poll(0.01)
    return watch


def test_the_kill_file_cancels_what_is_open_and_closes_what_is_held(tws, guard, folder, told):
    hold(tws, 7.0)
    tws.do(lambda venue: venue.manual_order(SPY, "BUY", 5, "LMT", lmtPrice="90.0"))
    watch = guard()
    watch.step()
    assert held(tws) == 7.0
    (folder.path / KILL).touch()
    begun = time.monotonic()
    watch_until(watch, lambda: (folder.read("guard.json") or {}).get("flat"))
    assert time.monotonic() - begun < 2.0
    assert held(tws) == 0.0
    assert tws.do(lambda venue: venue.open_orders()) == []
    assert [what for what, _ in told] == ["kill", "flat"]


def test_a_short_position_is_bought_back(tws, guard, folder):
    hold(tws, -3.0)
    folder.kill("drill")
    watch_until(guard(), lambda: (folder.read("guard.json") or {}).get("flat"))
    assert held(tws) == 0.0


def test_what_fills_in_parts_is_closed_once(tws, guard, folder):
    hold(tws, 9.0)
    tws.do(lambda venue: venue.book.fill_sizes.update({SPY.con_id: deque([2, 3, 4])}))
    folder.kill("drill")
    watch = guard()
    watch_until(watch, lambda: held(tws) == 7.0)
    for _ in range(10):
        watch.step()
        watch._broker.poll(0.05)
    orders = tws.do(lambda venue: [o.ref for o in venue.book.orders.values()])
    assert len(orders) == 1, "while its order works nothing more is sent"
    for bid in (99.0, 98.0):
        tws.do(lambda venue, bid=bid: venue.quote(SPY, bid, bid + 0.02))
    watch_until(watch, lambda: (folder.read("guard.json") or {}).get("flat"))
    assert held(tws) == 0.0


@pytest.mark.parametrize("how", ["down", "1100"])
def test_a_venue_that_is_away_is_flattened_as_soon_as_it_answers(tws, guard, folder, told, how):
    hold(tws, 4.0)
    watch = guard()
    watch.step()
    if how == "down":
        tws.go_down()
    else:
        tws.do(lambda venue: venue.lose_connectivity())
    folder.kill("drill")
    for _ in range(5):
        watch.step()
        watch._broker.poll(0.05)
    assert held(tws) == 4.0
    assert "unreached" in [what for what, _ in told]
    if how == "down":
        tws.come_up()
    else:
        tws.restore_connectivity(data_lost=False)
    begun = time.monotonic()
    watch_until(watch, lambda: (folder.read("guard.json") or {}).get("flat") is True, 8.0)
    assert time.monotonic() - begun < 6.0
    assert held(tws) == 0.0


@pytest.mark.parametrize("message", range(1, 9))
def test_a_line_that_breaks_at_any_message_closes_nothing_twice(tws, guard, folder, message):
    hold(tws, 4.0)
    watch = guard()
    watch.step()
    tws.plan(Fault(do="cut_after", message="placeOrder")) if message == 8 else tws.plan(
        Fault(do="cut_before", nth=message)
    )
    folder.kill("drill")
    watch_until(
        watch, lambda: (folder.read("guard.json") or {}).get("flat") is True and held(tws) == 0.0, 8.0
    )
    sold = tws.do(lambda venue: sum(e.shares * e.order.side for e in venue.book.executions))
    assert sold == -4.0


@pytest.mark.parametrize(("reaction", "file"), [("halt", HALT), ("flatten", KILL)])
def test_a_loop_that_falls_silent_is_reacted_to_as_configured(tws, guard, folder, reaction, file):
    hold(tws, 1.0)
    watch = guard(silence_s=0.2, on_silence=reaction)
    folder.beat(LOOP_BEAT)
    watch.step()
    assert not (folder.path / file).exists()
    watch_until(watch, lambda: (folder.path / file).exists())
    assert "no sign of life" in folder.read(file)["reason"]


def test_a_position_over_its_limit_is_closed(tws, guard, folder):
    cash = tws.do(lambda venue: venue.account.cash)
    hold(tws, 3.0 * cash / 100.0)  # three times the equity
    watch = guard(max_var=None)
    watch_until(watch, lambda: (folder.read("guard.json") or {}).get("flat") is True)
    assert "max_" in folder.killed()
    assert held(tws) == 0.0


def view(**given):
    base = {"equity": 1e6, "day_equity": 1e6, "peak_equity": 1e6, "units": {}, "prices": {"SPY": 100.0}}
    return AccountView(**{**base, "buying_power": 2e6, **given})


def check(folder, **changes):
    limits = GuardLimits(**{**DEFAULT, "max_var": None, **changes})
    return OrderCheck(limits, view, folder, needs_guard=True)


def test_the_desk_sends_nothing_that_its_check_refuses(tws, folder, tmp_path, client_logs):
    tws.do(lambda venue: venue.quote(SPY, 100.0, 100.02))
    broker = adapter(tws)
    with Journal(tmp_path / "journal", "trial") as journal:
        asked = check(folder, max_order_notional=1000.0)
        desk = OrderDesk(broker, journal, quick_rules(), lambda: datetime.now(UTC), asked)
        desk.open()
        with pytest.raises(OrderRefused, match="guard's process has not begun"):
            desk.submit([Order(client_order_id="a", symbol="SPY", units=1.0)])
        folder.beat(GUARD_BEAT)
        with pytest.raises(OrderRefused, match="the notional of b is 1100, the limit 1000"):
            desk.submit([Order(client_order_id="b", symbol="SPY", units=11.0)])
        desk.submit([Order(client_order_id="c", symbol="SPY", units=1.0, kind="limit", limit_price=90.0)])
        with pytest.raises(OrderRefused, match="bps beyond the last price"):
            desk.replace(Order(client_order_id="c", symbol="SPY", units=1.0, kind="limit", limit_price=102.0))
        folder.kill("drill")
        with pytest.raises(BrokerError, match="kill switch is thrown \\(drill\\)"):
            desk.submit([Order(client_order_id="d", symbol="SPY", units=1.0)])
        assert [t.order.client_order_id for t in journal.orders()] == ["c"]
        assert folder.age_s(LOOP_BEAT, time.time()) is None
        desk.advance(0.01)
        assert folder.age_s(LOOP_BEAT, time.time()) < 5.0
        broker.close()


def test_real_money_is_not_touched_unless_it_is_named(tws, client_logs):
    tws.do(lambda venue: setattr(venue.account, "name", "U7654321"))
    broker = adapter(tws)
    with pytest.raises(BrokerError, match="broker.live is not true") as refused:
        broker.connect()
    assert "U7654321" not in str(refused.value)
    with pytest.raises(ValueError, match="needs the account by name"):
        adapter(tws, live=True)
    broker = adapter(tws, live=True, account="U7654321")
    broker.connect()
    broker.close()
