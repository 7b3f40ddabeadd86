"""The public checks pass on our envs and catch planted cheats by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from gymnasium.vector import AutoresetMode
from random_markets import BARRIERS, CONTEXT, PLAIN, mixed_instruments, random_panel, with_parts

from data.features.compute import FeatureSet
from envs.checks import ConformanceError, LeakError, conformance_check, leak_check
from envs.episodes import RandomisationConfig, Window
from envs.kernel import columns as c
from envs.kernel import orders, sizes
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv

PANEL = random_panel(3, num_bars=200, num_assets=3)
FULL = with_parts(
    PLAIN,
    costs={
        "slippage": "volume",
        "slippage_value": 0.1,
        "impact_coefficient": 1.0,
        "max_participation": 0.1,
        "latency_bars": 1,
        "borrow": True,
        "funding": True,
    },
    barriers=BARRIERS,
    risk={"margin": True, "max_daily_loss": 0.02, "max_var": 0.01, "flat_at_session_end": "last_open"},
    reward={"differential_sharpe": 0.1, "drawdown": 0.1, "micro": 0.01},
)


def feature_set(asset, lookback=6):
    clock = np.zeros((len(asset), 1), dtype=np.float32)
    return FeatureSet(
        asset=asset.astype(np.float32),
        clock=clock,
        asset_names=("change", "level"),
        clock_names=("zero",),
        lookback_bars=lookback,
        feature_hash="test",
    )


def honest_features(panel):
    close = pd.DataFrame(panel.last_close())
    change = close.pct_change(fill_method=None).fillna(0.0) * 100
    level = close / close.rolling(5).mean() - 1.0
    return np.stack([change.to_numpy(), level.fillna(0.0).to_numpy() * 100], axis=-1)


def normalised(values, rows):
    return (values - values[rows].mean(axis=0)) / values[rows].std(axis=0)


def factory(features=honest_features, config=FULL, fit=slice(10, 60), cheat=None, num_envs=4, **options):
    def build(panel):
        values = normalised(features(panel), fit)
        market = Market.build(panel, feature_set(values), mixed_instruments(panel), CONTEXT)
        if cheat is not None:
            market = cheat(market)
        windows = [Window(start_bar=62, stop_bar=panel.num_bars)]
        return PortfolioVectorEnv(market, config, num_envs=num_envs, windows=windows, seed=5, **options)

    return build


def test_an_honest_env_passes_the_leak_check():
    report = leak_check(factory(), PANEL)
    assert report.clean
    assert report.bars_compared > 500


@pytest.mark.parametrize("scheme", ["orders", "direction_size", "weights"])
def test_every_action_scheme_passes_the_leak_check(scheme):
    leak_check(factory(config=with_parts(FULL, action={"scheme": scheme})), PANEL, num_cuts=1)


def test_a_feature_that_reads_the_next_bar_is_named():
    def peeking(panel):
        values = honest_features(panel)
        values[:-1, :, 1] = values[1:, :, 1]
        return values

    with pytest.raises(LeakError, match=r"feature 'level' moved .* reads up to 1 bar"):
        leak_check(factory(peeking), PANEL)


def test_a_backward_fill_is_named():
    def backfilled(panel):
        close = pd.DataFrame(panel.close).bfill().ffill()
        values = honest_features(panel)
        values[..., 1] = close.to_numpy() - 100.0
        return values

    with pytest.raises(LeakError, match="feature 'level'"):
        leak_check(factory(backfilled), PANEL)


def test_a_normaliser_fitted_on_the_whole_sample_is_named():
    with pytest.raises(LeakError, match="statistic of the whole sample"):
        leak_check(factory(fit=slice(0, None)), PANEL)


def test_a_fill_at_the_decision_bars_close_is_named():
    def fill_at_known_close(market):
        bars = market.bars.copy()
        bars[1:, :, c.OPEN] = bars[:-1, :, c.MARK]
        return replace(market, bars=bars)

    config = with_parts(FULL, barriers=None, costs={"latency_bars": 0}, risk={"margin": False})
    leak_check(factory(config=config), PANEL, num_steps=130)
    with pytest.raises(LeakError, match="fill at the decision bar"):
        leak_check(factory(config=config, cheat=fill_at_known_close), PANEL, num_steps=130)


@pytest.mark.parametrize("module", [orders, sizes])
def test_what_decides_cannot_name_a_price_of_the_bar_that_is_traded_in(module):
    assert not {"OPEN", "HIGH", "LOW", "MARK", "VOLUME", "TRADABLE"} & set(vars(module))


def test_context_of_the_bar_that_is_traded_in_is_named():
    def one_bar_early(market):
        bars = market.bars.copy()
        bars[:-1, :, c.ATR :] = bars[1:, :, c.ATR :]
        return replace(market, bars=bars)

    with pytest.raises(LeakError, match="context 'atr'"):
        leak_check(factory(config=FULL, cheat=one_bar_early), PANEL, num_steps=130)


def test_a_reward_that_sees_the_next_return_is_named():
    def next_return(env):
        mark, bar = env.market.mark, np.minimum(env.current_bar + 1, env.market.num_bars - 1)
        return (mark[bar] / mark[env.current_bar] - 1.0).sum(axis=1)

    with pytest.raises(LeakError, match="reward 'reward'"):
        leak_check(factory(reward=next_return), PANEL)


RANDOM = with_parts(
    FULL,
    episode={
        "kind": "random",
        "bars": 40,
        "num_assets": 2,
        "randomisation": RandomisationConfig(
            tickers=True, cost_low=0.5, cost_high=2.0, max_extra_latency_bars=2
        ),
    },
)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
@pytest.mark.parametrize("config", [FULL, RANDOM, with_parts(FULL, action={"scheme": "weights"})])
def test_our_envs_conform(mode, config):
    build = factory(config=config, autoreset_mode=mode)
    conformance_check(lambda: build(PANEL), num_steps=150)


def test_random_episodes_pass_the_leak_check():
    leak_check(factory(config=RANDOM, num_envs=16), PANEL, num_cuts=2)


def test_money_from_nowhere_fails_conformance():
    class Generous(PortfolioVectorEnv):
        def step(self, actions, out=None):
            result = super().step(actions, out)
            self.rows.put("flow", c.EQUITY_AFTER, self.rows.flow[0, c.EQUITY_AFTER] + 1.0, rows=[0])
            return result

    market = factory()(PANEL).market
    windows = [Window(start_bar=62, stop_bar=200)]
    with pytest.raises(ConformanceError, match="money came from nowhere"):
        conformance_check(lambda: Generous(market, FULL, num_envs=2, windows=windows, seed=1))


def test_an_unseeded_env_fails_conformance():
    moods = np.random.default_rng()

    class Moody(PortfolioVectorEnv):
        def step(self, actions, out=None):
            observation, reward, *rest = super().step(actions, out)
            return (observation, reward + moods.normal(size=reward.shape), *rest)

    market = factory()(PANEL).market
    windows = [Window(start_bar=62, stop_bar=200)]
    with pytest.raises(ConformanceError, match="same seed"):
        conformance_check(lambda: Moody(market, FULL, num_envs=2, windows=windows, seed=1))
