"""RLlib's private names that this package depends on, where no public way does the same.

A test fails where a release of RLlib renames one of them, or gives one of the overridden methods other arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.env.env_runner import EnvRunner
from ray.tune.registry import ENV_CREATOR, _global_registry

OVERRIDDEN: dict[type, tuple[str, ...]] = {
    TorchLearner: (
        "_create_iterator_if_necessary",  # minibatches of whole sequences, from fragments
        "_log_metrics",  # counts of steps, which RLlib takes from SampleBatch objects
        "_log_steps_trained_metrics",
        "_set_slicing_by_batch_id",  # slices SampleBatch objects
        "_uncompiled_update",  # runs forward and backward pass in bfloat16
    ),
    TorchRLModule: ("_forward",),
    AlgorithmConfig: (
        "_model_config_auto_includes",
    ),  # would hand a model config of RLlib's own to our network
}
"""RLlib's classes, and the methods of theirs that our subclasses replace and RLlib itself calls."""

READ: dict[type, tuple[str, ...]] = {
    PPOTorchLearner: (
        "_get_optimizer_lr",
        "_set_optimizer_lr",
        "_optimizer_lr_schedules",  # the learning rate after so many steps, before what moved it besides
        "_update_module_kl_coeff",
        "_metrics_all_modules_num_env_steps_trained",
        "_metrics_all_modules_num_module_steps_trained",
    ),
    EnvRunner: ("_seed", "_check_component"),
}
"""RLlib's classes, and what of theirs our subclasses read or call."""


def registered_env(name: str) -> Callable[..., Any] | None:
    """What `ray.tune.registry.register_env` was given under a name; None for a name of gymnasium's."""
    if not _global_registry.contains(ENV_CREATOR, name):
        return None
    creator: Callable[..., Any] = _global_registry.get(ENV_CREATOR, name)
    return creator
