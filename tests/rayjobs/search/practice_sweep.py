"""A sweep of practice trials in a process of its own, so that a test can kill it.

Run: python tests/rayjobs/search/practice_sweep.py DIRECTORY NUM_TRIALS SECONDS_PER_TRIAL
"""

from __future__ import annotations

import sys
from pathlib import Path

from practice_setup import PRACTICE, practice_program, practice_search, practice_space

from evaluation.ledger.ledger import Ledger
from rayjobs.cluster.session import ray_session
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.monitoring.tracking import TrackingConfig
from rayjobs.search.proposal.studies import open_study
from rayjobs.search.sweep.engine import run_study
from rayjobs.search.sweep.ledger import LedgerEntries
from rayjobs.search.sweep.tracked_trials import TrialTracking

TRACKING = TrackingConfig(backend="wandb", project="practice", mode="offline", group=None, tags=())


def main(directory: Path, num_trials: int, seconds: float) -> None:
    config = practice_search(num_trials=num_trials, scheduler="asha", max_concurrent=2)
    study = open_study(config, directory, seed=0)
    ledger = Ledger(directory / "ledger.sqlite")
    entries = LedgerEntries(ledger, PRACTICE, bar_utc=None, bar_seconds=60)
    with ray_session(ClusterConfig.here(num_cpus=2, object_store_mb=100)):
        tracking = TrialTracking(TRACKING, study, directory, config.scheduler.fractions)
        run_study(
            study,
            practice_space(),
            config,
            shares=[(0, 0), (1, 0)],
            directory=directory,
            observers=[entries],
            watch=tracking.update,
            **practice_program(seconds),
        )
        tracking.finish()
    (directory / "finished").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
