"""Regimes: the rank of volatility, the strength of a trend, and a hidden state that is filtered forward only.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from data.array_types import FloatArray
from data.features.definition import SHARE, SIGNED_SHARE, WINDOW, Feature, bars_of, named_outputs, positive
from data.features.kernels import compiled, inner
from data.features.plan import codes
from data.features.plan.graph import Series
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
from data.features.window_sums import copied, trailing_sum, window_mean
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
    found = _probability(np.where(np.isnan(likelihood), 1.0, likelihood), window_bars, stay)
    return np.where(np.isnan(window_mean(squares, window_bars)), np.nan, found)


def _probability(likelihood: FloatArray, window_bars: int, stay: float) -> FloatArray:
    """(T, A) probability of the second state after window_bars likelihood ratios (second over first), begun at one
    half; NaN before the first whole window.
    """
    if isinstance(likelihood, Series):
        return likelihood.step(codes.FILTERED, whole=(window_bars,), real=(stay,))
    found = np.full(likelihood.shape, np.nan)
    if len(likelihood) >= window_bars:
        stride = likelihood.shape[1]
        out = found.reshape(-1)[(window_bars - 1) * stride :]
        filtered(likelihood.reshape(-1), stride, window_bars, stay, np.empty(2 * likelihood.size), out)
    return found


@compiled
def filtered(likelihood, stride, window_bars, stay, work, out):  # type: ignore[no-untyped-def]
    """Write the probability of the second state after the windows that end at the last len(out) ratios of (N,).

    work : at least (2 len(out),). The states carry weights whose sum is brought back to 1 once in a few bars: a ratio
    is at most exp(50), so that none of them overflows in between.
    """
    leave, block = 1.0 - stay, 1024
    for start in range(0, len(out), block):
        size = min(block, len(out) - start)
        first, second = work[:size], work[size : 2 * size]
        for i in range(size):
            first[i], second[i] = 0.5, 0.5
        for lag in range(window_bars - 1, -1, -1):
            at = len(likelihood) - len(out) + start - lag * stride
            _pass_on(first, second, likelihood[at : at + size], stay, leave)
            if lag % 8 == 0:
                _normalise(first, second)
        copied(out[start : start + size], second)


@inner
def _pass_on(first, second, likelihood, stay, leave):  # type: ignore[no-untyped-def]
    for i in range(len(first)):
        one, two = first[i], second[i]
        first[i] = one * stay + two * leave
        second[i] = (two * stay + one * leave) * likelihood[i]


@inner
def _normalise(first, second):  # type: ignore[no-untyped-def]
    for i in range(len(first)):
        total = first[i] + second[i]
        first[i] /= total
        second[i] /= total


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
