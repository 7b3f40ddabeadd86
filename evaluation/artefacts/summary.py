"""The headline numbers of a walk-forward study, all from the chained out-of-sample net returns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.costs import COST_NAMES
from evaluation.artefacts.breakdown import by_hour, by_regime, capacity
from evaluation.gate.seen_shares import SeenShares
from evaluation.scoring.path_distribution import PathDistribution
from evaluation.scoring.walk_forward import ORACLE, WalkForwardResult, closed_mask
from evaluation.statistics import metrics
from evaluation.statistics.bootstrap import sharpe_interval
from evaluation.statistics.significance import (
    deflated_probability,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_moments,
)

FloatArray = NDArray[np.float64]


def trading(result: WalkForwardResult) -> dict[str, Any]:
    """Trades, turnover, exposure and costs of the policy over all test windows.

    `turnover` is traded notional over equity, summed over all bars; costs are in account currency. Exposure and time in
    the market are means over all bars, those after an account has ended included.
    """
    recordings = [fold.recording for fold in result.folds]
    pnl = np.concatenate([r.trades.pnl[closed_mask(r)] for r in recordings])
    costs = np.sum([np.asarray(r.costs).sum(axis=0) for r in recordings], axis=0)
    gross = np.concatenate([np.abs(r.exposure).sum(axis=1) for r in recordings])
    turnover = float(sum(np.asarray(r.turnover).sum() for r in recordings))
    years = len(result.bar) / result.periods_per_year
    return {
        "win_rate": metrics.win_rate(pnl),
        "profit_factor": metrics.profit_factor(pnl),
        "expectancy": metrics.expectancy(pnl),
        "num_trades": int(pnl.size),
        "turnover": turnover,
        "annual_turnover": turnover / years,
        "mean_gross_exposure": float(gross.sum() / len(result.bar)),
        "time_in_market": float(np.count_nonzero(gross) / len(result.bar)),
        "total_cost": float(costs.sum()),
        "costs": {name: float(value) for name, value in zip(COST_NAMES, costs)},
    }


def significance(
    net_return: FloatArray, num_trials: float, trial_sharpe_variance: float | None
) -> dict[str, float]:
    """PSR against zero, deflated Sharpe ratio and minimum track record length (bars); nan where undefined."""
    moments = sharpe_moments(net_return)
    if math.isnan(moments.sharpe):
        return {"psr": math.nan, "dsr": math.nan, "min_track_record_bars": math.nan}
    shape = {"skewness": moments.skewness, "kurtosis": moments.kurtosis}
    size = moments.num_observations
    return {
        "psr": probabilistic_sharpe_ratio(moments.sharpe, size, **shape),
        "dsr": deflated_probability(net_return, num_trials, trial_sharpe_variance),
        "min_track_record_bars": minimum_track_record_length(moments.sharpe, **shape),
    }


def oracle_fraction(result: WalkForwardResult) -> float:
    """Sum of the policy's net returns over the sum of the oracle's, on the same bars; nan without an oracle.

    Sums of simple returns, not compounded ones: compounding would make the fraction depend on the window's length.
    """
    if ORACLE not in result.baseline_names:
        return math.nan
    earned = float(result.baseline_return(ORACLE).sum())
    return float(result.net_return.sum()) / earned if earned > 0.0 else math.nan


def _baseline(result: WalkForwardResult, name: str) -> dict[str, float]:
    """The same metrics of a baseline, and how much it trades."""
    periods, turnover = result.periods_per_year, result.baseline_turnover(name)
    return {
        **metrics.performance(result.baseline_return(name), periods),
        "turnover": turnover,
        "annual_turnover": turnover / (len(result.bar) / periods),
    }


def details(result: WalkForwardResult) -> dict[str, Any]:
    """Stress, regimes, hours and capacity: what the report shows below the headline."""
    return {
        "stress": {
            name: metrics.performance(result.stress_return(name), result.periods_per_year)
            for name in result.stress_names
        },
        "regimes": by_regime(result),
        "hours_utc": by_hour(result),
        "capacity": capacity(result),
    }


def summarise(
    result: WalkForwardResult, *, num_trials: float = 1, trial_sharpe_variance: float | None = None
) -> dict[str, Any]:
    """The content of summary.json (undefined numbers are nan here and null in the file).

    Of combinatorial cross-validation every number but those of `paths` is of the first path, which nobody chose.
    """
    periods = result.periods_per_year
    bars = result.panel.bar_utc[result.bar]
    summary: dict[str, Any] = {
        **metrics.performance(result.net_return, periods),
        **trading(result),
        **significance(result.net_return, num_trials, trial_sharpe_variance),
        "num_trials": num_trials,
        "trial_sharpe_variance": trial_sharpe_variance,
        "num_folds": len(result.folds),
        "num_bars": len(result.bar),
        "first_bar_utc": f"{bars[0].astype('datetime64[s]')}Z",
        "last_bar_utc": f"{bars[-1].astype('datetime64[s]')}Z",
        "periods_per_year": periods,
        "baselines": {name: _baseline(result, name) for name in result.baseline_names},
    }
    summary["information_ratio"] = {
        name: metrics.information_ratio(
            result.net_return, result.baseline_return(name), periods_per_year=periods
        )
        for name in result.baseline_names
    }
    interval = sharpe_interval(
        result.net_return, np.random.default_rng(0), num_draws=500, periods_per_year=periods
    )
    summary["sharpe_interval_95"] = [interval.low, interval.high]
    shares = None if result.exposure is None else SeenShares.of(result.exposure)
    summary["in_sample_share"] = math.nan if shares is None else shares.in_sample
    summary["hindsight_share"] = math.nan if shares is None else shares.hindsight
    if ORACLE in result.baseline_names:
        summary["oracle_fraction"] = oracle_fraction(result)
    paths = PathDistribution.of(result)
    if paths is not None:
        summary["paths"] = paths.to_json()
    return summary | details(result)
