"""The audit of one finished run: loads its bars again, hands each section what it needs, and writes the report."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.calendars import bars_a_year
from data.sources import load
from evaluation.audit.accounts import check_costs
from evaluation.audit.execution import check_execution
from evaluation.audit.findings import AuditReport, Check, Section
from evaluation.audit.normalisation import NORMALISATION, check_normalisation
from evaluation.audit.recorded_metrics import check_metrics
from evaluation.audit.recorded_run import RecordedRun, headline, read_recorded
from evaluation.audit.seal import check_seal
from evaluation.audit.split_windows import DATA
from evaluation.audit.trade_records import check_trades
from evaluation.audit.training import (
    CALLBACKS,
    PPO,
    TrainingPlan,
    check_callbacks,
    check_training,
    warnings_of,
)
from evaluation.audit.windows import check_windows
from evaluation.files import write_json
from evaluation.ledger.store import now
from evaluation.scoring.walk_forward import ordered_folds
from evaluation.windows.search_windows import search_windows_in
from evaluation.windows.splits import Fold
from policies.exported_policy import CONTRACT_FILE
from rayjobs.config.typed_config import build_dataclass
from rayjobs.replay.contract_audit import CONTRACT, check_contracts, check_own_code
from rayjobs.replay.derived_again import AuditedRun, check_reproduction
from rayjobs.replay.finished_run import FinishedRun, open_run
from rayjobs.replay.fresh_kernels import check_kernels
from rayjobs.replay.rescoring import EvaluateConfig, plan_rescoring
from rayjobs.replay.run_seal import existing_ledger, run_identity
from rayjobs.replay.trained_again import RETRAINING, check_retraining
from rayjobs.storage.run_directory import RunDirectory, read_status, write_atomically
from rayjobs.storage.started_run import WINNER_OF
from rayjobs.study.changed_bars import CHANGED, bars_changed
from rayjobs.study.config import build_train_config
from rayjobs.study.feature_pruning import doubts_of
from rayjobs.study.fold_market import lookback_bars
from rayjobs.study.leak_check import ENV_CUTS, leak_report
from rayjobs.study.patched_code import takes_own_code
from rayjobs.study.study import Study

LOG = logging.getLogger(__name__)
LEAK = Section(name="leak")
NO_TRAINING = "no network was trained"


@dataclass(frozen=True)
class RunAudit:
    """A finished run, its files as tables, and its bars and features loaded again."""

    audited: AuditedRun

    @classmethod
    def of(cls, run: FinishedRun) -> RunAudit:
        """Read the files and load the bars; ValueError if they cannot be read."""
        recorded, scoring = read_recorded(run.path), evaluation_of(run)
        if scoring is not None:
            source = open_run(scoring.run)
            plan = plan_rescoring(source, run.values, scoring)
            return cls(
                AuditedRun(
                    run=run,
                    recorded=recorded,
                    source=source,
                    study=plan.study,
                    hygiene=plan.hygiene,
                    folds=plan.folds,
                )
            )
        config = build_train_config(run.values)
        dataset = load(config.data)
        study = Study.of(config, dataset)
        return cls(
            AuditedRun(
                run=run,
                recorded=recorded,
                source=run,
                study=study,
                hygiene=dataset.hygiene,
                folds=configured_folds(run, study),
            )
        )

    @property
    def run(self) -> FinishedRun:
        return self.audited.run

    @property
    def recorded(self) -> RecordedRun:
        return self.audited.recorded

    @property
    def study(self) -> Study:
        return self.audited.study

    @cached_property
    def headline(self) -> RecordedRun:
        """The tables with a fold for each account, see `evaluation.audit.recorded_run.headline`."""
        return headline(self.recorded)

    @cached_property
    def searched(self) -> bool:
        """Whether the folds are not those of the configuration alone: of a search's winner, or of an evaluation."""
        return WINNER_OF in self.run.provenance or self.audited.evaluates

    def data(self) -> list[Check]:
        windows = check_windows(
            self.recorded,
            self.study.panel,
            self.study.config.walk_forward,
            self.run.provenance.get("data_fingerprint"),
            searched=self.searched,
            first_scored=lookback_bars(self.study) + self.study.config.env.episode.warmup_bars + 1,
        )
        if not takes_own_code(self.study.config):
            return windows
        kept = DATA.judges(
            "bars beside own code",
            not bars_changed(self.study),
            "the bars are what was loaded, after features of the user's own were computed from them",
            CHANGED,
        )
        return [*windows, kept]

    def normalisation(self) -> list[Check]:
        if self.audited.evaluates:
            return [
                NORMALISATION.skips(
                    "statistics", "nothing was fitted: they are those of the run scored again"
                )
            ]
        exported = {fold.index: self._standardiser(fold.index) for fold in self.audited.folds}
        config = self.study.config.features
        return check_normalisation(
            self.study.features,
            self.audited.folds,
            exported,
            config.clip,
            config.prune,
            config.standardise,
            lambda fold: doubts_of(self.study.config, self.study.panel, self.study.features, fold),
        )

    def contract(self) -> list[Check]:
        if self.audited.evaluates:
            return [CONTRACT.skips("contracts", "they are those of the run that was scored again")]
        trained = [fold for fold in self.audited.folds if fold.index in self.run.fold_indices]
        contracts = check_contracts(self.run, self.study, trained, searched=self.searched)
        return [*contracts, *check_own_code(self.run)]

    def execution(self) -> list[Check]:
        return check_execution(self.recorded, self.study.panel, self.study.config.env.costs.latency_bars)

    def costs(self) -> list[Check]:
        config = self.study.config
        instruments = config.instruments.for_symbols(self.study.panel.symbols)
        return check_costs(
            self.headline, self.study.panel, config.env, instruments, config.scoring.cost_factor
        )

    def trades(self) -> list[Check]:
        instruments = self.study.config.instruments.for_symbols(self.study.panel.symbols)
        return check_trades(self.headline, self.study.panel, instruments)

    def ppo(self) -> list[Check]:
        if not self._trains:
            return [PPO.skips("settings", NO_TRAINING)]
        return check_training(self.recorded, self._plan())

    def callbacks(self) -> list[Check]:
        if not self._trains:
            return [CALLBACKS.skips("training", NO_TRAINING)]
        return check_callbacks(self.recorded, self._plan())

    @property
    def _trains(self) -> bool:
        """Whether a network was trained; a script is not, and a supervised policy is fitted at once."""
        return self.study.config.script is None and self.study.config.supervised is None

    def metrics(self) -> list[Check]:
        panel, labels = self.study.panel, self.headline.returns["bar_utc"]
        first, last = (np.datetime64(pd.Timestamp(labels.iloc[at]).tz_localize(None), "ns") for at in (0, -1))
        year = bars_a_year(panel.calendar, int(panel.bar_seconds), first, last)
        return check_metrics(self.headline, year, self.study.config.gate)

    def reproduction(self) -> list[Check]:
        """Score the exported policies again and compare every entry of every result."""
        return check_reproduction(self.audited)

    def retraining(self) -> list[Check]:
        """Train the policies again and compare their weights."""
        if self.audited.evaluates:
            return [RETRAINING.skips("policies", "they are those of the run that was scored again")]
        trained = [fold for fold in self.audited.folds if fold.index in self.run.fold_indices]
        return check_retraining(self.run, self.study, trained)

    def leak(self, cuts: int) -> list[Check]:
        report = leak_report(self.study, num_cuts=cuts)
        if report.clean:
            return [
                LEAK.judges(
                    "future changed", report.sufficient, str(report), f"compared too little: {report}"
                )
            ]
        return [LEAK.fails(f"{finding.kind} {finding.culprit}", str(finding)) for finding in report.findings]

    def warnings(self) -> list[Check]:
        status = (read_status(self.run.path) or {}).get("status")
        rows = [
            {str(k): v for k, v in row.items()} for row in self.audited.hygiene.table().to_dict("records")
        ]
        return warnings_of(self.recorded, self.run.provenance, status, rows)

    def _plan(self) -> TrainingPlan:
        config = self.study.config
        algo = config.algo
        validated = config.trainer.validation_every if config.validates else 0
        return TrainingPlan(
            settings={
                "gamma": algo.gamma,
                "gae_lambda": algo.gae_lambda,
                "clip_range": None if algo.clip_range is None else algo.clip_range.initial,
                "learning_rate": algo.learning_rate.initial,
                "epochs": algo.epochs,
                "max_grad_norm": algo.max_grad_norm,
            },
            early_stop=algo.early_stop_validations is not None,
            total_env_steps=config.trainer.total_env_steps,
            batch_steps=algo.batch_steps,
            validation_every=validated,
        )

    def _standardiser(self, fold: int) -> dict[str, Any] | None:
        try:
            facts = json.loads((self.run.policy(fold) / CONTRACT_FILE).read_text())
            return facts["standardiser"]
        except (OSError, ValueError, KeyError):
            return None


def manifest_checks(run: FinishedRun) -> list[Check]:
    """The files against their manifest, and its root against the ledger."""
    place = str(run.values["ledger"])
    ledger, name = existing_ledger(place, run.path), run_identity(run.path)
    if ledger is None:
        return check_seal(run.path, name, None, place)
    seals = [root for one in (ledger, *ledger.beside()) for root in one.seals(name)]
    return check_seal(run.path, name, seals, ledger.place)


def evaluation_of(run: FinishedRun) -> EvaluateConfig | None:
    """What an evaluation was asked for, and of which run; None for a run of its own."""
    if run.evaluation is None:
        return None
    known = {
        name: value for name, value in run.evaluation.items() if name in EvaluateConfig.__dataclass_fields__
    }
    return build_dataclass(EvaluateConfig, known, "evaluation")


def configured_folds(run: FinishedRun, study: Study) -> list[Fold]:
    """The folds in the order they were run, from the configuration; of a search's winner from that of the search."""
    config = study.config
    if WINNER_OF not in run.provenance:
        folds = config.walk_forward.folds_in(study.panel)
        return ordered_folds(folds, only_fold=config.only_fold, fold_order=config.fold_order)
    try:
        holdout = RunDirectory(run.path.parent).config()["search"]["holdout_bars"]
    except (OSError, KeyError, TypeError):
        LOG.warning("the search that %s won is not beside it; its windows are taken from folds.csv", run.path)
        return run.folds(study.panel)
    recorded = run.folds(study.panel)
    earlier = search_windows_in(config.walk_forward, study.panel, holdout, keep_remainder=True).holdout_folds
    if len(recorded) == len(earlier):  # of an earlier release, or there is no remainder
        return list(earlier)
    return list(search_windows_in(config.walk_forward, study.panel, holdout).holdout_folds)


def examine(
    run: FinishedRun,
    checks: Sequence[str],
    *,
    leak_cuts: int = ENV_CUTS,
    private_kernels: Path | None = None,
) -> AuditReport:
    """Run the named checks, in the order of the report.

    Parameters
    ----------
    private_kernels : where this audit's own compiled code lies (`fresh_kernels.compiled_afresh`).

    Raises
    ------
    ValueError
        If the run's files or bars cannot be read.
    """
    try:
        audit = RunAudit.of(run)
    except ValueError as error:  # the manifest may know which file is not what it was
        broken = [check.detail for check in manifest_checks(run) if check.outcome == "fail"]
        raise ValueError("; ".join([str(error), *broken])) from error
    sections: dict[str, Callable[[], list[Check]]] = {
        "manifest": lambda: manifest_checks(run),
        "data": audit.data,
        "leak": lambda: audit.leak(leak_cuts),
        "normalisation": audit.normalisation,
        "contract": audit.contract,
        "execution": audit.execution,
        "costs": audit.costs,
        "trades": audit.trades,
        "metrics": audit.metrics,
        "reproduction": audit.reproduction,
        "retraining": audit.retraining,
        "ppo": audit.ppo,
        "callbacks": audit.callbacks,
        "kernels": lambda: check_kernels(private_kernels),
        "warnings": audit.warnings,
    }
    found: list[Check] = []
    for name, section in sections.items():
        if name in checks:
            LOG.info("auditing %s", name)
            found += section()
    return AuditReport(
        subject=str(run.path),
        checks=tuple(found),
        at_utc=now(),
        looked_at=tuple(name for name in sections if name in checks),
        left_out=tuple(name for name in sections if name not in checks),
    )


def write_audit(report: AuditReport, directory: Path) -> list[Path]:
    """Write audit_report.json and audit_report.md into the run directory.

    An audit of some parts takes nothing from the report of an earlier one: what it did not look at stays, dated.
    """
    json_path, text_path = directory / "audit_report.json", directory / "audit_report.md"
    with suppress(
        OSError, ValueError, TypeError, AttributeError, KeyError
    ):  # there is none, or none to be read
        report = report.onto(json.loads(json_path.read_text()))
    write_json(json_path, report.to_dict())
    write_atomically(text_path, report.markdown())
    return [text_path, json_path]
