"""Executions in an account's books: once, at what they cost, and with entry prices that nothing but a fill moves."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from random_markets import PLAIN, random_features, random_panel
from rolled_account import FUTURE, NO_WINDOWS, RolledAccount
from test_contract_rolls import HELD, LONG, small_panel
from test_live_account import growing

from envs.kernel import columns as c
from envs.live.account import LiveAccount
from envs.live.broker import Fill
from envs.live.guard_folder import GuardFolder
from envs.live.guard_view import LoopView
from envs.live.traded_contracts import TradedContracts
from envs.live.venue_books import VenueBooks

FIRST = 20


def fill(number, units, price, commission=None, **changes):
    made = Fill(
        execution_id=f"x{number}", revision=1, client_order_id=None, symbol="S0", units=units, price=price,
        commission=commission, filled_utc=datetime(2024, 6, 3, tzinfo=UTC),
    )  # fmt: skip
    return replace(made, **changes)


@pytest.fixture
def books():
    panel = random_panel(1, num_bars=60, num_assets=2, holes=0.0, exogenous=False)
    market = growing(
        panel, random_features(panel), dict.fromkeys(panel.symbols, FUTURE), NO_WINDOWS, held=FIRST
    )
    account = LiveAccount(market, PLAIN, start_bar=FIRST, seed=0)
    account.reset()
    account.decide(np.ones(2, np.float32))
    return account, VenueBooks(account, TradedContracts(account, panel.symbols))


def cash(account):
    return float(account.env.rows.account[0, c.CASH])


def test_a_commission_that_comes_after_its_fill_is_paid_and_moves_no_entry_price(books):
    account, made = books
    made.book([fill(1, 10.0, 100.0), fill(2, -4.0, 105.0)])
    before = cash(account)
    made.book([fill(2, -4.0, 105.0, commission=3.0), fill(2, -4.0, 105.0, commission=3.0)])
    # Six of ten are left, bought at 100: to buy four back at 105 and sell them again would make it 102.
    position = account.env.rows.position[0, 0]
    assert (position[c.UNITS], position[c.ENTRY_PRICE]) == (6.0, 100.0)
    assert cash(account) == before - 3.0
    assert account.env.rows.flow[0, c.NUM_FILLS] == 2.0
    assert [(move.units, move.commission) for move in made.take_moves()] == [(10.0, 0.0), (-4.0, 3.0)]
    made.book([fill(1, 10.0, 100.0, commission=2.0)])  # of a bar that is written already
    assert [(move.units, move.commission) for move in made.take_moves()] == [(-10.0, 0.0), (10.0, 2.0)]
    assert cash(account) == before - 5.0


def test_a_price_that_the_venue_corrects_is_taken_back_and_booked_anew(books):
    account, made = books
    before = cash(account)
    made.book([fill(1, 2.0, 100.0, commission=1.0)])
    made.book([fill(1, 2.0, 101.0, commission=1.0, revision=2)])
    assert cash(account) == before - 2.0 * 101.0 * 50.0 - 1.0
    assert account.env.rows.position[0, 0, c.ENTRY_PRICE] == 101.0
    made.book([fill(9, 5.0, 1.0, symbol="SOMETHING")])  # none of the account's
    assert list(made.booked) == ["x1"]


def test_the_guard_sees_each_contract_at_its_price_and_no_step_among_the_returns(tmp_path):
    run = RolledAccount(tmp_path / "run", small_panel(), HELD, [[LONG]] * 5, start=3)
    run.play()
    view = LoopView(
        run.account, lambda: run.desk.orders, run.panel.symbols, GuardFolder(tmp_path / "guard"),
        zone="UTC", var_bars=3, now=lambda: datetime(2024, 6, 3, tzinfo=UTC), contracts=run.venue.contracts.names,
    )()  # fmt: skip
    assert view.units == {"X:202406": 2.0}
    # June closed at 5072; March is taken to lie sixty points below it.
    assert (view.prices["X:202406"], view.prices["X:202403"]) == (5072.0, 5012.0)
    assert view.multipliers["X:202406"] == 50.0
    expected = [5002.0 / 5008.0 - 1.0, 5070.0 / 5062.0 - 1.0, 5072.0 / 5070.0 - 1.0]
    assert view.returns["X:202406"] == pytest.approx(expected)
