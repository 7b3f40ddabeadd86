"""Which features a screening of a fold's training window leaves out, under the experiment's own costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from data.array_types import BoolArray, FloatArray
from data.features import FeatureSet
from data.schema import Panel
from evaluation.screening.consensus_pruning import check_window, doubted
from evaluation.screening.screen import cost_per_side
from evaluation.windows.splits import Fold
from rayjobs.study.config import TrainConfig


def costs_per_side(config: TrainConfig, panel: Panel) -> FloatArray:
    """(T, A) what one side costs under the experiment's own costs, fraction of notional."""
    return cost_per_side(panel, config.instruments.for_symbols(panel.symbols), config.env.costs)


def doubts_of(
    config: TrainConfig, panel: Panel, features: FeatureSet, fold: Fold
) -> Callable[[BoolArray], BoolArray] | None:
    """What `data.features.pruning.fit_standardiser` leaves out beside copies; None where no screening is asked for."""
    prune = config.features.prune
    if prune is None or prune.consensus is None or config.script is not None:
        return None
    asked = prune.consensus
    return lambda kept: doubted(panel, features, fold.training, asked, costs_per_side(config, panel), kept)


def check_consensus(config: TrainConfig, features: FeatureSet, fold: Fold) -> None:
    """Raise ValueError where a screening is asked for and the fold's training window is too short for one."""
    prune = config.features.prune
    if prune is not None and prune.consensus is not None:
        check_window(prune.consensus, features, fold.training)


def without_consensus(config: TrainConfig) -> TrainConfig:
    """The configuration without a screening, for a few bars that are too short for one."""
    prune = config.features.prune
    if prune is None or prune.consensus is None:
        return config
    return replace(config, features=replace(config.features, prune=replace(prune, consensus=None)))
