"""Dividends: whoever holds over the ex-date is paid in cash, whoever is short owes them, in every record, once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_markets import CONTEXT, free_instruments, random_features, random_panel, with_parts
from test_by_hand import FULL_SIZE, LONG

from data.errors import DataError
from data.schema import Panel
from envs.checks.leaks import find_leaks
from envs.context import ContextConfig
from envs.costs import COST_NAMES
from envs.episodes import Window
from envs.kernel import columns as c
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder, Recording
from envs.rules import context_in_use

FLAT, SHORT = 1, 0
DIVIDEND = COST_NAMES.index("dividend")
EX, CASH = 5, 2.0
START = 3
UNREAD = ContextConfig(atr_bars=None, volatility_bars=None, adv_bars=None, until_full="no_entry")


def panel_of(dividend: dict[int, float], num_bars: int = 10) -> Panel:
    """Daily bars at 100, that open lower by each dividend and stay there."""
    level = np.full((num_bars, 1), 100.0)
    column = np.zeros((num_bars, 1))
    for at, cash in dividend.items():
        level[at:] -= cash
        column[at] = cash
    return Panel(
        symbols=("X",),
        bar_utc=np.datetime64("2024-01-01", "ns") + np.arange(num_bars) * np.timedelta64(1, "D"),
        open=level,
        high=level,
        low=level,
        close=level,
        volume=np.full(level.shape, 1e6),
        tradable=np.ones(level.shape, dtype=bool),
        session=np.arange(num_bars, dtype=np.int32),
        calendar="24/7",
        bar_seconds=86_400,
        exogenous={"dividend": column},
    )


def played(actions: list[int], panel: Panel, *, cost_factor: float = 1.0, **instrument) -> Recording:
    """The account after these choices at the closes from bar START - 1 on."""
    term = replace(free_instruments(panel)["X"], **instrument)
    market = Market.build(panel, random_features(panel), {"X": term}, UNREAD)
    window = Window(start_bar=START, stop_bar=panel.num_bars)
    env = PortfolioVectorEnv(market, with_parts(FULL_SIZE), num_envs=1, windows=[window], seed=0)
    env.rows.put("account", c.COST_SCALE, cost_factor)
    recorder = Recorder(env)
    env.reset()
    for action in [*actions, *[actions[-1]] * panel.num_bars][: panel.num_bars - START]:
        env.step(np.array([[action]]))
    return recorder.recordings()[0]


@pytest.mark.parametrize("multiplier", [1.0, 12.5])
@pytest.mark.parametrize(("side", "sign"), [(LONG, 1.0), (SHORT, -1.0)])
def test_what_the_price_loses_is_paid_in_cash_to_longs_and_owed_by_shorts(side, sign, multiplier):
    # 10,000 buy 100 units of 100 (8 of 12.5 times 100). The price falls by 2, and 2 a unit is paid: nothing is left.
    recording = played([side], panel_of({EX: CASH}), multiplier=multiplier, lot_step=0.25, currency="EUR")
    held = 10_000.0 / (100.0 * multiplier)
    paid = recording.costs[:, DIVIDEND]
    assert np.flatnonzero(paid).tolist() == [EX - START]
    assert paid.sum() == pytest.approx(-sign * held * CASH * multiplier)
    np.testing.assert_allclose(recording.equity, 10_000.0, rtol=1e-12)
    assert recording.trades.costs[0, DIVIDEND] == pytest.approx(paid.sum())
    assert recording.trades.pnl[0] == pytest.approx(0.0, abs=1e-9)


def test_who_buys_at_the_open_without_it_is_not_paid_and_who_sells_there_is():
    # Decided at the close before the ex-date, filled at its open: bought too late, sold late enough.
    late = played([FLAT, FLAT, LONG], panel_of({EX: CASH}))
    assert late.fills.filled_bar[0] == EX
    assert late.costs[:, DIVIDEND].sum() == 0.0
    sold = played([LONG, LONG, FLAT], panel_of({EX: CASH}))
    assert sold.fills.filled_bar[-1] == EX
    assert sold.costs[:, DIVIDEND].sum() == pytest.approx(-200.0)
    assert sold.trades.costs[0, DIVIDEND] == pytest.approx(-200.0)
    assert sold.equity[-1] == pytest.approx(10_000.0)


@pytest.mark.parametrize("factor", [0.0, 4.0])
def test_a_multiple_of_all_costs_multiplies_no_dividend(factor):
    recording = played([LONG], panel_of({EX: CASH}), cost_factor=factor)
    assert recording.costs[:, DIVIDEND].sum() == pytest.approx(-200.0)


def test_a_dividend_of_a_bar_without_prices_is_paid_and_an_unknown_one_there_is_none():
    panel = panel_of({EX: CASH})
    gone = {
        name: getattr(panel, name).copy() for name in ("open", "high", "low", "close", "volume", "tradable")
    }
    for name, values in gone.items():
        values[[EX, EX + 2]] = {"volume": 0.0, "tradable": False}.get(name, np.nan)
    column = panel.exogenous["dividend"].copy()
    column[EX + 2] = np.nan
    recording = played([LONG], replace(panel, **gone, exogenous={"dividend": column}))
    assert recording.costs[EX - START, DIVIDEND] == pytest.approx(-200.0)
    assert recording.equity[-1] == pytest.approx(10_000.0)


def test_an_unknown_dividend_of_a_bar_with_prices_is_refused():
    panel = panel_of({EX: CASH})
    column = panel.exogenous["dividend"].copy()
    column[3] = np.nan
    with pytest.raises(DataError, match="X: the column dividend is unknown at 2024-01-04"):
        played([LONG], replace(panel, exogenous={"dividend": column}))


def test_a_market_without_the_column_is_as_wide_as_before_and_one_with_it_keeps_it_whatever_else_is_read():
    panel = panel_of({EX: CASH})
    terms = free_instruments(panel)
    assert context_in_use(UNREAD, FULL_SIZE, panel, terms) is not None
    assert Market.build(panel, random_features(panel), terms, UNREAD).has_dividends
    plain = replace(panel, exogenous={})
    assert context_in_use(UNREAD, FULL_SIZE, plain, terms) is None
    market = Market.build(plain, random_features(plain), terms, UNREAD)
    assert not market.has_dividends
    assert market.bars.shape[2] == c.NUM_CONTEXT_COLUMNS


def test_the_dividend_of_a_bar_is_known_at_its_own_close_and_no_earlier():
    panel = random_panel(3, num_bars=60, num_assets=2)
    terms = free_instruments(panel)

    def env(bars: Panel) -> PortfolioVectorEnv:
        market = Market.build(bars, random_features(panel), terms, CONTEXT)
        window = Window(start_bar=20, stop_bar=60)
        return PortfolioVectorEnv(market, with_parts(FULL_SIZE), num_envs=1, windows=[window], seed=0)

    report = find_leaks(env, panel, num_cuts=3, num_steps=20, seed=1, market_seconds=5.0)
    assert [str(f) for f in report.findings if "dividend" in str(f)] == []
