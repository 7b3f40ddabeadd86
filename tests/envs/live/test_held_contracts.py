"""Books of a series against a plain ledger of its contracts: what was paid is what is booked, whatever comes when."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.live.held_contracts import HeldContracts

MARCH, JUNE = "ES:202403", "ES:202406"


class Row:
    """The simulator's row: cash by price times units, units, and the average entry price."""

    def __init__(self):
        self.cash = self.units = self.entry = 0.0

    def book(self, units, price):
        left = self.units + units
        if self.units * units >= 0.0:
            self.entry = (self.entry * self.units + price * units) / left if left else 0.0
        elif left * self.units < 0.0:
            self.entry = price
        self.units = 0.0 if abs(left) < 1e-9 else left
        self.cash -= units * price

    def worth(self, mark):
        return self.cash + self.units * mark


def test_a_roll_in_the_bar_in_which_the_bars_turn_costs_and_earns_nothing():
    # Two units at 5000 in March; rolled at 5006 into June at 5066: what is held is two units, entered at 5060.
    held, row = HeldContracts(shown=MARCH, rolls=0), Row()
    row.book(2.0, held.trade(MARCH, 2.0, 5000.0, 5000.0))
    row.cash += held.roll(MARCH, -2.0, 5006.0, 5002.0)
    assert (held.units, held.moving, held.total) == ({}, 2.0, 2.0)
    row.cash += held.roll(JUNE, 2.0, 5066.0, 5002.0)
    assert (held.units, held.moving, held.offsets[JUNE]) == ({JUNE: 2.0}, 0.0, 60.0)
    shift = held.turn(JUNE, 60.0, 1)
    row.cash += shift.gain
    assert (shift.entry_step, shift.extreme_step) == (60.0, 60.0)
    assert row.cash == -2.0 * 5000.0 + 2.0 * 5006.0 - 2.0 * 5066.0
    assert row.worth(5070.0) == 2.0 * (5006.0 - 5000.0) + 2.0 * (5070.0 - 5066.0)


def test_the_bars_may_turn_first_and_the_roll_come_bars_later():
    held, row = HeldContracts(shown=MARCH, rolls=0), Row()
    row.book(-3.0, held.trade(MARCH, -3.0, 100.0, 100.0))
    row.cash += held.turn(JUNE, 5.0, 1).gain
    # Still in March, which is taken to lie five points under June: at a mark of 107 it is worth 102.
    assert row.worth(107.0) == -3.0 * (102.0 - 100.0)
    row.cash += held.roll(MARCH, 3.0, 103.0, 107.0)
    # Closed and not open: nothing moves, whatever the mark does.
    for mark in (107.0, 90.0, 111.0):
        row.cash += held.remark(mark)
        assert row.worth(mark) == pytest.approx(-3.0 * (103.0 - 100.0))
    row.cash += held.roll(JUNE, -3.0, 109.0, 111.0)
    assert row.worth(111.0) == pytest.approx(-3.0 * (103.0 - 100.0) - 3.0 * (111.0 - 109.0))
    assert held.units == {JUNE: -3.0}


def test_what_is_opened_early_in_the_next_contract_keeps_the_price_that_was_paid():
    held, row = HeldContracts(shown=MARCH, rolls=0), Row()
    row.book(4.0, held.trade(JUNE, 4.0, 5066.0, 5002.0))
    assert row.entry == 5002.0  # June counts as bought at March's last price, until the bars turn
    shift = held.turn(JUNE, 61.0, 1)
    row.cash += shift.gain
    assert row.entry + shift.entry_step == 5066.0
    assert shift.extreme_step == 64.0
    assert row.cash == -4.0 * 5066.0


def test_rolled_units_and_early_ones_share_the_entry_price_by_what_each_paid():
    held, row = HeldContracts(shown=MARCH, rolls=0), Row()
    row.book(1.0, held.trade(MARCH, 1.0, 5000.0, 5000.0))
    row.cash += held.roll(MARCH, -1.0, 5006.0, 5002.0) + held.roll(JUNE, 1.0, 5066.0, 5002.0)
    row.book(3.0, held.trade(JUNE, 3.0, 5070.0, 5002.0))
    shift = held.turn(JUNE, 60.0, 1)
    # One unit entered at 5000 in March, 5060 in June's prices; three at 5070.
    assert row.entry + shift.entry_step == pytest.approx((5060.0 + 3 * 5070.0) / 4)


def test_closed_units_that_stay_closed_are_sold_at_what_they_brought():
    held, row = HeldContracts(shown=MARCH, rolls=0), Row()
    row.book(2.0, held.trade(MARCH, 2.0, 100.0, 100.0))
    row.cash += held.roll(MARCH, -2.0, 104.0, 103.0) + held.remark(120.0)
    row.book(-2.0, held.give_up(2.0))
    assert (row.units, row.cash, held.total) == (0.0, 8.0, 0.0)


def test_a_leg_that_the_venue_corrects_is_taken_back_and_booked_anew():
    held, row = HeldContracts(shown=MARCH, rolls=0), Row()
    row.book(2.0, held.trade(MARCH, 2.0, 100.0, 100.0))
    row.cash += held.roll(MARCH, -2.0, 104.0, 103.0) + held.roll(JUNE, 2.0, 110.0, 103.0)
    row.cash += held.roll(MARCH, 2.0, 104.0, 103.0) + held.roll(MARCH, -1.0, 104.0, 103.0)
    assert (held.units, held.moving) == ({MARCH: 1.0, JUNE: 2.0}, -1.0)
    # One unit too many is held: another one of March is closed, and none opened.
    row.cash += held.roll(MARCH, -1.0, 105.0, 103.0)
    assert (held.units, held.moving) == ({JUNE: 2.0}, 0.0)
    row.cash += held.turn(JUNE, 6.0, 1).gain
    assert row.cash == pytest.approx(-2 * 100.0 + 104.0 + 105.0 - 2 * 110.0)


def test_a_state_that_is_saved_goes_on_as_it_was():
    held = HeldContracts(shown=MARCH, rolls=0)
    held.trade(MARCH, 2.0, 100.0, 100.0)
    held.roll(MARCH, -1.0, 104.0, 103.0)
    again = HeldContracts.restored(held.state())
    again.roll(JUNE, 1.0, 110.0, 103.0)
    assert held.moving == 1.0
    assert (again.units, again.moving) == ({MARCH: 1.0, JUNE: 1.0}, 0.0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["trade", "roll_out", "roll_in", "turn", "mark", "give_up"]),
        st.integers(-5, 5),
        st.floats(-20.0, 20.0).map(lambda x: round(x, 2)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_whatever_comes_in_whichever_order_cash_is_what_was_paid_once_all_is_flat(steps):
    names = [f"ES:2024{month:02d}" for month in range(1, 13)]
    held, row, paid, place, mark = HeldContracts(shown=names[0], rolls=0), Row(), 0.0, 0, 100.0

    def trade(name, units, price):
        nonlocal paid
        row.book(units, held.trade(name, units, price, mark))
        paid += units * price

    def leg(name, units, price):
        nonlocal paid
        row.cash += held.roll(name, units, price, mark)
        paid += units * price

    for what, units, by in steps:
        price, following = 100.0 + by, names[min(place + 1, 11)]
        if what == "trade" and units:
            trade(names[place] if units % 2 else following, float(units), price)
        elif what == "roll_out" and held.units.get(names[place]):
            leg(names[place], -held.units[names[place]], price)
        elif what == "roll_in" and held.moving:
            leg(following, held.moving if units % 2 else held.moving / 2, price)
        elif what == "turn" and place < 10:
            place += 1
            shift = held.turn(names[place], by, place)
            row.cash, row.entry = row.cash + shift.gain, row.entry + shift.entry_step
            mark += by
        elif what == "mark":
            mark = price
            row.cash += held.remark(mark)
        elif what == "give_up" and held.moving:
            row.book(-held.moving, held.give_up(held.moving))
        assert row.units == pytest.approx(held.total, abs=1e-6)
    if held.moving:
        row.book(-held.moving, held.give_up(held.moving))
    for name, units in list(held.units.items()):
        trade(name, -units, 95.0)
    assert held.total == pytest.approx(0.0, abs=1e-6)
    assert math.isclose(row.cash, -paid, abs_tol=1e-5)
