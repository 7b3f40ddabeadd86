"""The algorithm with actors: several env runners, several learners, and env runners that die."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
from ray.tune.registry import register_env
from toy_envs import broken_env, noise_env, toy_config

from policies.fragment import Moments

pytestmark = pytest.mark.ray
ENVS, FRAGMENT, SEQUENCE = 4, 8, 4


@pytest.fixture(scope="module", autouse=True)
def runtime():
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
    )
    register_env("noise", noise_env)
    register_env("broken", broken_env)
    yield
    ray.shutdown()


def noise_config(*, runners=0, learners=0, **training):
    return (
        toy_config(
            "noise",
            num_envs=ENVS,
            fragment=FRAGMENT,
            sequence=SEQUENCE,
            lr=1e-2,
            minibatch_size=16,
            train_batch_size_per_learner=max(1, runners) * ENVS * FRAGMENT // max(1, learners),
            **training,
        )
        .env_runners(num_env_runners=runners, create_local_env_runner=runners == 0, sample_timeout_s=60)
        .learners(num_learners=learners)
        .fault_tolerance(restart_failed_env_runners=True, delay_between_env_runner_restarts_s=1.0)
    )


@pytest.fixture(scope="module")
def two_runners():
    algorithm = noise_config(runners=2).build_algo()
    yield algorithm
    algorithm.stop()


def network_weights(algorithm):
    return {name: np.array(value) for name, value in algorithm.policy_weights().items()}


def test_two_runners_sample_different_fragments_and_all_of_them_count(two_runners):
    before = two_runners.env_steps
    first, second = two_runners.sample_fragments()
    assert first.num_env_steps == second.num_env_steps == ENVS * FRAGMENT
    assert not np.array_equal(first.observations, second.observations)
    result = two_runners.train()
    assert two_runners.env_steps - before == 2 * ENVS * FRAGMENT
    assert (
        result["env_runners"]["num_env_steps_sampled"] == 4 * ENVS * FRAGMENT
    )  # with the two fragments above


def test_runners_act_with_the_weights_that_were_just_learnt(two_runners):
    two_runners.train()
    learnt = network_weights(two_runners)
    states = two_runners.env_runner_group.foreach_env_runner(
        lambda runner: {name: value.numpy() for name, value in runner.module.state_dict().items()},
        local_env_runner=False,
    )
    for state in states:
        for name, value in state.items():
            np.testing.assert_array_equal(value, learnt[name], err_msg=name)


def test_a_killed_runner_is_replaced_and_its_steps_are_sampled_again(two_runners):
    before = two_runners.env_steps
    for runner in (1, 2):
        two_runners.env_runner_group.foreach_env_runner(
            lambda _: os.kill(os.getpid(), signal.SIGKILL),
            local_env_runner=False,
            remote_worker_ids=[runner],
        )
        result = two_runners.train()
        assert result["env_runners"]["num_env_steps_sampled"] == 2 * ENVS * FRAGMENT
        # Rewards are a standard normal plus two draws from 0, 1, 2: about 2 a step; episodes of about 10 steps.
        length = result["env_runners"].get("episode_len_mean", 10.0)
        assert result["env_runners"].get("episode_return_mean", 2 * length) == pytest.approx(
            2 * length, abs=8.0
        )
    assert two_runners.env_steps - before == 4 * ENVS * FRAGMENT
    for _ in range(20):
        two_runners.train()
        if two_runners.env_runner_group.num_healthy_remote_workers() == 2:
            break
    assert two_runners.env_runner_group.num_healthy_remote_workers() == 2
    assert len(two_runners.sample_fragments()) == 2


def test_times_are_those_of_the_last_iteration(monkeypatch):
    algorithm = noise_config().build_algo()
    sample = algorithm.sample_fragments
    monkeypatch.setattr(algorithm, "sample_fragments", lambda: time.sleep(2.0) or sample())
    assert algorithm.train()["timers"]["env_runner_sampling_timer"] > 2.0
    monkeypatch.undo()
    assert algorithm.train()["timers"]["env_runner_sampling_timer"] < 1.0
    algorithm.stop()


def test_two_learners_take_the_step_that_one_takes_on_the_whole_batch():
    one = noise_config(grad_clip=0.1, grad_clip_by="global_norm").build_algo()
    two = noise_config(learners=2, grad_clip=0.1, grad_clip_by="global_norm").build_algo()
    two.learner_group.set_state(one.learner_group.get_state())
    start = network_weights(one)
    fragments = one.sample_fragments()
    moments = sum((fragment.advantage_moments() for fragment in fragments), start=Moments(0, 0, 0))
    for algorithm in (one, two):
        algorithm.learner_group.update(
            **algorithm.shards(fragments),
            timesteps={},
            num_epochs=2,
            minibatch_size=None,
            advantage_mean=moments.mean,
            advantage_spread=moments.standard_deviation,
        )
    ours, theirs = network_weights(one), network_weights(two)
    for name, value in ours.items():
        np.testing.assert_allclose(theirs[name], value, atol=2e-6, err_msg=name)
    assert any(not np.allclose(start[name], value, atol=1e-3) for name, value in ours.items())
    one.stop()
    two.stop()


def test_a_checkpoint_with_remote_runners_goes_on_at_the_same_step_count(two_runners, tmp_path):
    path = two_runners.save_to_path(tmp_path / "checkpoint")
    again = noise_config(runners=1).build_algo()
    again.restore_from_path(path)
    assert again.env_steps == two_runners.env_steps
    assert again.iteration == two_runners.iteration
    ours, theirs = network_weights(two_runners), network_weights(again)
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    again.train()
    assert again.env_steps == two_runners.env_steps + ENVS * FRAGMENT
    again.stop()


def test_threads_of_a_remote_runner_are_pinned_to_one(two_runners):
    threads = two_runners.env_runner_group.foreach_env_runner(
        lambda _: torch.get_num_threads(), local_env_runner=False
    )
    assert threads == [1, 1]


def test_what_an_env_raises_stops_the_job_instead_of_restarting_the_runner_for_ever():
    algorithm = noise_config(runners=1).environment("broken").build_algo()
    with pytest.raises(ValueError, match="no price for bar 5"):
        algorithm.train()
    algorithm.stop()
