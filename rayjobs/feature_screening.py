"""A feature screening from end to end: the bars it may see, its tables, and the files it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from data.coverage import Coverage
from data.features import FeatureSet, compute_features
from data.schema import Panel
from data.sources import describe, load
from evaluation.artefacts import write_csv
from evaluation.ledger import Ledger, LookEntry
from evaluation.screening import ScreeningConfig, check_folds, cost_per_side, screen_features
from evaluation.screening_summary import consensus, finding, model_scores, summary_markdown
from rayjobs.build import TrainConfig
from rayjobs.entered_look import code_version, enter_shown, identity, provenance_of
from rayjobs.result_tables import print_paths, print_sentence, print_table
from rayjobs.run_directory import write_atomically

SHOWN = 20
"""Features that the table on the terminal shows; the files hold all."""


@dataclass(frozen=True, kw_only=True)
class ScreenedData:
    """The bars that a screening may see, and their features (not standardised)."""

    panel: Panel
    features: FeatureSet


def screened_data(config: TrainConfig, settings: ScreeningConfig) -> ScreenedData:
    """Load the bars, cut off what no screening may see, and compute the features.

    Raises
    ------
    ValueError
        If the bars cannot be used, or are too few for the folds.
    """
    panel = load(config.data).panel
    if settings.bars == "training":
        panel = panel.slice_bars(0, config.walk_forward.folds(panel.num_bars)[0].train.stop)
    features = compute_features(panel, config.features.enabled)
    config.instruments.for_symbols(panel.symbols)
    check_folds(settings, panel.num_bars, features.lookback_bars)
    return ScreenedData(panel=panel, features=features)


def run_screening(config: TrainConfig, settings: ScreeningConfig, data: ScreenedData) -> pd.DataFrame:
    """The table of `screen_features` under the experiment's own costs."""
    instruments = config.instruments.for_symbols(data.panel.symbols)
    cost = cost_per_side(data.panel, instruments, config.env.costs)
    return screen_features(data.panel, data.features, settings, cost)


def enter_screening(
    ledger: Ledger,
    config: TrainConfig,
    settings: ScreeningConfig,
    data: ScreenedData,
    values: Mapping[str, Any],
    run: Path,
) -> None:
    """Enter the screening into the ledger before it shows anything: which features to keep is chosen on its bars."""
    enter_shown(
        ledger,
        LookEntry(
            kind="screening",
            study=config.run.experiment,
            identity={**identity(config, values), "job": "screen", "screening": asdict(settings)},
            seed=settings.seed,
            data_fingerprint=data.panel.fingerprint,
            code_commit=code_version(provenance_of(run)),
            coverage=Coverage.of(data.panel, slice(0, data.panel.num_bars), source=describe(config.data)),
        ),
        run,
    )


def report_screening(
    table: pd.DataFrame, data: ScreenedData, settings: ScreeningConfig, run: Path
) -> pd.DataFrame:
    """Write summary.md, screening.csv and importances.csv, print the consensus, and return it."""
    agreed = consensus(table, confidence=settings.confidence)
    labels = data.panel.bar_utc.astype("datetime64[m]")
    notes = (
        f"{', '.join(data.panel.symbols)}: {data.panel.num_bars:,} bars, {labels[0]} to {labels[-1]} UTC "
        f"({'before the first test window' if settings.bars == 'training' else 'all bars'})",
        f"{settings.num_folds} purged expanding folds, label: net return over {settings.horizon_bars} bars from the "
        "next open",
    )
    write_csv(run / "screening.csv", agreed)
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
    print_paths([run / name for name in ("importances.csv", "screening.csv", "summary.md")])
    return agreed
