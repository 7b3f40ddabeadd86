"""The audit of one finished run: loads its bars again, hands each section what it needs, and writes the report."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from data.features import compute_features
from data.hygiene import HygieneReport
from data.sources import load
from evaluation.artefacts import write_json
from evaluation.audit.accounts import check_costs
from evaluation.audit.execution import check_execution
from evaluation.audit.findings import AuditReport, Check, Section
from evaluation.audit.normalisation import check_normalisation
from evaluation.audit.recorded_metrics import check_metrics
from evaluation.audit.recorded_run import RecordedRun, read_recorded
from evaluation.audit.training import TrainingPlan, check_callbacks, check_training, warnings_of
from evaluation.audit.windows import check_windows
from evaluation.reproduction import differences
from evaluation.splits import Fold
from evaluation.summary import summarise
from evaluation.walk_forward import WalkForwardResult
from policies.checkpoint import CONTRACT_FILE
from rayjobs.build import build_train_config
from rayjobs.entry import compose
from rayjobs.finished_run import WINNER_OF, FinishedRun
from rayjobs.fold_job import Study
from rayjobs.leak_audit import ENV_CUTS, leak_report
from rayjobs.rescoring import EvaluateConfig, deflation, plan_rescoring, rescore
from rayjobs.run_directory import read_status, write_atomically
from rayjobs.typed_config import build_dataclass

LOG = logging.getLogger(__name__)
REPRODUCTION = Section(name="reproduction")
LEAK = Section(name="leak")


@dataclass(frozen=True)
class RunAudit:
    """A finished run, its files as tables, and its bars and features loaded again."""

    run: FinishedRun
    recorded: RecordedRun
    study: Study
    hygiene: HygieneReport

    @classmethod
    def of(cls, run: FinishedRun) -> RunAudit:
        """Read the files and load the bars; ValueError if they cannot be read."""
        config = build_train_config(run.values)
        dataset = load(config.data)
        study = Study(
            config=config,
            panel=dataset.panel,
            features=compute_features(dataset.panel, config.features.enabled),
            oracle_direction=dataset.oracle_direction,
        )
        return cls(run, read_recorded(run.path), study, dataset.hygiene)

    @cached_property
    def searched(self) -> bool:
        """Whether the run is the winner of a search: its folds are those of the holdout."""
        return WINNER_OF in self.run.provenance

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds as the configuration gives them, or as recorded where a search chose them."""
        if self.searched:
            return self.run.folds(self.study.panel)
        return self.study.config.walk_forward.folds(self.study.panel.num_bars)

    def data(self) -> list[Check]:
        return check_windows(
            self.recorded, self.study.panel, self.study.config.walk_forward,
            self.run.provenance.get("data_fingerprint"), searched=self.searched,
        )  # fmt: skip

    def normalisation(self) -> list[Check]:
        trained = [fold for fold in self.folds if fold.index in self.run.fold_indices]
        exported = {fold.index: self._standardiser(fold.index) for fold in trained}
        return check_normalisation(self.study.features, trained, exported, self.study.config.features.clip)

    def execution(self) -> list[Check]:
        return check_execution(self.recorded, self.study.panel, self.study.config.env.costs.latency_bars)

    def costs(self) -> list[Check]:
        config = self.study.config
        instruments = config.instruments.for_symbols(self.study.panel.symbols)
        return check_costs(
            self.recorded, self.study.panel, config.env, instruments, config.scoring.cost_factor
        )

    def ppo(self) -> list[Check]:
        return check_training(self.recorded, self._plan())

    def callbacks(self) -> list[Check]:
        return check_callbacks(self.recorded, self._plan())

    def metrics(self) -> list[Check]:
        return check_metrics(self.recorded, self.study.panel.periods_per_year, self.study.config.gate)

    def reproduction(self) -> list[Check]:
        """Score the exported policies again; they must earn what was recorded."""
        try:
            settings = build_dataclass(EvaluateConfig, {**compose_evaluate(), "run": str(self.run.path)}, "")
            plan = plan_rescoring(self.run, self.run.values, settings)
        except ValueError as error:
            return [REPRODUCTION.fails("policies", str(error))]
        if not plan.same_bars:
            return [REPRODUCTION.skips("policies", "the bars are not those of the run")]
        outcomes = rescore(plan, self.run)
        result = WalkForwardResult(panel=plan.study.panel, folds=tuple(o.result for o in outcomes))
        known_trials = deflation(self.run)
        summary = summarise(
            result,
            num_trials=known_trials.num_trials,
            trial_sharpe_variance=known_trials.trial_sharpe_variance,
        )
        known = {name: value for name, value in self.run.summary.items() if name in summary}
        found = differences(known, summary, relative=1e-6)
        again = result.net_return
        moved = abs(again - self.recorded.returns["net_return"].to_numpy()).max() if len(again) == len(
            self.recorded.returns) else float("inf")  # fmt: skip
        return [
            REPRODUCTION.judges(
                "returns", moved <= 1e-9, "the exported policies, run again, earn the recorded return on every bar",
                f"the exported policies, run again, earn returns that differ from the recorded ones by {moved:.2e}",
            ),
            REPRODUCTION.judges(
                "summary", not found, "summary.json follows from them",
                f"{len(found)} entries of summary.json differ, first {found[0] if found else ''}",
            ),
        ]  # fmt: skip

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
        rows = [{str(k): v for k, v in row.items()} for row in self.hygiene.table().to_dict("records")]
        return warnings_of(self.recorded, self.run.provenance, status, rows)

    def _plan(self) -> TrainingPlan:
        config = self.study.config
        algo = config.algo
        validated = config.trainer.validation_every if config.trainer.validation_fraction else 0
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


def compose_evaluate() -> dict[str, Any]:
    """The defaults of ``conf/evaluate.yaml``."""
    return compose("evaluate", ["run=."])


def examine(run: FinishedRun, checks: Sequence[str], *, leak_cuts: int = ENV_CUTS) -> AuditReport:
    """Run the named checks, in the order of the report.

    Raises
    ------
    ValueError
        If the run's files or bars cannot be read.
    """
    audit = RunAudit.of(run)
    sections: dict[str, Callable[[], list[Check]]] = {
        "data": audit.data, "leak": lambda: audit.leak(leak_cuts), "normalisation": audit.normalisation,
        "execution": audit.execution, "costs": audit.costs, "metrics": audit.metrics,
        "reproduction": audit.reproduction, "ppo": audit.ppo, "callbacks": audit.callbacks,
        "warnings": audit.warnings,
    }  # fmt: skip
    found: list[Check] = []
    for name, section in sections.items():
        if name in checks:
            LOG.info("auditing %s", name)
            found += section()
    return AuditReport(subject=str(run.path), checks=tuple(found))


def write_audit(report: AuditReport, directory: Path) -> list[Path]:
    """Write audit_report.json and audit_report.md into the run directory."""
    json_path, text_path = directory / "audit_report.json", directory / "audit_report.md"
    write_json(json_path, report.to_dict())
    write_atomically(text_path, report.markdown())
    return [text_path, json_path]
