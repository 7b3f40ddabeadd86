"""The page that compares finished runs: numbers, equity where they cover the same bars, settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from evaluation.files import replacing
from evaluation.report import charts
from evaluation.report.page import page_script, page_style
from rayjobs.monitoring.result_tables import number
from rayjobs.search.comparison.run_view import RunView

FORMS = {"total_return": "+.2%", "max_drawdown": ".2%", "volatility": ".2%", "num_trades": ",.0f",
         "chained_return": "+.2%", "chained_drawdown": ".2%",
         "annual_turnover": ",.0f", "env_steps": ",.0f", "total_cost": ",.0f"}  # fmt: skip
PILLS = {"approved": "pass", "refused": "fail", "not judged": "none"}
MAX_CURVES = 7


def write_run_page(
    runs: Sequence[RunView],
    rows: Sequence[Mapping[str, Any]],
    changed: Sequence[Mapping[str, Any]],
    path: Path,
    kind: str = "runs",
    curves: str = "Growth of 1.00 over the test windows of all folds, chained.",
) -> Path:
    """Write the page and return its path.

    Parameters
    ----------
    runs : in the order shown.
    rows : a row of numbers per run; ``changed`` a row per setting that differs.
    kind : what is compared, for the title; ``curves`` what the chart shows.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    names = list(rows[0]) if rows else []
    page = environment.get_template("run_page.html.j2").render(
        css=page_style(),
        js=page_script(),
        title=f"{len(rows)} {kind} compared",
        curves=curves,
        subtitle=", ".join(sorted({str(run.settings.get("data.source")) for run in runs})),
        columns=[name.replace("_", " ") for name in names],
        rows=[[_cell(name, row[name]) for name in names] for row in rows],
        equity=_equity(runs),
        changed=changed,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _cell(name: str, value: Any) -> dict[str, str]:
    if name == "verdict":
        return {"text": str(value), "pill": PILLS[str(value)]}
    text = number(value, FORMS.get(name, ".3g")) if isinstance(value, (int, float)) else str(value)
    return {"text": "–" if value is None or text == "-" else text, "pill": ""}


def _equity(runs: Sequence[RunView]) -> list[dict[str, Any]]:
    """A chart per set of runs that cover the same bars."""
    groups: dict[tuple[Any, ...], list[RunView]] = {}
    for run in runs:
        if not len(run.equity):
            continue
        groups.setdefault((run.equity.index[0], run.equity.index[-1], len(run.equity)), []).append(run)
    found = []
    for (first, last, _), members in groups.items():
        named = [
            (run.name, run.equity.to_numpy(), f"s{place}") for place, run in enumerate(members[:MAX_CURVES])
        ]
        series = [
            charts.Series(name=name, values=values, style=style) for name, values, style in reversed(named)
        ]
        bars = members[0].equity.index.to_numpy()
        svg = charts.line_chart(
            series,
            bars,
            label="Equity of the runs",
            format_value=lambda v: f"{v:.4g}",
            height=320,
            baseline=1.0,
        )
        legend = [
            {"name": name, "style": style, "value": f"{values[-1]:.3f}"} for name, values, style in named
        ]
        found.append({"bars": f"{str(first)[:10]} to {str(last)[:10]}", "svg": svg, "legend": legend})
    return found
