"""What the sampler records on an env whose every number is known.

Values are 10 + observation + 100 x steps since the state was cleared; rewards are the step of the episode plus 1;
gamma is 0.5 and lambda 0, so an advantage is r + 0.5 x (value after) - (value before).
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from toy_envs import ClockVectorEnv, CountingNetwork, toy_config

from envs.portfolio import ENDED_NAMES
from policies.sampler import FragmentEnvRunner

# Env 0: three steps, truncated. Env 1: two steps, terminated.
LENGTHS, TERMINATES = (3, 2), (False, True)


def runner_on_clock(mode, *, fragment, sequence=2, counting=True, **training):
    config = toy_config(
        lambda _: ClockVectorEnv(LENGTHS, TERMINATES, mode),
        num_envs=2,
        fragment=fragment,
        sequence=sequence,
        **training,
    )
    runner = FragmentEnvRunner(config=config, worker_index=0)
    if counting:
        runner.module.network = CountingNetwork()
    return runner


def test_same_step_clears_the_state_where_an_episode_starts_and_nowhere_else():
    fragment = runner_on_clock(AutoresetMode.SAME_STEP, fragment=4).sample()
    np.testing.assert_array_equal(fragment.observations[:, :, 0], [[0, 0], [1, 1], [2, 0], [0, 1]])
    np.testing.assert_array_equal(fragment.keep, [[0, 0], [1, 1], [1, 0], [0, 1]])
    assert fragment.valid.all()
    # Before step 2 both envs have counted two steps; env 1 starts an episode there, which keep clears.
    np.testing.assert_array_equal(fragment.states["hidden"][:, :, 0, 0], [[0, 0], [2, 2]])


def test_same_step_bootstraps_from_the_final_observation_where_truncated_and_from_nothing_where_terminated():
    fragment = runner_on_clock(AutoresetMode.SAME_STEP, fragment=4).sample()
    # Env 0: values 10, 111, 212, then 10 again; truncated at 3 with the state of three steps: 10 + 3 + 300 = 313.
    env_0 = [1 + 111 / 2 - 10, 2 + 212 / 2 - 111, 3 + 313 / 2 - 212, 1 + 111 / 2 - 10]
    # Env 1: values 10, 111; terminated: nothing after.
    env_1 = [1 + 111 / 2 - 10, 2 - 111, 1 + 111 / 2 - 10, 2 - 111]
    np.testing.assert_allclose(fragment.advantages, np.transpose([env_0, env_1]))
    np.testing.assert_allclose(fragment.value_targets[:, 1], [56.5, 2, 56.5, 2])


def test_next_step_gives_the_same_advantages_and_masks_the_reset_steps():
    fragment = runner_on_clock(AutoresetMode.NEXT_STEP, fragment=6).sample()
    np.testing.assert_array_equal(
        fragment.observations[:, :, 0], [[0, 0], [1, 1], [2, 2], [3, 0], [0, 1], [1, 2]]
    )
    np.testing.assert_array_equal(fragment.valid, [[1, 1], [1, 1], [1, 0], [0, 1], [1, 1], [1, 0]])
    np.testing.assert_array_equal(fragment.keep, [[0, 0], [1, 1], [1, 1], [1, 0], [0, 1], [1, 1]])
    env_0 = [46.5, 2 + 212 / 2 - 111, 3 + 313 / 2 - 212, 0, 46.5, 2 + 212 / 2 - 111]
    env_1 = [46.5, 2 - 111, 0, 46.5, 2 - 111, 0]
    np.testing.assert_allclose(fragment.advantages, np.transpose([env_0, env_1]))
    assert fragment.num_env_steps == 9


def test_the_second_fragment_goes_on_in_the_middle_of_the_episode():
    runner = runner_on_clock(AutoresetMode.SAME_STEP, fragment=4)
    runner.sample()
    second = runner.sample()
    np.testing.assert_array_equal(second.observations[:, 0, 0], [1, 2, 0, 1])
    np.testing.assert_array_equal(second.keep[:, 0], [1, 1, 0, 1])
    np.testing.assert_array_equal(second.states["hidden"][:, 0, 0, 0], [1, 3])


def test_without_a_critic_the_advantage_is_the_discounted_return_to_the_end_of_episode_or_fragment():
    runner = runner_on_clock(
        AutoresetMode.SAME_STEP, fragment=4, use_critic=False, lambda_=1.0, vf_loss_coeff=0.0
    )
    fragment = runner.sample()
    # 1 + (2 + 3 / 2) / 2 = 2.75; 2 + 3 / 2; 3; and the fragment's last step alone.
    np.testing.assert_allclose(fragment.advantages[:, 0], [2.75, 3.5, 3.0, 1.0])
    np.testing.assert_allclose(fragment.value_targets, fragment.advantages)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_episode_metrics_are_those_of_whole_episodes_only(mode):
    runner = runner_on_clock(mode, fragment=6)
    runner.sample()
    means = runner._episodes.means()
    # SAME_STEP: env 0 ends twice with return 6, env 1 three times with 3; NEXT_STEP: once and twice.
    expected = (np.mean([6, 6, 3, 3, 3]), np.mean([3, 3, 2, 2, 2]))
    if mode == AutoresetMode.NEXT_STEP:
        expected = (np.mean([6, 3, 3]), np.mean([3, 2, 2]))
    assert means == pytest.approx(expected)


def test_what_an_env_tells_of_its_episodes_stands_beside_the_return_and_not_in_its_place():
    runner = runner_on_clock(AutoresetMode.SAME_STEP, fragment=6)
    told = [{name: np.array([0.1, 0.3]) for name in ENDED_NAMES}, {name: np.zeros(0) for name in ENDED_NAMES}]
    runner.env.episode_statistics = lambda: told.pop(0)
    for _ in range(2):  # what was told stays while no episode ends
        runner.sample()
        expected = runner._episodes.means()
        assert runner.metrics.peek("episode_return_mean") == pytest.approx(expected[0])
        assert runner.metrics.peek("episode_len_mean") == pytest.approx(expected[1])
        for name in ENDED_NAMES:
            assert runner.metrics.peek(f"episode_{name}_mean") == pytest.approx(0.2)


def test_log_probabilities_and_scores_are_those_of_the_network_that_acted():
    runner = runner_on_clock(AutoresetMode.SAME_STEP, fragment=8, counting=False)
    fragment = runner.sample()
    network = runner.module.network
    with torch.inference_mode():
        for sequence in range(4):
            rows = slice(2 * sequence, 2 * sequence + 2)
            state = {name: torch.from_numpy(value[sequence]) for name, value in fragment.states.items()}
            keep = torch.from_numpy(fragment.keep[rows])
            output = network.sequence(torch.from_numpy(fragment.observations[rows]), state, keep)
            np.testing.assert_allclose(output.scores.numpy(), fragment.scores[rows], atol=1e-6)
            distribution = runner._distribution.from_logits(output.scores)
            logp = distribution.logp(torch.from_numpy(fragment.actions[rows]))
            np.testing.assert_allclose(logp.numpy(), fragment.log_probs[rows], atol=1e-6)


def test_a_sampler_with_another_ones_state_and_weights_samples_the_same_fragment():
    first = runner_on_clock(AutoresetMode.SAME_STEP, fragment=4, counting=False)
    first.sample()
    state = first.get_state()
    second = runner_on_clock(AutoresetMode.SAME_STEP, fragment=4, counting=False)
    second.set_state(state)
    ours, theirs = first.sample(), second.sample()
    for name in ("observations", "actions", "scores", "log_probs", "advantages", "keep"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)
    assert first._episodes.means() == second._episodes.means()


def test_an_env_without_autoreset_is_refused():
    with pytest.raises(ValueError, match="autoreset disabled"):
        runner_on_clock(AutoresetMode.DISABLED, fragment=4)


def test_scaled_rewards_are_divided_by_the_spread_of_the_discounted_return():
    runner = runner_on_clock(AutoresetMode.SAME_STEP, fragment=4)
    runner.config.scale_rewards = True
    runner.make_env()
    fragment = runner.sample()
    # After one step both discounted returns are 1: no spread yet, the reward stays 1.
    np.testing.assert_allclose(fragment.advantages[0], 1 + 111 / 2 - 10)
    # After two: returns 0.5 x 1 + 2 = 2.5 twice; of 1, 1, 2.5, 2.5 the spread is 0.75; env 1 ends there.
    np.testing.assert_allclose(fragment.advantages[1, 1], 2 / 0.75 - 111, rtol=1e-6)
