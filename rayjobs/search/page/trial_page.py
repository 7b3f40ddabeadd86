"""One trial on a page: its parameters, its equity through the validation folds, its numbers on each of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2
import numpy as np
from numpy.typing import NDArray

from evaluation.report import charts
from evaluation.report.page import page_script, page_style
from evaluation.statistics.metrics import equity_curve
from rayjobs.monitoring.result_tables import number
from rayjobs.search.page.leaderboard import FORMS
from rayjobs.search.plan.objective import trial_return
from rayjobs.search.trial.record import TrialRecord, fold_rows

HIDDEN = ("from_env_steps",)
"""Columns of a fold's row that say nothing to a reader."""


def equity_picture(record: TrialRecord, bar_utc: NDArray[np.datetime64]) -> str:
    """The equity curve as an SVG that stands alone; empty for a trial that was not scored.

    Parameters
    ----------
    bar_utc : (T,) labels of the validation bars.
    """
    chart = _chart(record, bar_utc)
    if not chart:
        return ""
    style = f'xmlns="http://www.w3.org/2000/svg" width="960"><style>{page_style()}</style>'
    background = '<rect width="100%" height="100%" fill="var(--card)"/>'
    return chart.replace(">", f" {style}{background}", 1)


def _chart(record: TrialRecord, bar_utc: NDArray[np.datetime64]) -> str:
    if not record.scores:
        return ""
    values = equity_curve(trial_return(record.scores))
    if len(bar_utc) != len(values) - 1:
        return ""
    series = charts.Series(name=f"trial {record.number}", values=values, style="s0")
    label = f"Equity of trial {record.number}"
    return charts.line_chart(
        [series], bar_utc, label=label, format_value=lambda value: f"{value:.4g}", baseline=1.0
    )


def trial_page(record: TrialRecord, bar_utc: NDArray[np.datetime64], study: str) -> str:
    """The page as HTML, in one file."""
    score = ", ".join(number(value, "+.3f") for value in record.values) or "none"
    rows = fold_rows(record.scores)
    columns = [name for name in rows[0] if name not in HIDDEN] if rows else []
    return _template().render(
        css=page_style(),
        js=page_script(),
        title=f"Trial {record.number}",
        subtitle=f"sweep {study} · {record.state} · score {score} · {record.env_steps:,} env steps",
        changed=[(key, str(value)) for key, value in record.overrides.items()],
        chart=_chart(record, bar_utc),
        columns=[name.replace("_", " ") for name in columns],
        rows=[[_cell(row[name], name) for name in columns] for row in rows],
    )


def _cell(value: object, name: str) -> str:
    if name in ("fold", "seed"):
        return str(value)
    return number(value, FORMS.get(name, ".3g"))


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("trial_page.html.j2")
