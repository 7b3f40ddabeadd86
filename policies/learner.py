"""The PPO learner on columnar fragments: minibatches of whole sequences, early stop on KL.

RLlib's PPO loss, optimiser, gradient clipping and data-parallel machinery are used as they are; what is
replaced is the way from samples to minibatches. No step is padded: a sequence may contain the end of an episode
and the start of the next.

Shapes: L fragment steps, E envs, K sequence length, N sequences, B sequences of a minibatch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core import ALL_MODULES, DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.evaluation.postprocessing import Postprocessing
from ray.rllib.utils.metrics import (
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_ENV_STEPS_TRAINED,
    NUM_ENV_STEPS_TRAINED_LIFETIME,
    NUM_MODULE_STEPS_TRAINED,
    NUM_MODULE_STEPS_TRAINED_LIFETIME,
)
from torch import Tensor

from policies.fragment import Fragment
from policies.module import KEEP

#: Means over the minibatches of one update, logged under the module.
APPROX_KL, CLIP_FRACTION, NUM_MINIBATCHES = "approx_kl", "clip_fraction", "num_minibatches"


class SequenceMinibatch:
    """One minibatch in the shape that RLlib's update loop expects."""

    def __init__(self, columns: dict[str, Any], num_steps: int) -> None:
        self.policy_batches = {DEFAULT_MODULE_ID: columns}
        self._num_steps = num_steps

    def env_steps(self) -> int:
        return self._num_steps


class SequenceColumns:
    """All sequences of one update as (K, N, ...) tensors; minibatches are picked along N."""

    def __init__(
        self,
        fragments: list[Fragment],
        sequence_length: int,
        device: torch.device,
        *,
        mean: float,
        spread: float,
    ) -> None:
        def fold(name: str) -> Tensor:
            parts = [torch.from_numpy(getattr(fragment, name)) for fragment in fragments]
            folded = [
                part.unflatten(0, (-1, sequence_length)).transpose(0, 1).flatten(1, 2) for part in parts
            ]
            return (torch.cat(folded, dim=1) if len(folded) > 1 else folded[0]).to(device)

        self._columns = {
            Columns.OBS: fold("observations"),
            Columns.ACTIONS: fold("actions"),
            Columns.ACTION_DIST_INPUTS: fold("scores"),
            Columns.ACTION_LOGP: fold("log_probs"),
            Postprocessing.ADVANTAGES: (fold("advantages") - mean) / max(spread, 1e-4),
            Postprocessing.VALUE_TARGETS: fold("value_targets"),
            KEEP: fold("keep"),
        }
        valid = fold("valid")
        if not bool(valid.all()):
            self._columns[Columns.LOSS_MASK] = valid
        self._states = {
            name: torch.cat([torch.from_numpy(f.states[name]).flatten(0, 1) for f in fragments]).to(device)
            for name in fragments[0].states
        }

    @property
    def num_sequences(self) -> int:
        return self._columns[KEEP].shape[1]

    def pick(self, sequences: Tensor) -> SequenceMinibatch:
        columns: dict[str, Any] = {name: column[:, sequences] for name, column in self._columns.items()}
        columns[Columns.STATE_IN] = {name: state[sequences] for name, state in self._states.items()}
        return SequenceMinibatch(columns, columns[KEEP].numel())


class SequencePPOLearner(PPOTorchLearner):
    """Updates on ``training_data.batch``: a list of :class:`Fragment`, one per env runner.

    Reads from the config, beside RLlib's own settings: ``sequence_length``, ``kl_stop`` (approximate KL of one
    minibatch at which the rest of the update is left out; None never stops).
    """

    def build(self) -> None:
        super().build()
        self._shuffle = np.random.default_rng([self.config.seed or 0, 0x1EA24])
        self._reports: list[dict[str, Tensor]] = []

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        parameters = self.get_parameters(self._module[module_id])
        optimizer = torch.optim.Adam(parameters, eps=config.adam_epsilon)
        self.register_optimizer(
            module_id=module_id, optimizer=optimizer, params=parameters, lr_or_lr_schedule=config.lr
        )

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Set scheduled values from the step count alone, so that a resumed run has them at once.

        RLlib updates its schedulers only after an update and does not checkpoint them.
        """
        super().before_gradient_based_update(timesteps=timesteps)
        env_steps = timesteps.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, 0)
        for optimizer, schedule in self._optimizer_lr_schedules.items():
            self._set_optimizer_lr(optimizer, lr=schedule.update(timestep=env_steps))
        self.entropy_coeff_schedulers_per_module[DEFAULT_MODULE_ID].update(timestep=env_steps)
        self._reports.clear()

    def _create_iterator_if_necessary(
        self,
        *,
        training_data: Any,
        num_epochs: int = 1,
        minibatch_size: int | None = None,
        advantage_mean: float = 0.0,
        advantage_spread: float = 1.0,
        **_: Any,
    ) -> Iterator[SequenceMinibatch]:
        length = self.config.sequence_length
        columns = SequenceColumns(
            training_data.batch,
            length,
            torch.device(self._device),
            mean=advantage_mean,
            spread=advantage_spread,
        )
        per_minibatch = max(1, (minibatch_size or length * columns.num_sequences) // length)
        num_minibatches = max(1, round(columns.num_sequences / per_minibatch))
        for _epoch in range(num_epochs):
            order = torch.from_numpy(self._shuffle.permutation(columns.num_sequences))
            for sequences in torch.tensor_split(order, num_minibatches):
                yield columns.pick(sequences)
                if self.config.kl_stop is not None and self._mean_over_learners() > self.config.kl_stop:
                    return

    def _mean_over_learners(self) -> float:
        """Approximate KL of the last minibatch, the same on all learners.

        One that stopped alone would leave the others waiting for its gradients.
        """
        kl = self._reports[-1][APPROX_KL].clone()
        if self.distributed:
            torch.distributed.all_reduce(kl)
            kl /= self.config.num_learners
        return float(kl)

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Tensor]
    ) -> Tensor:
        loss = super().compute_loss_for_module(
            module_id=module_id, config=config, batch=batch, fwd_out=fwd_out
        )
        with torch.no_grad():
            distribution_class = self.module[module_id].unwrapped().get_train_action_dist_cls()
            distribution = distribution_class.from_logits(fwd_out[Columns.ACTION_DIST_INPUTS])
            log_ratio = distribution.logp(batch[Columns.ACTIONS]) - batch[Columns.ACTION_LOGP]
            if Columns.LOSS_MASK in batch:
                log_ratio = log_ratio[batch[Columns.LOSS_MASK]]
            ratio = log_ratio.exp()
            self._reports.append(
                {
                    # Schulman's low-variance estimator of KL(old || new): E[r - 1 - log r].
                    APPROX_KL: (ratio - 1.0 - log_ratio).mean(),
                    CLIP_FRACTION: ((ratio - 1.0).abs() > config.clip_param).float().mean(),
                }
            )
        return loss

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        super().after_gradient_based_update(timesteps=timesteps)
        for name in (APPROX_KL, CLIP_FRACTION):
            mean = float(torch.stack([report[name] for report in self._reports]).mean())
            self.metrics.log_value((DEFAULT_MODULE_ID, name), mean, window=1)
        self.metrics.log_value((DEFAULT_MODULE_ID, NUM_MINIBATCHES), len(self._reports), window=1)

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return super().get_state(*args, **kwargs) | {"shuffle": self._shuffle.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if "shuffle" in state:
            self._shuffle.bit_generator.state = state["shuffle"]

    # RLlib's own bookkeeping below slices and counts SampleBatch objects, which there are none of here.

    def _set_slicing_by_batch_id(self, batch: Any, *, value: bool) -> Any:
        return batch

    def _log_metrics(self, batch: SequenceMinibatch) -> None:
        self._metrics_all_modules_num_env_steps_trained.inc(value=batch.env_steps())
        self._metrics_all_modules_num_module_steps_trained.inc(value=batch.env_steps())

    def _log_steps_trained_metrics(self, batch: SequenceMinibatch) -> None:
        steps = batch.env_steps()
        for scope, count, lifetime in (
            (DEFAULT_MODULE_ID, NUM_MODULE_STEPS_TRAINED, NUM_MODULE_STEPS_TRAINED_LIFETIME),
            (ALL_MODULES, NUM_ENV_STEPS_TRAINED, NUM_ENV_STEPS_TRAINED_LIFETIME),
        ):
            self.metrics.log_value((scope, count), steps, reduce="sum")
            self.metrics.log_value((scope, lifetime), steps, reduce="lifetime_sum")
