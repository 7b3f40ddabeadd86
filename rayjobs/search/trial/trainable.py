"""A trial as Tune runs it: a step trains all folds and seeds to the next rung and scores them there.

The process stays for the trials after it (``reuse_actors``): starting one costs more than a short trial. What a trial
needs to go on lies on the shelf (`rayjobs.search.trial.shelf`), so Tune's own checkpoints hold only where it stands.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import ray
from ray import tune
from ray.util.placement_group import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from data.errors import one_line
from rayjobs.monitoring.log_context import log_as
from rayjobs.search.plan.objective import FoldScore, objective_values
from rayjobs.search.trial.shelf import TrialShelf
from rayjobs.search.trial.task import HopelessTrial, MakeProgram, TrialTask

TASK = "task"
"""Key of the trial's `TrialTask` in Tune's configuration."""
RUNG, SCORE, VALUES, SCORES, ENV_STEPS, HOPELESS = (
    "rung", "score", "values", "scores", "env_steps", "hopeless",
)  # fmt: skip
"""Keys of a result. ``scores`` leaves it before Tune stores it; ``hopeless`` is why the trial can never succeed."""


class TrialTrainable(tune.Trainable):
    """One process of Tune that runs trials one after another."""

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """One bundle per process of every part, all at once; the trial waits until there is room for all."""
        task: TrialTask = config[TASK]
        bundles = [dict(bundle) for bundle in task.bundles] * task.parts
        return tune.PlacementGroupFactory(bundles, strategy=task.strategy)

    def setup(
        self, config: dict[str, Any], make_program: MakeProgram, shared: Any, shelf: TrialShelf
    ) -> None:
        """See `tune.Trainable.setup`; the further arguments come through `tune.with_parameters`."""
        logging.getLogger().setLevel(logging.ERROR)  # the driver reports; this process only when it fails
        self._make_program, self._shared, self._shelf = make_program, shared, shelf
        self._program = make_program(shared, shelf)
        self._others: list[Any] = []
        self._begin(config[TASK])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial."""
        self._program.drop()
        self._begin(new_config[TASK])
        return True

    def _begin(self, task: TrialTask) -> None:
        self._task, self._place = task, 0
        log_as(trial=task.trial)
        while len(self._others) < task.parts - 1:
            self._others.append(self._start_part(task, len(self._others) + 1))

    def _start_part(self, task: TrialTask, part: int) -> Any:
        """A further process for folds and seeds, in this trial's placement group."""
        place = PlacementGroupSchedulingStrategy(
            placement_group=get_current_placement_group(),
            placement_group_bundle_index=part * len(task.bundles),
            placement_group_capture_child_tasks=True,
        )
        options = {"num_cpus": task.bundles[0]["CPU"], "scheduling_strategy": place}
        actor = ray.remote(max_restarts=0, max_task_retries=0)(TrialPart)
        return actor.options(**options).remote(self._make_program, ray.put(self._shared), self._shelf)

    def step(self) -> dict[str, Any]:
        """Train to the next rung and score there, or hand on what an earlier attempt scored there."""
        rung, fraction = self._task.rungs[self._place]
        scores = self._shelf.scores(self._task.trial, rung)
        if scores is None:
            try:
                scores = self._advance(fraction)
            except HopelessTrial as error:
                cause = getattr(error, "cause", None) or error
                return {RUNG: rung, HOPELESS: one_line(cause)[:400], "done": True}
            values = objective_values(self._task.objective, scores)
            self._shelf.put_scores(self._task.trial, rung, scores)
        else:
            values = objective_values(self._task.objective, scores)
        self._place += 1
        return {
            RUNG: rung,
            SCORE: values[0],
            VALUES: values,
            ENV_STEPS: sum(one.env_steps for one in scores),
            SCORES: scores,
            "done": self._place == len(self._task.rungs),
        }

    def _advance(self, fraction: float) -> list[FoldScore]:
        mine, *others = self._task.dealt()
        calls = [part.advance.remote(task, fraction) for part, task in zip(self._others, others)]
        scores = list(self._program.advance(mine, fraction))
        try:
            for found in ray.get(calls):
                scores.extend(found)
        except ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from error
        return sorted(scores, key=lambda one: (one.fold, one.seed))

    def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
        """Where the trial stands; its trainings lie on the shelf."""
        return {"place": self._place}

    def load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from there."""
        self._place = checkpoint["place"]

    def cleanup(self) -> None:
        """End what the trial started."""
        self._program.drop()
        for part in self._others:
            with contextlib.suppress(Exception):  # it may be gone
                ray.kill(part)


class TrialPart:
    """Trains and scores some of a trial's folds and seeds, as an actor of Ray."""

    def __init__(self, make_program: MakeProgram, shared: Any, shelf: TrialShelf) -> None:
        logging.getLogger().setLevel(logging.ERROR)
        self._program = make_program(shared, shelf)

    def advance(self, task: TrialTask, fraction: float) -> list[FoldScore]:
        """See `TrialProgram.advance`."""
        log_as(trial=task.trial)
        return list(self._program.advance(task, fraction))
