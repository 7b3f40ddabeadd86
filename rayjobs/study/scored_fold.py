"""A policy scored on the test windows of a fold, beside the baselines, and on symbols held out of its training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from data.features import Standardiser
from data.known_columns import statements_of
from data.sources import describe
from envs.market import Market
from evaluation.scoring.exposures import Exposure, exposures
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.walk_forward import FoldResult
from evaluation.windows.splits import Fold
from policies.actor_groups import SHARED, groups_in_words
from policies.baselines import SCRIPTED, Schedule
from policies.exported_policy import TrainedPolicy
from policies.exports import ExportedPolicy
from policies.origin import UNSEEN, SeenLabels
from rayjobs.study.assumed_yields import assumed_yields
from rayjobs.study.changed_bars import require_market_of, require_same_bars
from rayjobs.study.config import TrainConfig
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import start_of
from rayjobs.study.fold_windows import scored_windows
from rayjobs.study.least_costs import is_synthetic, least_costs
from rayjobs.study.patched_code import takes_own_code
from rayjobs.study.study import Study


def score_windows(
    study: Study, fold: Fold, policy: ExportedPolicy | Schedule, market: Market, *, policy_hash: str
) -> tuple[FoldResult, ...]:
    """`score_policy` on the test window of a fold, or on each test group of a split, in time order.

    Raises
    ------
    ValueError
        If code of one's own wrote into the bars, or into the market that is made of them.
    """
    found = tuple(
        score_policy(study, window, policy, market, policy_hash=policy_hash)
        for window in scored_windows(study.config, fold, market.first_bar)
    )
    if takes_own_code(study.config):
        require_same_bars(study)
        require_market_of(study.panel, market)
    return found


def score_unseen(
    study: Study, fold: Fold, policy: ExportedPolicy | None, *, policy_hash: str
) -> tuple[FoldResult, ...]:
    """The policy, or the study's script, on the held-out symbols, on the same windows; empty where there are none."""
    other = study.unseen
    if other is None:
        return ()
    standardiser = None
    if policy is not None:
        fitted = Standardiser.from_dict(policy.contract.standardiser or {})
        standardiser = fitted.for_assets(other.panel.num_assets)
    market, _ = fold_market(other, fold, standardiser)
    scored: ExportedPolicy | Schedule
    if policy is None:
        assert other.config.script is not None
        scored = SCRIPTED[other.config.script](other.panel)
    else:
        scored = policy
    return score_windows(other, fold, scored, market, policy_hash=policy_hash)


def score_policy(
    study: Study, fold: Fold, policy: ExportedPolicy | Schedule, market: Market, *, policy_hash: str
) -> FoldResult:
    """Score a policy, or a script's schedule, on ``fold.test``, beside the baselines."""
    config = study.config
    bars = slice(fold.test.start - 1 - config.env.episode.warmup_bars, fold.test.stop)

    def find_exposures() -> tuple[Exposure, ...]:
        assert not isinstance(policy, Schedule)
        standardiser = Standardiser.from_dict(policy.contract.standardiser or {})
        stated = statements_of(config.data)
        specs, read = config.features.enabled, study.columns_read
        return exposures(study.panel, specs, standardiser, market, bars, stated=stated, read=read)

    scored = score_fold(
        fold,
        policy.for_assets(market.num_symbols) if isinstance(policy, TrainedPolicy) else policy,
        study.panel,
        market,
        config.env,
        config.scoring,
        seed=config.seed,
        parameters=_parameters(study, fold),
        policy_hash=policy_hash,
        oracle_direction=study.oracle_direction,
        least_cost_bps=_stressed_least_costs(study),
        assumed_yields=assumed_yields(config, study.panel),
        find_exposures=None if is_synthetic(config) else find_exposures,
        alone=_is_alone(study),
    )
    scored = replace(scored, exposure=scored_exposure(study, fold, policy))
    if isinstance(policy, Schedule):
        return scored
    origin = policy.contract.origin
    return replace(
        scored, contract_hash=policy.contract_hash, trained_on=None if origin is None else origin.trained_on
    )


def _stressed_least_costs(study: Study) -> dict[str, float]:
    """Symbol -> least cost of the stressed comparison, bps: that of its kind, or the half spread that bars show."""
    least, shown = least_costs(study.config, study.panel), study.half_spreads
    return {name: max(bps, shown.get(name, 0.0)) for name, bps in least.items()}


def _is_alone(study: Study) -> bool:
    """Whether the study's windows are one fold; another data set may hold none of them."""
    try:
        return len(study.config.walk_forward.folds_in(study.panel)) == 1
    except ValueError:
        return False


def scored_exposure(study: Study, fold: Fold, policy: ExportedPolicy | Schedule) -> SeenLabels | None:
    """(N,) what the policy had seen of each bar of ``fold.test``; a script has seen nothing.

    None for a policy whose contract does not say what it has seen.
    """
    if isinstance(policy, Schedule):
        return np.full(fold.test.stop - fold.test.start, UNSEEN, dtype=np.int8)
    origin = policy.contract.origin
    if origin is None:
        return None
    scored = study.panel.slice_bars(fold.test.start, fold.test.stop)
    return origin.exposure(scored, source=describe(study.config.data))


def _parameters(study: Study, fold: Fold) -> dict[str, Any]:
    """`fold_parameters`, and whose weights the training began with."""
    start = start_of(study, fold)
    began = (
        {} if start is None else {"start_policy": start.policy_hash, "freeze": study.config.trainer.freeze}
    )
    return fold_parameters(study.config) | began


def fold_parameters(config: TrainConfig) -> dict[str, Any]:
    """Hyperparameters that ``folds.csv`` names."""
    if config.script is not None:
        return {"script": config.script, "seed": config.seed}
    if config.supervised is not None:
        fitted = config.supervised
        return {
            "model": fitted.model,
            "labels": fitted.labels_in_words,
            "scope": fitted.scope,
            "rule": fitted.position.rule,
            "seed": config.seed,
        }
    actors = config.policy.actors
    return {
        **({} if actors == SHARED else {"actors": groups_in_words(actors)}),
        "core": config.policy.core,
        "core_units": config.policy.core_units,
        "total_env_steps": config.trainer.total_env_steps,
        "learning_rate": config.algo.learning_rate.initial,
        "gamma": config.algo.gamma,
        "seed": config.seed,
    }
