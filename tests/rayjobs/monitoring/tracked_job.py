"""A job that is tracked by W&B, in a process of its own: `wandb` keeps one service for all runs of a process.

Run: python tests/rayjobs/monitoring/tracked_job.py RUN_DIRECTORY FIRST LAST [finish | kill | trial | pause]
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from rayjobs.monitoring.tracking import RunLabel, TrackingConfig, tracker

VALUES = {"algo": {"gamma": 0.9, "learning_rate": {"initial": 1e-3}}, "seed": 3}


def main(directory: Path, first: int, last: int, how: str) -> None:
    """Log iterations from the first to the last, and end as asked.

    how : kill without a word; trial, one of several runs of its process; pause half-way until a file ``go`` is there.
    """
    config = TrackingConfig(backend="wandb", project="rayfold", mode="auto", group=None, tags=("desk",))
    label = RunLabel.of_run(directory)
    if how == "trial":
        label = RunLabel(run_id=f"{directory.name}-t00007", name="t007", job_type="trial", side_by_side=True)
    with tracker(config, run_directory=directory, experiment="noise", values=VALUES, label=label) as log:
        for iteration in range(first, last + 1):
            log.log({"kl": iteration / 10}, env_steps=100 * iteration, prefix="fold_0")
            if how == "pause" and iteration == (first + last) // 2:
                (directory / "paused").touch()
                while not (directory / "go").exists():
                    time.sleep(0.05)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        log.summary({"sharpe": 1.5})


if __name__ == "__main__":
    main(
        Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else "finish"
    )
