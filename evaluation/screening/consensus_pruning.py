"""Pruning by a screening: of each training window's features those stay that help every model there, net of costs.

The screening sees the training window alone, as statistics and copies do (`data.features.pruning`), so that what it
chooses can be tested on the bars after it. Axes: T time, A asset, F asset feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.array_types import BoolArray, FloatArray
from data.features import FeatureSet
from data.features.pruning import PruneConfig
from data.features.standardiser import stretches
from data.schema import Panel
from evaluation.screening.screen import ScreeningConfig, check_folds, screen_features
from evaluation.screening.summary import consensus


@dataclass(frozen=True, kw_only=True)
class ConsensusConfig:
    """How a training window is screened, and what its features must show; keys as of `ScreeningConfig`.

    Parameters
    ----------
    min_t : a feature whose importance has a smaller t statistic in some model is left out.
    """

    min_t: float
    models: tuple[str, ...]
    horizon_bars: int
    num_folds: int
    embargo_bars: int
    penalty: float
    num_trees: int
    max_depth: int
    max_rows: int
    num_shuffles: int
    num_blocks: int
    seed: int

    def __post_init__(self) -> None:
        if not np.isfinite(self.min_t):
            raise ValueError(f"features.prune.consensus.min_t is {self.min_t}; it must be a number")
        try:
            _ = self.screening
        except ValueError as error:
            raise ValueError(str(error).replace("screening.", "features.prune.consensus.")) from error

    @property
    def screening(self) -> ScreeningConfig:
        """As a screening of all bars of a window."""
        shared = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "min_t"}
        return ScreeningConfig(bars="all", confidence=0.95, **shared)


@dataclass(frozen=True, kw_only=True)
class FeaturePruning(PruneConfig):
    """`PruneConfig`, and what a screening of the training window leaves out.

    Parameters
    ----------
    consensus : of the screening; None screens nothing, as in configurations that are older than it.
    """

    consensus: ConsensusConfig | None = None


def check_window(config: ConsensusConfig, features: FeatureSet, train: slice | Sequence[slice]) -> None:
    """Raise ValueError where a training window is too short to be screened."""
    window = longest(train)
    try:
        check_folds(
            config.screening, window.stop - window.start, max(features.lookback_bars - window.start, 0)
        )
    except ValueError as error:
        raise ValueError(
            f"the training window [{window.start}, {window.stop}) is too short: "
            f"{str(error).replace('screening.', 'features.prune.consensus.')}"
        ) from error


def longest(train: slice | Sequence[slice]) -> slice:
    """The longest stretch of a training window, the one that is screened: folds are cut from bars that follow on."""
    return max(stretches(train), key=lambda part: part.stop - part.start)


def doubted(
    panel: Panel,
    features: FeatureSet,
    train: slice | Sequence[slice],
    config: ConsensusConfig,
    cost_TA: FloatArray,
    kept: BoolArray,
) -> BoolArray:
    """Return (F,) True where a feature does not help every model on the training window; clock features stay.

    Parameters
    ----------
    panel, features : of all bars, not standardised; nothing outside of the window is read.
    cost_TA : (T, A) cost of one side, fraction of notional (`evaluation.screening.screen.cost_per_side`).
    kept : (F,) features that are screened; of copies one alone, or none of them would be missed.

    Raises
    ------
    ValueError
        If the window is too short.
    """
    check_window(config, features, train)
    window = longest(train)
    names = np.array(features.asset_names)[kept].tolist()
    screened = replace(
        features,
        asset=features.asset[window][:, :, kept],
        clock=features.clock[window],
        asset_names=tuple(names),
        lookback_bars=max(features.lookback_bars - window.start, 0),
        filtered={name: bars for name, bars in features.filtered.items() if name in names},
    )
    table = screen_features(
        panel.slice_bars(window.start, window.stop), screened, config.screening, cost_TA[window]
    )
    agreed = consensus(table).set_index("feature")
    least_t = agreed[[column for column in agreed.columns if column.startswith("t_")]].min(axis=1)
    out = np.zeros(len(features.asset_names), dtype=bool)
    out[kept] = (least_t.loc[names] < config.min_t).to_numpy()
    return out
