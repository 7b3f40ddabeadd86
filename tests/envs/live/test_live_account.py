"""An account that lives bar by bar is the simulator's row: the same bits, and the same books from a venue's fills."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from random_markets import CONTEXT, PLAIN, mixed_instruments, random_features, random_panel, with_parts

from data.calendars import BarGrid
from envs.barriers import BarrierConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.kernel import live_steps
from envs.live.account import LiveAccount, VenueFill
from envs.live.growing_market import ClosedBar, GrowingMarket
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv

pytestmark = pytest.mark.runs
FIRST = 20


class RecordedFeatures:
    """Hands out the rows of features that were computed before."""

    lookback_bars = 2

    def __init__(self, features, bar_utc):
        self.features, self.bar_utc = features, bar_utc

    def of_last_bar(self, panel):
        at = int(np.searchsorted(self.bar_utc, panel.bar_utc[-1]))
        asset, clock = self.features.asset[at : at + 1], self.features.clock[at : at + 1]
        return replace(self.features, asset=asset, clock=clock)


def growing(panel, features, instruments, context=CONTEXT, held=FIRST):
    """A market that has seen the first `held` bars of a panel."""
    session = float(np.median(np.unique(panel.session, return_counts=True)[1]))
    known = replace(features, asset=features.asset[:held], clock=features.clock[:held])
    to_come = BarGrid(bar_utc=panel.bar_utc[held:], session=panel.session[held:])
    live = RecordedFeatures(features, panel.bar_utc)
    history = panel.slice_bars(0, held)
    return GrowingMarket(history, known, to_come, instruments, context, live, bars_per_session=session)


def same(one, two):
    return np.array_equal(one, two, equal_nan=True)


VARIANTS = {
    "weights": {"action": {"scheme": "weights", "rebalance_band": 0.05}},
    "direction_barriers": {
        "barriers": BarrierConfig(
            unit="atr", profit_target=1.5, stop_loss=1.0, trailing_stop=None, time_limit_bars=5
        )
    },
    "late_and_carried": {"costs": {"latency_bars": 1, "max_participation": 0.001, "remainder": "carry"}},
    "flat_at_the_last_close": {"risk": {"flat_at_session_end": "last_close", "max_daily_loss": 0.01}},
    "flat_at_the_last_open": {"risk": {"flat_at_session_end": "last_open", "max_entries_per_session": 2}},
    "margin": {
        "risk": {"margin": True, "max_gross_exposure": 15.0, "max_drawdown": 0.2},
        "sizing": {"fraction": 5.0, "max_fraction": 8.0},
    },
    "funding_and_borrow": {"costs": {"funding": True, "borrow": True, "impact_coefficient": 1.0}},
    "dividends": {},
    "portfolio_volatility": {
        "action": {"scheme": "weights"},
        "risk": {"target_volatility": 0.1, "volatility_bars": 20, "max_concentration": 0.6},
    },
    "tail_sizes": {"sizing": {"rule": "var_target", "target_loss": 0.01}},
    "limits_in_units_and_money": {
        "risk": {"max_position_units": 30.0, "max_gross_notional": 50_000.0, "max_entries_per_symbol": 3},
        "costs": {"linear_impact_bps": 0.5},
    },
    "value_at_risk": {"risk": {"max_var": 0.004}, "reward": {"differential_sharpe": 1.0}},
}


def config_of(parts):
    return with_parts(PLAIN, **parts)


def actions_of(config, rng, num_assets):
    if config.action.scheme == "weights":
        return rng.uniform(-1, 1, num_assets).astype(np.float32)
    return rng.integers(0, 3, num_assets).astype(np.float32)


@pytest.mark.parametrize("variant", VARIANTS)
def test_bar_by_bar_is_the_backtest_to_the_bit_across_sessions_and_a_restart(variant):
    config, bars = config_of(VARIANTS[variant]), 700
    panel = random_panel(11, num_bars=bars, num_assets=3)
    if variant == "dividends":
        paid = np.where(np.random.default_rng(2).random(panel.close.shape) < 0.05, 0.3, 0.0)
        panel = replace(panel, exogenous={**panel.exogenous, "dividend": paid})
    features, instruments = random_features(panel), mixed_instruments(panel)
    whole = Market.build(panel, features, instruments, CONTEXT)
    window = Window(start_bar=FIRST, stop_bar=bars)
    env = PortfolioVectorEnv(
        whole, config, num_envs=1, windows=[window], seed=3, autoreset_mode=AutoresetMode.DISABLED
    )
    env.set_logging(True)
    expected, _ = env.reset()
    market = growing(panel, features, instruments)
    account = LiveAccount(market, config, start_bar=FIRST, seed=3)
    account.env.set_logging(True)
    assert same(account.reset(), expected[0])
    rng = np.random.default_rng(5)
    traded = 0
    for t in range(FIRST, bars):
        action = actions_of(config, rng, 3)
        observation, reward, terminated, truncated, _ = env.step(action[None])
        account.decide(action)
        market.append(ClosedBar.of(panel, t))
        account.simulate()
        closed = account.close()
        assert same(closed.observation, observation[0]), t
        assert (closed.reward, closed.ruined, closed.ended) == (reward[0], terminated[0], truncated[0])
        for name, values in env.rows.arrays().items():
            assert same(account.env.rows.arrays()[name], values), (t, name)
        assert same(account.env.fill_log[..., c.FILL_UNITS], env.fill_log[..., c.FILL_UNITS])
        traded += int((env.fill_log[..., c.FILL_UNITS] != 0.0).sum())
        if t == bars // 2:  # the process dies here; another one goes on from what was saved
            state, market = account.get_state(), growing(panel, features, instruments, held=t + 1)
            account = LiveAccount(market, config, start_bar=FIRST, seed=3)
            account.env.set_logging(True)
            account.set_state(state)
        if terminated[0] or truncated[0]:
            break
    assert t > bars // 2 or terminated[0]
    assert traded > 20


@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_a_market_that_grew_holds_the_bits_of_one_that_was_built_at_once(holes):
    panel = random_panel(4, num_bars=300, num_assets=3, holes=holes)
    features, instruments = random_features(panel), mixed_instruments(panel)
    whole, market = Market.build(panel, features, instruments, CONTEXT), growing(panel, features, instruments)
    for t in range(FIRST, panel.num_bars):
        known = slice(c.LAST_MARK, c.DIVIDEND)  # a dividend is known at the close of its bar
        assert same(market.market.bars[: t + 1, :, known], whole.bars[: t + 1, :, known])
        market.append(ClosedBar.of(panel, t))
        assert not market.market.bars[t + 2 :].any()  # nothing of a bar that is not the next one
    for name in ("bars", "features", "clock", "years", "calendar", "instrument"):
        assert same(getattr(market.market, name), getattr(whole, name)), name


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("scheme", ["weights", "direction"])
def test_the_simulators_fills_reported_by_a_venue_in_parts_give_the_same_books(scheme, parts):
    # Nothing that the simulator closes or finances by itself: every change comes through the fills.
    config = config_of({"action": {"scheme": scheme}, "costs": {"borrow": False, "funding": False}})
    panel = random_panel(8, num_bars=300, num_assets=2, exogenous=False)
    features, instruments = random_features(panel), mixed_instruments(panel)
    market, paper_market = (growing(panel, features, instruments) for _ in range(2))
    venue = LiveAccount(market, config, start_bar=FIRST, seed=0)
    paper = LiveAccount(paper_market, config, start_bar=FIRST, seed=0)
    paper.env.set_logging(True)
    assert same(venue.reset(), paper.reset())
    rng = np.random.default_rng(2)
    for t in range(FIRST, panel.num_bars - 2):
        action = actions_of(config, rng, 2)
        wanted, asked = paper.decide(action), venue.decide(action)
        assert asked == pytest.approx(wanted, rel=1e-12, abs=1e-12)
        for each in (market, paper_market):
            each.append(ClosedBar.of(panel, t))
        paper.simulate()
        for asset in range(2):
            log = paper.env.fill_log[0, asset, c.AT_OPEN]
            for _ in range(parts if log[c.FILL_UNITS] else 0):
                venue.book(_fill(asset, log / parts, price=log[c.FILL_PRICE]))
        mine, theirs = venue.close(), paper.close()
        assert mine.equity == pytest.approx(theirs.equity, rel=1e-12)
        assert mine.observation == pytest.approx(theirs.observation, abs=1e-6)
        assert venue.units == pytest.approx(paper.units, rel=1e-12, abs=1e-9)


def _fill(asset, log, price):
    return VenueFill(
        asset=asset,
        units=float(log[c.FILL_UNITS]),
        price=float(price),
        commission=float(log[c.FILL_COMMISSION]),
        spread=float(log[c.FILL_SPREAD]),
        slippage=float(log[c.FILL_SLIPPAGE]),
        impact=float(log[c.FILL_IMPACT]),
    )


def small_account():
    panel = random_panel(1, num_bars=60, num_assets=2, holes=0.0)
    features, instruments = random_features(panel), mixed_instruments(panel)
    market = growing(panel, features, instruments)
    account = LiveAccount(market, PLAIN, start_bar=FIRST, seed=0)
    account.reset()
    return panel, market, account


def test_nothing_is_compiled_while_a_bar_waits_from_the_first_one_on():
    kernels = live_steps.decide_rows, live_steps.trade_rows, live_steps.book_rows, live_steps.close_rows
    for kernel in kernels:
        kernel._reset_overloads()
    panel, market, account = small_account()
    ready = [len(kernel.overloads) for kernel in kernels]
    assert ready == [1, 1, 1, 1]
    for t, simulated in ((FIRST, True), (FIRST + 1, False)):
        account.decide(np.full(2, 2, np.float32))
        market.append(ClosedBar.of(panel, t))
        if simulated:
            account.simulate()
        else:
            account.book(VenueFill(asset=1, units=2.0, price=100.0))
        account.close()
    assert [len(kernel.overloads) for kernel in kernels] == ready


def test_a_fill_that_comes_late_or_that_nobody_ordered_changes_units_and_cash_at_once():
    panel, market, account = small_account()
    account.decide(np.ones(2, np.float32))  # stay flat
    market.append(ClosedBar.of(panel, FIRST))
    account.close()
    before = account.equity
    account.book(
        VenueFill(asset=1, units=2.0, price=100.0, commission=1.5)
    )  # a person bought, after the close
    assert account.units.tolist() == [0.0, 2.0]
    account.decide(np.ones(2, np.float32))
    assert account.to_trade.tolist() == [
        0.0,
        -2.0,
    ]  # the policy wishes to be flat: what it did not buy goes as well
    market.append(ClosedBar.of(panel, FIRST + 1))
    closed = account.close()  # the venue filled nothing
    assert closed.equity == pytest.approx(before - 1.5 + 2.0 * (panel.close[FIRST + 1, 1] - 100.0))


def test_calls_out_of_order_and_bars_out_of_turn_are_refused():
    panel, market, account = small_account()
    with pytest.raises(RuntimeError, match="close was called before decide"):
        account.close()
    with pytest.raises(RuntimeError, match="simulate was called when the account is closed"):
        account.simulate()
    account.decide(np.ones(2, np.float32))
    with pytest.raises(RuntimeError, match="before bar 20 was appended"):
        account.simulate()
    with pytest.raises(ValueError, match="is not the next one"):
        market.append(ClosedBar.of(panel, FIRST + 1))
    with pytest.raises(ValueError, match="finite numbers"):
        account.book(VenueFill(asset=0, units=float("nan"), price=1.0))
    with pytest.raises(ValueError, match="the account has 2"):
        account.book(VenueFill(asset=2, units=1.0, price=1.0))


def test_a_fill_after_the_last_bar_that_the_market_has_room_for_is_refused_and_not_booked():
    panel, market, account = small_account()
    for t in range(FIRST, panel.num_bars):
        account.decide(np.ones(2, np.float32))
        market.append(ClosedBar.of(panel, t))
        closed = account.close()
        if closed.ended:
            break
    units = account.units.tolist()
    with pytest.raises(ValueError, match="no room after bar"):
        account.book(VenueFill(asset=0, units=1.0, price=100.0))
    assert account.units.tolist() == units
