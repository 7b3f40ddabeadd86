"""Between markets: an asset beside a reference, two references beside each other, and an asset among all that trade.

Axes: T time, A asset.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.stats import rankdata

from data.array_types import FloatArray
from data.features.definition import (
    SHARE,
    SIGNED_SHARE,
    WINDOW,
    Feature,
    bars_of,
)
from data.features.plan import codes
from data.features.plan.graph import Series
from data.features.references import reference_close
from data.features.series import change, difference, log_close, quotient, row_sum, shared
from data.features.window_moments import CoMoments, trailing_comoments
from data.schema import Panel

FEW_ASSETS = 32
"""Up to here their comparisons in pairs are quicker than a sort for each bar."""


@shared
def reference_change(panel: Panel, reference: str, bars: int) -> FloatArray:
    """(T, 1) log return of a reference over `bars` bars."""
    return difference(np.log(reference_close(panel, reference)), bars)


def reference_return(panel: Panel, *, reference: str, horizon_bars: int) -> FloatArray:
    """(T, A) log return of the reference over the horizon, the same for every asset."""
    return np.broadcast_to(reference_change(panel, reference, horizon_bars), panel.close.shape)


def reference_divergence(panel: Panel, *, reference: str, horizon_bars: int) -> FloatArray:
    """(T, A) log return of the asset less that of the reference, over the horizon."""
    return change(panel, horizon_bars) - reference_change(panel, reference, horizon_bars)


def pair_spread(panel: Panel, *, first: str, second: str, horizon_bars: int) -> FloatArray:
    """(T, A) log return of the first reference less that of the second, over the horizon; the same for every asset."""
    spread = reference_change(panel, first, horizon_bars) - reference_change(panel, second, horizon_bars)
    return np.broadcast_to(spread, panel.close.shape)


@shared
def _beside(panel: Panel, reference: str, window_bars: int) -> CoMoments:
    return trailing_comoments(reference_change(panel, reference, 1), change(panel, 1), window_bars)


def rolling_beta(panel: Panel, *, reference: str, window_bars: int) -> FloatArray:
    """(T, A) slope of the asset's one-bar log returns on the reference's, over the window; 0 if the reference
    stood still.
    """
    return _beside(panel, reference, window_bars).slope


def rolling_correlation(panel: Panel, *, reference: str, window_bars: int) -> FloatArray:
    """(T, A) correlation of the asset's one-bar log returns with the reference's, over the window; 0 if one
    stood still.
    """
    return _beside(panel, reference, window_bars).correlation


def cointegration_residual(panel: Panel, *, reference: str, window_bars: int) -> FloatArray:
    """(T, A) residual at t of the line log close = a + b log reference, fitted on the window, in its standard
    deviations.

    0 for the reference itself and wherever the line fits to rounding.
    """
    x, y = np.log(reference_close(panel, reference)), log_close(panel)
    fit = trailing_comoments(x, y, window_bars)
    rest = np.maximum(fit.yy - fit.slope * fit.xy, 0.0)
    # Of a perfect fit only rounding is left, which says nothing.
    exact = rest <= 1e-10 * fit.yy
    std = np.sqrt(rest / fit.number)
    residual = (y - fit.mean_y) - fit.slope * (x - fit.mean_x)
    return np.where(np.isnan(residual), np.nan, quotient(residual, np.where(exact, 0.0, std)))


@shared
def tradable_change(panel: Panel, bars: int) -> FloatArray:
    """(T, A) log return over `bars` bars, NaN at a bar that is not tradable."""
    return np.where(panel.tradable, change(panel, bars), np.nan)


def cross_rank(panel: Panel, *, horizon_bars: int) -> FloatArray:
    """(T, A) rank of the asset's log return among the bar's tradable assets, -1 lowest to 1 highest; 0 if alone."""
    return place_among(tradable_change(panel, horizon_bars))


def place_among(returns: FloatArray) -> FloatArray:
    """(T, A) rank of each known value in its row, -1 lowest to 1 highest; 0 if alone."""
    known = ~np.isnan(returns)
    count = row_sum(known)
    rank = _ranks(np.where(known, returns, np.inf))
    place = quotient(2.0 * (rank - 1.0), np.broadcast_to(count - 1.0, rank.shape), still=1.0) - 1.0
    return np.where(known, place, np.nan)


def _ranks(values: FloatArray) -> FloatArray:
    """(T, A) mean rank of each value in its row, from 1."""
    if isinstance(values, Series):
        return values.step(codes.RANK, whole=(0,))
    if values.shape[1] > FEW_ASSETS:
        return np.asarray(rankdata(values, axis=1), dtype=np.float64)
    rank = np.full(values.shape, 0.5)
    for a in range(values.shape[1]):
        other = values[:, a : a + 1]
        rank += (other < values) + 0.5 * (other == values)
    return rank


def cross_demeaned(panel: Panel, *, horizon_bars: int) -> FloatArray:
    """(T, A) log return of the asset less the mean of the bar's tradable assets; 0 if alone."""
    return demeaned(tradable_change(panel, horizon_bars))[0]


def demeaned(returns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(T, A) values less their row's mean, known ones only; (T, A) of zeros for unknown ones; (T, 1) how many."""
    known = ~np.isnan(returns)
    count = np.maximum(row_sum(known), 1.0)
    rest = returns - row_sum(np.where(known, returns, 0.0)) / count
    return rest, np.where(known, rest, 0.0), count


def cross_zscore(panel: Panel, *, horizon_bars: int) -> FloatArray:
    """(T, A) `cross_demeaned` over the standard deviation among the bar's tradable assets; 0 if all moved alike."""
    rest, filled, count = demeaned(tradable_change(panel, horizon_bars))
    std = np.sqrt(row_sum(filled * filled) / count)
    # Of equal returns only the rounding of their mean is left.
    alike = std <= 1e-12
    return quotient(rest, np.broadcast_to(np.where(alike, 0.0, std), rest.shape))


def breadth(panel: Panel, *, horizon_bars: int) -> FloatArray:
    """(T, A) share of the bar's tradable assets that rose over the horizon, still ones counted half; the same
    for all.
    """
    returns = tradable_change(panel, horizon_bars)
    count = row_sum(~np.isnan(returns))
    rose = row_sum((returns > 0.0) + 0.5 * (returns == 0.0))
    share = np.where(count > 0.0, rose / np.maximum(count, 1.0), np.nan)
    return np.broadcast_to(share, panel.close.shape)


_between = partial(Feature, kind="asset", subject="intermarket", by_blocks=True, across_assets=True)
_BOTH = "where a bar of the asset or the reference is missing"
_TRADABLE = "at a bar that is not tradable, and where the bar of the horizon is missing"

INTERMARKET_FEATURES = (
    _between(
        name="reference_return",
        function=reference_return,
        lookback_bars=partial(bars_of, "horizon_bars", 0),
        unit="log return",
        unknown="where a bar of the reference is missing",
        source="definition",
    ),
    _between(
        name="reference_divergence",
        function=reference_divergence,
        lookback_bars=partial(bars_of, "horizon_bars", 0),
        unit="log return",
        unknown=_BOTH,
        source="definition",
    ),
    _between(
        name="pair_spread",
        function=pair_spread,
        lookback_bars=partial(bars_of, "horizon_bars", 0),
        unit="log return",
        unknown="where a bar of one of the references is missing",
        source="definition",
    ),
    _between(
        name="rolling_beta",
        function=rolling_beta,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="slope",
        unknown=WINDOW,
        source="least squares",
    ),
    _between(
        name="rolling_correlation",
        function=rolling_correlation,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="correlation",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Pearson",
    ),
    _between(
        name="cointegration_residual",
        function=cointegration_residual,
        lookback_bars=partial(bars_of, "window_bars", -1),
        unit="standard deviations",
        unknown=f"{_BOTH}, and {WINDOW}",
        source="Engle and Granger 1987, first step, on the window",
    ),
    _between(
        name="cross_rank",
        function=cross_rank,
        lookback_bars=partial(bars_of, "horizon_bars", 0),
        unit="rank",
        bounds=SIGNED_SHARE,
        unknown=_TRADABLE,
        source="definition",
    ),
    _between(
        name="cross_zscore",
        function=cross_zscore,
        lookback_bars=partial(bars_of, "horizon_bars", 0),
        unit="standard deviations",
        unknown=_TRADABLE,
        source="definition",
    ),
    _between(
        name="cross_demeaned",
        function=cross_demeaned,
        lookback_bars=partial(bars_of, "horizon_bars", 0),
        unit="log return",
        unknown=_TRADABLE,
        source="definition",
    ),
    _between(
        name="breadth",
        function=breadth,
        lookback_bars=partial(bars_of, "horizon_bars", 0),
        unit="share of assets",
        bounds=SHARE,
        unknown="at a bar with no tradable asset",
        source="definition",
    ),
)
