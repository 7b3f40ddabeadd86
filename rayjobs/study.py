"""A walk-forward study from end to end: load the bars, run the folds side by side, judge and write the results."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import ray
import yaml

from data.features import compute_features
from data.hygiene import HygieneReport
from data.sources import load
from evaluation.artefacts import write_artefacts, write_csv
from evaluation.gate import GateEvidence, Verdict, judge
from evaluation.report import write_report
from evaluation.splits import Fold
from evaluation.summary import summarise
from evaluation.walk_forward import WalkForwardResult, ordered_folds
from rayjobs.build import TrainConfig
from rayjobs.fold_job import FoldOutcome, Study, lookback_bars, run_fold, training_windows
from rayjobs.study_evidence import chained, complete_evidence
from rayjobs.leak_audit import check_simulator
from rayjobs.progress import ProgressDisplay, TrainingProgress
from rayjobs.result_tables import print_paths, print_table, print_verdict
from rayjobs.tracking import Tracker
from rayjobs.typed_config import ConfigError

LOG = logging.getLogger(__name__)
POLL_SECONDS = 0.25


def load_study(config: TrainConfig) -> tuple[Study, HygieneReport, list[Fold]]:
    """Load the bars, compute the features and cut the folds.

    Raises
    ------
    ValueError
        If the bars cannot be used, or do not hold one fold with the features' lookback.
    """
    dataset = load(config.data)
    features = compute_features(dataset.panel, config.features.enabled)
    study = Study(
        config=config, panel=dataset.panel, features=features, oracle_direction=dataset.oracle_direction
    )
    folds = ordered_folds(
        config.walk_forward.folds(dataset.panel.num_bars),
        only_fold=config.only_fold,
        fold_order=config.fold_order,
    )
    config.instruments.for_symbols(dataset.panel.symbols)
    for fold in folds:
        training_windows(config, fold, lookback_bars(study))
    check_simulator(study, folds[0])
    return study, dataset.hygiene, folds


def cpus_per_fold(study: Study) -> int:
    """CPUs that one fold takes.

    Raises
    ------
    ConfigError
        If the cluster does not have them.
    """
    algo, available = study.config.algo, int(ray.cluster_resources().get("CPU", 1))
    cpus = 1 if study.config.script else 1 + algo.num_env_runners + algo.num_learners
    if cpus > available:
        raise ConfigError(
            f"a fold needs {cpus} CPUs (1 + {algo.num_env_runners} env runners + {algo.num_learners} learners) but "
            f"the cluster has {available}; lower algo.num_env_runners or algo.num_learners"
        )
    return cpus


@ray.remote
class ProgressBoard:
    """Where folds that run elsewhere leave their rows until the driver takes them."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []

    def put(self, row: dict[str, Any]) -> None:
        self._rows.append(row)

    def take(self) -> list[dict[str, Any]]:
        rows, self._rows = self._rows, []
        return rows


@ray.remote(max_retries=0)
def fold_task(study: Study, fold: Fold, directory: Path, board: Any) -> FoldOutcome:
    """`run_fold` as a Ray task; each iteration's row goes to the board."""
    started = time.monotonic()
    steps_before: list[int] = []  # trained on before this attempt, if it goes on with an earlier one

    def report(row: dict[str, Any]) -> None:
        steps_before.append(row["env_steps"] - study.config.algo.batch_steps)
        speed = (row["env_steps"] - steps_before[0]) / max(time.monotonic() - started, 1e-9)
        board.put.remote({"fold": fold.index, **row, "env_steps_per_second": speed})

    return run_fold(study, fold, directory, report)


def run_folds(study: Study, folds: Sequence[Fold], run: Path, tracker: Tracker) -> list[FoldOutcome]:
    """Run every fold as a Ray task, as many side by side as there are CPUs, and show their progress."""
    algo = study.config.algo
    cpus, available = cpus_per_fold(study), int(ray.cluster_resources().get("CPU", 1))
    board = ProgressBoard.options(num_cpus=0).remote()
    shared = ray.put(study)
    checkpoints = run.absolute() / "checkpoints"
    # A fold's actors ask for CPUs of their own, so the task itself holds one.
    tasks = {
        fold_task.options(num_cpus=1).remote(
            shared, fold, checkpoints / f"fold_{fold.index:02d}", board
        ): fold
        for fold in folds
    }
    outcomes: list[FoldOutcome] = []
    total = max(algo.batch_steps, study.config.trainer.total_env_steps // algo.batch_steps * algo.batch_steps)
    LOG.info("training %d folds of %s env steps on %d CPUs", len(folds), f"{total:,}", available)
    with ProgressDisplay(len(folds), parallel_folds=max(1, available // cpus)) as display:
        waiting = list(tasks)
        while waiting:
            done, waiting = ray.wait(waiting, timeout=POLL_SECONDS)
            for row in ray.get(board.take.remote()):
                _show(row, total, display, tracker)
            outcomes.extend(_results(done))
    return sorted(outcomes, key=lambda outcome: outcome.result.fold.index)


def run_seeds(
    study: Study, folds: Sequence[Fold], run: Path, tracker: Tracker
) -> dict[int, list[FoldOutcome]]:
    """Run every fold once per seed (``trainer.num_seeds``); a script has no seed, so it is run once.

    Returns
    -------
    seed -> its folds; the configured seed first, the others in directories ``seed_N`` of their own.
    """
    first = study.config.seed
    outcomes = {first: run_folds(study, folds, run, tracker)}
    for seed in range(first + 1, first + study.config.trainer.num_seeds) if not study.config.script else ():
        other = replace(study, config=replace(study.config, seed=seed))
        outcomes[seed] = run_folds(other, folds, run / f"seed_{seed}", tracker)
    return outcomes


def _results(tasks: Sequence[Any]) -> list[FoldOutcome]:
    """What folds return; an exception as the fold raised it, without Ray's copy of the traceback in its message."""
    try:
        return ray.get(list(tasks))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error


def _show(row: dict[str, Any], total: int, display: ProgressDisplay, tracker: Tracker) -> None:
    display.update(
        TrainingProgress(
            fold=row["fold"],
            env_steps=row["env_steps"],
            total_env_steps=total,
            env_steps_per_second=row["env_steps_per_second"],
            episode_return=row["episode_return"],
            approx_kl=row["approx_kl"],
            clip_fraction=row["clip_fraction"],
            entropy=row["entropy"],
            explained_variance=row["explained_variance"],
        )
    )
    numbers = {name: value for name, value in row.items() if name not in ("fold", "env_steps")}
    tracker.log(numbers, env_steps=row["env_steps"], prefix=f"fold_{row['fold']}")


def report_study(
    study: Study,
    hygiene: HygieneReport,
    outcomes: Sequence[FoldOutcome],
    run: Path,
    tracker: Tracker,
    *,
    num_trials: float = 1,
    trial_sharpe_variance: float | None = None,
    **evidence: Any,
) -> Verdict:
    """Chain the folds, ask the gate, write every file of the run directory and print the tables.

    Parameters
    ----------
    num_trials, trial_sharpe_variance, evidence : what a search adds to the gate's evidence, see `GateEvidence`; what
        the study itself can show is measured where it is missing, see `complete_evidence`.
    """
    result = chained(study, outcomes)
    searched = {"num_trials": num_trials, "trial_sharpe_variance": trial_sharpe_variance}
    summary = summarise(result, **searched) | {"cost_factor": study.config.scoring.cost_factor}
    evidence = complete_evidence(study, result, evidence)
    verdict = judge(study.config.gate, GateEvidence.of(result, **searched, **evidence))
    rows = [{"fold": o.result.fold.index, **row} for o in outcomes for row in o.iterations]
    write_csv(run / "progress.csv", pd.DataFrame(rows))
    paths = write_artefacts(run, result, summary, verdict)
    configuration = yaml.safe_load((run / "config.yaml").read_text())
    report = write_report(
        run / "report.html",
        result,
        summary,
        verdict,
        title=f"{study.config.run.experiment} · {run.name}",
        provenance=provenance_rows(configuration["provenance"], hygiene) | _conditions(study),
        settings=yaml.safe_dump(
            {k: v for k, v in configuration.items() if k != "provenance"}, sort_keys=False
        ),
    )
    tracker.summary({name: value for name, value in summary.items() if not isinstance(value, Mapping)})
    tracker.attach([*paths, report])
    _print(study.config.script or "trained", summary, verdict, [*paths, run / "progress.csv", report])
    return verdict


def _conditions(study: Study) -> dict[str, str]:
    """What a reader must know of how the numbers were earned, where it is not the ordinary."""
    rows = {}
    if study.config.scoring.cost_factor != 1.0:
        rows["costs charged"] = f"x{study.config.scoring.cost_factor:g} of those configured"
    if study.config.script is not None:
        rows["policy"] = f"scripted: {study.config.script}; nothing was trained"
    return rows


def provenance_rows(provenance: Mapping[str, Any], hygiene: HygieneReport) -> dict[str, str]:
    """Rows of the report's last table: where the numbers come from, and what was wrong with the bars as read."""
    rows = {
        key.replace("_", " "): value if isinstance(value, str) else json.dumps(value)
        for key, value in provenance.items()
    }
    for line in hygiene.table().to_dict("records"):
        facts = ", ".join(
            f"{value:,} {name.replace('_', ' ')}" for name, value in line.items() if name != "symbol"
        )
        rows[f"bars of {line['symbol']}"] = facts
    return rows


def _print(policy: str, summary: Mapping[str, Any], verdict: Verdict, paths: Sequence[Path]) -> None:
    columns = {
        "policy": "",
        "total_return": "+.2%",
        "annual_return": "+.2%",
        "volatility": ".2%",
        "sharpe": "+.2f",
        "sortino": "+.2f",
        "max_drawdown": ".2%",
    }
    rows = [{"policy": policy, **summary}]
    rows += [{"policy": name.replace("_", " "), **numbers} for name, numbers in summary["baselines"].items()]
    print_table("Out of sample, net of costs", rows, columns=columns)
    if "oracle_fraction" in summary:
        print_table("", [{"oracle fraction": summary["oracle_fraction"], "trades": summary["num_trades"]}])
    print_verdict(verdict)
    print_paths(paths)
