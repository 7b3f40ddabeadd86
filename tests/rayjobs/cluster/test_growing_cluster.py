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


LEARNER = """
import sys, dataclasses, ray
from rayjobs.cluster.placement import Demand, Reservation, Room, Waiting
from rayjobs.cluster.session import ray_session
from rayjobs.cluster.settings import ClusterConfig

here = ClusterConfig.here(num_cpus=None, object_store_mb=None, num_gpus=None)
with ray_session(dataclasses.replace(here, address=sys.argv[1])):
    demand, room = Demand(num_env_runners=0, num_learners=1, learner_gpus=1), Room.of_cluster()
    at_once = room.require(demand, "a fold")
    place = Reservation(demand, room.strategy(demand))
    learner = ray.remote(num_cpus=1, num_gpus=1)(ray.get_gpu_ids)
    fold = ray.remote(lambda: ray.get(learner.remote())).options(**place.options).remote()
    Waiting(demand, "a fold", 300.0).until_over()
    print("room at once for", at_once, "then GPUs", ray.get(fold))
"""


def test_a_learner_gets_the_gpu_of_a_node_that_was_started_for_it(cluster):
    done = run(cluster, "-c", LEARNER, cluster.address)
    assert "room at once for 0 then GPUs [0]" in done.stdout, done.stderr[-5000:]


ALONE = """
import sys, time, ray
ray.init(sys.argv[1], logging_level="ERROR")
deadline = time.monotonic() + 120
while sum(node["Alive"] for node in ray.nodes()) > 1 and time.monotonic() < deadline:
    time.sleep(0.5)
print("nodes", sum(node["Alive"] for node in ray.nodes()))
"""


def test_a_training_waits_for_a_node_with_a_gpu(cluster, tmp_path):
    gone = run(cluster, "-c", ALONE, cluster.address)  # a test before this one had a node with a GPU
    assert "nodes 1" in gone.stdout, gone.stderr[-5000:]
    done = train(cluster, tmp_path, "algo.num_learners=1", "algo.learner_gpus=1")
    assert "a fold needs 2 CPUs (1 + 0 env runners + 1 learners) and 1 GPUs" in done.stderr
    # It came as far as its learner: the GPU is declared only, so torch for CPUs cannot use it.
    assert done.returncode == 0 or "NCCL" in done.stderr or "CUDA" in done.stderr, done.stderr[-5000:]


def test_a_training_that_no_node_type_could_hold_is_refused_at_once(cluster, tmp_path):
    done = train(cluster, tmp_path, "algo.num_learners=2", "algo.learner_gpus=1")
    assert done.returncode == 2, done.stderr[-5000:]
    assert (
        "a fold needs 3 CPUs (1 + 0 env runners + 2 learners) and 2 GPUs but the cluster has" in done.stderr
    )
