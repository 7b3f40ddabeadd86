"""Rollouts: state is carried and reset exactly, rows do not touch each other, costs and latency are in force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from recorded_schedule import run_schedule

from envs.episodes import Window
from envs.portfolio import PortfolioVectorEnv
from envs.risk import PER_SYMBOL
from evaluation.scoring.rollout import (
    evaluation_config,
    record_rows,
    rollout,
    run_policy,
    run_schedules,
    whole_window_env,
)
from policies.baselines import Schedule, flat, flip, momentum_sign


class Memory:
    """Trades on the sum of everything it saw since its episode began; writes down how long that was."""

    def __init__(self):
        self.ages = []

    def initial_state(self, num_envs):
        return {"sum": np.zeros((num_envs, 2)), "age": np.zeros(num_envs, dtype=int)}

    def act(self, observation, state):
        self.ages.append(state["age"].copy())
        total = state["sum"] + observation[:, [0, 2]]
        return (np.sign(total) + 1).astype(int), {"sum": total, "age": state["age"] + 1}


def test_each_window_is_one_recording_whose_equity_compounds_its_returns(signal_world):
    windows = [Window(start_bar=10, stop_bar=60), Window(start_bar=100, stop_bar=130)]
    config = evaluation_config(signal_world.config)
    long, short = run_policy(Memory(), signal_world.market, config, windows)
    assert long.bar.tolist() == list(range(10, 60))
    assert short.bar.tolist() == list(range(100, 130))
    np.testing.assert_allclose(long.equity[1:], 1e5 * np.cumprod(1 + long.net_return), rtol=1e-12)
    assert long.exposure[-1].tolist() == [0.0, 0.0]  # closed at the window's end


def test_state_restarts_exactly_where_a_row_ends(signal_world):
    policy = Memory()
    windows = [Window(start_bar=10, stop_bar=30), Window(start_bar=10, stop_bar=18)]
    run_policy(policy, signal_world.market, evaluation_config(signal_world.config), windows)
    ages = np.array(policy.ages)
    assert ages[:, 0].tolist() == list(range(20))
    assert ages[:, 1].tolist() == [*range(8), *range(8), *range(4)]


def test_a_window_alone_gives_the_same_bits_as_in_a_batch(signal_world):
    windows = [Window(start_bar=s, stop_bar=s + 50) for s in (10, 200, 400)]
    config = evaluation_config(signal_world.config)
    together = run_policy(Memory(), signal_world.market, config, windows)
    for window, recording in zip(windows, together):
        (alone,) = run_policy(Memory(), signal_world.market, config, [window])
        np.testing.assert_array_equal(alone.net_return, recording.net_return)
        np.testing.assert_array_equal(alone.target_units, recording.target_units)


def test_warm_up_bars_feed_the_state_but_earn_nothing(signal_world):
    config = evaluation_config(signal_world.config)
    warm = replace(config, episode=replace(config.episode, warmup_bars=5))
    policy = Memory()
    (recording,) = run_policy(policy, signal_world.market, warm, [Window(start_bar=20, stop_bar=40)])
    assert len(policy.ages) == 25
    assert recording.bar.tolist() == list(range(20, 40))
    (track,) = record_rows(
        Memory(), whole_window_env(signal_world.market, warm, [Window(start_bar=20, stop_bar=40)]), ()
    )[1]
    np.testing.assert_array_equal(track.bar, recording.bar)
    np.testing.assert_array_equal(track.net_return, recording.net_return)


def test_fills_come_one_bar_after_the_decision_and_later_with_latency(signal_world):
    window = [Window(start_bar=10, stop_bar=40)]
    schedule = Schedule(target_TA=momentum_sign(signal_world.panel))
    for extra in (0, 1, 2):
        (recording,) = run_schedule(
            schedule, signal_world.market, signal_world.config, window, extra_latency_bars=extra
        )
        fills = recording.fills
        signals = fills.reason == "signal"
        assert (fills.filled_bar[signals] - fills.decided_bar[signals] == 1 + extra).all()


def test_costs_double_when_the_cost_factor_is_two(signal_world):
    window = [Window(start_bar=10, stop_bar=12)]
    schedule = Schedule(target_TA=flip(signal_world.panel))
    (once,) = run_schedule(schedule, signal_world.market, signal_world.config, window)
    (twice,) = run_schedule(schedule, signal_world.market, signal_world.config, window, cost_factor=2.0)
    np.testing.assert_allclose(twice.costs[0], 2 * once.costs[0])
    assert once.costs[0].sum() == pytest.approx(2e-4 * 1e5, rel=1e-2)  # all equity traded at 2 bps


def test_every_schedule_gets_its_own_action_scheme_in_one_call(signal_world):
    windows = [Window(start_bar=10, stop_bar=20), Window(start_bar=50, stop_bar=60)]
    quarter = Schedule(target_TA=np.full(signal_world.panel.close.shape, 0.25), scheme="weights")
    schedules = {"quarter": quarter, "flat": Schedule(target_TA=flat(signal_world.panel))}
    runs = run_schedules(schedules, signal_world.market, signal_world.config, windows)
    assert list(runs) == ["quarter", "flat"]
    assert all((track.net_return == 0).all() for track in runs["flat"])
    recordings = run_schedule(quarter, signal_world.market, signal_world.config, windows)
    for recording, track in zip(recordings, runs["quarter"]):
        assert recording.exposure[:-1] == pytest.approx(0.25, abs=2e-3)
        np.testing.assert_array_equal(recording.net_return, track.net_return)
        np.testing.assert_array_equal(recording.bar, track.bar)


@pytest.mark.parametrize("limit", PER_SYMBOL)
def test_limits_of_single_symbols_hold_for_schedules_as_for_policies(signal_world, limit):
    held, free = signal_world.panel.symbols[:2]
    config = replace(
        signal_world.config, risk=replace(signal_world.config.risk, **{limit: {held: 0.0, free: None}})
    )
    quarter = Schedule(target_TA=np.full(signal_world.panel.close.shape, 0.25), scheme="weights")
    windows = [Window(start_bar=10, stop_bar=40), Window(start_bar=50, stop_bar=60)]
    runs = run_schedules(
        {"quarter": quarter, "flat": Schedule(target_TA=flat(signal_world.panel))},
        signal_world.market,
        config,
        windows,
    )
    for recording, track in zip(run_schedule(quarter, signal_world.market, config, windows), runs["quarter"]):
        assert (recording.units[:, 0] == 0.0).all()
        assert (recording.units[:-1, 1] > 0.0).all()
        np.testing.assert_array_equal(recording.net_return, track.net_return)


def test_the_training_cost_curriculum_never_reaches_an_evaluation(signal_world):
    env = whole_window_env(
        signal_world.market, evaluation_config(signal_world.config), [Window(start_bar=10, stop_bar=20)]
    )
    assert env.cost_scale == 1.0


def test_an_env_that_resets_in_the_next_step_is_refused(signal_world):
    env = PortfolioVectorEnv(
        signal_world.market,
        evaluation_config(signal_world.config),
        num_envs=1,
        windows=[Window(start_bar=10, stop_bar=20)],
        seed=0,
        autoreset_mode=AutoresetMode.NEXT_STEP,
    )
    with pytest.raises(ValueError, match="SAME_STEP"):
        rollout(Memory(), env)
