"""From fragments to gradient steps: which sequences, in which order, until when, at which learning rate."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME
from toy_envs import NoiseVectorEnv, toy_config, toy_spaces

from policies.fragment import Moments
from policies.learner import SequenceColumns
from policies.sampler import FragmentEnvRunner
from policies.schedules import LearningRateControl, TrainingSchedule

ENVS, LENGTH, SEQUENCE = 6, 8, 4
CPU = torch.device("cpu")
OFF = LearningRateControl(
    kl_target=None, kl_step=1.5, minimum=1e-5, maximum=1e-2, plateau_validations=None, plateau_factor=0.5
)


@pytest.fixture(scope="module")
def fragment():
    return a_runner().sample()


def a_runner():
    config = toy_config(
        lambda _: NoiseVectorEnv(ENVS, end_probability=0.2), num_envs=ENVS, fragment=LENGTH, sequence=SEQUENCE
    )
    return FragmentEnvRunner(config=config, worker_index=0)


def a_learner(training=None, **sequences):
    env = NoiseVectorEnv(ENVS)
    config = toy_config(lambda _: env, num_envs=ENVS, fragment=LENGTH, sequence=SEQUENCE, **(training or {}))
    return config.sequences(**sequences).build_learner(spaces=toy_spaces(env))


def update(learner, fragment, *, epochs=1, minibatch=None, env_steps=0):
    moments = fragment.advantage_moments()
    results = learner.update(
        batch=[fragment],
        timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: env_steps},
        num_epochs=epochs,
        minibatch_size=minibatch,
        advantage_mean=moments.mean,
        advantage_spread=moments.standard_deviation,
    )
    return {name: stats.peek() for name, stats in results[DEFAULT_MODULE_ID].items()}


def weights_of(learner):
    return {k: v.clone() for k, v in learner.module[DEFAULT_MODULE_ID].unwrapped().state_dict().items()}


def equal(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_sequences_are_pieces_of_the_fragment_with_the_state_before_each(fragment):
    columns = SequenceColumns([fragment], SEQUENCE, CPU, mean=0.0, spread=1.0)
    assert columns.num_sequences == 2 * ENVS
    # Sequences lie in the order piece, env: number ENVS + 2 is the second piece of env 2.
    picked = columns.pick(torch.tensor([ENVS + 2]))
    np.testing.assert_array_equal(picked[Columns.OBS][:, 0], fragment.observations[SEQUENCE:, 2])
    np.testing.assert_array_equal(picked["keep"][:, 0], fragment.keep[SEQUENCE:, 2])
    np.testing.assert_array_equal(picked[Columns.STATE_IN]["hidden"][0], fragment.states["hidden"][1, 2])


def test_advantages_of_a_batch_have_mean_zero_and_spread_one(fragment):
    moments = fragment.advantage_moments()
    columns = SequenceColumns([fragment], SEQUENCE, CPU, mean=moments.mean, spread=moments.standard_deviation)
    advantages = columns.pick(torch.arange(2 * ENVS))[Postprocessing.ADVANTAGES]
    assert float(advantages.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(advantages.std(correction=0)) == pytest.approx(1.0, abs=1e-5)


def test_moments_of_parts_add_up_to_those_of_the_whole():
    # 1, 2, 3, 6: mean 3, variance (4 + 1 + 0 + 9) / 4 = 3.5.
    whole = Moments(2, 3, 5) + Moments(2, 9, 45)
    assert whole.mean == 3.0
    assert whole.standard_deviation == pytest.approx(3.5**0.5)


def test_burn_in_replaces_the_samplers_state_by_that_of_the_present_weights_and_leaves_the_loss(fragment):
    learner = a_learner(burn_in=3)
    network = learner.module[DEFAULT_MODULE_ID].unwrapped().network
    with torch.no_grad():
        network.encode_asset.weight.add_(0.3)  # no longer the weights that sampled
    (minibatch,) = learner._create_iterator_if_necessary(training_data=TrainingData(batch=[fragment]))
    found = minibatch.policy_batches[DEFAULT_MODULE_ID]
    order = found.pop(Columns.STATE_IN)["hidden"]
    whole = SequenceColumns([fragment], SEQUENCE, CPU, mean=0.0, spread=1.0)
    # Which sequence stands where is known by its observations.
    rows = [
        int(np.flatnonzero((whole._columns[Columns.OBS][3] == seen).all(-1))[0])
        for seen in found[Columns.OBS][0]
    ]
    picked = whole.pick(torch.tensor(rows))
    states = picked.pop(Columns.STATE_IN)
    with torch.no_grad():
        warmed = network.sequence(picked[Columns.OBS][:3], states, picked["keep"][:3]).state["hidden"]
    torch.testing.assert_close(order, warmed, rtol=0, atol=0)
    assert not torch.allclose(order, states["hidden"], atol=1e-3)
    assert not order.requires_grad
    assert all(len(found[name]) == 1 for name in picked)  # one step of four is left for the loss
    assert minibatch.env_steps() == 2 * ENVS


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_mixed_precision_on_a_gpu_moves_the_weights_nearly_as_single_precision_does(fragment):
    env = NoiseVectorEnv(ENVS)
    moved = []
    for mixed in (False, True):
        config = toy_config(lambda _: env, num_envs=ENVS, fragment=LENGTH, sequence=SEQUENCE, lr=1e-3)
        config.sequences(mixed_precision=mixed).learners(num_learners=0, num_gpus_per_learner=1)
        learner = config.build_learner(spaces=toy_spaces(env))
        before = weights_of(learner)
        update(learner, fragment)
        moved.append({name: (w - before[name]).cpu() for name, w in weights_of(learner).items()})
    for name, change in moved[0].items():
        assert torch.nn.functional.cosine_similarity(change.ravel(), moved[1][name].ravel(), dim=0) > 0.9, (
            name
        )


def test_each_epoch_takes_each_sequence_exactly_once_in_a_new_order(fragment):
    learner = a_learner()
    numbered = dataclasses.replace(
        fragment,
        log_probs=np.repeat(
            np.arange(2 * ENVS, dtype=np.float32).reshape(2, 1, ENVS), SEQUENCE, axis=1
        ).reshape(LENGTH, ENVS),
    )
    batches = list(
        learner._create_iterator_if_necessary(
            training_data=TrainingData(batch=[numbered]), num_epochs=3, minibatch_size=4 * SEQUENCE
        )
    )
    assert len(batches) == 9  # 12 sequences in minibatches of 4, three times
    taken = [batch.policy_batches[DEFAULT_MODULE_ID][Columns.ACTION_LOGP][0].tolist() for batch in batches]
    epochs = [[*taken[3 * e], *taken[3 * e + 1], *taken[3 * e + 2]] for e in range(3)]
    assert all(sorted(epoch) == list(range(2 * ENVS)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_an_update_stops_at_the_minibatch_whose_kl_passes_the_limit(fragment):
    steep = {"lr": 0.05}
    free = update(a_learner(steep), fragment, epochs=4, minibatch=16)
    assert free["num_minibatches"] == 12
    assert free["approx_kl"] > 0.01
    stopped = update(a_learner(steep, kl_stop=0.01), fragment, epochs=4, minibatch=16)
    assert 1 < stopped["num_minibatches"] < 12


def test_invalid_steps_change_neither_loss_nor_gradient(fragment):
    valid = np.ones_like(fragment.valid)
    valid[3, 2] = valid[6, 0] = False
    wrong = fragment.log_probs.copy()
    wrong[~valid] = -3.0
    one = dataclasses.replace(fragment, valid=valid)
    other = dataclasses.replace(fragment, valid=valid, log_probs=wrong)
    first, second = a_learner(), a_learner()
    assert update(first, one)["total_loss"] == update(second, other)["total_loss"]
    assert equal(weights_of(first), weights_of(second))


def test_gradients_that_are_not_finite_leave_the_weights_as_they_were(fragment):
    learner = a_learner()
    before = weights_of(learner)
    broken = dataclasses.replace(fragment, value_targets=np.full_like(fragment.value_targets, np.nan))
    report = update(learner, broken)
    assert np.isnan(report["total_loss"])
    assert np.isnan(report["gradient_norm"])
    assert equal(before, weights_of(learner))


def test_scheduled_values_are_those_of_the_step_count(fragment):
    clip = TrainingSchedule(kind="linear", initial=0.2, final=0.1)
    learner = a_learner(
        {"lr": [[0, 1e-3], [1000, 0.0]], "entropy_coeff": [[0, 0.01], [1000, 0.0]]},
        clip_schedule=clip,
        total_env_steps=1000,
    )
    report = update(learner, fragment, env_steps=250)
    assert report["learning_rate"] == pytest.approx(0.75e-3)
    assert report["entropy_coefficient"] == pytest.approx(0.0075)
    assert report["clip_range"] == pytest.approx(0.175)


def test_the_learning_rate_follows_kl_within_its_bounds(fragment):
    control = dataclasses.replace(OFF, kl_target=1e-3, maximum=1.2e-3)
    learner = a_learner({"lr": 1e-3}, learning_rate_control=control)
    # One minibatch, before any step: KL is 0, below half the target; 1.5e-3 would pass the maximum.
    update(learner, fragment)
    assert update(learner, fragment)["learning_rate"] == pytest.approx(1.2e-3)
    steep = a_learner({"lr": 5e-3}, learning_rate_control=dataclasses.replace(OFF, kl_target=1e-5))
    update(steep, fragment, epochs=3)
    assert update(steep, fragment)["learning_rate"] == pytest.approx(5e-3 / 1.5)


def test_the_kl_penalty_halves_when_kl_is_small_and_grows_when_it_is_large(fragment):
    penalty = {"use_kl_loss": True, "kl_coeff": 0.4, "kl_target": 0.01}
    small = a_learner(penalty)
    assert update(small, fragment)["kl_coefficient"] == pytest.approx(0.4)
    assert update(small, fragment)["kl_coefficient"] == pytest.approx(0.2)
    large = a_learner(penalty | {"kl_target": 1e-6, "lr": 0.01})
    update(large, fragment, epochs=2)
    assert update(large, fragment)["kl_coefficient"] == pytest.approx(0.6)


def test_without_clipping_and_critic_one_step_is_plain_policy_gradient(fragment):
    learner = a_learner({"use_critic": False, "clip_param": float("inf"), "entropy_coeff": 0.0, "lr": 1e-3})
    report = update(learner, fragment)
    # The ratio is 1 everywhere, so the loss is minus the mean of the normalised advantages: 0.
    assert report["total_loss"] == pytest.approx(0.0, abs=1e-6)
    assert report["clip_fraction"] == 0.0
    module = learner.module[DEFAULT_MODULE_ID].unwrapped()
    assert module.network.value.weight.grad is None


def test_a_learner_with_another_ones_state_goes_on_to_the_same_bits(fragment):
    settings = {"use_kl_loss": True, "kl_coeff": 0.4, "kl_target": 0.01, "lr": 3e-3, "grad_clip": 0.5}
    control = dataclasses.replace(OFF, kl_target=1e-3)
    first = a_learner(settings, learning_rate_control=control)
    for _ in range(2):
        update(first, fragment, epochs=2, minibatch=16)
    first.scale_learning_rate(0.5)
    second = a_learner(settings, learning_rate_control=control)
    second.set_state(first.get_state())
    ours, theirs = (update(learner, fragment, epochs=2, minibatch=16) for learner in (first, second))
    assert ours == pytest.approx(theirs, abs=0.0, nan_ok=True)
    assert equal(weights_of(first), weights_of(second))
