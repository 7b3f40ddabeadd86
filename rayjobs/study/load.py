"""Loads what a walk-forward study is about: its bars, its features, its folds, checked before anything starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from data.checks.hygiene import HygieneReport
from data.known_columns import check_statements, statements_of
from data.schema import Panel
from data.sources import load
from data.traded_prices import traded_prices
from envs.instruments import Instrument
from evaluation.report.data_notes import DataNote, data_notes, tell
from evaluation.scoring.walk_forward import ordered_folds, refuse_overlap
from evaluation.windows.combinatorial_windows import CombinatorialWindows
from evaluation.windows.splits import Fold
from policies.supervised.settings import require_package, require_primary, require_symbols
from rayjobs.config.typed_config import ConfigError, did_you_mean
from rayjobs.study.changed_bars import require_same_bars
from rayjobs.study.config import TrainConfig
from rayjobs.study.feature_pruning import check_consensus
from rayjobs.study.fold_market import lookback_bars
from rayjobs.study.fold_windows import scored_windows, windows_to_train
from rayjobs.study.foreknown_inputs import warn_of_features
from rayjobs.study.lacking_facts import lacking_notes
from rayjobs.study.leak_check import check_simulator
from rayjobs.study.least_costs import is_stand_in
from rayjobs.study.study import Study
from rayjobs.study.untraded_prices import untraded_notes

LOG = logging.getLogger(__name__)
STAND_IN = (
    "The bars are a stand-in: drawn from published stylised facts, not recorded. Nothing here is evidence on any real "
    "market."
)
"""What every verdict and report on a `data.stand_in` market says."""


def load_study(config: TrainConfig) -> tuple[Study, HygieneReport, list[Fold]]:
    """Load the bars, compute the features, cut the folds, and tell what should be known of the bars.

    Raises
    ------
    ValueError
        If the bars cannot be used, do not hold one fold with the features' lookback, or would be scored twice, or if a
        feature of one's own wrote into them.
    """
    if config.supervised is not None:
        require_package(config.supervised.model)
    dataset = load(config.data)
    if config.supervised is not None:
        require_symbols(config.supervised, dataset.panel.num_assets)
    study = Study.of(config, dataset)
    require_same_bars(study)
    if config.supervised is not None:
        require_primary(config.supervised, study.features, config.features.standardise)
    folds = ordered_folds(
        config.walk_forward.folds_in(dataset.panel),
        only_fold=config.only_fold,
        fold_order=config.fold_order,
    )
    if not isinstance(config.walk_forward, CombinatorialWindows):  # its groups are scored by several policies
        refuse_overlap(folds)
    config, panel = study.config, study.panel
    refuse_nonpositive(panel, config.instruments.for_symbols(panel.symbols))
    _check_limited(config, panel.symbols)
    if study.unseen is not None:
        study.unseen.config.instruments.for_symbols(study.unseen.panel.symbols)
    _check_drawn(config, panel.num_assets)
    check_statements(
        statements_of(config.data), panel, (*study.features.asset_names, *study.features.clock_names)
    )
    for fold in folds:
        if config.script is None:
            check_consensus(config, study.features, fold)
        windows_to_train(config, fold, lookback_bars(study))
        scored_windows(config, fold, lookback_bars(study))
    tell(notes_on(study, dataset.hygiene, folds), LOG)
    warn_of_features(study)
    check_simulator(study, folds[0])
    return study, dataset.hygiene, folds


def refuse_nonpositive(panel: Panel, instruments: Mapping[str, Instrument]) -> None:
    """Raise ValueError if a price is zero or below that the symbol's instrument does not allow."""
    if not panel.nonpositive:
        return
    low = traded_prices(panel)["low"]
    for a, symbol in enumerate(panel.symbols):
        below = np.flatnonzero(low[:, a] <= 0.0)
        if len(below) and not instruments[symbol].allow_nonpositive_prices:
            raise ValueError(
                f"{symbol} was traded at {low[below[0], a]:g} at {panel.bar_utc[below[0]]}, and its instrument allows "
                f"no prices of zero and below: correct the bars, or set instruments.symbols.{symbol}.kind to a future "
                f"that has them (CL) or instruments.symbols.{symbol}.allow_nonpositive_prices=true"
            )


def _check_limited(config: TrainConfig, symbols: Sequence[str]) -> None:
    """A limit that names a symbol which is not there would limit nothing."""
    for symbol, key in config.env.risk.named_symbols.items():
        if symbol not in symbols:
            hint = did_you_mean(symbol, list(symbols))
            raise ConfigError(f"{key}.{symbol}: the data have no such symbol; {hint}")


def _check_drawn(config: TrainConfig, num_symbols: int) -> None:
    """A policy may take some of its symbols at a time if every episode draws them; it is scored on all at once."""
    asked, randomisation = config.env.episode.num_assets, config.env.episode.randomisation
    if asked in (None, num_symbols):
        return
    if asked is not None and asked > num_symbols:
        raise ValueError(
            f"env.episode.num_assets is {asked} but there are {num_symbols} symbols to train on; give as many at most"
        )
    if randomisation is None or not randomisation.tickers:
        raise ValueError(
            f"env.episode.num_assets is {asked} of {num_symbols} symbols, and a policy is scored on all of them: leave "
            "it at null, choose symbols with data.symbols, or let every episode draw its own (env=randomised "
            "env.episode.randomisation.tickers=true)"
        )


def notes_on(study: Study, hygiene: HygieneReport, folds: Sequence[Fold]) -> tuple[DataNote, ...]:
    """What should be known of a study's bars: see `evaluation.report.data_notes`."""
    config = study.config
    instruments = config.instruments.for_symbols(study.panel.symbols)
    told = untraded_notes(study) + data_notes(study.panel, hygiene, folds, config.env, instruments)
    held_out = None if study.unseen is None else study.unseen.panel
    told += lacking_notes(config.features.enabled, study.panel, held_out)
    if study.unseen is not None:
        names = ", ".join(study.unseen.panel.symbols)
        told = (
            *told,
            DataNote(text=f"held out of training, and scored beside the others: {names}", loud=False),
        )
    return (DataNote(text=STAND_IN[:-1], loud=True), *told) if is_stand_in(config) else told
