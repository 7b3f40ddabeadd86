"""Suite `sweep`: what a trial costs beyond its own training, and trials an hour beside a plain Optuna loop over SB3.

    python -m rayjobs.bench suite=sweep

Wall time of two cores: ours with two workers of one thread each, the loop with one torch thread and with two, the
faster of which counts. What a worker spends on its first trial (imports, compilation) is left out. With one asset both
train networks of the same size; with several ours runs its LSTM once per asset, the peer's once for all of them.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna

from rayjobs.bench.sweep_peers import SB3Work, sb3_trial
from rayjobs.cluster.placement import Demand, Room
from rayjobs.cluster.session import ray_session
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import build_dataclass
from rayjobs.search.plan.settings import SearchConfig
from rayjobs.search.proposal.studies import open_study
from rayjobs.search.space.parameter import Parameter
from rayjobs.search.space.search_space import Space
from rayjobs.search.sweep.config import SweepConfig, build_sweep_config
from rayjobs.search.sweep.data import SweepData, load_sweep
from rayjobs.search.sweep.engine import TrialPlaces, run_study
from rayjobs.search.sweep.study_run import StudyRun
from rayjobs.search.trial.policy_trials import PolicyTrials, share_study
from rayjobs.search.trial.practice_trials import PracticeStudy, PracticeTrials
from rayjobs.search.trial.task import MakeProgram

Row = dict[str, Any]
WORK = (
    "+experiment=planted_signal", "search=random", "search.scheduler.kind=none", "policy.core_units=64",
    "policy.encoder_units=64", "trainer.validation_fraction=0", "walk_forward.test_bars=4000", "data.num_bars=46000",
)  # fmt: skip
"""One fold of 40,000 training bars, scored on 2,000; no validation inside training, the peer has none either."""


def row(name: str, value: float, unit: str, ratio_to: Row | None = None, **settings: Any) -> Row:
    """One result; with `ratio_to`, also how many times that row's value it is."""
    ratio = None if ratio_to is None else {"name": ratio_to["name"], "ratio": value / ratio_to["value"]}
    return {"name": name, "value": value, "unit": unit, "ratio_to": ratio, "settings": settings}


def run(settings: Mapping[str, Any]) -> list[Row]:
    """All rows; ``settings`` is the group ``sweep`` of ``conf/bench.yaml``."""
    rows: list[Row] = []
    with ray_session(ClusterConfig.here(num_cpus=2, num_gpus=0, object_store_mb=200)):
        rows += bookkeeping_rows(settings["trivial_trials"])
        rows += crowd_rows(settings["trivial_trials"], settings["side_by_side"])
        works = []
        for assets in settings["assets"]:
            sizes = [f"data.num_assets={assets}", f"trainer.total_env_steps={settings['env_steps']}"]
            config = build_sweep_config(compose("sweep", [*WORK, *sizes]))
            data = load_sweep(config)
            works.append((config, data, policy_rows(config, data, settings["policy_trials"], assets)))
    for config, data, ours in works:
        rows += ours
        if settings["peers"]:
            rows += peer_rows(config, data, ours[0])
    return rows


def bookkeeping_rows(num_trials: int) -> list[Row]:
    """Trials that do nothing: what asking, sending, storing and telling costs."""
    seconds, grown = _practice(num_trials, workers=2, pause_s=0.0)
    facts = {"trials": num_trials, "workers": 2}
    return [
        row("bookkeeping per trial", 1000 * seconds / num_trials, "ms", **facts),
        row("driver's memory over the last 80 % of them", grown, "MB grown", **facts),
    ]


def crowd_rows(num_trials: int, workers: int) -> list[Row]:
    """Many trials side by side that wait for what the driver takes to serve them: whether its memory grows."""
    pause_s = 0.2 * workers
    seconds, grown = _practice(num_trials, workers, pause_s)
    facts = {"trials": num_trials, "workers": workers, "pause_s": pause_s}
    return [
        row(f"trials an hour, {workers} side by side", 3600 * num_trials / seconds, "trials/hour", **facts),
        row(
            f"driver's memory over the last 80 % of them, {workers} side by side", grown, "MB grown", **facts
        ),
    ]


def _practice(num_trials: int, workers: int, pause_s: float) -> tuple[float, float]:
    """Seconds after the first trial, and MB by which the driver grew over the last 80 % of the trials.

    Parameters
    ----------
    workers : trials side by side, each with an equal share of the two CPUs. pause_s : that each trial waits.
    """
    space = Space({"x": Parameter(key="x", kind="uniform", low=0.0, high=1.0)})
    search = _search(compose("sweep")["search"], num_trials, "random")
    memory: list[float] = []

    def watch(run: StudyRun) -> None:
        if len(memory) < 2 and len(run.ended) >= (num_trials // 5, num_trials)[len(memory)]:
            memory.append(_memory_mb())

    with tempfile.TemporaryDirectory() as meeting:
        practice = PracticeStudy(num_bars=2000, seconds=pause_s, meeting=Path(meeting), processes=workers)
        seconds, _ = _timed(search, space, PracticeTrials, practice, [(0, 0)], workers, watch)
    return seconds, memory[-1] - memory[0]


def policy_rows(config: SweepConfig, data: SweepData, num_trials: int, assets: int) -> list[Row]:
    """Real trials on two workers: trials an hour, and what each costs beyond its training."""
    workers = 2
    search = replace(config.search, num_trials=num_trials + workers)
    shared = share_study(config.values, data.sealed, data.windows.folds, config.search.scoring)
    _, spent = _timed(search, config.space, PolicyTrials, shared, [(0, 0)], workers)
    counted = spent[workers:]
    lasted, training, scoring = (
        sum(one[name] for one in counted) for name in ("seconds", "train_seconds", "scoring_seconds")
    )
    facts = {
        "trials": len(counted),
        "workers": workers,
        "env_steps": config.train.trainer.total_env_steps,
        "assets": assets,
    }
    work = _work_of(assets)
    return [
        row(f"{work}, rayfold, 2 workers", 3600 * workers * len(counted) / lasted, "trials/hour", **facts),
        row(
            f"{work}, overhead per trial beyond its training",
            (lasted - training) / len(counted),
            "s",
            **facts,
        ),
        row(f"{work}, of it building and scoring", scoring / len(counted), "s", **facts),
    ]


def _work_of(assets: int) -> str:
    return f"{assets} asset{'s' if assets > 1 else ''}"


def peer_rows(config: SweepConfig, data: SweepData, ours: Row) -> list[Row]:
    """A plain Optuna loop over sb3-contrib's RecurrentPPO in this process: same bars, costs, env steps and sizes."""
    work = SB3Work.of(config.train, data.sealed, data.windows.folds[0])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), direction="maximize")
    assets = ours["settings"]["assets"]
    rows = []
    for threads in (1, 2):
        lasted = []
        for _ in range(2):
            started = time.perf_counter()
            trial = study.ask()
            rate = trial.suggest_float("learning_rate", 2e-4, 4e-3, log=True)
            study.tell(trial, sb3_trial(work, rate, threads))
            lasted.append(time.perf_counter() - started)
        name = f"{_work_of(assets)}, Optuna + sb3-contrib RecurrentPPO, {threads} torch threads"
        rows.append(row(name, 3600 / min(lasted), "trials/hour", threads=threads))
    fastest = max(rows, key=lambda one: one["value"])
    return [*rows, row(f"{ours['name']}, beside it", ours["value"], "trials/hour", fastest)]


def _timed(
    search: SearchConfig,
    space: Space,
    program: MakeProgram,
    shared: Any,
    shares: list[tuple[int, int]],
    workers: int,
    watch: Any = lambda run: None,
) -> tuple[float, list[dict[str, float]]]:
    """Run a study in a scratch folder: seconds after the first trial, and what each trial spent, in order of number."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "study"
        directory.mkdir()
        study = open_study(search, directory, seed=0)
        began: list[float] = []

        def note(run: StudyRun) -> None:
            if run.ended and not began:
                began.append(time.perf_counter())
            watch(run)

        room = Room.of_cluster()
        run_study(
            study,
            space,
            replace(search, max_concurrent=workers),
            program=program,
            shared=shared,
            shares=shares,
            places=TrialPlaces(Demand.one_process(), room, wait_s=60.0, num_cpus=2 / workers),
            directory=directory,
            watch=note,
        )
        seconds = time.perf_counter() - began[0]
        spent = [
            {
                "seconds": trial.user_attrs["seconds"],
                "train_seconds": sum(one["train_seconds"] for one in trial.user_attrs["folds"]),
                "scoring_seconds": sum(one["scoring_seconds"] for one in trial.user_attrs["folds"]),
            }
            for trial in study.get_trials(deepcopy=False)
            if "folds" in trial.user_attrs
        ]
    return seconds, spent


def _search(values: Mapping[str, Any], num_trials: int, sampler: str) -> SearchConfig:
    config = build_dataclass(SearchConfig, values, "search")
    return replace(
        config,
        num_trials=num_trials,
        sampler=replace(config.sampler, kind=sampler),
        scheduler=replace(config.scheduler, kind="none"),
    )


def _memory_mb() -> float:
    """Resident memory of this process now; its peak where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
