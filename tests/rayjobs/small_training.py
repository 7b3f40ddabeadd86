"""A training of one policy that takes a second, every knob that has a state switched on; and ways for it to die."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import ray

from rayjobs.config.compose import compose
from rayjobs.study.config import TrainConfig, build_train_config
from rayjobs.study.fold import training_spec
from rayjobs.study.fold_market import fold_market
from rayjobs.study.load import load_study
from rayjobs.training import checkpoints
from rayjobs.training.policy_training import TrainingOutcome, TrainingSpec, train_policy

OVERRIDES = (
    "+experiment=planted_signal",
    "trainer.total_env_steps=6144",  # 12 iterations
    "trainer.checkpoint_every=2",
    "trainer.validation_every=2",
    "env.episode.bars=48",
    "algo.num_envs=16",
    "algo.fragment_bars=32",
    "algo.minibatch_steps=256",
    "algo.scale_rewards=true",
    "algo.clip_range={kind: linear, initial: 0.2, final: 0.1}",
    "algo.kl_penalty.target=0.01",
    "algo.learning_rate_control={kl_target: 0.005, plateau_validations: 1}",
    "algo.cost_curriculum={free_fraction: 0.1, ramp_fraction: 0.2}",
)


def small_config(*overrides: str) -> TrainConfig:
    return build_train_config(compose("train", [*OVERRIDES, *overrides]))


def small_spec(config: TrainConfig, directory: Path) -> TrainingSpec:
    """The first fold's training; needs a Ray runtime for the market."""
    study, _, folds = load_study(config)
    market, contract = fold_market(study, folds[0])
    return training_spec(config, folds[0], ray.put(market), contract, directory, label="fold 0")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_iteration(iteration: int, seconds: float):
    """Die a while after an iteration was reported."""

    def arm(row):
        if row["iteration"] == iteration:
            threading.Timer(seconds, die).start()

    return arm


def at_random(seed: int):
    """Die up to five iterations after the first report, anywhere within the iteration; the seed says where."""
    random = np.random.default_rng(seed)
    left = [int(random.integers(0, 5))]

    def arm(row):
        left[0] -= 1
        if left[0] == -1:
            iteration_seconds = row["sample_seconds"] + row["learn_seconds"]
            threading.Timer(float(random.random()) * iteration_seconds, die).start()

    return arm


def while_writing(row):
    """Die when RLlib's files are written, but the checkpoint is not in place yet."""
    if row["iteration"] == 7:
        checkpoints.shutil.copytree = lambda *_, **__: die()


def before_the_old_one_is_dropped(row):
    if row["iteration"] == 9:
        checkpoints.CheckpointFolder._point_at = lambda *_: die()


def never(row):
    pass


@ray.remote(max_retries=0)
def attempt(spec: TrainingSpec, at_report) -> TrainingOutcome:
    """Train in a process of its own, which may die."""
    return train_policy(spec, at_report)
