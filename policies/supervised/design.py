"""What a supervised model is fitted on: the rows of a training window, purged by their labels, and their labels.

A row is one asset at one bar. Its label reads bars after it, so the last `horizon_bars` rows of each stretch are left
out: nothing that a fit reads lies beyond the stretch. Axes: T time, A asset, F feature, R rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.labelling import Labels
from envs.market import Market

FloatArray = NDArray[np.float64]


def design_matrix(market: Market) -> FloatArray:
    """(T, A, F) what a model may know at the close of each bar: the asset's features, the clock, and a constant."""
    return designed(market.features, market.clock)


def designed(features: NDArray[np.float32], clock: NDArray[np.float32]) -> FloatArray:
    """(N, A, F) rows of N bars or envs.

    Parameters
    ----------
    features : (N, A, M), as observed. clock : (N, C).
    """
    assets = features.astype(np.float64)
    clocks = np.repeat(clock[:, None, :].astype(np.float64), assets.shape[1], axis=1)
    return np.concatenate([assets, clocks, np.ones((*assets.shape[:2], 1))], axis=2)


def first_usable(train: slice, first_bar: int, horizon_bars: int) -> tuple[int, int]:
    """First bar and end (exclusive) of the rows of a training window that have features and a label within it.

    Raises
    ------
    ValueError
        If none are left.
    """
    start, stop = max(train.start, first_bar), train.stop - horizon_bars
    if stop <= start:
        raise ValueError(
            f"the training window [{train.start}, {train.stop}) leaves no row after a lookback of {first_bar} "
            f"and a horizon of {horizon_bars} bars; lengthen it"
        )
    return start, stop


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRows:
    """Rows of one fit, in time order, the assets of a bar side by side.

    Parameters
    ----------
    design : (R, F). earned : (R,) return of the fitted side. weight : (R,) above 0. bar : (R,) bar of each row.
    asset : (R,) its asset.
    """

    design: FloatArray
    earned: FloatArray
    weight: FloatArray
    bar: NDArray[np.int64]
    asset: NDArray[np.int64]

    def of_asset(self, asset: int) -> TrainingRows:
        """The rows of one asset."""
        kept = self.asset == asset
        return TrainingRows(
            design=self.design[kept],
            earned=self.earned[kept],
            weight=self.weight[kept],
            bar=self.bar[kept],
            asset=self.asset[kept],
        )


def training_rows(market: Market, labels: Labels, stretches: Sequence[slice], side: str) -> TrainingRows:
    """The rows of the training stretches that have a label of this side inside of their stretch.

    Parameters
    ----------
    market : features standardised on the training bars alone.
    labels : of the whole panel. stretches : half-open bars that may be learnt from, in time order.
    side : "long" or "short".

    Raises
    ------
    ValueError
        If no row is left, or a feature of one is not finite.
    """
    design, earned = design_matrix(market), labels.long if side == "long" else labels.short
    parts = []
    for stretch in stretches:
        try:
            start, _ = first_usable(stretch, market.first_bar, labels.config.horizon_bars)
        except ValueError:
            if len(stretches) == 1:
                raise
            continue
        bars = slice(start, stretch.stop)
        weight = np.where(labels.of_side(side)[bars], labels.sample_weights(bars), 0.0)
        row, asset = np.nonzero(weight > 0.0)
        bar = row + start
        parts.append((design[bar, asset], earned[bar, asset], weight[row, asset], bar, asset))
    if not parts or not any(len(part[1]) for part in parts):
        raise ValueError(
            "no row of the training bars has a label; lengthen them or shorten labels.horizon_bars"
        )
    joined = [np.concatenate(column) for column in zip(*parts)]
    if not np.isfinite(joined[0]).all():
        raise ValueError("a feature of the training rows is not finite; check the features of this data")
    return TrainingRows(design=joined[0], earned=joined[1], weight=joined[2], bar=joined[3], asset=joined[4])
