"""What a version does live, held to its backtest; a champion that trips a wire is demoted, and people are told.

| wire | trips where |
|---|---|
| `live_mean` | the upper end of the live mean's confidence sequence is below the lower end of the backtest's interval |
| `live_loss` | the same upper end is below zero |
| `decision_drift` | PSI of gross or net exposure, or of a symbol's, is above `max_psi` |
| `feature_drift` | PSI of a feature is above `max_psi` (from the loop's feature_drift.csv) |
| `value_calibration` | never; it tells slope and correlation of returns on what the value head expected |

The sequence may be looked at every day: it errs at any time with probability at most alpha. Exposures of neighbouring
bars are alike, so for drift the size decides and not a p-value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from envs.validation import require_positive, require_range
from evaluation.statistics.drift import drift
from evaluation.statistics.paired import paired_difference
from evaluation.statistics.sequential import confidence_sequence
from rayjobs.config.typed_config import ConfigError
from rayjobs.registry.daily_record import daily_record, trading_runs
from rayjobs.registry.versions import Version

FEATURE_DRIFT_FILE = "feature_drift.csv"
VALUE_FILE = "value_calibration.csv"
LEAST_BARS = 100
"""Live bars below which drift is not judged."""
NO_PROMISE = "the backtest has too few days to promise anything"
PROMISE_DRAWS = 4000
"""Of the bootstrap of the backtest's mean: its tail of alpha is read."""


@dataclass(frozen=True, kw_only=True)
class TripwireRules:
    """``deploy.yaml``, group ``tripwires``.

    Parameters
    ----------
    max_psi : population stability index, nats. num_bins : that it is computed in.
    alpha : probability that a sequence of daily returns ever errs.
    max_daily_return : bound known beforehand of a day's return, fraction; what lies beyond is cut.
    min_days : live days before returns are judged.
    demote : a champion that trips goes to shadow; false: people are told alone.
    """

    max_psi: float
    num_bins: int
    alpha: float
    max_daily_return: float
    min_days: int
    demote: bool

    def __post_init__(self) -> None:
        require_positive("tripwires", "max_psi", self.max_psi)
        require_range("tripwires", "num_bins", self.num_bins, 2, 1000)
        require_range("tripwires", "alpha", self.alpha, 1e-6, 0.5)
        require_range("tripwires", "max_daily_return", self.max_daily_return, 0.0, 10.0, open_low=True)
        require_range("tripwires", "min_days", self.min_days, 2, 1e6)


@dataclass(frozen=True, kw_only=True)
class Wire:
    """One wire. tripped : None where there is too little to judge. value, threshold : what was compared."""

    wire: str
    what: str
    tripped: bool | None
    value: float
    threshold: float
    words: str


def wires(version: Version, rules: TripwireRules, given: str | None) -> list[Wire]:
    """Judge the live record of a version.

    Parameters
    ----------
    given : one trading run; None for all beside its run that traded live bars.

    Raises
    ------
    ConfigError
        If there is no live record, or a file cannot be read.
    """
    live = trading_runs(version, given)
    if not live:
        raise ConfigError(
            f"{version.reference} has no trading run over live bars; name one with shadow_run=DIR"
        )
    backtest = Path(version.facts.run) / "backtest"
    return [
        *_returns(live, backtest, rules),
        *_decisions(live, backtest, version.facts.fold, rules),
        *_features(live, rules),
        *_values(live),
    ]


def _returns(live: Sequence[Path], backtest: Path, rules: TripwireRules) -> list[Wire]:
    record = daily_record(live)
    days = len(record.net_return)
    if days < rules.min_days:
        words = f"{days} of {rules.min_days} days that are needed"
        return [
            Wire(
                wire="live_mean",
                what="mean daily return",
                tripped=None,
                value=np.nan,
                threshold=np.nan,
                words=words,
            )
        ]
    bound = rules.max_daily_return
    sequence = confidence_sequence(record.net_return, low=-bound, high=bound, alpha=rules.alpha)
    scored = _table(backtest / "daily_report.csv")["net_return"].to_numpy(np.float64)
    random = np.random.default_rng(0)
    promised = paired_difference(
        scored, np.zeros_like(scored), random, level=1.0 - rules.alpha, num_draws=PROMISE_DRAWS
    ).mean_low
    upper = float(sequence.high[-1])
    mean = float(record.net_return.mean())
    told = f"mean of {days} days {mean:+.3%}, at most {upper:+.3%} with confidence {1 - rules.alpha:g}"
    return [
        Wire(
            wire=name,
            what="mean daily return",
            tripped=None if np.isnan(threshold) else bool(upper < threshold),
            value=upper,
            threshold=float(threshold),
            words=f"{told}; " + (NO_PROMISE if np.isnan(threshold) else f"{words} {threshold:+.3%}"),
        )
        for name, threshold, words in (
            ("live_mean", promised, "the backtest promised at least"),
            ("live_loss", 0.0, "a loss is below"),
        )
    ]


def _decisions(live: Sequence[Path], backtest: Path, fold: int, rules: TripwireRules) -> list[Wire]:
    scored = _table(backtest / "portfolio_history.csv")
    scored = scored[scored["fold"] == fold]
    traded = pd.concat([_table(run / "equity.csv") for run in live])
    names = [name for name in scored if name in traded and "exposure" in name]
    return [
        _drift_wire("decision_drift", name, scored[name].to_numpy(), traded[name].to_numpy(), rules)
        for name in names
    ]


def _drift_wire(
    wire: str, name: str, then: NDArray[np.float64], now: NDArray[np.float64], rules: TripwireRules
) -> Wire:
    if len(now) < LEAST_BARS:
        words = f"{len(now)} of {LEAST_BARS} bars that are needed"
        return Wire(wire=wire, what=name, tripped=None, value=np.nan, threshold=rules.max_psi, words=words)
    found = drift(then, now, num_bins=rules.num_bins)
    return Wire(
        wire=wire,
        what=name,
        tripped=None if found.psi != found.psi else found.psi > rules.max_psi,
        value=found.psi,
        threshold=rules.max_psi,
        words=f"PSI {found.psi:.3f}, KL {found.kl:.3f} over {len(now)} live bars",
    )


def _features(live: Sequence[Path], rules: TripwireRules) -> list[Wire]:
    """Of the newest run that has the table, the features that moved most."""
    path = next(
        (run / FEATURE_DRIFT_FILE for run in reversed(live) if (run / FEATURE_DRIFT_FILE).is_file()), None
    )
    if path is None:
        return []
    table = _table(path).dropna(subset=["psi"])
    return [
        Wire(
            wire="feature_drift",
            what=str(row["feature"]),
            tripped=bool(row["num_live"] >= LEAST_BARS and row["psi"] > rules.max_psi),
            value=float(row["psi"]),
            threshold=rules.max_psi,
            words=f"PSI {row['psi']:.3f}, KL {row['kl']:.3f} over {int(row['num_live'])} live values",
        )
        for row in table.sort_values("psi", ascending=False).to_dict("records")
    ]


def _values(live: Sequence[Path]) -> list[Wire]:
    """Of the newest run that has the table: told beside the others, for what a head may miss depends on the policy."""
    path = next((run / VALUE_FILE for run in reversed(live) if (run / VALUE_FILE).is_file()), None)
    if path is None:
        return []
    row = _table(path).iloc[0]
    words = (
        f"slope {row['slope']:.2f} (1 is calibrated), correlation {row['correlation']:.2f}, explained "
        f"{row['explained']:.2f} over {int(row['num_returns'])} live bars"
    )
    slope = float(row["slope"])
    return [
        Wire(
            wire="value_calibration", what="value head", tripped=None, value=slope, threshold=1.0, words=words
        )
    ]


def wire_rows(found: Sequence[Wire]) -> list[dict[str, Any]]:
    """A row per wire, those that tripped first."""
    order = {True: 0, False: 1, None: 2}
    return [
        {
            "wire": wire.wire,
            "what": wire.what,
            "tripped": {True: "TRIPPED", False: "no", None: "-"}[wire.tripped],
            "why": wire.words,
        }
        for wire in sorted(found, key=lambda wire: order[wire.tripped])
    ]


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
