"""It is the same PPO: RLlib's own connectors, GAE, loss and learner agree with ours on the same data and module.

One sequence per env and no episode end in it, which is where both see the same steps. RLlib normalises advantages over
its artificial last steps too; so its mean and spread are handed to our learner here.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.env.single_agent_episode import SingleAgentEpisode
from ray.rllib.evaluation.postprocessing import Postprocessing
from toy_envs import NoiseVectorEnv, small_network, toy_config, toy_spaces

from policies.fragment import generalised_advantages
from policies.module import PortfolioModule
from policies.sampler import FragmentEnvRunner

ENVS, LENGTH = 6, 8
PPO = {
    "gamma": 0.9,
    "lambda_": 0.8,
    "clip_param": 0.05,
    "entropy_coeff": 0.01,
    "vf_loss_coeff": 0.5,
    "vf_clip_param": 2.0,
    "use_kl_loss": True,
    "kl_coeff": 0.3,
    "lr": 1e-2,
}


class Sides:
    """The same fragment, module and settings on both sides."""

    def __init__(self, core: str, **training) -> None:
        env = NoiseVectorEnv(ENVS)
        settings = PPO | {"grad_clip": None} | training
        ours = toy_config(lambda _: env, num_envs=ENVS, fragment=LENGTH, sequence=LENGTH, **settings)
        ours.network(None, small_network(core)).sequences(adam_epsilon=1e-8)
        self.runner = FragmentEnvRunner(config=ours, worker_index=0)
        weights = self.runner.module.get_state()
        self.fragment = self.runner.sample()
        self.ours = ours.build_learner(spaces=toy_spaces(env))
        model = {"layout": None, "network": small_network(core), "max_seq_len": LENGTH + 1}
        theirs = (
            PPOConfig()
            .environment(observation_space=env.single_observation_space, action_space=env.single_action_space)
            .training(**settings)
            .rl_module(rl_module_spec=RLModuleSpec(module_class=PortfolioModule, model_config=model))
        )
        self.theirs = theirs.build_learner(spaces=toy_spaces(env))
        for learner in (self.ours, self.theirs):
            learner.module[DEFAULT_MODULE_ID].set_state(weights)
        batch = self.theirs._make_batch_if_necessary(training_data=TrainingData(episodes=self.episodes()))
        self.batch = batch.policy_batches

    def episodes(self) -> list[SingleAgentEpisode]:
        f, last = self.fragment, self.runner._observation
        rewards = self.rewards()
        return [
            SingleAgentEpisode(
                observations=[*f.observations[:, env], last[env]],
                actions=list(f.actions[:, env]),
                rewards=[float(reward) for reward in rewards[:, env]],
                extra_model_outputs={
                    Columns.ACTION_LOGP: list(f.log_probs[:, env]),
                    Columns.ACTION_DIST_INPUTS: list(f.scores[:, env]),
                },
                observation_space=self.runner.env.single_observation_space,
                action_space=self.runner.env.single_action_space,
                len_lookback_buffer=0,
            )
            for env in range(ENVS)
        ]

    def rewards(self) -> np.ndarray:
        """The rewards that the env paid, drawn again."""
        env = NoiseVectorEnv(ENVS)
        env.reset()
        return np.stack([env.step(actions)[1] for actions in self.fragment.actions]).astype(np.float32)

    def their_normalisation(self) -> tuple[float, float]:
        theirs = self.batch[DEFAULT_MODULE_ID][Postprocessing.ADVANTAGES][:, :LENGTH].numpy().T
        spread = self.fragment.advantages.std() / theirs.std()
        return float(self.fragment.advantages.mean() - spread * theirs.mean()), float(spread)

    def move_both(self) -> None:
        """Move the weights, the same on both sides, so that ratios differ from 1 and some are clipped."""
        ours = self.ours.module[DEFAULT_MODULE_ID].unwrapped()
        theirs = self.theirs.module[DEFAULT_MODULE_ID].unwrapped()
        random = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in ours.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=random))
        theirs.load_state_dict(ours.state_dict())

    def our_batch(self):
        mean, spread = self.their_normalisation()
        self.ours.before_gradient_based_update(timesteps={})
        (minibatch,) = self.ours._create_iterator_if_necessary(
            training_data=TrainingData(batch=[self.fragment]), advantage_mean=mean, advantage_spread=spread
        )
        return minibatch.policy_batches


def gradients(learner, batch):
    losses = learner.compute_losses(fwd_out=learner.module.forward_train(batch), batch=batch)
    learner.compute_gradients(losses)
    module = learner.module[DEFAULT_MODULE_ID].unwrapped()
    return losses[DEFAULT_MODULE_ID].item(), {n: p.grad.clone() for n, p in module.named_parameters()}


@pytest.fixture(scope="module", params=["lstm", "gru"])
def sides(request):
    return Sides(request.param)


def test_advantages_and_value_targets_equal_those_of_rllibs_connector(sides):
    theirs = sides.batch[DEFAULT_MODULE_ID]
    targets = theirs[Postprocessing.VALUE_TARGETS][:, :LENGTH].numpy().T
    np.testing.assert_allclose(sides.fragment.value_targets, targets, atol=1e-5)
    mean, spread = sides.their_normalisation()
    advantages = theirs[Postprocessing.ADVANTAGES][:, :LENGTH].numpy().T
    np.testing.assert_allclose((sides.fragment.advantages - mean) / spread, advantages, atol=1e-5)


def test_loss_its_terms_and_all_gradients_equal_those_of_rllibs_learner():
    sides = Sides("lstm")
    sides.move_both()
    their_loss, theirs = gradients(sides.theirs, sides.batch)
    our_loss, ours = gradients(sides.ours, sides.our_batch())
    assert our_loss == pytest.approx(their_loss, abs=1e-5)
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-5, rtol=0.0, msg=name)
    report = dict(zip(report_names(), sides.ours._reports[-1].tolist(), strict=True))
    for name in ("policy_loss", "vf_loss", "entropy", "mean_kl_loss"):
        theirs_term = sides.theirs.metrics.peek((DEFAULT_MODULE_ID, name)).item()
        assert report[name] == pytest.approx(theirs_term, abs=1e-5), name
    assert report["clip_fraction"] > 0.1
    assert report["mean_kl_loss"] > 1e-3


def test_one_update_with_clipped_gradients_leaves_the_weights_where_rllibs_update_leaves_them():
    sides = Sides("lstm", grad_clip=0.05, grad_clip_by="global_norm")
    mean, spread = sides.their_normalisation()
    sides.theirs.update(episodes=sides.episodes(), num_epochs=1)
    sides.ours.update(batch=[sides.fragment], num_epochs=1, advantage_mean=mean, advantage_spread=spread)
    ours = sides.ours.module[DEFAULT_MODULE_ID].unwrapped().state_dict()
    theirs = sides.theirs.module[DEFAULT_MODULE_ID].unwrapped().state_dict()
    start = sides.runner.module.state_dict()
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, atol=1e-5, rtol=0.0, msg=name)
    assert any(not torch.equal(start[name], weight) for name, weight in theirs.items())


def report_names():
    from policies.loss import LOSS_REPORT

    return LOSS_REPORT


def test_gae_equals_its_closed_form_across_ends_and_invalid_steps():
    # gamma 0.5, lambda 0.5: carries are 0.25. Deltas: 1 + 0.5 x 2 - 1 = 1, then 2 + 0.5 x 4 - 2 = 2, then an end
    # without a value after it: 3 - 4 = -1, then a step without a transition, then 1 + 0.5 x 0 - 3 = -2.
    column = lambda *x: np.array(x, dtype=np.float32)[:, None]  # noqa: E731
    advantages, targets = generalised_advantages(
        column(1, 2, 3, 9, 1),
        column(1, 2, 4, 7, 3),
        column(2, 4, 0, 7, 0),
        column(0, 0, 1, 0, 0).astype(bool),
        column(1, 1, 1, 0, 1).astype(bool),
        gamma=0.5,
        lambda_=0.5,
    )
    # Backwards: -2; 0 (no transition); -1 (the end cuts the sum); 2 - 0.25 = 1.75; 1 + 0.25 x 1.75 = 1.4375.
    np.testing.assert_allclose(advantages[:, 0], [1.4375, 1.75, -1.0, 0.0, -2.0])
    np.testing.assert_allclose(targets[:, 0], [2.4375, 3.75, 3.0, 7.0, 1.0])
