"""A tearsheet by quantstats, beside our own report: a second opinion in the form that many know.

quantstats has conventions of its own (a Gaussian value at risk, drawdowns without the first bar's loss), so its numbers
may differ from summary.json, which counts. Daily returns; needs the package quantstats and no network.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.files import replacing
from evaluation.scoring.walk_forward import WalkForwardResult

BASELINE = "buy_and_hold"


def require_quantstats() -> None:
    """Raise ValueError if quantstats is not installed."""
    if importlib.util.find_spec("quantstats") is None:
        raise ValueError(
            "the tearsheet needs the package quantstats; pip install -c requirements.lock -e '.[tearsheet]'"
        )


def daily_returns(
    result: WalkForwardResult, net_return: NDArray[np.float64], name: str = "policy"
) -> pd.Series:
    """Compound return of each calendar day (UTC) that was scored, by per-bar returns (N,) on `result.bar`."""
    day = result.panel.bar_utc[result.bar].astype("datetime64[D]")
    growth = pd.Series(1.0 + net_return, index=pd.DatetimeIndex(day.astype("datetime64[ns]"))).clip(lower=0.0)
    return (growth.groupby(level=0).prod() - 1.0).rename(name)


def write_tearsheet(path: Path, result: WalkForwardResult, *, title: str) -> Path:
    """Write the tearsheet of the policy, against buy and hold where that was scored, and return its path.

    Raises
    ------
    ValueError
        If quantstats is not installed, or fewer than two days were scored.
    """
    require_quantstats()
    policy = daily_returns(result, result.net_return)
    if len(policy) < 2:
        raise ValueError(f"a tearsheet needs at least 2 days of returns; there are {len(policy)}")
    rival = None
    if BASELINE in result.baseline_names:
        rival = daily_returns(result, result.baseline_return(BASELINE), BASELINE)
    years = len(result.bar) / result.periods_per_year
    os.environ.setdefault("MPLBACKEND", "agg")  # no window
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with warnings.catch_warnings(), replacing(path) as temporary:
        warnings.simplefilter("ignore")  # of seaborn and pandas, about each other
        import quantstats

        quantstats.reports.html(
            policy,
            benchmark=rival,
            output=str(temporary),
            title=title,
            match_dates=False,
            periods_per_year=round(len(policy) / years),
        )
    return path
