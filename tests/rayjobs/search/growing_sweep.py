"""A sweep of practice trials on a cluster that grows, in a process of its own; prints what it saw.

Run: python tests/rayjobs/search/growing_sweep.py ADDRESS DIRECTORY NUM_TRIALS SECONDS_PER_TRIAL
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path

from practice_setup import practice_program, practice_search, practice_space

from rayjobs.cluster.placement import live_nodes
from rayjobs.cluster.session import ray_session
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.search.proposal.studies import open_study
from rayjobs.search.sweep.engine import run_study


def main(address: str, directory: Path, num_trials: int, seconds: float) -> None:
    cluster = dataclasses.replace(
        ClusterConfig.here(num_cpus=None, object_store_mb=None, num_gpus=None), address=address
    )
    config = practice_search(num_trials=num_trials, sampler="random")
    seen = {"nodes": 0, "side_by_side": 0, "at_start": 0, "after": 0, "complete": 0}
    with ray_session(cluster):
        seen["at_start"] = len(live_nodes())

        def watch(run):
            seen["nodes"] = max(seen["nodes"], len(live_nodes()))
            seen["side_by_side"] = max(seen["side_by_side"], len(run.running))

        run = run_study(
            open_study(config, directory, seed=0),
            practice_space(),
            config,
            shares=[(0, 0)],
            directory=directory,
            watch=watch,
            **practice_program(seconds, num_cpus=1),
        )
        seen["complete"] = sum(record.state == "complete" for record in run.ended)
        deadline = time.monotonic() + 180
        while len(live_nodes()) > 1 and time.monotonic() < deadline:
            time.sleep(1)
        seen["after"] = len(live_nodes())
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
