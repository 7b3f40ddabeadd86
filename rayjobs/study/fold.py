"""One fold of a walk-forward study: standardise, train, and score on the next, unseen window.

A fold depends on its own windows, the configuration and the seed, on nothing else, so folds may run in any
order, alone or side by side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import ray
from numpy.typing import NDArray

from data.checks.bar_spread import half_spreads_bps
from data.context_bars import closing_instants
from data.coverage.coverage import Coverage
from data.features import FeatureSet, Standardiser, compute_features
from data.features.pruning import fit_standardiser
from data.known_columns import statements_of
from data.schema import Panel
from data.sources import Dataset, describe
from data.taken_out import TakenOut
from envs.actions import action_space
from envs.context import ContextConfig
from envs.market import Market
from envs.observations import ObservationLayout
from envs.rules import context_in_use
from evaluation.ledger.trained_weights import WeightsNote
from evaluation.scoring.columns_read import ColumnsRead
from evaluation.scoring.exposures import Exposure, exposures
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.walk_forward import FoldResult
from evaluation.windows.splits import Fold
from policies.action_distribution import DistributionSpec
from policies.actor_groups import SHARED, groups_in_words
from policies.actor_network import for_symbols
from policies.baselines import SCRIPTED, Schedule
from policies.contract import Contract
from policies.exported_policy import PolicyContract, TrainedPolicy
from policies.exports import ExportedPolicy
from policies.origin import UNSEEN, Origin, Role, SeenBars, SeenLabels
from policies.supervised.policy import SupervisedContract, SupervisedPolicy
from rayjobs.storage.run_directory import RUN_ID
from rayjobs.study.assumed_yields import assumed_yields
from rayjobs.study.changed_bars import require_market_of, require_same_bars
from rayjobs.study.config import TrainConfig
from rayjobs.study.feature_pruning import doubts_of
from rayjobs.study.fitted_fold import fit_policy, weights_note
from rayjobs.study.fold_windows import scored_windows, windows_to_train
from rayjobs.study.held_out import parted, unseen_config
from rayjobs.study.least_costs import is_synthetic, least_costs
from rayjobs.study.patched_code import takes_own_code
from rayjobs.study.warm_start import StartPolicy, choose, encoders_of, start_policies
from rayjobs.training.policy_training import TrainingSpec, train_policy

ContractT = TypeVar("ContractT", bound=Contract)


@dataclass(frozen=True, kw_only=True)
class Study:
    """What all folds share; lies once in the object store.

    Parameters
    ----------
    config : the whole job.
    panel, features : the bars, and what was computed from them (not standardised).
    oracle_direction : (T, A) best position decided at each close, of a synthetic market; else None.
    selection : bars on which a search chose this configuration: its policies have seen them too.
    context : bars of the symbols that are read and not traded, a panel each; `panel` has them as columns.
    unseen : the same bars of the symbols that no policy is trained on (``data.test_symbols``); None without any.
    starts : policies whose weights trainings may begin with (``trainer.start_from``).
    taken_out : rows of the source that are no bars for what they hold (`data.taken_out`).
    """

    config: TrainConfig
    panel: Panel
    features: FeatureSet
    oracle_direction: NDArray[np.int8] | None
    selection: tuple[slice, ...] = ()
    context: tuple[Panel, ...] = ()
    unseen: Study | None = None
    starts: tuple[StartPolicy, ...] = ()
    taken_out: tuple[TakenOut, ...] = ()

    @classmethod
    def of(cls, config: TrainConfig, dataset: Dataset) -> Study:
        """The study on bars that were loaded, its features computed from them.

        Symbols that are held out make a study of their own: no feature of the others reads a bar of theirs. The bars'
        fingerprint is taken before a feature sees them, for one of the user's own may write into them
        (`rayjobs.study.changed_bars`).
        """
        seen, unseen = parted(dataset, config.test_symbols)
        _ = seen.panel.fingerprint
        for_symbols(config.policy, seen.panel.symbols)  # refuses actors for symbols that are not there
        return cls(
            config=config.without_symbols(config.test_symbols),
            panel=seen.panel,
            features=compute_features(seen.panel, config.features.enabled),
            oracle_direction=seen.oracle_direction,
            starts=() if config.script is not None else start_policies(config.trainer.start_from),
            context=dataset.context,
            taken_out=seen.hygiene.taken_out,
            unseen=None if unseen is None else cls.of(unseen_config(config, unseen.panel), unseen),
        )

    @cached_property
    def columns_read(self) -> ColumnsRead:
        """What the features read beside closes, which no fold changes."""
        return ColumnsRead.of(self.panel, self.config.features.enabled)

    @cached_property
    def half_spreads(self) -> dict[str, float]:
        """Symbol -> half spread that its bars show, basis points (`data.checks.bar_spread`); none of made markets."""
        if is_synthetic(self.config):
            return {}
        return dict(zip(self.panel.symbols, half_spreads_bps(self.panel).tolist(), strict=True))

    @property
    def shown_panel(self) -> Panel:
        """The bars of every symbol that a number is shown of, those held out of training included."""
        return self.panel if self.unseen is None else self.panel.beside(self.unseen.panel)


@dataclass(frozen=True, kw_only=True)
class FoldOutcome:
    """``iterations`` are the rows of ``progress.csv``; ``policy`` the exported policy, None for a script; ``patched``
    what code of one's own had replaced in the process (`rayjobs.study.patched_code`); ``further`` what a split earned
    on its other test groups; ``unseen`` what was earned, window by window, on symbols held out of the training;
    ``standardiser`` that of the policy's contract, None for a script."""

    result: FoldResult
    iterations: tuple[dict[str, Any], ...]
    policy: Path | None
    patched: tuple[str, ...] = ()
    further: tuple[FoldResult, ...] = ()
    unseen: tuple[FoldResult, ...] = ()
    standardiser: Mapping[str, Any] | None = None

    @property
    def results(self) -> tuple[FoldResult, ...]:
        """All results: one of a fold, one for each test group of a split."""
        return (self.result, *self.further)


def run_fold(
    study: Study,
    fold: Fold,
    directory: Path,
    report: Callable[[dict[str, Any]], None],
    tell_weights: Callable[[WeightsNote], None] | None = None,
) -> FoldOutcome:
    """Train or fit on ``fold.train`` and score on ``fold.test``; a scripted policy is scored without any training.

    Parameters
    ----------
    directory : where this fold's checkpoints go.
    report : called after each training iteration with its row.
    tell_weights : see `TrainingSpec`.

    Raises
    ------
    ValueError
        If the exported policy was changed between its training and its scoring.
    """
    config = study.config
    market, contract = fold_market(study, fold)
    if config.script is not None:
        schedule = SCRIPTED[config.script](study.panel)
        digest = hashlib.sha256(f"script {config.script}".encode()).hexdigest()
        result, *further = score_windows(study, fold, schedule, market, policy_hash=digest)
        return FoldOutcome(
            result=result,
            iterations=(),
            policy=None,
            further=tuple(further),
            unseen=score_unseen(study, fold, None, policy_hash=digest),
        )
    contract = with_origin(contract, study, fold, market.first_bar, directory)
    if isinstance(contract, SupervisedContract):
        return _fit_fold(study, fold, market, contract, directory, tell_weights)
    assert isinstance(contract, PolicyContract)
    start = start_of(study, fold)
    spec = training_spec(
        config, fold, ray.put(market), contract, directory, label=f"fold {fold.index}", start=start
    )
    trained = train_policy(replace(spec, tell_weights=tell_weights), report)
    policy = TrainedPolicy.load(
        trained.policy, layout=contract.layout, feature_hash=study.features.feature_hash
    )
    if policy.policy_hash != trained.policy_hash:
        raise ValueError(
            f"the policy in {trained.policy} is not the one that this training exported there; leave the files of a "
            "running job alone, and train again"
        )
    result, *further = score_windows(study, fold, policy, market, policy_hash=policy.policy_hash)
    return FoldOutcome(
        result=result,
        iterations=trained.iterations,
        policy=trained.policy,
        further=tuple(further),
        unseen=score_unseen(study, fold, policy, policy_hash=policy.policy_hash),
        standardiser=contract.standardiser,
    )


def _fit_fold(
    study: Study,
    fold: Fold,
    market: Market,
    contract: SupervisedContract,
    directory: Path,
    tell_weights: Callable[[WeightsNote], None] | None,
) -> FoldOutcome:
    """Fit a supervised policy, export it, and score what the export holds."""
    place = directory / "best"
    fitted = fit_policy(study.config, study.panel, market, fold, contract)
    fitted.save(place)
    if tell_weights is not None:
        tell_weights(weights_note(fitted, fold.index, study.config.seed))
    policy = SupervisedPolicy.load(place, layout=contract.layout, feature_hash=study.features.feature_hash)
    result, *further = score_windows(study, fold, policy, market, policy_hash=policy.policy_hash)
    return FoldOutcome(
        result=result,
        iterations=(),
        policy=place,
        further=tuple(further),
        standardiser=contract.standardiser,
    )


def training_spec(
    config: TrainConfig,
    fold: Fold,
    market: ray.ObjectRef,
    contract: PolicyContract,
    directory: Path,
    *,
    label: str | None = None,
    start: StartPolicy | None = None,
) -> TrainingSpec:
    """The training of one fold, with checkpoints in ``directory``.

    Parameters
    ----------
    label : names it where not fold and seed do. start : whose weights it begins with.
    """
    training, validation = windows_to_train(config, fold, ray.get(market).first_bar)
    return TrainingSpec(
        label=label or f"fold {fold.index}, seed {config.seed}",
        market=market,
        env=config.env,
        training_windows=training,
        validation_window=validation,
        contract=contract,
        ppo=config.algo,
        trainer=config.trainer,
        seed=config.seed,
        directory=directory,
        fold=fold.index,
        weights=None if start is None else start.carried(contract),
        frozen=encoders_of(contract.network) if config.trainer.freeze == "encoder" else (),
    )


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


def fold_market(
    study: Study, fold: Fold, standardiser: Standardiser | None = None
) -> tuple[Market, Contract]:
    """The market as this fold's policy sees it, and its contract.

    Parameters
    ----------
    standardiser : of a policy that is trained already; None fits one on the training window alone.
    """
    config = study.config
    if standardiser is None:
        standardiser = fit_standardiser(
            study.features,
            fold.training,
            clip=config.features.clip,
            prune=config.features.prune,
            method=config.features.standardise,
            doubts=doubts_of(config, study.panel, study.features, fold),
        )
    instruments = config.instruments.for_symbols(study.panel.symbols)
    market = Market.build(
        study.panel, standardiser.transform(study.features), instruments, study_context(study)
    )
    num_assets = config.env.episode.num_assets or market.num_symbols
    known: dict[str, Any] = {
        "layout": ObservationLayout.portfolio(
            num_assets, market.asset_names, market.clock_names, config.env.observation.account_names
        ),
        "feature_hash": study.features.feature_hash,
        "standardiser": standardiser.to_dict(),
        "action_scheme": config.env.action.scheme,
    }
    if config.supervised is not None:
        allow_short = config.env.action.allow_short
        return market, SupervisedContract(**known, settings=config.supervised, allow_short=allow_short)
    actions = DistributionSpec.for_space(
        action_space(config.env.action, num_assets), config.policy.weights_distribution
    )
    network = for_symbols(config.policy, study.panel.symbols)
    return market, PolicyContract(**known, actions=actions, network=network)


def study_context(study: Study) -> ContextConfig | None:
    """The windows of ATR, volatility and volume where the study's sizes, barriers or costs read them."""
    instruments = study.config.instruments.for_symbols(study.panel.symbols)
    return context_in_use(study.config.context, study.config.env, study.panel, instruments)


def lookback_bars(study: Study) -> int:
    """Bars before the first one at which features and context are known: the market's `first_bar`."""
    context = study_context(study)
    return max(study.features.lookback_bars, 0 if context is None else context.lookback_bars)


def with_origin(contract: ContractT, study: Study, fold: Fold, first_bar: int, directory: Path) -> ContractT:
    """The contract of a fold's policy with every stretch of bars that has a say in it.

    Parameters
    ----------
    first_bar : as `training_windows` takes it. directory : of the fold's checkpoints; its run is named.
    """
    config, source = study.config, describe(study.config.data)
    training, validation = windows_to_train(config, fold, first_bar)
    bars: list[tuple[Role, slice]] = [("selection", part) for part in study.selection]
    start = start_of(study, fold)
    bars += [("standardiser", part) for part in fold.training]
    bars += [("training", slice(window.start_bar, window.stop_bar)) for window in training]
    if validation is not None:
        chosen_on = slice(validation.start_bar, validation.stop_bar)
        bars.append(("validation", chosen_on))
        if config.algo.early_stop_validations is not None:
            bars.append(("early_stopping", chosen_on))
    seen = []
    for role, part in bars:
        seen.append(SeenBars(role=role, coverage=Coverage.of(study.panel, part, source=source)))
        seen += [SeenBars(role=role, coverage=read) for read in context_read(study, part)]
    origin = Origin(
        run_id=run_id_of(directory),
        source=source,
        data_fingerprint=study.panel.fingerprint,
        symbols=study.panel.symbols,
        bar_seconds=study.panel.bar_seconds,
        seen=(*(() if start is None else start.seen()), *seen),
        context_symbols=tuple(panel.symbols[0] for panel in study.context),
    )
    return replace(contract, origin=origin)


def start_of(study: Study, fold: Fold) -> StartPolicy | None:
    """The policy of ``trainer.start_from`` whose weights a fold's training begins with."""
    scored = study.panel.slice_bars(fold.test.start, fold.test.stop)
    return choose(study.starts, scored, describe(study.config.data), fold.index)


def context_read(study: Study, part: slice) -> list[Coverage]:
    """The bars of context symbols that are known within a stretch of the study's bars."""
    opened = study.panel.bar_utc[part.start]
    closed = closing_instants(study.panel.slice_bars(part.stop - 1, part.stop))[0]
    read = []
    for panel in study.context:
        first, stop = np.searchsorted(closing_instants(panel), [opened, closed], side="right")
        if stop > first:
            source = describe(study.config.data.context_symbols[panel.symbols[0]].bars)  # type: ignore[union-attr]
            read.append(Coverage.of(panel, slice(int(first), int(stop)), source=source))
    return read


def run_id_of(directory: Path) -> str:
    """The run that a directory of checkpoints belongs to, by its name; "" outside one."""
    return next((part.name for part in directory.absolute().parents if RUN_ID.fullmatch(part.name)), "")


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
