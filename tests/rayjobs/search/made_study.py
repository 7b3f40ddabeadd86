"""A study on disk as a sweep leaves it, made without training: for tests of what reads studies."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import yaml
from optuna.trial import TrialState

from rayjobs.config.compose import compose
from rayjobs.config.dotted_keys import with_values
from rayjobs.config.typed_config import build_dataclass
from rayjobs.search.plan.objective import FoldScore
from rayjobs.search.plan.settings import SearchConfig
from rayjobs.search.proposal.studies import open_study
from rayjobs.search.space.search_space import Space
from rayjobs.search.trial.record import save_bars, save_return

GONE = 2**22 + 1
"""Beyond the largest process id."""


@dataclass(frozen=True, kw_only=True)
class MadeTrial:
    """A trial: its score at each rung that it came to, its bar returns on each of two folds, how it ended."""

    scores: Sequence[float]
    returns: Sequence[Sequence[float]]
    state: TrialState = TrialState.COMPLETE
    attributes: Mapping[str, Any] = field(default_factory=dict)
    values: Sequence[float] | None = None


def make_study(
    root: Path,
    name: str,
    trials: Sequence[MadeTrial],
    *arguments: str,
    status: str = "done",
    pid: int = GONE,
) -> Path:
    """Write the study ``root/planted_signal/sweeps/name`` and return its folder."""
    directory = root / "planted_signal" / "sweeps" / name
    directory.mkdir(parents=True)
    values = with_values(
        _composed(arguments), {"run.directory": str(root), "ledger": f"{root}/ledger.sqlite"}
    )
    provenance = {"run_id": name, "data_fingerprint": "f" * 64, "git_commit": "c" * 40, "seed": 0}
    (directory / "config.yaml").write_text(yaml.safe_dump({**values, "provenance": provenance}))
    facts = {"status": status, "host": socket.gethostname(), "pid": pid}
    (directory / "status.json").write_text(json.dumps(facts))
    search = build_dataclass(SearchConfig, values["search"], "search")
    (directory / "study.db").write_bytes(_empty_database())
    study = open_study(search, directory, seed=0)
    for number, made in enumerate(trials):
        _add(study, Space(search.space), directory, number, made)
    bars = np.datetime64("2024-01-01", "ns") + np.arange(_num_bars(trials)) * np.timedelta64(1800, "s")
    save_bars(directory, bars)
    return directory


@cache
def _composed(arguments: tuple[str, ...]) -> dict[str, Any]:
    return compose("sweep", ["+experiment=planted_signal", *arguments])


@cache
def _empty_database() -> bytes:
    """Optuna's tables, whose creation is most of the time that a small study takes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.db"
        optuna.storages.RDBStorage(f"sqlite:///{path}")
        return path.read_bytes()


def _num_bars(trials: Sequence[MadeTrial]) -> int:
    return sum(len(fold) for fold in trials[0].returns) if trials else 0


def _add(study: optuna.Study, space: Space, directory: Path, number: int, made: MadeTrial) -> None:
    trial = study.ask()
    space.suggest(trial)
    for rung, score in enumerate(made.scores):
        if made.values is None:
            trial.report(score, rung)
    scores = [_fold_score(fold, returns) for fold, returns in enumerate(made.returns)]
    trial.set_user_attr("folds", [_row(one) for one in scores])
    trial.set_user_attr("env_steps", 1000 * len(made.scores))
    for name, value in made.attributes.items():
        trial.set_user_attr(name, value)
    if made.state == TrialState.RUNNING:
        return
    save_return(directory, number, scores)
    values = list(made.values or made.scores[-1:]) if made.state == TrialState.COMPLETE else None
    study.tell(trial, values, state=None if values else made.state)


def _fold_score(fold: int, returns: Sequence[float]) -> FoldScore:
    return FoldScore(
        fold=fold, seed=0, env_steps=500, net_return=np.array(returns), metrics={}, seconds=(2.0, 0.5)
    )


def _row(one: FoldScore) -> dict[str, Any]:
    metrics = {"sharpe": float(one.net_return.mean()), "max_drawdown": -0.1, "annual_turnover": 10.0}
    times = {"train_seconds": 2.0, "scoring_seconds": 0.5}
    return {"fold": one.fold, "seed": 0, "env_steps": 500, "from_env_steps": 0, **times, **metrics}
