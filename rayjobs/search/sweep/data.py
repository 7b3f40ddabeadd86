"""The bars of a sweep: what trials are given, and what stays sealed until the winner is judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

from data.checks.hygiene import HygieneReport
from data.features import compute_features
from evaluation.windows.search_windows import SearchWindows, search_windows_in
from rayjobs.monitoring.result_tables import print_table
from rayjobs.search.sweep.config import SweepConfig
from rayjobs.study.fold_market import lookback_bars
from rayjobs.study.fold_windows import training_windows
from rayjobs.study.load import load_study
from rayjobs.study.study import Study


@dataclass(frozen=True, kw_only=True)
class SweepData:
    """The bars of a sweep.

    Attributes
    ----------
    full : all bars; only the winner's last training sees them.
    sealed : the same without the holdout: what trials are given.
    """

    full: Study
    sealed: Study
    hygiene: HygieneReport
    windows: SearchWindows


def load_sweep(config: SweepConfig) -> SweepData:
    """Load the bars and seal the holdout.

    Raises
    ------
    ValueError
        If the bars cannot be used, or leave no validation fold before the holdout.
    """
    full, hygiene, _ = load_study(config.train)
    windows = search_windows_in(config.train.walk_forward, full.panel, config.search.holdout_bars)
    panel = full.panel.slice_bars(0, windows.holdout_start)
    sealed = replace(
        full,
        panel=panel,
        features=compute_features(panel, config.train.features.enabled),
        oracle_direction=None,
        unseen=None,
    )
    for fold in windows.folds:
        training_windows(config.train, fold, lookback_bars(sealed))
    return SweepData(full=full, sealed=sealed, hygiene=hygiene, windows=windows)


def describe(config: SweepConfig, data: SweepData) -> None:
    """Print the space and the windows before anything starts."""
    search, windows = config.search, data.windows
    print_table(f"Search space: {config.space.size()}", config.space.rows())
    labels = data.full.panel.bar_utc.astype("datetime64[m]")
    spans = {f"validation fold {fold.index}": fold.test for fold in windows.folds}
    spans["holdout, sealed"] = slice(windows.holdout_start, len(labels))
    rows = [
        {
            "window": name,
            "first bar": labels[bars.start],
            "last bar": labels[bars.stop - 1],
            "bars": bars.stop - bars.start,
        }
        for name, bars in spans.items()
    ]
    print_table(
        f"{config.total_trials} trials, each scored on {len(windows.folds)} folds x {len(search.seeds)} seeds",
        rows,
    )
