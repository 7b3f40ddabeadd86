"""A supervised policy of one fold: fitted on its training bars, and what is told of it to the ledger."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import torch

from data.schema import Panel
from envs.market import Market
from evaluation.ledger.trained_weights import WeightsNote
from evaluation.windows.splits import Fold
from policies.supervised.fitting import fit_models
from policies.supervised.policy import SupervisedContract, SupervisedPolicy
from policies.supervised.settings import PACKAGES
from rayjobs.study.config import TrainConfig
from rayjobs.study.feature_pruning import costs_per_side


def fit_policy(
    config: TrainConfig, panel: Panel, market: Market, fold: Fold, contract: SupervisedContract
) -> SupervisedPolicy:
    """Fit on the fold's training bars alone.

    Parameters
    ----------
    market : of the whole panel, its features standardised on the fold's training bars.

    Raises
    ------
    ValueError
        See `policies.supervised.fitting.fit_models`.
    """
    models = fit_models(
        panel,
        market,
        fold.training,
        contract.settings,
        config.seed,
        cost_bps=1e4 * costs_per_side(config, panel) if contract.settings.net_labels else 0.0,
        primary=contract.primary,
    )
    return SupervisedPolicy(contract, models)


def weights_note(policy: SupervisedPolicy, fold: int, seed: int) -> WeightsNote:
    """What a fit tells of its models before they are scored: the same fit gives the same bits."""
    package, _ = PACKAGES.get(policy.contract.settings.model, ("", ""))
    of_library = f"{package} {import_module(package).__version__}, " if package else ""
    arithmetic = f"{of_library}numpy {np.__version__}, {torch.backends.cpu.get_cpu_capability()}"
    return WeightsNote(
        kind="policy",
        fold=fold,
        seed=seed,
        digest=policy.policy_hash,
        after="",
        repeatable=True,
        arithmetic=arithmetic,
    )
