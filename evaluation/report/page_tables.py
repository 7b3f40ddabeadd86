"""Rows of the report's tables: how numbers are written and coloured. Their places: ``report.html.j2``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.equal_runs import run_starts
from evaluation.gate.verdict import Criterion
from evaluation.report.training_health import health_sentence, is_healthy

DASH = "–"
COUNTED = {"num_trades", "track_record"}
"""Criteria whose value is a number of things."""
FRACTIONS = {"max_drawdown", "all_seeds_positive", "unseen"}
Cell = dict[str, str]
PERFORMANCE_COLUMNS = (
    "Total return", "A year", "Volatility", "Sharpe", "Sortino", "Calmar", "Max drawdown", "CVaR 95 % a bar",
)  # fmt: skip


def _undefined(value: Any) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and not math.isfinite(value))


def percent(value: float | None) -> str:
    """A fraction as per cent with a true minus sign; a dash when undefined."""
    if _undefined(value):
        return DASH
    shown = 100.0 * float(value)  # type: ignore[arg-type]
    return f"{shown:,.{1 if abs(shown) < 1000 else 0}f} %".replace("-", "−")


def number(value: float | None, digits: int = 2) -> str:
    """A number with a fixed count of decimals; a dash when undefined."""
    return DASH if _undefined(value) else f"{float(value):,.{digits}f}".replace("-", "−")  # type: ignore[arg-type]


def amount(value: float) -> str:
    """Money, without decimals from 100 on."""
    return f"{value:,.{0 if abs(value) >= 100 else 2}f}".replace("-", "−")


def signed(value: Any, text: str) -> Cell:
    """A cell that is green above zero and red below."""
    if _undefined(value) or value == 0:
        return {"text": text, "style": ""}
    return {"text": text, "style": "up" if value > 0 else "down"}


def comparison_table(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Policy and baselines: return, risk, their ratios, and how many times a year equity is traded."""
    values = {"this policy": summary, **summary["baselines"]}
    rows = [
        {
            "name": name.replace("_", " "),
            "cells": [*_performance_cells(one), {"text": number(one["annual_turnover"], 1), "style": ""}],
        }
        for name, one in values.items()
    ]
    return {"columns": (*PERFORMANCE_COLUMNS, "Turnover a year"), "rows": rows}


def stress_rows(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The policy under each scenario, the configured conditions first."""
    rows = {"as configured": summary, **summary["stress"]}
    return {
        "columns": PERFORMANCE_COLUMNS,
        "rows": [{"name": name, "cells": _performance_cells(values)} for name, values in rows.items()],
    }


def _performance_cells(values: Mapping[str, Any]) -> list[Cell]:
    tail = values["cvar_95"]
    return [
        signed(values["total_return"], percent(values["total_return"])),
        signed(values["annual_return"], percent(values["annual_return"])),
        {"text": percent(values["volatility"]), "style": ""},
        signed(values["sharpe"], number(values["sharpe"])),
        {"text": number(values["sortino"]), "style": ""},
        {"text": number(values["calmar"]), "style": ""},
        {"text": percent(values["max_drawdown"]), "style": ""},
        {"text": DASH if _undefined(tail) else f"{100 * tail:.2f} %".replace("-", "−"), "style": ""},
    ]


def folds_rows(folds: pd.DataFrame, baselines: Sequence[str]) -> dict[str, Any]:
    """A row per fold: windows, return in and out of sample, the best baseline of that window."""
    shown = [name for name in baselines if name not in ("flat", "oracle")]
    rows = []
    for fold in folds.to_dict("records"):
        best = max(shown, key=lambda name: fold[f"{name}_total_return"], default=None)
        beside = DASH if best is None else f"{percent(fold[f'{best}_total_return'])} {best.replace('_', ' ')}"
        rows.append(
            [
                {
                    "text": str(fold["fold"]) + (f", group {fold['group']}" if "group" in fold else ""),
                    "style": "",
                },
                {"text": _trained_on(fold), "style": "left"},
                {"text": _days(fold["test_first_utc"], fold["test_last_utc"]), "style": "left"},
                {"text": number(fold["in_sample_sharpe"]), "style": ""},
                signed(fold["sharpe"], number(fold["sharpe"])),
                signed(fold["total_return"], percent(fold["total_return"])),
                {"text": percent(fold["max_drawdown"]), "style": ""},
                {"text": f"{fold['num_trades']:,}", "style": ""},
                {"text": beside, "style": ""},
            ]
        )
    columns = (
        "Fold", "Trained on", "Tested on", "Sharpe in", "Sharpe out", "Return", "Max drawdown", "Trades",
        "Best baseline",
    )  # fmt: skip
    return {"columns": columns, "rows": rows}


def path_rows(paths: Mapping[str, Any]) -> dict[str, Any]:
    """A row per path of combinatorial cross-validation (`paths` of summary.json): its results, its best baseline."""
    rivals = {name: values for name, values in paths["baseline_sharpe"].items() if name != "flat"}
    rows = []
    for i, sharpe in enumerate(paths["sharpe"]):
        known = {name: values[i] for name, values in rivals.items() if not _undefined(values[i])}
        best = max(known, key=lambda name: known[name], default=None)
        beside = DASH if best is None else f"{number(known[best])} {best.replace('_', ' ')}"
        rows.append(
            [
                {"text": str(i), "style": ""},
                signed(sharpe, number(sharpe)),
                signed(paths["total_return"][i], percent(paths["total_return"][i])),
                {"text": percent(paths["max_drawdown"][i]), "style": ""},
                {"text": beside, "style": ""},
            ]
        )
    return {"columns": ("Path", "Sharpe", "Return", "Max drawdown", "Best baseline, Sharpe"), "rows": rows}


def training_health_rows(training: Mapping[int, Sequence[Mapping[str, Any]]]) -> list[dict[str, str]]:
    """A row per fold that was trained: whether its updates stayed in their healthy ranges, and how often not."""
    return [
        {
            "fold": str(fold),
            "word": "healthy" if is_healthy(rows) else "look",
            "style": "pass" if is_healthy(rows) else "warn",
            "text": health_sentence(rows),
        }
        for fold, rows in sorted(training.items())
        if rows
    ]


def _trained_on(fold: Mapping[str, Any]) -> str:
    """Days of the policy's own training; those of the fold's window where the policy does not say (a script)."""
    if pd.isna(fold["policy_trained_from_utc"]):
        return _days(fold["train_first_utc"], fold["train_last_utc"])
    return _days(fold["policy_trained_from_utc"], fold["policy_trained_until_utc"])


def _days(first: Any, last: Any) -> str:
    return f"{pd.Timestamp(first):%d %b %y} – {pd.Timestamp(last):%d %b %y}"


def month_rows(net_return: NDArray[np.float64], bar_utc: NDArray[np.datetime64]) -> list[dict[str, Any]]:
    """Compound return of each month, a row a year; empty when fewer than two months are covered."""
    month = bar_utc.astype("datetime64[M]")
    starts = run_starts(month)
    if len(starts) < 2:
        return []
    growth = np.multiply.reduceat(np.maximum(1.0 + net_return, 0.0), starts) - 1.0
    by_month = dict(zip(month[starts].astype(str), growth))
    scale = max(float(np.abs(growth).max()), 1e-9)
    rows = []
    for year in sorted({key[:4] for key in by_month}):
        cells = [_month_cell(by_month.get(f"{year}-{index:02d}"), scale) for index in range(1, 13)]
        rows.append({"year": year, "cells": cells})
    return rows


def _month_cell(value: float | None, scale: float) -> Cell:
    if value is None:
        return {"text": "", "shade": ""}
    strength = round(10 + 35 * min(abs(value) / scale, 1.0))
    colour = "var(--pass)" if value >= 0 else "var(--fail)"
    shade = f"background: color-mix(in srgb, {colour} {strength}%, transparent)"
    return {"text": f"{100 * value:.1f}".replace("-", "−"), "shade": shade}


def trade_rows(trades: pd.DataFrame, count: int = 5) -> tuple[tuple[str, ...], list[list[Cell]]]:
    """The `count` best and worst closed trades by net gain."""
    ranked = trades.sort_values("pnl", ascending=False, kind="stable")
    some = ranked if len(ranked) <= 2 * count else pd.concat([ranked.head(count), ranked.tail(count)])
    rows = [
        [
            {"text": f"{t['ticker']} {t['direction']}", "style": "left"},
            {"text": f"{t['entry_time']:%Y-%m-%d %H:%M}", "style": ""},
            {"text": f"{t['duration_bars']:,}", "style": ""},
            {"text": f"{t['entry_price']:,.6g}", "style": ""},
            {"text": f"{t['exit_price']:,.6g}", "style": ""},
            {"text": amount(t["total_cost_est"]), "style": ""},
            signed(t["pnl"], amount(t["pnl"])),
            signed(t["return_pct"], f"{t['return_pct']:.2f} %".replace("-", "−")),
            {"text": str(t["exit_reason"]).replace("_", " "), "style": ""},
        ]
        for t in some.to_dict("records")
    ]
    return (
        "Trade",
        "Entered (UTC)",
        "Bars",
        "Entry",
        "Exit",
        "Costs",
        "Net gain",
        "Return",
        "Exit reason",
    ), rows


def feature_rows(features: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Of each feature: how much of it was known on the test windows, and whether a policy could learn from it."""
    return [
        {
            "name": row["feature"],
            "known": percent(row["known"]),
            "nan": percent(row["nan"]),
            "clipped": DASH if row["clipped"] is None else f"{100.0 * row['clipped']:.2f} %",
            "constant": _folds_of(row["constant"], row["of_folds"]),
            "left_out": _folds_of(row["left_out"], row["of_folds"]),
        }
        for row in features
    ]


def _folds_of(count: int, total: int) -> str:
    return "no" if count == 0 else ("yes" if count == total else f"in {count} of {total} folds")


def gate_row(criterion: Criterion) -> dict[str, str]:
    """A row of the first table: one criterion of the gate."""

    def show(value: float) -> str:
        if math.isnan(value):
            return "–"
        if criterion.name in COUNTED:
            return f"{value:,.0f}"
        return percent(value) if criterion.name in FRACTIONS else number(value, 3 if abs(value) < 1 else 2)

    word = {True: "pass", False: "fail", None: "missing"}[criterion.passed]
    style = {True: "pass", False: "fail", None: "fail" if criterion.enforced else "none"}[criterion.passed]
    if not criterion.enforced:
        word, style = ("info" if criterion.passed is None else f"info: {word}"), "none"
    threshold = (
        "–" if math.isnan(criterion.threshold) else f"{criterion.comparison} {show(criterion.threshold)}"
    )
    threshold = threshold.replace(">=", "≥").replace("<=", "≤")
    return {
        "label": criterion.label,
        "value": show(criterion.value),
        "threshold": threshold,
        "word": word,
        "style": style,
        "reason": criterion.reason,
    }
