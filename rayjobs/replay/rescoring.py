"""Scores the exported policies of a finished run again: on its own bars or on others, under its costs or others.

The folds go through the same functions as after training; only the standardiser is the policy's own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from data.checks.hygiene import HygieneReport
from data.features import Standardiser
from data.sources import load
from envs.observations import ObservationLayout
from evaluation.gate.evidence import SupportingEvidence
from evaluation.ledger.looks import Looks
from evaluation.report.data_notes import tell
from evaluation.windows.combinatorial_windows import CombinatorialWindows
from evaluation.windows.splits import Fold
from policies.exports import ExportedPolicy, load_export
from rayjobs.config.typed_config import ConfigError
from rayjobs.replay.finished_run import FinishedRun
from rayjobs.replay.whole_window import load_with_earlier, whole_window
from rayjobs.storage.started_run import WINNER_OF
from rayjobs.study.config import TrainConfig, build_train_config
from rayjobs.study.fold import FoldOutcome, run_fold
from rayjobs.study.fold_market import fold_market
from rayjobs.study.held_out import parted
from rayjobs.study.load import notes_on
from rayjobs.study.report import EVIDENCE_FILE
from rayjobs.study.scored_fold import score_unseen, score_windows
from rayjobs.study.study import Study

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """``conf/evaluate.yaml``.

    Parameters
    ----------
    run : directory of a finished run, or of an experiment for its newest one.
    cost_factor : multiple of every cost.
    extra_latency_bars : bars added between a decision and its fill.
    windows : "folds" scores each fold's policy on that fold's test window, "whole" one policy on every bar.
    fold : the only policy to score; None takes all, and with "whole" the last one.
    tearsheet : also write tearsheet.html.
    directory : root of the evaluation's own run directory; None takes the run's.
    """

    run: str
    cost_factor: float
    extra_latency_bars: int
    windows: Literal["folds", "whole"]
    fold: int | None
    tearsheet: bool
    directory: str | None

    def __post_init__(self) -> None:
        if self.cost_factor < 0.0:
            raise ValueError(f"cost_factor is {self.cost_factor}; it must not be negative")
        if self.extra_latency_bars < 0:
            raise ValueError(f"extra_latency_bars is {self.extra_latency_bars}; it must not be negative")


@dataclass(frozen=True, kw_only=True)
class Rescoring:
    """What is to be scored: a study on its bars, and a policy for each fold (none where a script was scored).

    ``same_bars`` says whether they are the bars that the run was trained and scored on; ``seeds`` are the policies that
    were trained with the run's other seeds: seed -> fold -> policy.
    """

    study: Study
    hygiene: HygieneReport
    folds: tuple[Fold, ...]
    policies: Mapping[int, ExportedPolicy]
    same_bars: bool
    seeds: Mapping[int, Mapping[int, ExportedPolicy]] = field(default_factory=dict)


def plan_rescoring(
    run: FinishedRun, values: Mapping[str, Any], settings: EvaluateConfig, *, as_recorded: bool = True
) -> Rescoring:
    """Load the bars and the policies, and check that they belong together.

    Parameters
    ----------
    values : the run's configuration, perhaps with other data or costs.
    as_recorded : refuse a contract that is not the one that was scored; an audit says so itself, and goes on.

    Raises
    ------
    ValueError
        If the bars cannot be used, hold no window, or a policy is missing, damaged or made for other observations.
    """
    config = _under(build_train_config(values), settings)
    whole = settings.windows == "whole"
    dataset, first_bar = load_with_earlier(config.data) if whole else (load(config.data), 0)
    trained_on = parted(dataset, config.test_symbols)[0].panel
    asked_for = trained_on.slice_bars(first_bar, trained_on.num_bars)
    same = asked_for.fingerprint == run.provenance["data_fingerprint"]
    if same and whole:
        raise ConfigError(
            "windows=whole would score policies on bars that they were trained on; name other data or other bars of "
            "them (data.start_utc), or leave it out"
        )
    if not same:  # the training windows of these folds are not what the policies were trained on
        config = replace(config, scoring=replace(config.scoring, in_sample=False))
    study = Study.of(config, dataset)
    chosen = _chosen(run, settings)
    scripted = config.script is not None
    policies = {} if scripted else {i: open_policy(run, i, study, as_recorded=as_recorded) for i in chosen}
    if whole:
        study, folds = whole_window(study, chosen[-1], first_bar)
        policies = {index: policy for index, policy in policies.items() if index == chosen[-1]}
    else:
        folds = _folds(run, study, chosen, same)
    seeds = {
        seed: {index: load_policy(of_seed(run, seed), index, study) for index in policies}
        for seed in (() if scripted else other_seeds(run))
    }
    tell(notes_on(study, dataset.hygiene, folds), LOG)
    return Rescoring(
        study=study,
        hygiene=dataset.hygiene,
        folds=tuple(folds),
        policies=policies,
        same_bars=same,
        seeds=seeds,
    )


def _under(config: TrainConfig, settings: EvaluateConfig) -> TrainConfig:
    """The configuration with the evaluation's costs and latency."""
    later = config.env.costs.latency_bars + settings.extra_latency_bars
    env = replace(config.env, costs=replace(config.env.costs, latency_bars=later))
    factor = config.scoring.cost_factor * settings.cost_factor
    return replace(config, env=env, scoring=replace(config.scoring, cost_factor=factor))


def _chosen(run: FinishedRun, settings: EvaluateConfig) -> list[int]:
    """The folds whose policies are scored."""
    trained = run.fold_indices
    if settings.fold is None:
        return trained[-1:] if settings.windows == "whole" else trained
    if settings.fold not in trained:
        raise ConfigError(f"fold={settings.fold}: the run has the folds {', '.join(map(str, trained))}")
    return [settings.fold]


def _folds(run: FinishedRun, study: Study, wanted: list[int], same: bool) -> list[Fold]:
    plan = study.config.walk_forward
    combinatorial = isinstance(plan, CombinatorialWindows)
    if combinatorial and not same:
        raise ConfigError(
            "the run is one of walk_forward=cpcv, whose splits are of its own bars; to score one of its policies on "
            "others give windows=whole and fold=NUMBER"
        )
    folds = run.folds(study.panel) if same and not combinatorial else plan.folds_in(study.panel)
    chosen = [fold for fold in folds if fold.index in wanted]
    if not chosen:
        raise ConfigError(
            f"the data hold {len(folds)} walk-forward windows, none for the policies of folds "
            f"{', '.join(map(str, wanted))}; give more data, or windows=whole"
        )
    return chosen


def open_policy(run: FinishedRun, fold: int, study: Study, *, as_recorded: bool = True) -> ExportedPolicy:
    """A fold's exported policy, checked against the study's observations and against what was scored.

    Raises
    ------
    ValueError
        If it is missing or damaged, is not the one that was scored, or was trained on other symbols, in another order,
        on bars of another length, or on other observations.
    """
    policy = load_export(run.policy(fold))
    if policy.policy_hash != run.policy_hash(fold):
        raise ConfigError(
            f"{run.policy(fold)} does not hold the weights that were scored: folds.csv records another hash"
        )
    if as_recorded and policy.contract_hash != run.contract_hash(fold):
        raise ConfigError(
            f"{run.policy(fold)} does not hold the contract that was scored (its statistics, and what the policy has "
            "seen): folds.csv records another hash; put the file of this run back"
        )
    contract = policy.contract
    misfit = contract.origin and contract.origin.misfit(study.panel.symbols, study.panel.bar_seconds)
    if misfit:
        raise ConfigError(f"the policy of fold {fold} {misfit}")
    contract.check_fits(_layout(study), study.features.feature_hash)
    return policy


def load_policy(run: FinishedRun, fold: int, study: Study) -> ExportedPolicy:
    """As `open_policy`, whatever folds.csv says."""
    return load_export(run.policy(fold), layout=_layout(study), feature_hash=study.features.feature_hash)


def _layout(study: Study) -> ObservationLayout:
    """The observation that a policy of this study is given."""
    env, features = study.config.env, study.features
    assets = env.episode.num_assets or study.panel.num_assets
    return ObservationLayout.portfolio(
        assets, features.asset_names, features.clock_names, env.observation.account_names
    )


def other_seeds(run: FinishedRun) -> list[int]:
    """The seeds beside its own that a run was trained with: by its configuration, its evidence and its folders.

    The winner of a search has those of the search.
    """
    own, number = int(run.values["seed"]), int(run.values["trainer"]["num_seeds"])
    asked = set() if WINNER_OF in run.provenance else set(range(own, own + number))
    with suppress(OSError, ValueError, KeyError, TypeError):  # an older run, whose folders still say which
        asked |= {int(seed) for seed in json.loads((run.path / EVIDENCE_FILE).read_text())["seeds"]}
    return sorted((asked | set(seed_directories(run.path))) - {own})


def of_seed(run: FinishedRun, seed: int) -> FinishedRun:
    """The run whose exports are those of another seed."""
    return replace(run, path=run.path / f"seed_{seed}")


def seed_directories(run: Path) -> dict[int, Path]:
    """seed -> folder of the checkpoints of another seed than the run's own."""
    found = {path.name.removeprefix("seed_"): path for path in sorted(run.glob("seed_*")) if path.is_dir()}
    return {int(seed): path for seed, path in found.items() if seed.isdigit()}


def rescore_seeds(plan: Rescoring, run: FinishedRun) -> dict[int, list[FoldOutcome]]:
    """Score the policies of the other seeds on the same folds: the first seed does not speak for them."""
    config, found = plan.study.config, {}
    for seed, policies in plan.seeds.items():
        study = replace(plan.study, config=replace(config, seed=seed))
        found[seed] = rescore(replace(plan, study=study, policies=policies, seeds={}), of_seed(run, seed))
    return found


def rescore(plan: Rescoring, run: FinishedRun) -> list[FoldOutcome]:
    """Score every fold, one after another, in this process."""
    outcomes = []
    for fold in plan.folds:
        LOG.info("scoring fold %d on %d bars", fold.index, fold.test.stop - fold.test.start)
        if fold.index not in plan.policies:
            outcomes.append(run_fold(plan.study, fold, run.path, lambda row: None))
            continue
        policy = plan.policies[fold.index]
        standardiser = Standardiser.from_dict(policy.contract.standardiser or {})
        market, _ = fold_market(plan.study, fold, standardiser)
        result, *further = score_windows(plan.study, fold, policy, market, policy_hash=policy.policy_hash)
        outcomes.append(
            FoldOutcome(
                result=result,
                iterations=run.iterations(fold.index),
                policy=run.policy(fold.index),
                further=tuple(further),
                unseen=score_unseen(plan.study, fold, policy, policy_hash=policy.policy_hash),
                standardiser=policy.contract.standardiser,
            )
        )
    return outcomes


def deflation(run: FinishedRun) -> SupportingEvidence:
    """What the run was deflated for when it was judged, as it recorded it."""
    looks = run.summary.get("looks")
    return SupportingEvidence(
        looks=None if looks is None else Looks.from_json(looks),
        num_trials=run.summary.get("num_trials", 1),
        trial_sharpe_variance=run.summary.get("trial_sharpe_variance"),
    )
