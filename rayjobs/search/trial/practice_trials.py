"""Trials that cost nothing and can be told to fail: they measure and test the sweep itself, not a policy."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rayjobs.search.plan.objective import FoldScore, measure
from rayjobs.search.trial.shelf import TrialShelf
from rayjobs.search.trial.task import HopelessTrial, TrialTask

FAULTS = ("none", "raise", "diverge", "nan", "kill")


@dataclass(frozen=True, kw_only=True)
class PracticeStudy:
    """What practice trials need.

    Parameters
    ----------
    num_bars : length of each test window, bars.
    seconds : time that a whole training pretends to take.
    env_steps : that it pretends to train on.
    meeting, processes : a folder that all processes see: no trial ends before so many have begun one, and they end out
        of step. Tune gives a trial whose process is still starting the process of one that ended and kills what was
        starting; of trials that end at once it keeps one process. So trials shorter than the start of a process would
        never stand side by side.
    """

    num_bars: int = 256
    seconds: float = 0.0
    env_steps: int = 1_000
    meeting: Path | None = None
    processes: int = 1


class PracticeTrials:
    """A `TrialProgram` whose Sharpe ratio falls with the distance of the override ``x`` from 0.3.

    The override ``fault`` names one of `FAULTS`: raise an exception, diverge as a training
    does, return NaN, or kill the worker's process.
    """

    def __init__(self, shared: PracticeStudy, shelf: TrialShelf) -> None:
        self._shared = shared
        self._done = 0.0
        self._met = shared.meeting is None

    def advance(self, task: TrialTask, fraction: float) -> Sequence[FoldScore]:
        fault = task.overrides.get("fault", "none")
        time.sleep(self._shared.seconds * max(0.0, fraction - self._done))
        self._done = fraction if fraction < 1.0 else 0.0
        if fault == "raise":
            raise RuntimeError("practice: this trial raises")
        if fault == "diverge":
            raise HopelessTrial("TrainingDiverged: practice: this trial diverges")
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        scores = [self._score(task, fold, seed, fraction, fault) for fold, seed in task.shares]
        self._meet()
        return scores

    def drop(self) -> None:
        self._done = 0.0

    def _meet(self) -> None:
        if self._met or self._shared.meeting is None:
            return
        (self._shared.meeting / str(os.getpid())).touch()
        while len(os.listdir(self._shared.meeting)) < self._shared.processes:
            time.sleep(0.1)
        time.sleep(self._shared.seconds * np.random.default_rng(os.getpid()).random())
        self._met = True

    def _score(self, task: TrialTask, fold: int, seed: int, fraction: float, fault: str) -> FoldScore:
        skill = 0.1 - abs(float(task.overrides.get("x", 0.3)) - 0.3)
        noise = np.random.default_rng([fold, seed]).standard_normal(self._shared.num_bars)
        net_return = 0.01 * (skill * fraction + noise)
        if fault == "nan":
            net_return[0] = np.nan
        return FoldScore(
            fold=fold,
            seed=seed,
            env_steps=round(self._shared.env_steps * fraction),
            net_return=net_return,
            metrics=measure(np.nan_to_num(net_return), 1.0, 252.0),
            seconds=(self._shared.seconds * fraction, 0.0),
        )
