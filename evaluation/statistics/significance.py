"""How sure can one be of a Sharpe ratio: PSR, deflated Sharpe ratio, minimum track record length, PBO.

Everything is per period (not annualised), with n - 1 observations, raw kurtosis (a normal distribution has
3) and skewness as population moments, and the observed Sharpe ratio in the variance term. Sources: Bailey
and Lopez de Prado, "The Sharpe ratio efficient frontier", Journal of Risk 15(2), 2012 (below: BL 2012); the
same, "The deflated Sharpe ratio", Journal of Portfolio Management 40(5), 2014 (BL 2014). An undefined number
is ``nan``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from evaluation.statistics.metrics import as_returns, sharpe_ratio

MANY_TRIALS = 1e6
"""Beyond which quantiles are taken from the other end."""


@dataclass(frozen=True, kw_only=True)
class SharpeMoments:
    """Per-period Sharpe ratio (ddof=1), number of observations, population skewness and raw kurtosis of a
    series."""

    sharpe: float
    num_observations: int
    skewness: float
    kurtosis: float


def sharpe_moments(returns: ArrayLike) -> SharpeMoments:
    """The four numbers that PSR, DSR and the track record length take; nan where returns are constant."""
    values = as_returns(returns)
    sharpe = sharpe_ratio(values)
    if math.isnan(sharpe):
        return SharpeMoments(
            sharpe=math.nan, num_observations=values.size, skewness=math.nan, kurtosis=math.nan
        )
    standard = (values - values.mean()) / values.std(ddof=0)
    return SharpeMoments(
        sharpe=sharpe,
        num_observations=values.size,
        skewness=float(np.mean(standard**3)),
        kurtosis=float(np.mean(standard**4)),
    )


def _unit_variance(sharpe: float, skewness: float, kurtosis: float) -> float:
    """n - 1 times the variance of the Sharpe estimator, ``1 - skew * SR + (kurt - 1) / 4 * SR**2``."""
    if kurtosis < 1.0:
        raise ValueError(
            f"kurtosis is {kurtosis}, but raw kurtosis is never below 1; "
            "add 3 if this is excess kurtosis (normal = 3)"
        )
    variance = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    return variance if variance > 0.0 else math.nan


def _check_observations(num_observations: float) -> None:
    if num_observations < 1:
        raise ValueError(f"num_observations is {num_observations}; it must be at least 1")


def probabilistic_sharpe_ratio(
    sharpe: float,
    num_observations: float,
    *,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
    benchmark: float = 0.0,
) -> float:
    """Probability that the true Sharpe ratio exceeds the benchmark, given the observed one.

    ``Phi((SR - SR*) * sqrt(n - 1) / sqrt(1 - skew * SR + (kurt - 1) / 4 * SR**2))``, BL 2012, eq. 11.

    Parameters
    ----------
    sharpe, benchmark : per period, not annualised.
    num_observations : n, number of returns.
    skewness, kurtosis : population moments of the returns; kurtosis is raw (normal = 3).

    Returns
    -------
    float in [0, 1]; nan when n is 1 or the variance term is not positive.

    Raises
    ------
    ValueError
        For fewer than one observation, or a kurtosis below 1.
    """
    _check_observations(num_observations)
    variance = _unit_variance(sharpe, skewness, kurtosis)
    if num_observations <= 1:
        return math.nan
    return float(ndtr((sharpe - benchmark) * math.sqrt(num_observations - 1.0) / math.sqrt(variance)))


def expected_maximum_sharpe(num_trials: float, sharpe_variance: float) -> float:
    """Sharpe ratio that the best of ``num_trials`` trials without skill is expected to show, per period.

    ``sqrt(V) * ((1 - g) * z(1 - 1 / N) + g * z(1 - 1 / (N * e)))`` with g the Euler-Mascheroni constant and
    z the normal quantile, BL 2014, eq. 1. One trial gives 0: nothing was selected.

    Parameters
    ----------
    num_trials : N >= 1, failed trials included; may be a fraction (an effective number of trials).
    sharpe_variance : variance across trials of their Sharpe ratios, at the same frequency.
    """
    if not num_trials >= 1:
        raise ValueError(
            f"num_trials is {num_trials}; at least the trial being judged counts, so give 1 or more"
        )
    if sharpe_variance < 0:
        raise ValueError(f"sharpe_variance is {sharpe_variance}; a variance cannot be negative")
    if num_trials == 1:
        return 0.0
    if num_trials > MANY_TRIALS:  # one less a small number has no digits left
        quantiles = -ndtri(1.0 / num_trials), -ndtri(1.0 / (num_trials * math.e))
    else:
        quantiles = ndtri(1.0 - 1.0 / num_trials), ndtri(1.0 - 1.0 / (num_trials * math.e))
    standard_maximum = (1.0 - np.euler_gamma) * quantiles[0] + np.euler_gamma * quantiles[1]
    # Between one and two effective trials the approximation dips below zero, the expectation of a single
    # trial.
    return float(math.sqrt(sharpe_variance) * max(standard_maximum, 0.0))


def deflated_sharpe_ratio(
    sharpe: float,
    num_observations: float,
    *,
    num_trials: float,
    sharpe_variance: float,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """PSR against the Sharpe ratio expected of the best of ``num_trials`` trials without skill (BL 2014, eq.
    2).

    Parameters are those of `probabilistic_sharpe_ratio` and `expected_maximum_sharpe`; one trial gives
    PSR(0).
    """
    return probabilistic_sharpe_ratio(
        sharpe,
        num_observations,
        skewness=skewness,
        kurtosis=kurtosis,
        benchmark=expected_maximum_sharpe(num_trials, sharpe_variance),
    )


def deflated_probability(returns: ArrayLike, num_trials: float, trial_sharpe_variance: float | None) -> float:
    """Deflated Sharpe ratio of a record, as the gate, the summary and the leaderboard show it; nan where undefined.

    Parameters
    ----------
    returns : (T,) per-bar returns.
    num_trials : that the record was chosen from.
    trial_sharpe_variance : across them; None or nan takes that of trials without skill, 1 / (T - 1).
    """
    moments = sharpe_moments(returns)
    if math.isnan(moments.sharpe):
        return math.nan
    size = moments.num_observations
    if trial_sharpe_variance is None or math.isnan(trial_sharpe_variance):
        trial_sharpe_variance = 1.0 / max(size - 1, 1)
    return deflated_sharpe_ratio(
        moments.sharpe,
        size,
        num_trials=num_trials,
        sharpe_variance=trial_sharpe_variance,
        skewness=moments.skewness,
        kurtosis=moments.kurtosis,
    )


def minimum_track_record_length(
    sharpe: float,
    *,
    benchmark: float = 0.0,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
    confidence: float = 0.95,
) -> float:
    """Number of observations needed to hold the Sharpe ratio above the benchmark with the given confidence.

    ``1 + (1 - skew * SR + (kurt - 1) / 4 * SR**2) * (z(confidence) / (SR - SR*))**2``, BL 2012, eq. 13.
    nan when the Sharpe ratio does not exceed the benchmark: no length would do.
    """
    if not 0.5 <= confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; it must lie between 0.5 and 1 (0.95 is usual)")
    variance = _unit_variance(sharpe, skewness, kurtosis)
    if not sharpe > benchmark:
        return math.nan
    return float(1.0 + variance * (ndtri(confidence) / (sharpe - benchmark)) ** 2)
