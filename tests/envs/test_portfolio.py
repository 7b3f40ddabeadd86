"""The portfolio env as a gymnasium env: episodes, draws, autoreset, buffers, what it refuses."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from random_markets import (
    BARRIERS,
    PLAIN,
    build_market,
    free_instruments,
    mixed_instruments,
    random_features,
    random_panel,
    with_parts,
)

from envs.actions import num_choices
from envs.episodes import RandomisationConfig, Window
from envs.kernel.parts import Scratch
from envs.market import Market
from envs.observations import CAPITAL_NAMES
from envs.portfolio import PortfolioEnv, PortfolioVectorEnv
from envs.recording import Recorder

SHORT, FLAT, LONG = 0, 1, 2


def test_warm_up_bars_are_observed_but_not_traded():
    panel = random_panel(1, holes=0.0, exogenous=False)
    market = build_market(panel)
    config = with_parts(PLAIN, episode={"warmup_bars": 5})
    windows = [Window(start_bar=20, stop_bar=30)]
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)
    recorder = Recorder(env)
    env.reset()
    assert env.current_bar.tolist() == [14]
    for _ in range(5):
        env.step(np.array([[LONG, LONG]]))
        assert not env.rows.position[0, :, 0].any()
    for _ in range(10):
        env.step(np.array([[LONG, LONG]]))
    recording = recorder.recordings()[0]
    assert recording.bar.tolist() == list(range(20, 30))
    assert recording.complete


def test_the_single_env_passes_gymnasiums_checker():
    market = build_market(random_panel(2))
    for scheme in ("direction", "orders", "direction_size", "weights"):
        config = with_parts(PLAIN, action={"scheme": scheme}, episode={"kind": "random", "bars": 20})
        env = PortfolioEnv(market, config, windows=[Window(start_bar=10, stop_bar=80)], seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(env, skip_render_check=True)


RANDOM = with_parts(
    PLAIN,
    costs={"fee_bps": 5.0},
    episode={
        "kind": "random",
        "bars": 12,
        "num_assets": 2,
        "randomisation": RandomisationConfig(
            tickers=True, cost_low=0.5, cost_high=2.0, max_extra_latency_bars=2
        ),
    },
)


ASKED = with_parts(
    RANDOM,
    action={"scheme": "order_entry", "entry_offsets": (5.0, 30.0), "time_in_force_bars": 2},
    costs={"max_participation": 0.1, "linear_impact_bps": 0.5},
    barriers=BARRIERS,
    risk={
        "max_position_units": 15.0,
        "max_gross_notional": 6_000.0,
        "max_daily_loss_amount": 150.0,
        "max_drawdown_amount": 400.0,
        "max_entries_per_symbol": {"S0": 2, "S3": 1},
        "max_sector_exposure": 0.4,
        "max_concentration": 0.2,
        "target_volatility": 0.5,
        "volatility_bars": 6,
        "unknown_borrow_haircut": 0.4,
    },
    episode={
        "randomisation": RandomisationConfig(
            tickers=True, cost_low=0.5, cost_high=2.0, max_extra_latency_bars=0
        )
    },
    observation=dict.fromkeys(CAPITAL_NAMES, True),
)
"""Every rule that is off in most configurations, in rows that draw their symbols."""


def rollout(num_envs, threads=1, first_stream=0, steps=40, config=RANDOM, mode=AutoresetMode.SAME_STEP):
    panel = random_panel(4, num_assets=4)
    borrow = dict(zip(panel.symbols, (False, None, True, False), strict=True))
    instruments = {s: replace(i, hard_to_borrow=borrow[s]) for s, i in mixed_instruments(panel).items()}
    market = build_market(panel, instruments if config is ASKED else None)
    windows = [Window(start_bar=10, stop_bar=40), Window(start_bar=45, stop_bar=80)]
    env = PortfolioVectorEnv(
        market,
        config,
        num_envs=num_envs,
        windows=windows,
        seed=9,
        num_threads=threads,
        first_stream=first_stream,
        autoreset_mode=mode,
    )
    observation, _ = env.reset()
    seen = [observation.copy()]
    choices = num_choices(config.action)
    for step in range(steps):
        stream = first_stream + np.arange(num_envs)
        actions = (step // 3 + stream[:, None] + np.arange(2)) % choices
        observation, reward, *_ = env.step(actions)
        seen.append(np.concatenate([observation, reward[:, None].astype(np.float32)], axis=1))
    return seen


def test_trajectories_are_the_same_bits_for_any_number_of_envs_order_and_threads():
    reference = rollout(256)
    for num_envs, threads, first in ((1, 1, 0), (7, 1, 0), (256, 2, 0), (7, 2, 100)):
        for one, two in zip(rollout(num_envs, threads, first), reference, strict=True):
            np.testing.assert_array_equal(one, two[first : first + num_envs])


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_so_they_are_with_every_rule_that_is_asked_for_also_while_neighbours_wait_for_their_reset(mode):
    reference = rollout(21, config=ASKED, mode=mode)
    assert np.abs(reference[-1][:, -1]).max() > 0.0  # something is traded to the last step
    for num_envs, first in ((1, 0), (1, 13), (9, 7)):
        alone = rollout(num_envs, first_stream=first, config=ASKED, mode=mode)
        for one, two in zip(alone, reference, strict=True):
            np.testing.assert_array_equal(one, two[first : first + num_envs])


@pytest.mark.parametrize("num_envs", [1, 9, 300])
def test_state_and_scratch_begin_with_a_line_of_the_cache(num_envs):
    env = PortfolioVectorEnv(
        build_market(random_panel(4, num_assets=4)),
        RANDOM,
        num_envs=num_envs,
        windows=[Window(start_bar=10, stop_bar=80)],
        seed=0,
    )
    rows, scratch = env.rows, Scratch(*env.kernel_arguments()[3])
    arrays = rows.account_BKL, rows.counter_BKL, rows.position_BAKL, rows.slot_BAKL, rows.flow_BKL
    for array in (*arrays, scratch.facts, scratch.seen):
        assert array.ctypes.data % 64 == 0
        assert array.flags.c_contiguous


def test_tickers_windows_costs_and_latency_are_drawn_per_episode():
    market = build_market(random_panel(4, num_assets=4))
    windows = [Window(start_bar=10, stop_bar=40), Window(start_bar=45, stop_bar=80)]
    env = PortfolioVectorEnv(market, RANDOM, num_envs=200, windows=windows, seed=9)
    env.reset()
    symbols = env.rows.slot[:, :, 1]
    assert (symbols[:, 0] < symbols[:, 1]).all()
    assert len(np.unique(symbols, axis=0)) == 6  # 4 choose 2
    factor = env.rows.account[:, 4]
    assert 0.5 <= factor.min() < 0.7
    assert 1.8 < factor.max() <= 2.0
    starts = env.rows.counter[:, 1]
    assert set(np.unique(starts)) <= set(range(10, 29)) | set(range(45, 69))
    assert len(np.unique(env.rows.counter[:, 8])) == 3


def test_same_step_autoreset_gives_final_observations_and_next_step_resets_one_step_later():
    market = build_market(random_panel(4))
    config = with_parts(PLAIN, episode={"kind": "random", "bars": 5})
    windows = [Window(start_bar=10, stop_bar=80)]
    flat = np.ones((3, 2), dtype=int)
    env = PortfolioVectorEnv(market, config, num_envs=3, windows=windows, seed=0)
    env.reset()
    for _ in range(4):
        assert env.step(flat)[4] == {}
    start = env.rows.counter[:, 0].copy()
    observation, _, _, truncated, infos = env.step(flat)
    assert truncated.all()
    assert infos["_final_obs"].all()
    expected = market.features[start + 1].reshape(3, -1)
    np.testing.assert_array_equal(infos["final_obs"][:, : expected.shape[1]], expected)
    np.testing.assert_array_equal(
        observation[:, : expected.shape[1]], market.features[env.current_bar].reshape(3, -1)
    )
    later = PortfolioVectorEnv(
        market, config, num_envs=3, windows=windows, seed=0, autoreset_mode=AutoresetMode.NEXT_STEP
    )
    later.reset()
    for _ in range(5):
        _, _, _, truncated, _ = later.step(flat)
    assert truncated.all()
    _, reward, _, truncated, _ = later.step(flat)
    assert not truncated.any()
    assert not reward.any()
    np.testing.assert_array_equal(later.current_bar, env.current_bar)


def test_out_receives_the_observations_also_when_it_is_not_contiguous():
    market = build_market(random_panel(4))
    windows = [Window(start_bar=10, stop_bar=80)]
    env = PortfolioVectorEnv(market, PLAIN, num_envs=3, windows=windows, seed=0)
    env.reset()
    fragment = np.zeros((3, 4, env.layout.size), dtype=np.float32)
    result = env.step(np.full((3, 2), LONG), out=fragment[:, 1])[0]
    np.testing.assert_array_equal(fragment[:, 1], result)
    assert fragment[:, 1].any()
    time_major = np.zeros((4, 3, env.layout.size), dtype=np.float32)
    env.step(np.full((3, 2), LONG), out=time_major[2])
    assert time_major[2].any()


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([], "no window"),
        ([(20, 200)], "ends at bar 200 but the market has 80"),
        ([(2, 40)], "start at bar 8 or later"),
        ([(20, 25)], "fewer than episode.bars"),
    ],
)
def test_bad_windows_are_refused_with_a_reason(windows, message):
    market = build_market(random_panel(4))
    config = with_parts(PLAIN, episode={"kind": "random", "bars": 10})
    windows = [Window(start_bar=a, stop_bar=b) for a, b in windows]
    with pytest.raises(ValueError, match=message):
        PortfolioVectorEnv(market, config, num_envs=1, windows=windows, seed=0)


def test_zero_envs_and_missing_context_are_refused():
    panel = random_panel(4)
    windows = [Window(start_bar=10, stop_bar=80)]
    with pytest.raises(ValueError, match="num_envs is 0"):
        PortfolioVectorEnv(build_market(panel), PLAIN, num_envs=0, windows=windows, seed=0)
    market = Market.build(panel, random_features(panel), free_instruments(panel))
    with pytest.raises(ValueError, match=r"sizing.rule=atr_risk need ATR"):
        PortfolioVectorEnv(
            market, with_parts(PLAIN, sizing={"rule": "atr_risk"}), num_envs=1, windows=windows, seed=0
        )


def test_session_episodes_run_from_a_sessions_first_bar_to_its_last():
    market = build_market(random_panel(4))
    config = with_parts(PLAIN, episode={"kind": "session"})
    env = PortfolioVectorEnv(market, config, num_envs=50, windows=[Window(start_bar=12, stop_bar=80)], seed=0)
    env.reset()
    assert set(env.rows.counter[:, 1].tolist()) == {12, 24, 36, 48, 60, 72}
    assert set((env.rows.counter[:, 2] - env.rows.counter[:, 1]).tolist()) == {12, 8}
