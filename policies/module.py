"""The RLModule: the policy network behind RLlib's interface.

RLlib's own connectors hand over (B, T, ...) columns with ``STATE_IN``; our sequence learner hands over
time-major columns with ``KEEP``. Both run the same network.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import TorchDistribution
from ray.rllib.core.rl_module.apis.value_function_api import ValueFunctionAPI
from ray.rllib.core.rl_module.torch.torch_rl_module import TorchRLModule

from envs.observations import ObservationLayout
from policies.action_distribution import DistributionSpec
from policies.distributions import ActionDistribution, rule_out_as
from policies.networks import NetworkConfig, NetworkOutput

#: Column of the sequence learner: (L, B), 0.0 where an episode starts. Its presence marks time-major columns.
KEEP = "keep"


class PortfolioModule(TorchRLModule, ValueFunctionAPI):
    """``model_config``: ``layout`` (:class:`ObservationLayout`, None for a flat observation) and
    ``network``.
    """

    distribution_spec: DistributionSpec
    masks_actions: bool

    def setup(self) -> None:
        layout = self.model_config["layout"] or ObservationLayout.flat(self.observation_space.shape[0])
        network: NetworkConfig = self.model_config["network"]
        self.distribution_spec = DistributionSpec.for_space(self.action_space, network.weights_distribution)
        self.network = self.distribution_spec.network(layout, network)
        self.action_dist_cls = distribution_class(self.distribution_spec)
        self.masks_actions = network.action_masks
        if self.masks_actions and self.distribution_spec.kind != "categorical":
            raise ValueError(
                f"policy.action_masks needs choices, but the actions {self.action_space} are continuous; "
                "set policy.action_masks=false, or env.action.scheme to direction or orders"
            )

    def is_stateful(self) -> bool:
        return self.network.is_stateful

    def get_initial_state(self) -> dict[str, torch.Tensor]:
        return {name: value[0] for name, value in self.network.initial_state(1).items()}

    def _forward(self, batch: dict[str, Any], **_: Any) -> dict[str, Any]:
        output = self._run(batch)
        scores = output.scores
        if self.masks_actions and Columns.ACTION_DIST_INPUTS in batch:
            # In training: the sampler's scores say what was ruled out at each decision.
            scores = rule_out_as(scores, batch[Columns.ACTION_DIST_INPUTS])
        result = {
            Columns.ACTION_DIST_INPUTS: scores,
            Columns.EMBEDDINGS: output.values,  # spares a second pass when the loss asks for values
        }
        if output.state and KEEP not in batch:
            result[Columns.STATE_OUT] = output.state
        return result

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> torch.Tensor:
        """Values (B, T), or (L, B) for the sequence learner's time-major columns."""
        return self._run(batch).values if embeddings is None else embeddings

    def _run(self, batch: dict[str, Any]) -> NetworkOutput:
        observation = batch[Columns.OBS]
        if KEEP in batch:
            return self.network.sequence(observation, batch.get(Columns.STATE_IN) or {}, batch[KEEP])
        if not self.is_stateful():
            return self.network.step(observation, {})
        keep = observation.new_ones(observation.shape[1], observation.shape[0])
        output = self.network.sequence(observation.transpose(0, 1), batch[Columns.STATE_IN], keep)
        return NetworkOutput(output.scores.transpose(0, 1), output.values.transpose(0, 1), output.state)


def distribution_class(spec: DistributionSpec) -> type[TorchDistribution]:
    """A class bound to one distribution, as RLlib's ``from_logits`` takes nothing but scores."""

    class BoundDistribution(TorchDistribution):
        @classmethod
        def from_logits(cls, logits: torch.Tensor, **_: Any) -> ActionDistribution:  # type: ignore[override]
            return spec.distribution(logits)

        @staticmethod
        def required_input_dim(space: gym.Space, **_: Any) -> int:
            return spec.num_scores

        def _get_torch_distribution(self, *_: Any, **__: Any) -> Any:
            raise AssertionError("build it with from_logits")

    return BoundDistribution
