"""The NumPy env that the env suite compares the kernel with does the same work as the kernel, on rough markets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.features.compute import FeatureSet
from data.schema import Panel
from envs.context import ContextConfig
from envs.episodes import Window
from envs.instruments import CATALOGUE
from envs.kernel import columns as c
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from rayjobs.bench.env_workload import everything_on
from rayjobs.bench.numpy_env.full import NumpyFullEnv

NUM_ENVS, NUM_ASSETS, NUM_STEPS = 96, 3, 400
FLOWS = {
    "turnover": c.TURNOVER,
    "commission": c.COMMISSION,
    "spread": c.SPREAD,
    "slippage": c.SLIPPAGE,
    "impact": c.IMPACT,
    "funding": c.FUNDING_PAID,
    "borrow": c.BORROW_PAID,
    "realised": c.REALISED,
    "fills": c.NUM_FILLS,
    "breaches": c.BREACHES,
    "net_return": c.NET_RETURN,
    "gross": c.GROSS,
    "equity": c.EQUITY_AFTER,
}

REASONS_INSIDE = ("signal", "stop_loss", "profit_target", "trailing_stop", "liquidation", "ruin")


def rough_market(seed: int, holes: float) -> Market:
    """30-minute bars with jumps, gaps and thin volume; perpetuals that also charge for borrowing."""
    rng = np.random.default_rng(seed)
    shape = (3_000, NUM_ASSETS)
    jumps = (rng.uniform(size=shape) < 0.01) * rng.normal(0, 0.12, shape)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.006, shape) + jumps, axis=0))
    at_open = jumps * (rng.uniform(size=shape) < 0.5)
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0, 0.003, shape) + at_open)
    high = np.maximum(open_, close) * np.exp(0.003 * rng.standard_exponential(shape))
    low = np.minimum(open_, close) * np.exp(-0.003 * rng.standard_exponential(shape))
    volume = np.exp(rng.normal(7.5, 1.5, shape))
    missing, frozen = rng.uniform(size=shape) < holes, rng.uniform(size=shape) < holes
    missing[0] = False
    for prices in (open_, high, low, close):
        prices[missing] = np.nan
    volume[missing | frozen] = 0.0
    bar = np.arange(shape[0])
    panel = Panel(
        symbols=tuple(f"S{a}" for a in range(NUM_ASSETS)),
        bar_utc=np.datetime64("2021-03-01T00:00", "ns") + bar * np.timedelta64(1800, "s"),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        tradable=~(missing | frozen),
        session=(18_687 + bar // 24).astype(np.int32),
        calendar="24/7",
        bar_seconds=1800,
        exogenous={"funding_rate": rng.normal(0, 1e-3, shape)},
    )
    features = FeatureSet(
        asset=rng.normal(size=(*shape, 3)).astype(np.float32),
        clock=rng.normal(size=(shape[0], 2)).astype(np.float32),
        asset_names=("x", "y", "z"),
        clock_names=("sin", "cos"),
        lookback_bars=2,
        feature_hash="noise",
    )
    instrument = replace(
        CATALOGUE["crypto_perpetual"],
        borrow_rate=0.05,
        initial_margin_fraction=0.13,
        maintenance_margin_fraction=0.12,
    )
    context = ContextConfig(atr_bars=14, volatility_bars=20, adv_bars=20, until_full="no_entry")
    return Market.build(panel, features, dict.fromkeys(panel.symbols, instrument), context)


def tight_config():
    """Everything on, with limits near enough and leverage high enough that each of them binds."""
    base = everything_on()
    return replace(
        base,
        sizing=replace(base.sizing, target_volatility=3.0, max_fraction=4.0),
        risk=replace(
            base.risk,
            max_gross_exposure=6.5,
            max_position_exposure=2.5,
            max_daily_loss=0.15,
            max_drawdown=0.3,
            max_var=0.03,
            var_bars=20,
            var_level=0.9,
            max_entries_per_session=6,
            min_holding_bars=4,
            no_trade_open_bars=2,
            no_trade_close_bars=2,
            ruin_equity=0.6,
        ),
        barriers=replace(
            base.barriers, profit_target=8.0, stop_loss=8.0, trailing_stop=9.0, time_limit_bars=12
        ),
        episode=replace(base.episode, bars=120),
    )


def actions_held(held_bars: int) -> np.ndarray:
    """(steps, E, A) directions, drawn anew every `held_bars` steps."""
    drawn = np.random.default_rng(7).integers(0, 3, (NUM_STEPS // held_bars + 1, NUM_ENVS, NUM_ASSETS))
    return np.repeat(drawn, held_bars, axis=0)[:NUM_STEPS]


def kernel_env(market: Market, config) -> PortfolioVectorEnv:
    window = Window(start_bar=market.first_bar + 1, stop_bar=market.num_bars)
    env = PortfolioVectorEnv(market, config, num_envs=NUM_ENVS, windows=[window], seed=3, copy=False)
    env.reset()
    return env


def numpy_env(market: Market, kernel: PortfolioVectorEnv) -> NumpyFullEnv:
    """The NumPy env of the same config, which starts its episodes where the kernel has just started its own."""
    return NumpyFullEnv(
        market,
        kernel.config,
        num_envs=NUM_ENVS,
        window=kernel.windows[0],
        draw_starts=lambda rows: kernel.rows.counter[rows, c.START].astype(np.int64),
    )


def assert_same_step(kernel, ours, expected, got) -> None:
    observation, reward, terminated, truncated, infos = got
    np.testing.assert_allclose(observation, expected[0], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(reward, expected[1], rtol=1e-9, atol=1e-9 * kernel.config.reward.scale)
    np.testing.assert_array_equal(terminated, expected[2])
    np.testing.assert_array_equal(truncated, expected[3])
    for name, column in FLOWS.items():
        theirs = kernel.rows.flow[:, column]
        scale = 1.0 if name == "net_return" else kernel.config.initial_equity
        np.testing.assert_allclose(
            ours.positions.flow[column], theirs, rtol=1e-9, atol=1e-11 * scale, err_msg=name
        )
    assert ("final_obs" in infos) == ("final_obs" in expected[4])
    if "final_obs" in infos:
        ended = infos["_final_obs"]
        np.testing.assert_array_equal(ended, expected[4]["_final_obs"])
        np.testing.assert_allclose(
            infos["final_obs"][ended], expected[4]["final_obs"][ended], rtol=1e-6, atol=1e-6
        )
        np.testing.assert_allclose(
            ours.accounts.ended[:, ended].T, kernel.ended_rows[ended], rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize(("seed", "holes", "held_bars"), [(0, 0.0, 10), (1, 0.05, 1), (2, 0.02, 4)])
def test_it_books_what_the_kernel_books_bar_by_bar(seed, holes, held_bars):
    market, config = rough_market(seed, holes), tight_config()
    kernel = kernel_env(market, config)
    kernel.set_logging(True)
    ours = numpy_env(market, kernel)
    np.testing.assert_allclose(ours.reset(), kernel.observation, rtol=1e-6, atol=1e-6)
    seen = dict.fromkeys(
        [*FLOWS, "daily halt", "episode halt", "VaR exceeded", "carried order", "terminated"], 0
    )
    reasons = np.zeros(len(c.REASON_NAMES), dtype=int)
    for actions in actions_held(held_bars):
        expected = kernel.step(actions)
        assert_same_step(kernel, ours, expected, ours.step(actions))
        filled = kernel.fill_log[..., c.FILL_UNITS] != 0.0
        reasons += np.bincount(kernel.fill_log[filled][:, c.FILL_REASON].astype(int), minlength=len(reasons))
        for name, column in FLOWS.items():
            seen[name] += np.count_nonzero(ours.positions.flow[column])
        seen["daily halt"] += np.count_nonzero(ours.accounts.halt == c.HALTED_SESSION)
        seen["episode halt"] += np.count_nonzero(ours.accounts.halt == c.HALTED_EPISODE)
        seen["VaR exceeded"] += np.count_nonzero(ours.accounts.var_exceeded())
        seen["carried order"] += np.count_nonzero(np.abs(ours.positions.target - ours.positions.units) > 1e-6)
        seen["terminated"] += np.count_nonzero(expected[2])
    seen.update({name: reasons[c.REASON_NAMES.index(name)] for name in REASONS_INSIDE})
    assert min(seen.values()) > 0, {name: int(count) for name, count in seen.items()}


LIMITS_OFF = {
    "participation": lambda config: replace(config, costs=replace(config.costs, max_participation=1.0)),
    "position cap": lambda config: risk_with(config, max_position_exposure=9.0),
    "gross cap": lambda config: risk_with(config, max_gross_exposure=99.0),
    "margin": lambda config: risk_with(config, margin=False),
    "daily loss": lambda config: risk_with(config, max_daily_loss=None),
    "drawdown": lambda config: risk_with(config, max_drawdown=None),
    "VaR": lambda config: risk_with(config, max_var=None),
    "entries": lambda config: risk_with(config, max_entries_per_session=None),
    "holding": lambda config: risk_with(config, min_holding_bars=0),
    "no trade at the open": lambda config: risk_with(config, no_trade_open_bars=0),
    "no trade at the close": lambda config: risk_with(config, no_trade_close_bars=0),
    "session end": lambda config: risk_with(config, flat_at_session_end="never"),
    "time limit": lambda config: replace(config, barriers=replace(config.barriers, time_limit_bars=None)),
}


def risk_with(config, **changes):
    return replace(config, risk=replace(config.risk, **changes))


@pytest.mark.parametrize("limit", LIMITS_OFF)
def test_each_limit_binds_on_the_markets_that_it_is_compared_on(limit):
    market, rewards = rough_market(0, 0.0), []
    for config in (tight_config(), LIMITS_OFF[limit](tight_config())):
        env = kernel_env(market, config)
        rewards.append([env.step(actions)[1].copy() for actions in actions_held(10)[:200]])
    assert not np.allclose(rewards[0], rewards[1], rtol=1e-3)


def test_it_names_what_it_does_not_do():
    market, config = rough_market(0, 0.0), tight_config()
    window = Window(start_bar=60, stop_bar=3_000)
    without_margin = risk_with(replace(config, costs=replace(config.costs, latency_bars=0)), margin=False)
    with pytest.raises(ValueError, match="needs orders one bar late, remainders carried; margin$"):
        NumpyFullEnv(market, without_margin, num_envs=2, window=window)
    with pytest.raises(ValueError, match="needs max_daily_loss, max_var to be on$"):
        NumpyFullEnv(market, risk_with(config, max_var=None, max_daily_loss=None), num_envs=2, window=window)


def test_random_episodes_start_anywhere_that_leaves_room_for_them():
    market, config = rough_market(0, 0.0), tight_config()
    # Starts 60 ... 64 leave 120 bars before 184.
    env = NumpyFullEnv(market, config, num_envs=200, window=Window(start_bar=60, stop_bar=184))
    env.reset()
    np.testing.assert_array_equal(np.unique(env.bar + 1), [60, 61, 62, 63, 64])
