"""A feature screening from end to end: the bars it may see, its tables, and the files it leaves."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.checks.foreknown import Foreknown
from data.checks.later_returns import suspected
from data.coverage.coverage import Coverage
from data.features import FeatureSet, compute_features
from data.known_columns import statements_of
from data.labelling import LabelConfig, primary_side
from data.schema import Panel
from data.sources import describe, load
from evaluation.files import write_csv
from evaluation.ledger.ledger import Ledger, LookEntry
from evaluation.report.data_notes import data_notes, tell
from evaluation.screening.screen import (
    ScreeningConfig,
    check_folds,
    cost_per_side,
    screen_features,
    screening_folds,
)
from evaluation.screening.summary import consensus, finding, model_scores, summary_markdown
from rayjobs.monitoring.result_tables import print_paths, print_sentence, print_table
from rayjobs.storage.run_directory import RunDirectory, write_atomically
from rayjobs.study.config import TrainConfig
from rayjobs.study.lacking_facts import lacking_notes
from rayjobs.study.least_costs import is_synthetic
from rayjobs.study.looks.entered import code_version, enter_shown, identity
from rayjobs.study.looks.on_disk import SCREENING_FILE

LOG = logging.getLogger(__name__)
SHOWN = 20
"""Features that the table on the terminal shows; the files hold all."""


@dataclass(frozen=True, kw_only=True)
class ScreenedData:
    """The bars that a screening may see, their features (not standardised), its labels, and what knows too much.

    A synthetic market plants what predicts, so that nothing is suspected there.
    """

    panel: Panel
    features: FeatureSet
    labels: LabelConfig
    suspects: tuple[Foreknown, ...] = ()


def screened_data(config: TrainConfig, settings: ScreeningConfig, labels: LabelConfig) -> ScreenedData:
    """Load the bars, cut off what no screening may see, and compute the features.

    Raises
    ------
    ValueError
        If the bars cannot be used, or are too few for the folds, or the labels name a feature that is not there.
    """
    dataset = load(config.data)
    panel = dataset.panel
    instruments = config.instruments.for_symbols(panel.symbols)
    notes = data_notes(panel, dataset.hygiene, (), config.env, instruments)
    tell((*notes, *lacking_notes(config.features.enabled, panel)), LOG)
    if settings.bars == "training":
        first = config.walk_forward.folds_in(panel)[0]
        if not first.trains_before_it_tests:
            raise ValueError(
                "walk_forward=cpcv tests every bar, so that no training window is left to screen on; choose "
                "walk_forward=rolling, anchored, calendar or dates"
            )
        panel = panel.slice_bars(0, first.train.stop)
    features = compute_features(panel, config.features.enabled)
    check_folds(settings, panel.num_bars, features.lookback_bars)
    primary_side(labels, features)
    stated = statements_of(config.data)
    suspects = () if is_synthetic(config) else suspected_features(panel, features, settings)
    suspects = tuple(suspect for suspect in suspects if suspect.column not in stated)
    return ScreenedData(panel=panel, features=features, labels=labels, suspects=suspects)


def suspected_features(
    panel: Panel, features: FeatureSet, settings: ScreeningConfig
) -> tuple[Foreknown, ...]:
    """Features whose rank correlation with the next bar's return has |t| > 10 in every fold's test window."""
    windows = [fold.test for fold in screening_folds(settings, panel.num_bars)]
    assets = zip(features.asset_names, np.moveaxis(features.asset.astype(np.float64), 2, 0))
    clocks = zip(features.clock_names, features.clock.T.astype(np.float64))
    shared = ((name, np.repeat(values[:, None], panel.num_assets, axis=1)) for name, values in clocks)
    return tuple(
        found for name, values in (*assets, *shared) for found in suspected(name, values, panel, windows)
    )


def run_screening(config: TrainConfig, settings: ScreeningConfig, data: ScreenedData) -> pd.DataFrame:
    """The table of `screen_features` under the experiment's own costs."""
    instruments = config.instruments.for_symbols(data.panel.symbols)
    cost = cost_per_side(data.panel, instruments, config.env.costs)
    return screen_features(data.panel, data.features, settings, cost, data.labels)


def enter_screening(
    ledger: Ledger,
    config: TrainConfig,
    settings: ScreeningConfig,
    data: ScreenedData,
    values: Mapping[str, Any],
    run: RunDirectory,
) -> None:
    """Enter the screening into the ledger before it shows anything: which features to keep is chosen on its bars."""
    enter_shown(
        ledger,
        LookEntry(
            kind="screening",
            study=config.run.experiment,
            identity={
                **identity(config, values),
                "job": "screen",
                "screening": asdict(settings),
                "labels": asdict(data.labels),
            },
            seed=settings.seed,
            data_fingerprint=data.panel.fingerprint,
            code_commit=code_version(run.started.provenance),
            coverage=Coverage.of(data.panel, slice(0, data.panel.num_bars), source=describe(config.data)),
            features=(*data.features.asset_names, *data.features.clock_names),
        ),
        run.path,
    )


def report_screening(
    table: pd.DataFrame, data: ScreenedData, settings: ScreeningConfig, run: Path
) -> pd.DataFrame:
    """Write summary.md, screening.csv and importances.csv, print the consensus, and return it."""
    agreed = consensus(table, confidence=settings.confidence)
    labels = data.panel.bar_utc.astype("datetime64[m]")
    notes: tuple[str, ...] = (
        f"{', '.join(data.panel.symbols)}: {data.panel.num_bars:,} bars, {labels[0]} to {labels[-1]} UTC "
        f"({'before the first test window' if settings.bars == 'training' else 'all bars'})",
        f"{settings.num_folds} purged expanding folds, label: {data.labels}",
    )
    notes += tuple(str(suspect) for suspect in data.suspects)
    write_csv(run / SCREENING_FILE, agreed)
    write_csv(run / "importances.csv", table)
    write_atomically(run / "summary.md", summary_markdown(table, agreed, notes))
    shown = agreed.head(SHOWN).assign(importance=1e4 * agreed["importance"])
    columns = {"feature": "", "stands_out": "", "p_value": ".3f"}
    columns |= {name: "+.1f" for name in agreed.columns if name.startswith("t_")}
    columns |= {"helped": ".0%", "importance": "+.3f"}
    print_table("Features, best first (importance in bps)", shown.to_dict("records"), columns=columns)
    scores = model_scores(table).assign(net_bps=lambda scored: 1e4 * scored["score"])
    columns = {"model": "", "net_bps": "+.3f", "t": "+.1f"}
    print_table("Models", scores.to_dict("records"), columns=columns)
    print_sentence(finding(agreed))
    for suspect in data.suspects:
        print_sentence(str(suspect))
    print_paths([run / name for name in ("importances.csv", SCREENING_FILE, "summary.md")])
    return agreed
