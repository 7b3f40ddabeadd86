"""The report: one self-contained HTML file whose verdict is understood in ten seconds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from data.equal_runs import run_starts
from envs.costs import COST_NAMES
from evaluation.artefacts.symbols_compared import rows_of
from evaluation.artefacts.tables import COST_COLUMNS, folds_table, history_table, trades_table
from evaluation.files import replacing
from evaluation.gate.seen_shares import record_title, record_warning
from evaluation.gate.verdict import Verdict
from evaluation.report import charts
from evaluation.report.data_notes import DataNote
from evaluation.report.page_tables import (
    amount,
    comparison_table,
    feature_rows,
    folds_rows,
    gate_row,
    month_rows,
    number,
    path_rows,
    percent,
    stress_rows,
    trade_rows,
    training_health_rows,
)
from evaluation.report.remedies import length_in_words, remedies
from evaluation.scoring.path_distribution import PathDistribution
from evaluation.scoring.walk_forward import ORACLE, WalkForwardResult
from evaluation.statistics import metrics

HERE = Path(__file__).parent
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
BASELINE_STYLES = ("s1", "s2", "s3", "s4", "s5", "s6", "s8", "s9", "s10")


def page_style() -> str:
    """The style sheet of every page that Rayfold writes."""
    return (HERE / "report.css").read_text(encoding="utf-8")


def page_script() -> str:
    """What makes those pages answer the pointer: values, zoom, curves on and off, tables that sort."""
    return (HERE / "page.js").read_text(encoding="utf-8")


def write_report(
    path: Path,
    result: WalkForwardResult,
    summary: Mapping[str, Any],
    verdict: Verdict | None,
    *,
    title: str,
    provenance: Mapping[str, str],
    settings: str = "",
    training: Mapping[int, Sequence[Mapping[str, Any]]] | None = None,
    notes: Sequence[DataNote] = (),
    features: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write the report and return its path.

    Parameters
    ----------
    result, summary, verdict : the study, its `artefacts.summary.summarise` and the gate's decision (None: not asked).
    title : name of the experiment and run.
    provenance : rows of the last table, such as commit, seed, data fingerprint, versions.
    settings : the resolved configuration as text.
    training : fold -> its rows of progress.csv; None or no rows where nothing was trained.
    notes : what should be known of the bars, shown below the verdict.
    features : a row for each feature that the policy read: feature, known, nan, clipped, constant, left_out, of_folds.
    """
    loader = jinja2.FileSystemLoader(HERE)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.get_template("report.html.j2").render(
        title=title,
        css=page_style(),
        js=page_script(),
        **_why_refused(result, summary, verdict),
        settings=settings,
        provenance=list(provenance.items()),
        notes=notes,
        training=training_health_rows(training or {}),
        features=feature_rows(features),
        periods=f"{result.periods_per_year:,.0f}",
        **_head(result, summary, verdict),
        **_equity(result),
        **_gate(verdict, record_title(result.exposure)),
        **_tables(result, summary),
        **_paths(result, summary),
        symbols_compared=rows_of(summary["unseen_symbols"]) if "unseen_symbols" in summary else [],
        **_trading(result, summary),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _why_refused(
    result: WalkForwardResult, summary: Mapping[str, Any], verdict: Verdict | None
) -> dict[str, Any]:
    if verdict is None:
        return {"remedies": [], "needed_length": ""}
    record = (verdict, result.net_return, result.periods_per_year, summary)
    return {"remedies": remedies(*record), "needed_length": length_in_words(*record)}


def _head(result: WalkForwardResult, summary: Mapping[str, Any], verdict: Verdict | None) -> dict[str, Any]:
    first, last = summary["first_bar_utc"][:10], summary["last_bar_utc"][:10]
    trials = f"{summary['num_trials']:g} trial{'' if summary['num_trials'] == 1 else 's'}"
    failed = [] if verdict is None else [c for c in verdict.criteria if c.enforced and not c.passed]
    approved = bool(verdict and verdict.passed and not verdict.lowered)
    beneath = "It may be deployed." if approved else "It must not be deployed."
    if verdict and approved and verdict.synthetic:
        beneath = "A proof that learning works, and no leave to deploy: the market is drawn from a law."
    if verdict is not None and len(failed) > 1:
        beneath = f"{beneath} Also failing: {', '.join(c.label.split(',')[0].lower() for c in failed[1:])}."
    headline = "No gate was asked." if verdict is None else verdict.headline.split(": ", 1)[-1]
    if summary["time_in_market"] == 0.0:  # says more than that its Sharpe ratio is not defined
        headline = "The policy never held a position, so there is nothing to judge."
    return {
        "subtitle": f"{', '.join(result.panel.symbols)} · {first} to {last} · {summary['num_bars']:,} bars in "
        f"{summary['num_folds']} fold{'' if summary['num_folds'] == 1 else 's'} · {trials}",
        "passed": approved,
        "word": "Not judged" if verdict is None else verdict.headline.split(": ", 1)[0],
        "headline": headline[0].upper() + headline[1:],
        "beneath": "" if verdict is None else beneath,
        "record_title": record_title(result.exposure),
        "record_warning": record_warning(result.exposure),
        "tiles": _tiles(result, summary),
    }


def _tiles(result: WalkForwardResult, summary: Mapping[str, Any]) -> list[dict[str, str]]:
    rivals = {k: v["sharpe"] for k, v in summary["baselines"].items() if k not in (ORACLE, "flat")}
    rivals = {k: v for k, v in rivals.items() if v is not None and not math.isnan(v)}
    best = max(rivals, key=lambda k: rivals[k]) if rivals else None
    beside = f"best baseline {rivals[best]:.2f} ({best.replace('_', ' ')})" if best else "no baseline traded"
    mood = lambda value: "" if not value or math.isnan(value) else ("good" if value > 0 else "bad")  # noqa: E731
    low, high = summary["sharpe_interval_95"]
    rows = [
        ("Net Sharpe, annual", number(summary["sharpe"]), beside, mood(summary["sharpe"])),
        (
            "Total net return",
            percent(summary["total_return"]),
            f"{percent(summary['annual_return'])} a year",
            mood(summary["total_return"]),
        ),
        (
            "Maximum drawdown",
            percent(summary["max_drawdown"]),
            f"average {percent(summary['average_drawdown'])}",
            "",
        ),
        (
            "Deflated Sharpe",
            number(summary["dsr"], 3),
            f"Sharpe between {number(low, 1)} and {number(high, 1)} (95 %)",
            "",
        ),
        ("Closed trades", f"{summary['num_trades']:,}", f"{percent(summary['win_rate'])} win", ""),
        (
            "Turnover a year",
            f"{summary['annual_turnover']:,.0f}x",
            f"capacity {amount(summary['capacity']) if (summary['capacity'] or 0.0) > 0.0 else 'none'}",
            "",
        ),
    ]
    if "paths" in summary:
        paths = summary["paths"]
        between = (
            f"{number(paths['sharpe_min'])} to {number(paths['sharpe_max'])} over {paths['num_paths']} paths"
        )
        median = paths["sharpe_quantiles"]["0.5"]
        rows[0] = ("Net Sharpe, median of paths", number(median), between, mood(median))
        rows[1:] = [(f"{row[0]}, path 0", *row[1:]) for row in rows[1:]]
    if "oracle_fraction" in summary:
        fraction = percent(summary["oracle_fraction"])
        rows.insert(1, ("Of the oracle", fraction, "net return on the same bars", ""))
    return [dict(zip(("name", "value", "beside", "mood"), row)) for row in rows]


def _equity(result: WalkForwardResult) -> dict[str, Any]:
    bars = result.panel.bar_utc[result.bar]
    shown = [name for name in result.baseline_names if name != "flat"]  # a straight line at 1.0
    curves = {name: metrics.equity_curve(result.baseline_return(name)) for name in shown}
    styles = {
        name: "s7" if name == ORACLE else BASELINE_STYLES[index % len(BASELINE_STYLES)]
        for index, name in enumerate(curves)
    }
    ours = metrics.equity_curve(result.net_return)
    series = [charts.Series(name=n, values=v, style=styles[n]) for n, v in curves.items()]
    series.append(charts.Series(name="policy", values=ours, style="s0"))
    starts = run_starts(result.fold_index)[1:]
    lowest = min(float(line.values.min()) for line in series)
    wide = lowest > 0.0 and max(float(line.values.max()) for line in series) > 8.0 * lowest
    legend = [{"name": "policy", "style": "s0", "value": f"{ours[-1]:.3f}"}]
    legend += [
        {"name": n.replace("_", " "), "style": styles[n], "value": f"{v[-1]:.3f}"} for n, v in curves.items()
    ]
    drawdown = charts.Series(
        name="drawdown", values=metrics.drawdown_curve(result.net_return), style="s0", filled=True
    )
    return {
        "legend": legend,
        "equity_note": "Equal ratios have equal heights. " if wide else "",
        "equity_chart": charts.line_chart(
            series,
            bars,
            label="Equity of policy and baselines",
            format_value=lambda v: f"{v:.4g}",
            height=340,
            baseline=1.0,
            boundaries=starts.tolist(),
            logarithmic=wide,
        ),
        "drawdown_chart": ""
        if not drawdown.values.any()
        else charts.line_chart(
            [drawdown],
            bars,
            label="Drawdown",
            format_value=lambda v: f"{v:.3g}" if v == 0 else f"{100 * v:.3g} %",
            height=170,
            baseline=0.0,
            boundaries=starts.tolist(),
        ),
    }


def _gate(verdict: Verdict | None, record: str) -> dict[str, Any]:
    if verdict is None:
        return {"gate_rows": [], "gate_note": ""}
    bars = verdict.criteria[0]
    note = (
        f"All on {bars.num_bars:,} bars, {record}, {bars.first_bar_utc[:10]} to {bars.last_bar_utc[:10]}, net of "
        "costs. Criteria marked 'info' are shown but do not decide."
    )
    if verdict.paths is not None:
        note = f"Of path 0 of {len(verdict.paths.sharpe)}. {note}"
    return {"gate_rows": [gate_row(c) for c in verdict.criteria], "gate_note": note}


def _paths(result: WalkForwardResult, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Of combinatorial cross-validation: the equity of every path, how their Sharpe ratios are spread, a row each."""
    if "paths" not in summary:
        return {"paths": None, "paths_note": "", "paths_chart": "", "paths_histogram": ""}
    found = PathDistribution.of(result)
    assert found is not None
    curves = [
        charts.Series(
            name=f"path {i}", values=metrics.equity_curve(path.net_return), style="s0" if i == 0 else "s8"
        )
        for i, path in enumerate(result.by_path)
    ]
    note = f"{found.num_splits} policies, {found.num_groups} groups of bars: {found.spread}. A path has each group "
    return {
        "paths": path_rows(summary["paths"]),
        "paths_note": note
        + "once, scored by a policy that was not trained on it. All else on this page is path 0, "
        "which was not chosen by its result.",
        "paths_chart": charts.line_chart(
            curves[::-1],
            result.panel.bar_utc[result.bar],
            label="Equity of every path",
            format_value=lambda v: f"{v:.4g}",
            height=260,
            baseline=1.0,
        ),
        "paths_histogram": ""
        if not found.defined
        else charts.histogram(
            np.array(found.defined),
            label="Sharpe ratios of paths",
            format_value=lambda v: f"{v:.2f}",
            bins=21,
        ),
    }


def _tables(result: WalkForwardResult, summary: Mapping[str, Any]) -> dict[str, Any]:
    bars = result.panel.bar_utc[result.bar]
    return {
        "comparison": comparison_table(summary),
        "stress": stress_rows(summary),
        "folds": folds_rows(folds_table(result), result.baseline_names),
        "months": month_rows(result.net_return, bars),
        "month_names": MONTHS,
    }


def _trading(result: WalkForwardResult, summary: Mapping[str, Any]) -> dict[str, Any]:
    bars = result.panel.bar_utc[result.bar]
    history, trades = history_table(result), trades_table(result)
    exposure = [
        charts.Series(
            name="gross", values=history["gross_exposure"].to_numpy(), style="s5", filled=True, averaged=True
        ),
        charts.Series(name="net", values=history["net_exposure"].to_numpy(), style="s0", averaged=True),
    ]
    costs = {name: value for name, value in summary["costs"].items() if value != 0.0}
    by_asset = trades.groupby("ticker")["pnl"].sum() if len(trades) else pd.Series(dtype=float)
    by_asset = by_asset.reindex(result.panel.symbols, fill_value=0.0)
    drag = history[list(COST_COLUMNS.values())].sum(axis=1).to_numpy()
    return {
        "exposure_note": f"Notional over equity at each close; the mean gross exposure is "
        f"{number(summary['mean_gross_exposure'])}.",
        "exposure_chart": ""
        if not history["gross_exposure"].any()
        else charts.line_chart(
            exposure, bars, label="Exposure", format_value=lambda v: f"{v:.3g}x", height=190, baseline=0.0
        ),
        "cost_note": f"{amount(float(drag.sum()))} in account currency, over all folds"
        f"{_gross_note(summary, trades)}.",
        "cost_chart": charts.bar_chart(
            list(costs) or list(COST_NAMES[:1]),
            list(costs.values()) or [0.0],
            label="Costs",
            format_value=amount,
            style="s1 key",
        ),
        "asset_chart": charts.bar_chart(
            list(result.panel.symbols),
            [float(v) for v in by_asset],
            label="Gain by asset",
            format_value=amount,
        ),
        **_breakdown(summary),
        **_trade_section(summary, trades),
    }


def _breakdown(summary: Mapping[str, Any]) -> dict[str, Any]:
    regimes = {name: part["sum_return"] for name, part in summary["regimes"].items()}
    hours = {name: part["sum_return"] for name, part in summary["hours_utc"].items()}
    return {
        "regime_chart": charts.bar_chart(
            list(regimes), list(regimes.values()), label="Return by regime", format_value=percent
        ),
        "hour_chart": charts.column_chart(
            list(hours), list(hours.values()), label="Return by hour", format_value=percent
        ),
    }


def _gross_note(summary: Mapping[str, Any], trades: pd.DataFrame) -> str:
    gross = float(trades["pnl"].sum() + trades["total_cost_est"].sum()) if len(trades) else 0.0
    if gross <= 0.0:
        return ""
    return (
        f": {percent(summary['total_cost'] / gross)} of the {amount(gross)} that trades earned before costs"
    )


def _trade_section(summary: Mapping[str, Any], trades: pd.DataFrame) -> dict[str, Any]:
    if trades.empty:
        return {
            "trade_note": "No trade was closed.",
            "trade_chart": "",
            "trade_rows": [],
            "trade_columns": [],
        }
    columns, rows = trade_rows(trades)
    held = trades["duration_bars"].median()
    return {
        "trade_note": f"Net return of each of the {len(trades):,} closed trades, per cent of its entry notional; "
        f"in the market {percent(summary['time_in_market'])} of the time. "
        f"Profit factor {number(summary['profit_factor'])}, median holding {held:.0f} bars. Below: the best and the "
        "worst.",
        "trade_chart": charts.histogram(
            trades["return_pct"].fillna(0.0).to_numpy(),
            label="Return of trades",
            format_value=lambda v: f"{v:.2g} %",
        ),
        "trade_rows": rows,
        "trade_columns": columns,
    }
