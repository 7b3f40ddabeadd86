"""The PPO learner on columnar fragments: minibatches of whole sequences, early stop on KL, a steered learning rate.

RLlib's update loop, module and data-parallel machinery are used as they are; what is replaced is the way from samples
to minibatches, and the bookkeeping around a gradient step. No step is padded: a sequence may contain the end of an
episode and the start of the next.

Shapes: L fragment steps, E envs, K sequence length, N sequences, B sequences of a minibatch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
from policies.loss import LOSS_REPORT, LossWeights, ppo_loss
from policies.module import KEEP
from policies.schedules import adapted_learning_rate_factor

#: Logged under the module beside `LOSS_REPORT`, whose numbers are means over the minibatches of one update.
NUM_MINIBATCHES, GRADIENT_NORM = "num_minibatches", "gradient_norm"
LEARNING_RATE, CLIP_RANGE = "learning_rate", "clip_range"
ENTROPY_COEFFICIENT, KL_COEFFICIENT = "entropy_coefficient", "kl_coefficient"

_APPROX_KL, _EXACT_KL = LOSS_REPORT.index("approx_kl"), LOSS_REPORT.index("mean_kl_loss")


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
            parts = [_tensor(getattr(fragment, name)) for fragment in fragments]
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
            name: torch.cat([_tensor(f.states[name]).flatten(0, 1) for f in fragments]).to(device)
            for name in fragments[0].states
        }

    @property
    def num_sequences(self) -> int:
        return self._columns[KEEP].shape[1]

    def pick(self, sequences: Tensor) -> dict[str, Any]:
        """Columns (K, B, ...) of these sequences, and the states that they start with."""
        sequences = sequences.to(self._columns[KEEP].device)
        # A tenth of the time of `column[:, sequences]`, which goes number by number.
        columns: dict[str, Any] = {name: c.index_select(1, sequences) for name, c in self._columns.items()}
        columns[Columns.STATE_IN] = {name: s.index_select(0, sequences) for name, s in self._states.items()}
        return columns


def _tensor(array: np.ndarray) -> Tensor:
    """A view; a copy of what Ray's object store holds, which is read-only."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


class SequencePPOLearner(PPOTorchLearner):
    """Updates on ``training_data.batch``: a list of :class:`Fragment`, one per env runner.

    Reads from the config, beside RLlib's own settings, those of ``PortfolioPPOConfig.sequences``.
    """

    def build(self) -> None:
        super().build()
        torch.utils.deterministic.fill_uninitialized_memory = False  # as in the sampler, for remote learners
        self._shuffle = np.random.default_rng([self.config.seed or 0, 0x1EA24])
        self._reports: list[Tensor] = []
        self._norms: list[Tensor] = []
        self._frozen: set[int] = set()
        self._learning_rate_factor = 1.0
        self._clip_range: float | None = None

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        parameters = self.get_parameters(self.module[module_id])
        optimizer = torch.optim.Adam(parameters, eps=config.adam_epsilon, fused=True)
        self.register_optimizer(
            module_id=module_id, optimizer=optimizer, params=parameters, lr_or_lr_schedule=config.lr
        )

    # --- what changes over training

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Set scheduled values from the step count alone, so that a resumed run has them at once.

        RLlib updates its schedulers only after an update and does not checkpoint them.
        """
        env_steps = timesteps.get(NUM_ENV_STEPS_SAMPLED_LIFETIME, 0)
        self._set_optimizer_lr(self.get_optimizer(), lr=self.learning_rate_at(env_steps))
        self.entropy_coeff_schedulers_per_module[DEFAULT_MODULE_ID].update(timestep=env_steps)
        self._clip_range = self.config.clip_range_at(env_steps)
        self._reports.clear()
        self._norms.clear()

    def after_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        """Report the update, then let its KL move the KL coefficient and the learning rate of the next."""
        reports = torch.stack(self._reports)
        numbers = dict(zip(LOSS_REPORT, reports.mean(dim=0).tolist(), strict=True))
        numbers |= {
            NUM_MINIBATCHES: len(self._reports),
            GRADIENT_NORM: float(torch.stack(self._norms).mean()),
            LEARNING_RATE: self._get_optimizer_lr(self.get_optimizer()),
            CLIP_RANGE: math.inf if self._clip_range is None else self._clip_range,
            ENTROPY_COEFFICIENT: self._entropy_coefficient(),
            KL_COEFFICIENT: float(self.curr_kl_coeffs_per_module[DEFAULT_MODULE_ID]),
        }
        for name, value in numbers.items():
            self.metrics.log_value((DEFAULT_MODULE_ID, name), value, window=1)
        if self.config.use_kl_loss:
            # As RLlib does, from the last minibatch; but the same on all learners.
            self._update_module_kl_coeff(
                module_id=DEFAULT_MODULE_ID,
                config=self.config,
                kl_loss=self._over_learners(reports[-1, _EXACT_KL]),
            )
        if self.config.learning_rate_control is not None:
            self._learning_rate_factor = adapted_learning_rate_factor(
                self.config.learning_rate_control,
                kl=self._over_learners(reports[:, _APPROX_KL].mean()),
                factor=self._learning_rate_factor,
                learning_rate=numbers[LEARNING_RATE],
            )

    def begin_with(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take over the values of these parameters (names as in ``policy_weights``); the others stay as drawn."""
        values = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
        found = self.module[DEFAULT_MODULE_ID].unwrapped().load_state_dict(values, strict=False)
        assert not found.unexpected_keys, found.unexpected_keys

    def freeze(self, prefixes: Sequence[str]) -> int:
        """Keep the parameters whose names begin so as they are from now on; returns how many there are."""
        named = self.module[DEFAULT_MODULE_ID].unwrapped().named_parameters()
        self._frozen = {id(parameter) for name, parameter in named if name.startswith(tuple(prefixes))}
        return len(self._frozen)

    def learning_rate_at(self, env_steps: int) -> float:
        """The scheduled learning rate after so many env steps, times what moved it besides."""
        schedule = self._optimizer_lr_schedules[self.get_optimizer()]
        return float(schedule.update(timestep=env_steps)) * self._learning_rate_factor

    def scale_learning_rate(self, factor: float) -> None:
        """Multiply the learning rate by ``factor`` from the next update on, on top of its schedule."""
        self._learning_rate_factor *= factor

    def _entropy_coefficient(self) -> float:
        return float(self.entropy_coeff_schedulers_per_module[DEFAULT_MODULE_ID].get_current_value())

    def _over_learners(self, value: Tensor) -> float:
        """Mean of a number over all learners, the same on each.

        One that stopped or stepped alone would leave the others waiting for its gradients.
        """
        if not self.distributed:
            return float(value)
        value = value.clone()
        torch.distributed.all_reduce(value)
        return float(value) / self.config.num_learners

    # --- from fragments to gradient steps

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
            torch.device(self.device),
            mean=advantage_mean,
            spread=advantage_spread,
        )
        per_minibatch = max(1, (minibatch_size or length * columns.num_sequences) // length)
        num_minibatches = max(1, round(columns.num_sequences / per_minibatch))
        for _epoch in range(num_epochs):
            order = torch.from_numpy(self._shuffle.permutation(columns.num_sequences))
            for sequences in torch.tensor_split(order, num_minibatches):
                minibatch = self._warmed_up(columns.pick(sequences))
                yield SequenceMinibatch(minibatch, minibatch[KEEP].numel())
                if self.config.kl_stop is None:
                    continue
                if self._over_learners(self._reports[-1][_APPROX_KL]) > self.config.kl_stop:
                    return

    def _warmed_up(self, columns: dict[str, Any]) -> dict[str, Any]:
        """The minibatch without its burn-in, from the state that the present weights have after it."""
        steps = self.config.burn_in
        if steps == 0:
            return columns
        states = columns.pop(Columns.STATE_IN)
        network = self.module[DEFAULT_MODULE_ID].unwrapped().network
        with torch.no_grad():
            states = network.sequence(columns[Columns.OBS][:steps], states, columns[KEEP][:steps]).state
        return {name: column[steps:] for name, column in columns.items()} | {Columns.STATE_IN: states}

    def _uncompiled_update(self, batch: dict[str, Any], **kwargs: Any) -> Any:
        if not (self.config.mixed_precision and torch.device(self.device).type == "cuda"):
            return super()._uncompiled_update(batch, **kwargs)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return super()._uncompiled_update(batch, **kwargs)

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Tensor]
    ) -> Tensor:
        module = self.module[module_id].unwrapped()
        distribution = module.get_train_action_dist_cls()
        weights = LossWeights(
            clip_range=self._clip_range,
            value=config.vf_loss_coeff if config.use_critic else None,
            value_clip=config.vf_clip_param,
            entropy=self._entropy_coefficient(),
            kl=float(self.curr_kl_coeffs_per_module[module_id]) if config.use_kl_loss else None,
        )
        previous, actor_slots = None, module.network.actor_slots
        if weights.kl is not None or actor_slots:
            previous = distribution.from_logits(batch[Columns.ACTION_DIST_INPUTS])
        loss, report = ppo_loss(
            batch,
            distribution.from_logits(fwd_out[Columns.ACTION_DIST_INPUTS]),
            previous,
            module.compute_values(batch, embeddings=fwd_out.get(Columns.EMBEDDINGS)),
            weights,
            actor_slots,
        )
        self._reports.append(report)
        return loss

    def postprocess_gradients(self, gradients_dict: dict[Any, Tensor]) -> dict[Any, Tensor]:
        """Scale the gradients down to the configured global norm, in one pass; those of frozen parameters are zero."""
        for parameter, gradient in gradients_dict.items() if self._frozen else ():
            if id(parameter) in self._frozen and gradient is not None:
                gradient.zero_()  # Adam without decay then leaves the parameter as it is, to the bit
        gradients = [gradient for gradient in gradients_dict.values() if gradient is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.config.grad_clip is not None and self.config.grad_clip < math.inf:
            # RLlib's keys are the parameters, and its values the gradients that these hold.
            torch.nn.utils.clip_grads_with_norm_(gradients_dict, self.config.grad_clip, norm)
        self._norms.append(norm)
        return gradients_dict

    def apply_gradients(self, gradients_dict: dict[Any, Tensor]) -> None:
        """Step the optimiser, but never on gradients that are not finite: the weights stay as they were."""
        if bool(torch.isfinite(self._norms[-1])):
            self.get_optimizer().step()

    # --- state

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's state and what it leaves out; nothing scheduled, which follows from the step count."""
        return super().get_state(*args, **kwargs) | {
            "shuffle": self._shuffle.bit_generator.state,
            "torch_random": torch.get_rng_state().numpy(),
            "learning_rate_factor": self._learning_rate_factor,
            "kl_coefficient": float(self.curr_kl_coeffs_per_module[DEFAULT_MODULE_ID]),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        if "shuffle" in state:
            self._shuffle.bit_generator.state = state["shuffle"]
            torch.set_rng_state(torch.from_numpy(state["torch_random"].copy()))
            self._learning_rate_factor = state["learning_rate_factor"]
            self.curr_kl_coeffs_per_module[DEFAULT_MODULE_ID].data.fill_(state["kl_coefficient"])

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
