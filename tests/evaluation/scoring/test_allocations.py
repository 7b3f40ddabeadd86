"""Allocations are what their names say, whatever the policy's scheme, sizes, exits and limits: checked by hand."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from hand_account import (
    KINDS,
    by_hand,
    empty_features,
    instruments_of,
    market_of,
    random_panel,
    units_worth,
    venue_env,
    without,
)
from recorded_schedule import run_schedule

from envs.barriers import BarrierConfig
from envs.episodes import Window
from envs.market import Market
from evaluation.scoring.allocations import account_multiple, allocation_config
from evaluation.scoring.rollout import run_schedules
from policies.baselines import SCRIPTED, standard_baselines

START, STOP, SESSIONS = 301, 900, 3
WINDOW = Window(start_bar=START, stop_bar=STOP)
SCHEMES = ("direction", "orders", "direction_size", "weights")


def hostile(scheme):
    """A policy's env in which everything that can sell, refuse or shrink a holding is on."""
    env = venue_env(scheme)
    return replace(
        env,
        action=replace(env.action, rebalance_band=0.3),
        sizing=replace(env.sizing, rule="fixed_units", units=1.0),
        barriers=BarrierConfig(
            unit="percent", profit_target=1.0, stop_loss=0.5, trailing_stop=0.7, time_limit_bars=10
        ),
        risk=replace(
            env.risk,
            max_gross_exposure=0.6,
            max_position_exposure=0.1,
            max_daily_loss=0.001,
            max_drawdown=0.01,
            max_var=1e-4,
            var_bars=5,
            max_entries_per_session=1,
            min_holding_bars=200,
            no_trade_open_bars=20,
            no_trade_close_bars=20,
            flat_at_session_end="last_open",
            ruin_equity=0.95,
        ),
    )


def scored(panel, kind, env, names=None, cost_factor=1.0):
    schedules = standard_baselines(
        panel, momentum_bars=20, hold_bars=1, rebalance_sessions=SESSIONS, target_volatility=0.1
    )
    wanted = {name: schedules[name] for name in names or schedules}
    return run_schedules(
        wanted, market_of(panel, kind), env, [WINDOW], cost_factor=cost_factor, rebalance_sessions=SESSIONS
    )


def agrees(track, returns, turnovers):
    np.testing.assert_allclose(track.net_return, returns, rtol=0, atol=1e-9)
    np.testing.assert_allclose(track.turnover, turnovers, rtol=1e-9, atol=1e-9)


def agrees_with_hand(track, panel, kind, decide, cost_factor=1.0):
    """Compare a track with an account kept by hand, whose units are returned."""
    returns, turnovers, units = by_hand(
        panel, instruments_of(panel, kind), 2e7, START, STOP, decide, cost_factor
    )
    agrees(track, returns, turnovers)
    return units


def holding(panel, instruments, members):
    """Buys each member once, at the first close at which it has a bar, for its share of equity."""
    bought = set()

    def decide(t, equity, held):
        wanted = [None] * len(held)
        for a in members:
            if a not in bought and panel.tradable[t, a]:
                bought.add(a)
                wanted[a] = units_worth(panel, instruments, a, t, equity / len(members))
        return wanted

    return decide


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cost_factor", [1.0, 2.0])
def test_buy_and_hold_buys_once_and_holds_its_units_to_the_end(kind, scheme, cost_factor):
    panel = random_panel(kind)
    instruments, env = instruments_of(panel, kind), hostile(scheme)
    (track,) = scored(panel, kind, env, ["buy_and_hold"], cost_factor)["buy_and_hold"]
    units = agrees_with_hand(track, panel, kind, holding(panel, instruments, [0, 1, 2]), cost_factor)
    assert np.count_nonzero(track.turnover) == 2  # bought at the first open, sold at the last close
    schedule = SCRIPTED["buy_and_hold"](panel)
    (recorded,) = run_schedule(schedule, market_of(panel, kind), env, [WINDOW], cost_factor=cost_factor)
    np.testing.assert_allclose(recorded.units, units, rtol=1e-12)
    assert len(recorded.fills) == 6


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_lists_later_is_not_bought_and_what_has_ended_gets_no_share(scheme):
    kind = "coins"
    late = without(random_panel(kind), 1, slice(0, 600))
    instruments, env = instruments_of(late, kind), hostile(scheme)
    (track,) = scored(late, kind, env, ["buy_and_hold"])["buy_and_hold"]
    agrees(track, *by_hand(late, instruments, 2e7, START, STOP, holding(late, instruments, [0, 2]))[:2])
    ended = without(random_panel(kind), 2, slice(START - 6 * 48, None))
    (track,) = scored(ended, kind, env, ["buy_and_hold"])["buy_and_hold"]
    agrees(track, *by_hand(ended, instruments, 2e7, START, STOP, holding(ended, instruments, [0, 1]))[:2])


def test_an_asset_without_a_bar_when_the_window_begins_is_bought_at_its_next_one():
    kind = "stocks"
    panel = without(random_panel(kind), 0, slice(START - 2, START + 5))
    instruments, env = instruments_of(panel, kind), hostile("direction")
    (track,) = scored(panel, kind, env, ["buy_and_hold"])["buy_and_hold"]
    agrees(track, *by_hand(panel, instruments, 2e7, START, STOP, holding(panel, instruments, [0, 1, 2]))[:2])
    assert np.flatnonzero(track.turnover).tolist() == [0, 6, STOP - START - 1]


def test_where_nothing_is_listed_the_purchase_waits():
    panel = random_panel("coins")
    for asset in range(3):
        panel = without(panel, asset, slice(0, 500 + 10 * asset))
    env = hostile("orders")
    (track,) = scored(panel, "coins", env, ["buy_and_hold"])["buy_and_hold"]
    instruments = instruments_of(panel, "coins")
    agrees(track, *by_hand(panel, instruments, 2e7, START, STOP, holding(panel, instruments, [0]))[:2])


def rebalancing(panel, instruments, weights_at):
    """Moves to the weights at the first close, and at the first one of every SESSIONS-th day after it."""
    days = panel.bar_utc.astype("datetime64[D]").astype(int)

    def decide(t, equity, held):
        since = days[t] - days[START - 1]
        first_of_day = days[t] != days[t - 1]
        if t != START - 1 and not (first_of_day and since % SESSIONS == 0):
            return [None] * len(held)
        weights = np.asarray(weights_at(t), dtype=np.float32).astype(float)  # an action is a float32
        return [units_worth(panel, instruments, a, t, weights[a] * equity) for a in range(len(held))]

    return decide


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cost_factor", [1.0, 2.0])
def test_equal_weight_is_rebalanced_at_its_period_and_at_no_other_bar(kind, scheme, cost_factor):
    panel = random_panel(kind)
    instruments, env = instruments_of(panel, kind), hostile(scheme)
    (track,) = scored(panel, kind, env, ["equal_weight"], cost_factor)["equal_weight"]
    decide = rebalancing(panel, instruments, lambda t: [1 / 3] * 3)
    agrees_with_hand(track, panel, kind, decide, cost_factor)
    # 599 bars of half an hour from 06:00 of day 6: the purchase, days 9, 12, 15, 18, and the sale at the end.
    assert np.count_nonzero(track.turnover) == 6


def test_equal_weight_takes_a_late_listing_in_at_the_next_rebalancing():
    panel = without(random_panel("coins"), 1, slice(0, 600))
    instruments = instruments_of(panel, "coins")
    (track,) = scored(panel, "coins", hostile("weights"), ["equal_weight"])["equal_weight"]
    decide = rebalancing(panel, instruments, lambda t: [0.5, 0.0, 0.5] if t < 600 else [1 / 3] * 3)
    agrees(track, *by_hand(panel, instruments, 2e7, START, STOP, decide)[:2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["direction", "weights"])
def test_targeted_volatility_scales_equal_weights_by_what_the_sessions_before_showed(kind, scheme):
    panel = random_panel(kind)
    instruments = instruments_of(panel, kind)
    (track,) = scored(panel, kind, hostile(scheme), ["volatility_targeted"])["volatility_targeted"]

    def weights_at(t):
        bars = range(t - SESSIONS * 48 + 1, t + 1)
        means = [np.mean(panel.close[s] / panel.close[s - 1] - 1.0) for s in bars]
        annual = np.sqrt(np.mean(np.square(means)) * panel.periods_per_year)
        assert annual > 0.1  # nothing is borrowed: the factor is below 1
        return [0.1 / annual / 3] * 3

    agrees(
        track, *by_hand(panel, instruments, 2e7, START, STOP, rebalancing(panel, instruments, weights_at))[:2]
    )


def test_targeted_volatility_borrows_nothing_in_a_calm_market_and_waits_for_its_first_estimate():
    panel = random_panel("coins", volatility=1e-5)
    (track,) = scored(panel, "coins", hostile("weights"), ["volatility_targeted"])["volatility_targeted"]
    assert track.turnover[0] == pytest.approx(1.0, rel=1e-3)
    young = Window(start_bar=100, stop_bar=140)  # three sessions are 144 bars
    tracks = run_schedules(
        {
            "v": standard_baselines(
                panel, momentum_bars=20, hold_bars=1, rebalance_sessions=SESSIONS, target_volatility=0.1
            )["volatility_targeted"]
        },
        market_of(panel, "coins"),
        hostile("weights"),
        [young],
        rebalance_sessions=SESSIONS,
    )
    assert (tracks["v"][0].turnover == 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["direction", "weights"])
def test_minimum_variance_holds_the_weights_that_solve_for_it(kind, scheme):
    panel = random_panel(kind)
    instruments = instruments_of(panel, kind)
    (track,) = scored(panel, kind, hostile(scheme), ["minimum_variance"])["minimum_variance"]

    def weights_at(t):
        renewed = 102 + (t - 102) // 20 * 20  # lookback 5 x 20 + 2, renewed every 20 bars
        moves = np.log(panel.close[renewed - 101 : renewed + 1] / panel.close[renewed - 102 : renewed])
        raw = np.linalg.solve(np.cov(moves, rowvar=False), np.ones(3))
        return np.maximum(raw, 0) / np.maximum(raw, 0).sum()

    decide = rebalancing(panel, instruments, weights_at)
    returns, turnovers, _ = by_hand(panel, instruments, 2e7, START, STOP, decide)
    # The solver adds a floor of 1e-6 of the mean variance to the diagonal, and a lot may fall the other way by it.
    np.testing.assert_allclose(track.net_return, returns, rtol=0, atol=2e-6)
    np.testing.assert_allclose(track.turnover, turnovers, rtol=0, atol=1e-3)


def test_no_allocation_depends_on_the_policys_scheme_sizes_exits_or_limits():
    panel = random_panel("futures")
    names = ["buy_and_hold", "equal_weight", "volatility_targeted", "minimum_variance"]
    plain = scored(panel, "futures", venue_env("direction"), names)
    for scheme in SCHEMES:
        for name, (track,) in scored(panel, "futures", hostile(scheme), names).items():
            np.testing.assert_array_equal(track.net_return, plain[name][0].net_return)


def test_a_delisted_asset_is_sold_at_its_last_price_and_its_money_stays_in_cash():
    panel = without(random_panel("coins"), 1, slice(700, None))
    delisted = {**instruments_of(panel, "coins")}
    delisted["BBB"] = replace(delisted["BBB"], delisted_utc=f"{panel.bar_utc[700].astype('datetime64[s]')}Z")
    market = Market.build(panel, empty_features(panel), delisted)
    env = hostile("weights")
    (recorded,) = run_schedule(SCRIPTED["buy_and_hold"](panel), market, env, [WINDOW])
    gone = np.flatnonzero(recorded.units[:, 1] == 0.0)
    assert gone[0] == 699 - START  # at the close of its last bar
    assert (np.diff(recorded.units[:-1, [0, 2]], axis=0) == 0).all()
    assert recorded.exposure[gone[0] + 10].sum() == pytest.approx(2 / 3, abs=0.1)


def test_a_winner_is_not_sold():
    # One of three coins rises tenfold: it becomes four fifths of the account, and the gross cap is one.
    panel = random_panel("coins")
    rise = np.exp(np.linspace(0, np.log(10), STOP - START))
    prices = {}
    for name in ("open", "high", "low", "close"):
        values = getattr(panel, name).copy()
        values[START:STOP, 0] *= rise
        values[STOP:, 0] *= 10.0
        prices[name] = values
    panel = replace(panel, **prices)
    env = venue_env("weights")
    (recorded,) = run_schedule(SCRIPTED["buy_and_hold"](panel), market_of(panel, "coins"), env, [WINDOW])
    assert recorded.exposure[-2, 0] > 0.8
    assert (np.diff(recorded.units[:-1], axis=0) == 0).all()


def test_each_window_has_its_own_members_and_shares():
    panel = without(random_panel("coins"), 1, slice(0, 600))
    instruments, windows = instruments_of(panel, "coins"), [WINDOW, Window(start_bar=901, stop_bar=1_100)]
    tracks = run_schedules(
        {"held": SCRIPTED["buy_and_hold"](panel)}, market_of(panel, "coins"), hostile("weights"), windows
    )["held"]
    agrees(tracks[0], *by_hand(panel, instruments, 2e7, START, STOP, holding(panel, instruments, [0, 2]))[:2])
    agrees(
        tracks[1], *by_hand(panel, instruments, 2e7, 901, 1_100, holding(panel, instruments, [0, 1, 2]))[:2]
    )


def test_warm_up_bars_change_nothing_and_latency_moves_the_purchase():
    panel, env = random_panel("stocks"), hostile("direction")
    warm = replace(env, episode=replace(env.episode, warmup_bars=30))
    late = replace(env, costs=replace(env.costs, latency_bars=2))
    names = ["buy_and_hold", "equal_weight"]
    plain, warmed = scored(panel, "stocks", env, names), scored(panel, "stocks", warm, names)
    for name in names:
        np.testing.assert_array_equal(plain[name][0].net_return, warmed[name][0].net_return)
        np.testing.assert_array_equal(plain[name][0].turnover, warmed[name][0].turnover)
    (moved,) = scored(panel, "stocks", late, ["buy_and_hold"])["buy_and_hold"]
    assert np.flatnonzero(moved.turnover).tolist() == [2, STOP - START - 1]


def test_an_asset_that_lists_after_the_purchase_may_not_move_what_was_bought():
    # The future of a listing is not known when shares are given out.
    panel = random_panel("coins")
    late = without(panel, 1, slice(0, 600))
    never = without(panel, 1, slice(0, None))
    env = hostile("weights")
    runs = [scored(p, "coins", env, ["buy_and_hold"])["buy_and_hold"][0] for p in (late, never)]
    np.testing.assert_array_equal(runs[0].net_return, runs[1].net_return)


def test_fills_are_carried_on_where_a_bar_holds_too_little_volume():
    panel = replace(random_panel("coins"), volume=np.full((1_200, 3), 400.0))
    env = venue_env("direction")
    env = replace(env, costs=replace(env.costs, max_participation=0.1, remainder="drop"))
    (recorded,) = run_schedule(SCRIPTED["buy_and_hold"](panel), market_of(panel, "coins"), env, [WINDOW])
    wanted = units_worth(panel, instruments_of(panel, "coins"), 0, START - 1, 2e7 / 3)
    assert wanted > 40.0  # more than a tenth of the bar's volume
    assert recorded.units[0, 0] == 40.0
    assert recorded.units[10, 0] == pytest.approx(wanted)


def test_an_account_that_does_not_pay_for_one_lot_is_enlarged_aloud(caplog):
    # One ES is 50 x 5,000 = 250,000: a third of 300,000 buys none, and a flat baseline would be no rival.
    panel = random_panel("futures")
    small = replace(venue_env("orders"), initial_equity=300_000.0)
    with caplog.at_level(logging.WARNING):
        tracks = scored(panel, "futures", small, ["buy_and_hold", "equal_weight", "flat"])
    assert "does not pay for one lot" in caplog.text
    assert "flat with" not in caplog.text
    market = panel.close[STOP - 1] / panel.open[START] - 1.0
    assert np.prod(1 + tracks["buy_and_hold"][0].net_return) - 1 == pytest.approx(market.mean(), abs=0.02)
    assert tracks["buy_and_hold"][0].turnover[0] > 0.85
    assert (tracks["flat"][0].turnover == 0).all()


def test_an_account_grows_only_when_it_must():
    thirds = np.full(3, 1 / 3)
    assert account_multiple(thirds, np.array([250_000.0, 25_000.0, 36_000.0]), 900_000.0) == 1
    # 100,000 for each: 0.4 of a contract; ten need 25 times as much.
    assert account_multiple(thirds, np.array([250_000.0, 25_000.0, 36_000.0]), 300_000.0) == 25
    assert account_multiple(thirds, np.zeros(3), 1.0) == 1
    assert account_multiple(np.zeros(3), np.full(3, 1e6), 1.0) == 1
    # A sliver of an asset need not come in lots.
    assert account_multiple(np.array([0.99, 0.01]), np.array([1_000.0, 1_000.0]), 10_000.0) == 1


def test_what_an_allocation_may_do_is_said_in_its_config():
    env = hostile("orders")
    own = allocation_config(env, share=0.25)
    assert own.costs == replace(env.costs, remainder="carry")
    assert own.barriers is None
    assert own.risk.flat_at_session_end == "never"
    assert (own.sizing.rule, own.sizing.fraction, own.action.rebalance_band) == ("fixed_fraction", 0.25, 0.0)


def test_a_periodic_schedule_without_a_period_is_refused():
    panel = random_panel("coins")
    with pytest.raises(ValueError, match="needs 1 or more"):
        run_schedules(
            {"e": SCRIPTED["equal_weight"](panel)}, market_of(panel, "coins"), venue_env("weights"), [WINDOW]
        )


def test_a_window_that_the_schedule_does_not_cover_is_refused():
    panel = random_panel("coins")
    with pytest.raises(ValueError, match="outside the schedule's 1200 bars"):
        run_schedules(
            {"b": SCRIPTED["buy_and_hold"](panel)},
            market_of(panel, "coins"),
            venue_env("weights"),
            [Window(start_bar=900, stop_bar=1_300)],
        )
