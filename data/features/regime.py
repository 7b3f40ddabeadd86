"""Regimes: the rank of volatility, the strength of a trend, and a hidden state that is filtered forward only.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numba
import numpy as np

from data.array_types import FloatArray
from data.features.definition import SHARE, SIGNED_SHARE, WINDOW, Feature, bars_of, named_outputs, positive
from data.features.series import (
    before,
    change,
    difference,
    lagged_moments,
    log_close,
    mean_square,
    quotient,
    step,
)
from data.features.window_extremes import share_below
from data.features.window_moments import trailing_trend
from data.features.window_sums import trailing_sum, window_mean
from data.schema import Panel


def volatility_rank(panel: Panel, *, window_bars: int, rank_bars: int) -> FloatArray:
    """(T, A, 2) share of the last `rank_bars` realised volatilities below that of t, and its tercile: -1, 0 or 1.

    Volatility is the root mean square of log returns over `window_bars`. Ranked on the bars before, so that no
    threshold is fitted on bars that a policy has yet to see.
    """
    rank = share_below(mean_square(panel, window_bars), rank_bars)
    tercile = (rank > 2.0 / 3.0).astype(np.float64) - (rank < 1.0 / 3.0)
    return np.stack([rank, np.where(np.isnan(rank), np.nan, tercile)], axis=2)


def trend_strength(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A, 2) correlation of the log close with time over the window, its square the R2 of a line, and the
    line's slope.
    """
    fit = trailing_trend(log_close(panel), window_bars)
    # Of a price that stands still only rounding is left.
    still = fit.yy <= 1e-24 * fit.number
    return np.stack([np.where(still, 0.0, fit.correlation), np.where(still, 0.0, fit.slope)], axis=2)


def efficiency_ratio(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) Kaufman's efficiency with its sign: change over the window / sum of absolute changes; 0 if
    nothing moved.
    """
    path = trailing_sum(np.abs(step(panel)), window_bars)
    # Bars that are missing leave their part out of the path.
    ratio = quotient(difference(panel.close, window_bars), path)
    return np.clip(ratio, -1.0, 1.0)


def autocorrelation(panel: Panel, *, window_bars: int, lag_bars: int) -> FloatArray:
    """(T, A) correlation of one-bar log returns with those `lag_bars` earlier, over the window; 0 if nothing moved."""
    return lagged_moments(panel, window_bars, lag_bars).correlation


def hidden_volatility_state(
    panel: Panel, *, window_bars: int, scale_bars: int, calm: float, wild: float, stay: float
) -> FloatArray:
    """(T, A) probability of the wild of two states at t, by a Gaussian hidden Markov model filtered forward.

    Log returns over their root mean square of the `scale_bars` before have standard deviation `calm` or `wild`; a state
    stays with probability `stay`. Bars t - window_bars + 1 to t are filtered from one half each; nothing is smoothed.
    What came before the window counts for at most (2 stay - 1)^window of the prior.
    """
    returns = change(panel, 1)
    scale = before(mean_square(panel, scale_bars))
    squares = quotient(returns**2, scale, still=0.0)
    weight = 0.5 * (calm**-2 - wild**-2)
    evidence = np.log(calm / wild) + np.minimum(weight * squares, 50.0)
    likelihood = np.exp(evidence)
    flat = np.ascontiguousarray(np.where(np.isnan(likelihood), 1.0, likelihood)).reshape(-1)
    found = _filtered(flat, panel.num_assets, window_bars, stay).reshape(panel.close.shape)
    return np.where(np.isnan(window_mean(squares, window_bars)), np.nan, found)


@numba.njit(cache=True)
def _filtered(likelihood, stride, window_bars, stay):  # type: ignore[no-untyped-def]
    """(N,) probability of the second state after window_bars likelihood ratios (second over first), begun at
    one half.
    """
    size = likelihood.size
    odds = np.full(size, np.nan)
    block, leave = 1024, 1.0 - stay
    for start in range(min((window_bars - 1) * stride, size), size, block):
        stop = min(start + block, size)
        odds[start:stop] = 0.5
        for lag in range(window_bars - 1, -1, -1):
            back = lag * stride
            for i in range(start, stop):
                prior = odds[i] * stay + (1.0 - odds[i]) * leave
                second = prior * likelihood[i - back]
                odds[i] = second / (second + (1.0 - prior))
    return odds


def gaussian_hmm(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) probability of the wild of two states of one-bar log returns, by a Gaussian hidden Markov model that is
    fitted on the training window alone, kept in the policy's contract, and filtered forward over the window.

    What is returned is what the model observes, the log returns; see `data.features.hidden_markov`.
    """
    return change(panel, 1)


def _two_states(params: Mapping[str, Any]) -> None:
    positive("calm", "wild", "stay")(params)
    calm, wild, stay = (params[name] for name in ("calm", "wild", "stay"))
    if not calm < wild or not 0.5 <= stay < 1.0:
        raise ValueError(
            f"calm is {calm}, wild {wild} and stay {stay}; calm below wild and 0.5 <= stay < 1 are needed."
        )


_regime = partial(Feature, kind="asset", subject="regime", by_blocks=True)

REGIME_FEATURES = (
    _regime(
        name="volatility_rank",
        function=volatility_rank,
        lookback_bars=lambda p: p["window_bars"] + p["rank_bars"] - 1,
        outputs=named_outputs("", "tercile"),
        unit="share; tercile",
        bounds=SIGNED_SHARE,
        unknown=f"where the volatility is not known, and {WINDOW}",
        source="rank on the past window",
    ),
    _regime(
        name="trend_strength",
        function=trend_strength,
        lookback_bars=partial(bars_of, "window_bars", -1),
        outputs=named_outputs("", "slope"),
        unit="correlation; log price per bar",
        unknown=WINDOW,
        source="least squares on time",
    ),
    _regime(
        name="efficiency_ratio",
        function=efficiency_ratio,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="share of the path",
        bounds=SIGNED_SHARE,
        unknown=f"where one of the two ends is missing, and {WINDOW}",
        source="Kaufman 1995",
    ),
    _regime(
        name="autocorrelation",
        function=autocorrelation,
        lookback_bars=lambda p: p["window_bars"] + p["lag_bars"],
        unit="correlation",
        bounds=SIGNED_SHARE,
        unknown=WINDOW,
        source="Pearson",
    ),
    _regime(
        name="hidden_volatility_state",
        function=hidden_volatility_state,
        lookback_bars=lambda p: p["window_bars"] + p["scale_bars"],
        check=_two_states,
        unit="probability",
        bounds=SHARE,
        unknown=WINDOW,
        source="Hamilton 1989, filter of section 22.4 in Hamilton 1994",
    ),
    _regime(
        name="gaussian_hmm",
        function=gaussian_hmm,
        lookback_bars=partial(bars_of, "window_bars", 0),
        filter_bars=partial(bars_of, "window_bars", 0),
        unit="probability; log return before it is fitted",
        unknown=f"{WINDOW}, and for an asset with fewer than 100 known bars in the training window",
        source="Hamilton 1989; Rabiner 1989",
    ),
)
