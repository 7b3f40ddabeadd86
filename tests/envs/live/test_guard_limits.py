"""The guard's limits on orders and accounts, by hand and by properties; equity 1,000 and a price of 100 unless told."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.live.broker import Order
from envs.live.guard_limits import GuardLimits, account_breaches, is_reducing, order_breaches
from envs.live.guarded_account import AccountView, historical_var

DEFAULT = yaml.safe_load((Path(__file__).parents[3] / "conf/guard/default.yaml").read_text())
OFF = {key: None for key in DEFAULT if key.startswith(("max_", "price_", "min_"))}


def limits(**given):
    return GuardLimits(**{**DEFAULT, **OFF, **given})


def view(**given):
    base = {
        "equity": 1000.0,
        "day_equity": 1000.0,
        "peak_equity": 1000.0,
        "units": {},
        "prices": {"A": 100.0, "B": 50.0},
    }
    return AccountView(**{**base, **given})


def order(units, symbol="A", name="o", **given):
    return Order(client_order_id=name, symbol=symbol, units=units, **given)


def broken(orders, at, by, **given):
    return {breach.limit for breach in order_breaches(orders, at, by, **given)}


@pytest.mark.parametrize(
    ("limit", "value", "units", "at"),
    [
        ("max_order_exposure", 0.5, 5, {}),  # 5 x 100 / 1,000
        ("max_order_notional", 500.0, 5, {}),
        ("max_position_exposure", 0.5, 2, {"units": {"A": 3.0}}),
        ("max_gross_exposure", 1.0, 5, {"units": {"B": -10.0}}),  # 0.5 short of B and 0.5 long of A
        ("max_net_exposure", 0.5, 10, {"units": {"B": -10.0}}),  # 1.0 - 0.5
        ("max_leverage", 2.0, 10, {"units": {"B": 20.0}}),
        ("min_buying_power", 0.5, 5, {"buying_power": 1000.0}),  # (1,000 - 500) / 1,000 is left
    ],
)
def test_a_limit_is_reached_and_not_passed(limit, value, units, at):
    by = limits(**{limit: value})
    assert broken([order(units)], view(**at), by) == set()
    assert broken([order(units * 1.01)], view(**at), by) == {limit}


def test_losses_let_orders_only_reduce():
    by = limits(max_daily_loss=0.03, max_drawdown=0.2)
    held = {"units": {"A": 2.0}}
    lost = view(equity=970.0, **held)  # 3 % of the day's 1,000
    assert broken([order(1)], lost, by) == {"max_daily_loss"}
    assert broken([order(-2)], lost, by) == set()
    deep = view(equity=800.0, day_equity=800.0, **held)
    assert broken([order(1)], deep, by) == {"max_drawdown"}
    assert broken([order(1)], view(equity=971.0, **held), by) == set()


def test_the_rate_counts_what_was_sent_within_a_minute():
    by = limits(max_orders_per_minute=3)
    pair = [order(1, name="a"), order(1, "B", name="b")]
    assert broken(pair, view(), by, num_last_minute=1) == set()
    assert broken(pair, view(), by, num_last_minute=2) == {"max_orders_per_minute"}


@pytest.mark.parametrize(
    ("units", "kind", "prices", "refused"),
    [
        (1, "limit", {"limit_price": 101.0}, False),  # 100 bps above 100 is the collar
        (1, "limit", {"limit_price": 101.1}, True),
        (1, "limit", {"limit_price": 50.0}, False),  # a bid far below waits, and pays nothing too much
        (-1, "limit", {"limit_price": 98.9}, True),
        (-1, "limit", {"limit_price": 150.0}, False),
        (-1, "stop", {"stop_price": 80.0}, False),
        (-1, "stop", {"stop_price": 101.1}, True),  # would trigger at once
        (1, "stop", {"stop_price": 98.9}, True),
        (1, "stop_limit", {"stop_price": 105.0, "limit_price": 106.0}, True),
    ],
)
def test_a_price_stays_inside_the_collar_on_the_side_that_pays(units, kind, prices, refused):
    found = broken([order(units, kind=kind, **prices)], view(), limits(price_collar_bps=100.0))
    assert found == ({"price_collar_bps"} if refused else set())


def test_what_is_not_known_is_refused():
    by = limits(max_gross_exposure=1.0, price_collar_bps=10.0, min_buying_power=0.0, max_var=0.1)
    unknown = view(prices={})
    assert broken([order(1)], unknown, by) == {"max_gross_exposure", "min_buying_power", "max_var"}
    assert broken([order(1, kind="limit", limit_price=1.0)], unknown, limits(price_collar_bps=1.0)) == {
        "price_collar_bps"
    }
    assert broken([order(1)], view(equity=float("nan")), limits()) == {"equity"}


def test_an_exit_of_what_is_held_passes_every_limit_and_a_second_one_beside_it_does_not():
    by = limits(max_order_notional=1.0, max_gross_exposure=0.01, max_orders_per_minute=1)
    held = view(units={"A": 5.0})
    assert broken([order(-5)], held, by, num_last_minute=9, only_reduce="halted") == set()
    again = view(units={"A": 5.0}, open_units={"A": [-5.0]})
    assert not is_reducing(order(-5), again)
    assert "max_order_notional" in broken([order(-5)], again, by)
    assert "halt" in broken([order(-6)], held, by, only_reduce="halted")


def test_open_orders_count_as_if_the_worse_side_filled():
    by = limits(max_gross_exposure=1.0)
    waiting = view(open_units={"A": [6.0, -6.0]})
    assert broken([order(5)], waiting, by) == {"max_gross_exposure"}  # 6 + 5 of 10
    assert broken([order(4)], waiting, by) == set()


def test_the_exits_of_a_bracket_are_no_new_exposure():
    by = limits(max_gross_exposure=0.5, price_collar_bps=10.0)
    entry = order(5, name="entry")
    stop = order(-5, name="stop", kind="stop", stop_price=90.0, entry="entry")
    profit = order(-5, name="profit", kind="limit", limit_price=120.0, entry="entry")
    assert broken([entry, stop, profit], view(), by) == set()


def test_var_is_the_loss_that_one_bar_in_a_hundred_exceeds():
    returns = np.arange(-100, 100) / 1000.0  # -0.100, -0.099, ... 0.099
    # 1 % of 200 bars: the 2nd smallest of the order statistics at rank floor(0.01 x 199) = 1, so -0.099.
    assert historical_var({"A": 1.0}, {"A": returns}, 0.99) == pytest.approx(0.099)
    assert historical_var({"A": -0.5}, {"A": returns}, 0.99) == pytest.approx(0.049)
    assert historical_var({"A": 1.0, "B": -1.0}, {"A": returns, "B": returns}, 0.99) == 0.0
    assert historical_var({}, {}, 0.99) == 0.0
    assert np.isnan(historical_var({"A": 1.0}, {}, 0.99))


def test_var_refuses_what_raises_it_and_lets_a_hedge_go():
    returns = {"A": np.arange(-100, 100) / 1000.0, "B": np.arange(-100, 100) / 1000.0}
    by = limits(max_var=0.05, var_level=0.99)
    assert broken([order(5)], view(returns=returns), by) == set()  # 0.5 x 0.099
    assert broken([order(6)], view(returns=returns), by) == {"max_var"}
    assert broken([order(-10, "B")], view(returns=returns, units={"A": 10.0}), by) == set()


def test_what_is_held_may_drift_over_its_exposure_and_no_further():
    by = limits(max_gross_exposure=1.0, held_slack=0.25)
    assert account_breaches(view(units={"A": 12.5}), by) == []
    assert [b.limit for b in account_breaches(view(units={"A": 12.6}), by)] == ["max_gross_exposure"]


def test_multipliers_count():
    by = limits(max_order_notional=4999.0)
    assert broken([order(1)], view(multipliers={"A": 50.0}), by) == {"max_order_notional"}


def test_real_money_needs_every_limit():
    GuardLimits(**DEFAULT).require_for_real_money()
    with pytest.raises(ValueError, match="guard.max_var is null"):
        GuardLimits(**{**DEFAULT, "max_var": None}).require_for_real_money()


@pytest.mark.parametrize(
    "key", [key for key in DEFAULT if key.startswith(("max_", "price_", "silence", "watch"))]
)
def test_a_limit_that_is_no_limit_is_refused_with_its_key(key):
    with pytest.raises(ValueError, match=f"guard.{key}"):
        GuardLimits(**{**DEFAULT, key: -1})


@settings(max_examples=60, deadline=None)
@given(
    held=st.integers(-20, 20),
    units=st.integers(-20, 20).filter(bool),
    other=st.integers(-20, 20),
)
def test_what_is_let_through_never_leaves_more_exposure_than_the_limit_or_than_before(held, units, other):
    by = limits(max_gross_exposure=1.0, max_net_exposure=0.6, max_position_exposure=0.8)
    at = view(units={"A": float(held), "B": float(other)})
    if broken([order(units)], at, by):
        return
    before = [abs(held) * 0.1, abs(other) * 0.05]
    after = [abs(held + units) * 0.1, abs(other) * 0.05]
    net = abs((held + units) * 0.1 + other * 0.05)
    exits = held * units < 0 and abs(units) <= abs(held)
    assert exits or sum(after) <= max(1.0, sum(before)) + 1e-6
    assert exits or after[0] <= max(0.8, before[0]) + 1e-6
    assert exits or net <= max(0.6, abs(held * 0.1 + other * 0.05)) + 1e-6
