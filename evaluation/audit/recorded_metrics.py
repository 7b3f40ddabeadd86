"""Metrics: are the headline numbers and the verdict what the recorded returns and trades give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from evaluation.artefacts.reproduction import differences
from evaluation.artefacts.summary import significance
from evaluation.artefacts.tables import COST_COLUMNS
from evaluation.audit.findings import Check, Section
from evaluation.audit.recorded_run import RecordedRun
from evaluation.files import plain
from evaluation.gate.config import GateConfig
from evaluation.gate.criteria import UNSEEN_SYMBOLS
from evaluation.statistics import metrics
from evaluation.statistics.metrics import performance

METRICS = Section(name="metrics")
TOLERANCE = 1e-9
"""Relative; CSV holds every digit, sums may run in another order."""
HOLDS = {">=": np.greater_equal, "<=": np.less_equal, ">": np.greater, "<": np.less}


def check_metrics(run: RecordedRun, periods_per_year: float, gate: GateConfig) -> list[Check]:
    """All checks of this section; `periods_per_year` is that of the data's calendar in the record's years."""
    return [
        _history(run),
        _daily(run),
        _summary("returns", run.summary, performance(run.history["net_return"].to_numpy(), periods_per_year)),
        _summary("trading", run.summary, _trading(run, periods_per_year)),
        _summary("significance", run.summary, _significance(run)),
        *_verdict(run, gate),
    ]


def _history(run: RecordedRun) -> Check:
    returns, equity = run.history["net_return"].to_numpy(), run.history["equity"].to_numpy()
    if not np.array_equal(returns, run.returns["net_return"].to_numpy()):
        return METRICS.fails("history", "portfolio_history.csv and returns.parquet hold other returns")
    again = metrics.equity_curve(returns)[1:]
    fall = metrics.drawdown_curve(returns)[1:]
    same = np.allclose(again, equity, rtol=TOLERANCE, atol=0.0) and np.allclose(
        fall, run.history["drawdown"].to_numpy(), rtol=1e-6, atol=TOLERANCE
    )
    return METRICS.judges(
        "history",
        same,
        "returns, equity and drawdown of portfolio_history.csv and returns.parquet belong together",
        "the equity or drawdown of portfolio_history.csv does not follow from its returns",
    )


def _daily(run: RecordedRun) -> Check:
    chained = float(np.prod(1.0 + run.daily["net_return"].to_numpy()) - 1.0)
    total = metrics.total_return(run.history["net_return"].to_numpy())
    return METRICS.judges(
        "daily report",
        bool(np.isclose(chained, total, rtol=1e-6, atol=TOLERANCE)),
        f"{len(run.daily):,} sessions chain to the total return",
        f"daily_report.csv chains to {chained:.6%}, the bars to {total:.6%}",
    )


def _trading(run: RecordedRun, periods_per_year: float) -> dict[str, Any]:
    pnl = run.trades["pnl"].to_numpy(dtype=np.float64)
    turnover = float(run.history["turnover"].sum())
    costs = {name: float(run.history[column].sum()) for name, column in COST_COLUMNS.items()}
    return {
        "win_rate": metrics.win_rate(pnl),
        "profit_factor": metrics.profit_factor(pnl),
        "expectancy": metrics.expectancy(pnl),
        "num_trades": int(pnl.size),
        "turnover": turnover,
        "annual_turnover": turnover / (len(run.history) / periods_per_year),
        "total_cost": sum(costs.values()),
        "costs": costs,
        "num_bars": len(run.history),
        "num_folds": len(run.folds),
    }


def _significance(run: RecordedRun) -> dict[str, Any]:
    trials, variance = run.summary.get("num_trials", 1), run.summary.get("trial_sharpe_variance")
    return significance(run.history["net_return"].to_numpy(), trials, variance)


def _summary(name: str, recorded: Mapping[str, Any], again: Mapping[str, Any]) -> Check:
    """Compare the entries that were computed again with those of summary.json."""
    missing = [key for key in again if key not in recorded]
    if missing:
        return METRICS.fails(f"summary, {name}", f"summary.json lacks {missing[0]}")
    found = differences({key: recorded[key] for key in again}, plain(again), relative=TOLERANCE)
    if not found:
        return METRICS.passes(f"summary, {name}", f"{len(again)} entries computed again: {', '.join(again)}")
    first = found[0]
    return METRICS.fails(
        f"summary, {name}",
        f"{len(found)} entries of summary.json are not what the bars give, first {first.name}: {first.recorded} is "
        f"recorded, {first.again} computed",
    )


def _verdict(run: RecordedRun, gate: GateConfig) -> list[Check]:
    if run.verdict is None:
        return [METRICS.skips("verdict", "the gate was not asked")]
    rows = {row["name"]: row for row in run.verdict["criteria"]}
    demanded = set(gate.enforced) | ({UNSEEN_SYMBOLS} if gate.unseen_symbols else set())
    decides = {name for name, row in rows.items() if row["enforced"]}
    checks = [
        METRICS.judges(
            "verdict, criteria",
            decides == demanded,
            f"{len(decides)} criteria decide, as configured",
            f"{', '.join(sorted(decides ^ demanded))}: enforced in only one of config.yaml and verdict.json",
        )
    ]
    expected = {
        "sharpe": ("sharpe", gate.min_sharpe),
        "max_drawdown": ("max_drawdown", gate.max_drawdown),
        "deflated_sharpe": ("dsr", gate.min_deflated_sharpe),
        "num_trades": ("num_trades", gate.min_trades),
    }
    for name, (key, threshold) in expected.items():
        row = rows.get(name)
        if row is None or differences(
            {"value": run.summary[key], "threshold": threshold},
            {"value": row["value"], "threshold": row["threshold"]},
            relative=TOLERANCE,
        ):
            checks.append(
                METRICS.fails(
                    "verdict, values", f"{name} is not judged on summary.json's {key} against {threshold}"
                )
            )
            break
    else:
        checks.append(
            METRICS.passes(
                "verdict, values", "judged on the numbers of summary.json and the configured thresholds"
            )
        )
    return [*checks, _decision(run.verdict, rows)]


def _decision(verdict: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> Check:
    for name, row in rows.items():
        known = row["value"] is not None and row["threshold"] is not None and row["comparison"] in HOLDS
        if (
            known
            and row["pass"] is not None
            and bool(HOLDS[row["comparison"]](row["value"], row["threshold"])) != row["pass"]
        ):
            return METRICS.fails(
                "verdict, decision", f"{name} is {row['value']:g} but counts as pass={row['pass']}"
            )
    passed = all(row["pass"] is True for row in rows.values() if row["enforced"])
    return METRICS.judges(
        "verdict, decision",
        passed == verdict["pass"],
        f"the gate said {'yes' if passed else 'no'}, as its criteria do",
        f"verdict.json says pass={verdict['pass']}, its enforced criteria say {passed}",
    )
