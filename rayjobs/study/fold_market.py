"""The market of a fold as its policy sees it, and the contract of that policy."""

from __future__ import annotations

from typing import Any

from data.features import Standardiser
from data.features.pruning import fit_standardiser
from envs.actions import action_space
from envs.context import ContextConfig
from envs.market import Market
from envs.observations import ObservationLayout
from envs.rules import context_in_use
from evaluation.windows.splits import Fold
from policies.action_distribution import DistributionSpec
from policies.actor_network import for_symbols
from policies.contract import Contract
from policies.exported_policy import PolicyContract
from policies.supervised.policy import SupervisedContract
from rayjobs.study.feature_pruning import doubts_of
from rayjobs.study.study import Study


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
