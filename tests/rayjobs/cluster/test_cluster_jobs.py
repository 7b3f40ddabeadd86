"""Jobs on a real cluster of several nodes: the numbers of a laptop, whatever is lost on the way, and nothing without
the token."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from evaluation.ledger.ledger import Ledger
from rayjobs.search.proposal.studies import RETRY_OF, read_study

requests = pytest.importorskip("requests")
sys.path.insert(0, str(Path(__file__).parents[1]))
from one_machine_cluster import ROOT, OneMachineCluster  # noqa: E402

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(2400)]

SMALL = (
    "+experiment=planted_signal",
    "tracking=none",
    "data.num_bars=3000",
    "walk_forward=rolling",
    "walk_forward.train_bars=1500",
    "walk_forward.test_bars=500",
    "env.episode.bars=48",
    "algo.num_envs=16",
    "algo.fragment_bars=32",
    "algo.minibatch_steps=256",
    "trainer.checkpoint_every=1",
    "gate.enforce=false",
)
TRAIN = (*SMALL, "trainer.total_env_steps=16384")  # 32 iterations of 512 env steps
SWEEP = (
    *SMALL,
    "trainer.total_env_steps=1024",
    "search=random",
    "search.num_trials=6",
    "search.retries=3",
    "search.open_holdout=true",  # trainings this short may lose
    "search.scheduler.kind=none",  # what ASHA prunes depends on which trial came first
)


@pytest.fixture(scope="module")
def cluster():
    with OneMachineCluster(num_workers=3) as running:
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """What all nodes share; here a folder of the one machine."""
    return tmp_path_factory.mktemp("store")


def submit(cluster: OneMachineCluster, *arguments: str, **options) -> subprocess.Popen:
    """`rayjobs.submit` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "rayjobs.submit", *arguments, f"cluster.dashboard={cluster.dashboard}"],
        env=cluster.environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )


def finish(process: subprocess.Popen, seconds: float = 900.0) -> str:
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, output[-5000:]
    return output


def laptop(job: str, directory: Path, *arguments: str) -> Path:
    """The same job without a cluster; its run directory."""
    command = [sys.executable, "-m", f"rayjobs.{job}", *arguments, f"run.directory={directory}"]
    done = subprocess.run(
        [*command, "cluster.num_cpus=3"], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return only_run(directory, job)


def only_run(directory: Path, job: str) -> Path:
    (run,) = directory.glob("*/sweeps/2*Z-*" if job == "sweep" else "*/2*Z-*")
    return run


def wait_for(found, seconds: float = 900.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.5)
    raise TimeoutError("what was waited for did not happen")


def newest_iteration(directory: Path) -> int:
    """Of the first fold's newest checkpoint; 0 before there is one."""
    found = directory.glob("*/*/checkpoints/fold_00/iteration_*")
    return max((int(path.name.removeprefix("iteration_")) for path in found if path.suffix == ""), default=0)


def summary(run: Path, place: str) -> dict:
    return json.loads((run / place / "backtest" / "summary.json").read_text())


def test_without_the_token_every_request_is_refused(cluster):
    paths = {
        "GET": [
            "/api/version",
            "/api/jobs/",
            "/api/jobs/x",
            "/api/jobs/x/logs",
            "/api/v0/nodes",
            "/api/v0/actors",
        ],
        "POST": ["/api/jobs/", "/api/jobs/x/stop"],
        "PUT": ["/api/packages/gcs/_ray_pkg_x.zip"],
        "DELETE": ["/api/jobs/x"],
    }
    for method, several in paths.items():
        for path in several:
            for headers, status in (({}, 401), ({"Authorization": "Bearer another"}, 403)):
                answer = requests.request(method, cluster.dashboard + path, headers=headers, timeout=60)
                assert answer.status_code == status, (method, path)
    join = f"import ray; ray.init(address={cluster.address!r}, log_to_driver=False); print('joined')"
    stranger = subprocess.run(
        [sys.executable, "-c", join], env=cluster.stranger, capture_output=True, text=True, timeout=120
    )
    assert stranger.returncode != 0
    assert "joined" not in stranger.stdout


def test_the_quickstart_has_the_laptops_numbers(cluster, store, tmp_path):
    quickstart = ("+experiment=crypto_portfolio", "tracking=none")
    expected = laptop("train", tmp_path, *quickstart)
    finish(submit(cluster, "job=train", *quickstart, f"run.directory={store / 'quickstart'}"))
    assert summary(only_run(store / "quickstart", "train"), ".") == summary(expected, ".")


def test_a_training_that_loses_its_client_a_fold_and_a_node_has_the_laptops_numbers(cluster, store, tmp_path):
    expected = laptop("train", tmp_path, *TRAIN)
    client = submit(cluster, "job=train", *TRAIN, f"cluster.storage={store}")
    job = wait_for(lambda: re.search(r"job (train-\S+):", client.stdout.readline()))[1]
    run = wait_for(lambda: next(iter((store / "runs" / "planted_signal").glob("2*Z-*")), None))
    client.kill()  # the laptop is closed; the job needs nobody
    client.wait()
    wait_for(lambda: list(run.glob("checkpoints/fold_*/iteration_*")))
    cluster.kill("ray::fold_task")
    cluster.kill("ray::ProgressBoard")
    cluster.remove_worker()
    cluster.add_worker()
    output = finish(submit(cluster, "logs", job))
    assert "report.html" in output
    assert summary(run, ".") == summary(expected, ".")
    rows, wanted = (pd.read_csv(folder / "progress.csv") for folder in (run, expected))
    assert rows.groupby("fold")["env_steps"].max().tolist() == [16_384] * wanted["fold"].nunique()
    assert len(rows) == len(wanted)
    shown = finish(submit(cluster, "status", job))
    assert re.search(r"status +SUCCEEDED", shown)
    assert re.search(r"env steps +[1-9]", shown)
    again = finish(submit(cluster, "job=evaluate", f"run={run}"))
    assert "are reproduced exactly" in again
    assert list(run.parent.glob("evaluations/2*Z-*/report.html"))


def test_a_job_on_this_machine_runs_by_this_python_with_no_environment_activated(tmp_path):
    run = laptop("train", tmp_path, *TRAIN, "walk_forward.only_fold=0")
    command = [sys.executable, "-m", "rayjobs.submit", "job=evaluate", "cluster=local", f"run={run}"]
    bare = os.environ | {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=ROOT, env=bare, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-5000:]
    assert "are reproduced exactly" in done.stdout


def test_a_training_that_loses_an_env_runner_and_a_learner_trains_every_step(cluster, store):
    placed = ("algo.num_env_runners=1", "algo.num_learners=1", "walk_forward.only_fold=0")
    sizes = (
        "walk_forward.train_bars=1500",
        "walk_forward.test_bars=500",
        f"run.directory={store / 'spread'}",
    )
    client = submit(cluster, "job=train", *TRAIN, *placed, *sizes)
    wait_for(lambda: newest_iteration(store / "spread") >= 1)
    cluster.kill("ray::FragmentEnvRunner")
    wait_for(lambda: newest_iteration(store / "spread") >= 3)
    cluster.kill("ray::_WrappedExecutable")  # RLlib's remote learner
    finish(client)
    run = only_run(store / "spread", "train")
    rows = pd.read_csv(run / "progress.csv")
    assert rows["iteration"].tolist() == list(range(1, 33))
    assert rows["env_steps"].tolist() == [512 * n for n in range(1, 33)]


def test_trials_go_on_from_their_checkpoints_when_a_node_is_taken_away(cluster, store, tmp_path):
    # 768 iterations of 512 env steps a fold: so long that all three trials are seen at work at once.
    env_steps = 768 * 512
    longer = (*SWEEP, "search.num_trials=3", f"trainer.total_env_steps={env_steps}")
    expected = laptop("sweep", tmp_path, *longer)
    directory = store / "taken"
    client = submit(cluster, "job=sweep", *longer, f"run.directory={directory}")
    checkpoints = "planted_signal/sweeps/*/checkpoints/*/fold_00_seed_0/iteration_*"

    def newest() -> dict[int, int]:
        found = [path for path in directory.glob(checkpoints) if path.is_dir()]
        return {int(path.parents[1].name): int(path.name.removeprefix("iteration_")) for path in found}

    wait_for(lambda: len(newest()) == 3 and min(newest().values()) >= 4)  # one trial on each of three nodes
    left = newest()
    cluster.remove_worker()
    cluster.add_worker()
    finish(client)
    run = only_run(directory, "sweep")
    study = read_study(run, None)
    repeats = [trial for trial in study.get_trials() if RETRY_OF in trial.user_attrs]
    assert repeats
    for trial in repeats:
        first = trial.user_attrs["folds"][0]
        # What was trained after its newest checkpoint is trained again, and no more.
        assert first["from_env_steps"] >= 512 * left[trial.user_attrs[RETRY_OF]]
        assert first["env_steps"] == env_steps
    trials, wanted = (pd.read_csv(folder / "trials.csv") for folder in (run, expected))
    done = trials[trials["state"] == "complete"]
    assert sorted(done["score"]) == sorted(wanted["score"])


def test_a_sweep_that_loses_a_worker_and_a_node_has_the_laptops_trials_and_a_correct_ledger(
    cluster, store, tmp_path
):
    expected = laptop("sweep", tmp_path, *SWEEP)
    directory = store / "sweeping"
    client = submit(cluster, "job=sweep", *SWEEP, f"run.directory={directory}")
    cluster.kill("ray::TrialTrainable.train")
    wait_for(lambda: list(directory.glob("planted_signal/sweeps/*/trials/*")))
    cluster.remove_worker()
    cluster.add_worker()
    finish(client)
    run = only_run(directory, "sweep")
    trials, wanted = (pd.read_csv(folder / "trials.csv") for folder in (run, expected))
    done = trials[trials["state"] == "complete"]
    assert len(done) == 6
    assert summary(run, "winner") == summary(expected, "winner")
    kinds = [look.kind for look in Ledger(directory / "ledger.sqlite").state().looks]
    assert kinds.count("sweep trial") == 6  # a lost attempt and its repeat are one trial
    assert sorted(done["score"]) == sorted(wanted["score"])
    assert len(trials) >= len(wanted) + 1  # the lost trial stays on record, and was run again
