"""Jobs on a cluster that grows and shrinks: what waits is what nodes are started for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from growing_cluster import ROOT, GrowingCluster

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(1800)]

TRAIN = (
    "+experiment=planted_signal", "tracking=none", "data.num_bars=3000", "walk_forward=rolling",
    "walk_forward.train_bars=1500", "walk_forward.test_bars=500", "walk_forward.only_fold=0", "env.episode.bars=48",
    "algo.num_envs=16", "algo.fragment_bars=32", "algo.minibatch_steps=256", "trainer.total_env_steps=1024",
    "gate.enforce=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster():
    types = {"runner": ({"CPU": 1}, 3), "learner": ({"CPU": 2, "GPU": 1}, 1)}
    with GrowingCluster(head_cpus=1, node_types=types) as running:
        yield running


def run(cluster: GrowingCluster, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        env=cluster.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_a_sweep_grows_over_the_nodes_that_may_be_started_and_gives_them_back(cluster, tmp_path):
    script = ROOT / "tests" / "rayjobs" / "search" / "growing_sweep.py"
    done = run(cluster, str(script), cluster.address, str(tmp_path), "12", "8")
    assert done.returncode == 0, done.stderr[-5000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["at_start"], seen["after"]) == (1, 1)
    assert seen["side_by_side"] >= 4
    assert seen["complete"] == 12


def train(cluster: GrowingCluster, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = ("cluster=address", f"cluster.address={cluster.address}", f"run.directory={directory}")
    return run(cluster, "-m", "rayjobs.train", *TRAIN, *where, *arguments)


def test_a_training_waits_for_the_node_with_a_gpu_and_gets_it(cluster, tmp_path):
    done = train(cluster, tmp_path, "algo.num_learners=1", "algo.learner_gpus=1")
    assert (
        "a fold needs 2 CPUs (1 + 0 env runners + 1 learners) and 1 GPUs, which no living node" in done.stderr
    )
    assert done.returncode == 0, done.stderr[-5000:]


def test_a_training_that_no_node_type_could_hold_is_refused_at_once(cluster, tmp_path):
    done = train(cluster, tmp_path, "algo.num_learners=2", "algo.learner_gpus=1")
    assert done.returncode == 2, done.stderr[-5000:]
    assert (
        "a fold needs 3 CPUs (1 + 0 env runners + 2 learners) and 2 GPUs but the cluster has" in done.stderr
    )
