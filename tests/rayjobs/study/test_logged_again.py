"""A resumed run tells its tracker again what came before, for backends that lost it with the killed process."""

from __future__ import annotations

import json
from pathlib import Path

from evaluation.windows.splits import Fold
from rayjobs.study.fold_tasks import _log_again

FOLD = Fold(index=3, train=slice(0, 10), test=slice(10, 20))


class Recorded:
    def __init__(self):
        self.points = []

    def log_again(self, metrics, *, env_steps, prefix):
        self.points.append((prefix, env_steps, metrics))


def checkpoint(directory: Path, iterations: int) -> None:
    rows = [{"iteration": n, "env_steps": 100 * n, "approx_kl": n / 10} for n in range(1, iterations + 1)]
    folder = directory / f"iteration_{iterations:06d}"
    folder.mkdir(parents=True)
    facts = {"best_score": None, "validations_since_best": 0, "validations_since_cut": 0, "finished": False}
    (folder / "training.json").write_text(json.dumps({"rows": rows, **facts}))


def test_the_iterations_before_the_newest_checkpoint_are_told_with_their_env_steps(tmp_path):
    checkpoint(tmp_path, 1)
    checkpoint(tmp_path, 2)
    told = Recorded()
    _log_again(told, FOLD, tmp_path)
    assert told.points == [
        ("fold_3", 100, {"iteration": 1, "approx_kl": 0.1}),
        ("fold_3", 200, {"iteration": 2, "approx_kl": 0.2}),
    ]


def test_a_fold_that_begins_has_nothing_to_tell(tmp_path):
    told = Recorded()
    _log_again(told, FOLD, tmp_path / "fold_03")
    assert told.points == []
