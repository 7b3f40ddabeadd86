"""Our trainer with its learner on a GPU and its samplers on the CPUs, as suite `gpu` measures it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from ray.rllib.utils.metrics import (
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_UPDATE_TIMER,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)
from torch.profiler import ProfilerActivity, profile

from policies.fragment import Moments
from rayjobs.bench.train_suite import rayfold_config
from rayjobs.bench.train_workload import TrainWorkload

MINIBATCHES = 4
"""Gradient steps of an epoch: with many envs a minibatch is large enough to fill a GPU."""
TOP_OPERATIONS = 6


def gpu_workload(units: int, envs: int, fragment_bars: int) -> TrainWorkload:
    """Sizes of one iteration with so many envs; sequences of 32, or of the fragment where that is shorter."""
    batch = envs * fragment_bars
    sequence = math.gcd(fragment_bars, TrainWorkload.sequence_bars)
    return TrainWorkload(
        num_envs=envs,
        batch_steps=batch,
        minibatch_steps=max(sequence, batch // MINIBATCHES),
        sequence_bars=sequence,
        units=units,
    )


class GpuTrainer:
    """PortfolioPPO with a local learner.

    Parameters
    ----------
    workload : of all env runners together.
    runners : remote env runners that share its envs; 0 samples in the learner's process.
    bfloat16 : encoder and heads in bfloat16, on a GPU.
    """

    def __init__(self, workload: TrainWorkload, runners: int, *, gpu: bool, bfloat16: bool) -> None:
        shares = max(1, runners)
        each = max(1, workload.num_envs // shares)
        part = replace(workload, num_envs=each, batch_steps=each * workload.fragment_bars)
        self.batch_steps = shares * part.batch_steps
        config = rayfold_config(part, runners)
        config.sequences(mixed_precision=bfloat16).learners(num_learners=0, num_gpus_per_learner=int(gpu))
        self.algorithm: Any = config.build_algo()
        self._gpu, self._fragments, self._timers = gpu, None, dict[str, float]()

    def iterate(self) -> None:
        """Sample, learn, send the weights back."""
        result = self.algorithm.train()
        self._synchronise()
        names = {
            "sampling": ENV_RUNNER_SAMPLING_TIMER,
            "learning": LEARNER_UPDATE_TIMER,
            "sending weights": SYNCH_WORKER_WEIGHTS_TIMER,
        }
        self._timers = {name: float(result[TIMERS].get(timer) or 0.0) for name, timer in names.items()}

    def shares(self) -> dict[str, Any]:
        """Where the last iteration's time went, and what took most of it."""
        total = sum(self._timers.values()) or 1.0
        found = {name: round(seconds / total, 3) for name, seconds in self._timers.items()}
        return {"shares": found, "bottleneck": max(found, key=lambda name: found[name], default="")}

    def sample_only(self) -> None:
        """One fragment of every env runner."""
        self.algorithm.sample_fragments()

    def learn_only(self) -> None:
        """One update on fragments that were sampled once."""
        if self._fragments is None:
            self._fragments = self.algorithm.sample_fragments()
        fragments = self._fragments
        moments = sum((f.advantage_moments() for f in fragments), start=Moments(0.0, 0.0, 0.0))
        self.algorithm.learner_group.update(
            **self.algorithm.shards(fragments),
            timesteps={"num_env_steps_sampled_lifetime": 0},
            num_epochs=self.algorithm.config.num_epochs,
            minibatch_size=self.algorithm.config.minibatch_size,
            advantage_mean=moments.mean,
            advantage_spread=moments.standard_deviation,
        )
        self._synchronise()

    def profile(self) -> dict[str, float]:
        """Operation -> its share of the device's time in an update, the largest first."""
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._gpu else [])]
        with profile(activities=activities) as seen:
            self.learn_only()
        own = "self_device_time_total" if self._gpu else "self_cpu_time_total"
        spent = {event.key: float(getattr(event, own)) for event in seen.key_averages()}
        total = sum(spent.values()) or 1.0
        largest = sorted(spent, key=lambda key: -spent[key])[:TOP_OPERATIONS]
        return {key: round(spent[key] / total, 3) for key in largest}

    def _synchronise(self) -> None:
        if self._gpu:
            torch.cuda.synchronize()

    def close(self) -> None:
        self.algorithm.stop()
