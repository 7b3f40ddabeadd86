"""A sweep of practice trials in a process of its own, so that a test can kill it.

Run: python tests/rayjobs/search/practice_sweep.py DIRECTORY NUM_TRIALS SECONDS_PER_TRIAL
"""

from __future__ import annotations

import sys
from pathlib import Path

import ray
from practice_setup import PRACTICE, practice_search, practice_space

from evaluation.ledger.ledger import Ledger
from rayjobs.cluster.session import ClusterConfig, ray_session
from rayjobs.monitoring.tracking import TrackingConfig
from rayjobs.search.proposal.studies import open_study
from rayjobs.search.sweep.ledger import LedgerEntries
from rayjobs.search.sweep.loop import SweepLoop
from rayjobs.search.sweep.tracking import TrialTracking
from rayjobs.search.trial.practice_trials import PracticeStudy, PracticeTrials
from rayjobs.search.trial.worker import WorkerPool

TRACKING = TrackingConfig(backend="wandb", project="practice", mode="offline", group=None, tags=())


def main(directory: Path, num_trials: int, seconds: float) -> None:
    config = practice_search(num_trials=num_trials, scheduler="asha")
    study = open_study(config, directory, seed=0)
    ledger = Ledger(directory / "ledger.sqlite")
    entries = LedgerEntries(ledger, PRACTICE, bar_utc=None, bar_seconds=60)
    with ray_session(ClusterConfig.here(num_cpus=2, object_store_mb=100)):
        shared = ray.put(PracticeStudy(seconds=seconds))
        tracking = TrialTracking(TRACKING, study, directory, config.scheduler.fractions)
        with WorkerPool(PracticeTrials, shared, 2, num_cpus=0.5) as pool:
            loop = SweepLoop(
                study,
                practice_space(),
                config,
                shares=[(0, 0), (1, 0)],
                pool=pool,
                directory=directory,
                observers=[entries],
                watch=tracking.update,
            )
            loop.run()
        tracking.update(loop)
        tracking.finish()
    (directory / "finished").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
