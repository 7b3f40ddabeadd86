"""Breakdowns share out the whole return, and capacity follows the square-root law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from recorded_schedule import run_schedule
from scoring_settings import scoring_config

from envs.episodes import Window
from evaluation.artefacts.breakdown import by_hour, by_regime, capacity, impact_rate, regimes, rolling_sum
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.rollout import (
    AS_CONFIGURED,
    Scenario,
    evaluation_config,
    record_rows,
    scenario_env,
)
from evaluation.scoring.stress import cost_name, stress_scenarios
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.statistics.metrics import total_return
from evaluation.windows.splits import WalkForward
from policies.baselines import Schedule, ScheduledPolicy, momentum_sign


class FollowSignal:
    def initial_state(self, num_envs):
        return None

    def act(self, observation, state):
        return (np.sign(observation[:, [1, 3]]) + 1).astype(int), None


@pytest.fixture(scope="module")
def study(signal_world):
    world = signal_world
    scoring = scoring_config(momentum_bars=20, hold_bars=1, stress_cost_factor=2.0, in_sample=False)
    folds = tuple(
        score_fold(fold, FollowSignal(), world.panel, world.market, world.config, scoring, seed=1)
        for fold in WalkForward(500, 700).folds(2000)
    )
    return WalkForwardResult(panel=world.panel, folds=folds)


def test_rolling_sums_are_shorter_at_the_start():
    assert rolling_sum(np.array([1.0, 2.0, 3.0, 4.0]), 2).tolist() == [1.0, 3.0, 5.0, 7.0]


def test_hours_and_regimes_share_out_the_whole_return(study):
    total = study.net_return.sum()
    hours = by_hour(study)
    assert list(hours) == [f"{h:02d}" for h in range(24)]
    assert sum(part["sum_return"] for part in hours.values()) == pytest.approx(total)
    parts = by_regime(study)
    assert parts["high volatility"]["sum_return"] + parts["low volatility"]["sum_return"] == pytest.approx(
        total
    )
    assert parts["trend"]["num_bars"] + parts["range"]["num_bars"] == len(study.bar)


def test_a_regime_is_known_before_its_bar(study):
    masks = regimes(study)
    last = study.bar[-1]
    close = study.panel.close.copy()
    poisoned = replace(
        study.panel,
        open=np.where(np.arange(len(close))[:, None] == last, 1.0, study.panel.open),
        high=np.where(np.arange(len(close))[:, None] == last, 900.0, study.panel.high),
        low=np.where(np.arange(len(close))[:, None] == last, 1.0, study.panel.low),
        close=np.where(np.arange(len(close))[:, None] == last, 900.0, close),
    )
    again = regimes(replace(study, panel=poisoned))
    assert all((again[name] == mask).all() for name, mask in masks.items())


def test_impact_grows_with_the_root_of_the_account(study):
    # Twice the coefficient is twice the impact, so the account may be a quarter as large.
    assert impact_rate(study, impact_coefficient=2.0) == pytest.approx(2.0 * impact_rate(study))
    assert capacity(study, impact_coefficient=2.0) == pytest.approx(capacity(study) / 4.0)


def test_an_edge_that_loses_has_no_capacity(study):
    assert np.isnan(capacity(replace_returns(study, -0.01)))


def replace_returns(study, shift):
    folds = tuple(
        replace(f, recording=replace(f.recording, net_return=f.recording.net_return + shift))
        for f in study.folds
    )
    return replace(study, folds=folds)


def test_dearer_and_later_is_worse_and_free_is_better(study):
    assert list(study.stress_names) == [
        "costs x0",
        "costs x2",
        "costs x4",
        "fills 1 bar later",
        "fills 2 bars later",
        "entries 1 bar later",
    ]
    returns = {name: total_return(study.stress_return(name)) for name in study.stress_names}
    configured = total_return(study.net_return)
    assert returns["costs x0"] > configured > returns["costs x2"] > returns["costs x4"]
    assert configured > returns["fills 1 bar later"] > returns["fills 2 bars later"]


def test_a_scenario_in_a_batch_equals_an_env_built_for_it_alone(signal_world):
    world, window = signal_world, Window(start_bar=10, stop_bar=60)
    schedule = Schedule(target_TA=momentum_sign(world.panel))
    scenarios = [
        AS_CONFIGURED,
        Scenario(name="x3", cost_factor=3.0),
        Scenario(name="later", extra_latency_bars=2),
    ]
    config = evaluation_config(world.config)
    env = scenario_env(world.market, config, [window] * 3, scenarios)
    policy = ScheduledPolicy(target_TA=schedule.target_TA, first_bar_E=np.array([9, 9, 9]))
    _, tracks = record_rows(policy, env, [], scenarios)
    for track, changes in zip(tracks, ({}, {"cost_factor": 3.0}, {"extra_latency_bars": 2})):
        (alone,) = run_schedule(schedule, world.market, world.config, [window], **changes)
        np.testing.assert_array_equal(track.net_return, alone.net_return)


def test_the_gates_own_factor_is_always_among_the_scenarios():
    assert cost_name(1.5) in [scenario.name for scenario in stress_scenarios(1.5)]
    assert stress_scenarios(1.0) == []
