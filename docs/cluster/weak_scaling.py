"""Weak scaling: the work of an env runner stays, their number grows; on one node, and on two.

Run: OMP_NUM_THREADS=1 .venv/bin/python docs/cluster/weak_scaling.py [ITERATIONS]
Prints one line per setting: env steps/s end to end and of sampling alone, medians over the iterations. The nodes share
this machine, so that the second node shows what crossing nodes costs, and not what another machine would add.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("RAY_TMPDIR", tempfile.mkdtemp(prefix="rf", dir="/tmp"))

import ray
from ray.cluster_utils import Cluster

from rayjobs.config.compose import compose
from rayjobs.study.config import build_train_config
from rayjobs.study.dry_run import fragment_bytes
from rayjobs.study.fold import training_spec
from rayjobs.study.fold_market import fold_market
from rayjobs.study.load import load_study
from rayjobs.training.iteration_row import iteration_row
from rayjobs.training.policy_training import build_algorithm

SETTINGS = ((1, (2,)), (2, (3,)), (2, (2, 1)))
"""Env runners, and CPUs of each node: one is the training's own."""


def measure(num_env_runners: int, node_cpus: tuple[int, ...], iterations: int) -> str:
    """Train for a few iterations on a cluster of such nodes."""
    first, *others = node_cpus
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": first, "include_dashboard": False})
    try:
        for cpus in others:
            cluster.add_node(num_cpus=cpus)
        ray.init(address=cluster.address, log_to_driver=False)
        overrides = ["+experiment=planted_signal", f"algo.num_env_runners={num_env_runners}"]
        config = build_train_config(compose("train", overrides))
        study, _, folds = load_study(config)
        market, contract = fold_market(study, folds[0])
        spec = training_spec(config, folds[0], ray.put(market), contract, Path(tempfile.mkdtemp()))
        algorithm = build_algorithm(spec)
        algorithm.train()  # starts, compiles
        timings = [iteration_row(algorithm, algorithm.train())[1] for _ in range(iterations)]
        algorithm.stop()
        sample = statistics.median(row["sample_seconds"] for row in timings)
        learn = statistics.median(row["learn_seconds"] for row in timings)
        steps = config.algo.batch_steps
        megabytes = fragment_bytes(study, contract) / 1e6
        return (
            f"{num_env_runners} env runners, nodes of {node_cpus} CPUs: {steps:,} env steps, "
            f"{sample:.3f} s of sampling, {learn:.3f} s of learning; {steps / (sample + learn):,.0f} steps/s, "
            f"sampling {steps / sample:,.0f} steps/s, {megabytes:.2f} MB per runner and iteration"
        )
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    for runners, nodes in SETTINGS:
        print(measure(runners, nodes, int(sys.argv[1]) if len(sys.argv) > 1 else 10), flush=True)
