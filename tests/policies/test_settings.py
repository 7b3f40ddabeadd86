"""Settings of an algorithm and their translation into RLlib's configuration."""

from __future__ import annotations

import math

import pytest

from policies.settings import PPOSettings
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError, build_dataclass


def settings(name="ppo", **changes):
    values = compose("train", [f"algo={name}"])["algo"]
    return build_dataclass(PPOSettings, values | changes, "algo")


def rllib(one):
    from toy_envs import small_network

    return one.rllib_config(
        env="toy", env_config={}, layout=None, network=small_network(), seed=0, total_env_steps=1000
    )


def test_a_batch_is_runners_times_envs_times_bars():
    one = settings(num_envs=8, fragment_bars=16, sequence_bars=4, num_env_runners=3)
    assert one.batch_steps == 3 * 8 * 16
    assert rllib(one).train_batch_size_per_learner == 3 * 8 * 16


def test_learners_share_a_batch_and_each_of_its_minibatches():
    config = rllib(
        settings(num_envs=8, fragment_bars=16, sequence_bars=4, minibatch_steps=64, num_learners=2)
    )
    assert (config.train_batch_size_per_learner, config.minibatch_size) == (64, 32)
    # A minibatch is never more than the batch.
    assert rllib(settings(num_envs=2, fragment_bars=8, sequence_bars=4)).minibatch_size == 16


def test_kl_stays_out_of_the_loss_unless_it_has_a_target():
    assert not rllib(settings()).use_kl_loss
    with_penalty = rllib(settings(kl_penalty={"target": 0.02, "initial": 0.5}))
    assert (with_penalty.use_kl_loss, with_penalty.kl_target, with_penalty.kl_coeff) == (True, 0.02, 0.5)


def test_a2c_is_one_unclipped_step_over_the_batch():
    one = settings("a2c")
    config = rllib(one)
    assert one.epochs == 1
    assert one.minibatch_steps >= one.batch_steps
    assert config.use_critic
    assert config.clip_range_at(0) is None


def test_reinforce_has_no_critic_and_lambda_one():
    config = rllib(settings("reinforce"))
    assert not config.use_critic
    assert config.lambda_ == 1.0
    assert math.isinf(config.clip_param)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_envs": 0}, "algo.num_envs is 0; it must be at least 1"),
        ({"fragment_bars": 20, "sequence_bars": 8}, "is not a multiple of"),
        ({"gamma": 1.5}, "must lie in"),
        ({"kl_stop": 0.0}, "or null for never"),
        ({"kl_limit": 0.0}, "algo.kl_limit is 0.0; it must be positive"),
        ({"max_grad_norm": -1.0}, "must be positive"),
        ({"num_learners": -1}, "must be 0 or more"),
        ({"early_stop_validations": 0}, "at least 1, or null for never"),
        ({"clip_range": {"kind": "linear", "initial": 0.2, "final": 0.0}}, "clip_range reaches 0"),
        ({"clip_range": {"kind": "steps", "initial": 0.2, "final": 0.1}}, "constant, linear"),
        ({"num_envs": 9, "num_learners": 2}, "cannot be shared equally"),
        ({"burn_in_bars": 32}, "below algo.sequence_bars"),
        ({"learner_gpus": 1}, "at least one remote learner"),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(changes, message):
    with pytest.raises(ConfigError, match=message):
        settings(**changes)
