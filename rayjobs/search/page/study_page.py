"""The page of a study: one self-contained HTML file with ranking, parameters, folds, equity and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from evaluation.files import replacing
from evaluation.report import charts
from evaluation.report.page import page_script, page_style
from evaluation.statistics.metrics import equity_curve
from rayjobs.monitoring.result_tables import number
from rayjobs.search.page.leaderboard import PARAM, USUAL_NOTE
from rayjobs.search.page.sealed_holdout import SEALED, sealed_because
from rayjobs.search.page.study_charts import (
    best_share,
    heat_rows,
    parallel_coordinates,
    parameter_axis,
    scatter,
    score_axis,
    share_bars,
)
from rayjobs.search.page.study_view import (
    UNDER_WAY,
    StudyView,
    parameter_importance,
    pareto_front,
    trained_furthest,
)
from rayjobs.search.plan.objective import METRICS

TOP_ROWS, TOP_CURVES = 20, 6
PILLS = {"complete": "pass", "pruned": "none", "running": "none", "stopped": "none", "failed": "fail"}


def write_study_page(view: StudyView, path: Path) -> Path:
    """Write the page and return its path."""
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("study_page.html.j2").render(
        css=page_style(),
        js=page_script(),
        title=f"{view.experiment} · sweep {view.directory.name}",
        subtitle=_subtitle(view),
        head=_head(view),
        tiles=_tiles(view),
        facts=_facts(view),
        **_ranking(view),
        **_equity(view),
        **_parameters(view),
        **_front(view),
        **_folds(view),
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _direction(view: StudyView) -> float:
    return 1.0 if METRICS[view.search.objective.metrics[0]] == "maximize" else -1.0


def _counts(view: StudyView) -> dict[str, int]:
    states = view.trials["state"] if len(view.trials) else pd.Series(dtype=str)
    return {name: int((states == name).sum()) for name in ("complete", "pruned", "failed", *UNDER_WAY)}


def _subtitle(view: StudyView) -> str:
    counts = _counts(view)
    words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    search = view.search
    return f"{words or 'no trial yet'} · {search.sampler.kind}, pruning {search.scheduler.kind} · {view.space.size()}"


def _head(view: StudyView) -> dict[str, str]:
    verdict = view.facts.get("verdict")
    if verdict is None:
        return {"style": "wait", **_unjudged(view)}
    word, text = verdict["headline"].split(": ", 1)
    return {
        "style": "pass" if verdict["pass"] and not verdict.get("lowered") else "fail",
        "word": word,
        "headline": text[0].upper() + text[1:],
        "beneath": "The winner, retrained and run once on the sealed holdout; its own report: winner/report.html.",
    }


def _unjudged(view: StudyView) -> dict[str, str]:
    if view.status == "running":
        beneath = "The holdout stays sealed until the sweep is done."
        return {"word": "Running", "headline": "No winner has met the holdout yet.", "beneath": beneath}
    if view.status == "done":
        return {"word": "Not judged", "headline": SEALED, "beneath": sealed_because(view)}
    return {
        "word": "Stopped",
        "headline": f"The sweep was {view.status} before a winner met the holdout."
        if view.status != "failed"
        else "The sweep failed before a winner met the holdout.",
        "beneath": f"Go on with: python -m rayjobs.sweep resume={view.directory}",
    }


def _tiles(view: StudyView) -> list[dict[str, str]]:
    significance = view.facts.get("significance") or {}
    best = view.trials.iloc[0] if len(view.trials) and view.trials.iloc[0]["state"] == "complete" else None
    metric = view.search.objective.metrics[0].replace("_", " ")
    sign = "less" if _direction(view) > 0 else "plus"
    looks = significance.get("num_trials")
    counted = f"{len(view.trials)} trials so far" if looks is None else f"{looks} looks at these bars counted"
    number_of_best = (
        ""
        if best is None
        else f"trial {int(best['trial'])}: validation {metric} {number(_get(best, 'mean'), '.2f')} "
        f"{sign} {view.search.objective.spread_penalty:g} x spread"
    )
    rows = [
        ("Best score", number(_get(best, "score"), ".2f"), number_of_best),
        (
            "Spread over folds",
            number(_get(best, "spread"), ".2f"),
            "standard deviation, over seeds too",
        ),
        ("Deflated Sharpe", number(_get(best, "dsr"), ".3f"), counted),
        ("PBO", number(significance.get("probability_of_overfitting"), ".2f"), "0.5 for equal skill"),
        (
            "Probability of loss",
            number(significance.get("probability_of_loss"), ".2f"),
            "CSCV, out of sample",
        ),
        (
            "Env steps",
            f"{int(view.trials['own_env_steps'].sum()) / 1e6:,.2f} M" if len(view.trials) else "–",
            _saved(view),
        ),
    ]
    return [{"name": name, "value": value, "beside": beside, "mood": ""} for name, value, beside in rows]


def _saved(view: StudyView) -> str:
    """Env steps against what the same trials would have cost without pruning; members of a population end nowhere."""
    if view.search.scheduler.kind in ("none", "pbt"):
        return ""
    complete = view.trials[view.trials["state"] == "complete"] if len(view.trials) else view.trials
    if not len(complete) or not complete["env_steps"].max():
        return ""
    whole = complete["env_steps"].max() * (view.trials["state"].isin(["complete", "pruned"])).sum()
    return f"{view.trials['env_steps'].sum() / whole:.0%} of no pruning"


def _ranking(view: StudyView) -> dict[str, Any]:
    columns = [
        "rank",
        "trial",
        "state",
        "score",
        "spread",
        "dsr",
        "chained_return",
        "chained_drawdown",
        "annual_turnover",
        "env_steps",
    ]
    forms = {"score": "+.3f", "spread": ".3f", "dsr": ".3f", "chained_return": "+.2%", "chained_drawdown": ".2%",
             "annual_turnover": ",.0f", "env_steps": ",.0f", "rank": ".0f", "trial": ".0f"}  # fmt: skip
    columns += [f"{PARAM}{label}" for label in view.parameters]
    shown = view.trials.head(TOP_ROWS).to_dict("records")
    rows = [[_cell(row.get(name), name, forms.get(name, ".4g")) for name in columns] for row in shown]
    note = (
        f"The first {len(shown)} of {len(view.trials)} trials. Score: mean over folds and seeds less "
        f"{view.search.objective.spread_penalty:g} standard deviations. Complete trials come first, then pruned ones "
        f"by how far they came. {USUAL_NOTE}"
    )
    failed = view.trials[view.trials["state"] == "failed"] if len(view.trials) else view.trials
    return {
        "ranking_note": note,
        "ranking": {"columns": [_words(name) for name in columns], "rows": rows},
        "failures": failed[["trial", "error"]].to_dict("records") if len(failed) else [],
    }


def _cell(value: Any, name: str, form: str) -> dict[str, str]:
    if name == "state":
        return {"text": str(value), "style": "", "pill": PILLS.get(str(value), "none")}
    text = (
        number(value, form) if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
    )
    return {"text": "–" if value is None or text == "-" else text, "style": "", "pill": ""}


def _equity(view: StudyView) -> dict[str, Any]:
    complete = (
        [] if not len(view.trials) else view.trials.loc[view.trials["state"] == "complete", "trial"].tolist()
    )
    returned = [(trial, view.return_of(trial)) for trial in complete[:TOP_CURVES]]
    curves = [(trial, equity_curve(returns)) for trial, returns in returned if returns is not None]
    if not curves or not len(view.bar_utc):
        return {"equity_chart": "", "legend": []}
    named = [(f"trial {trial}", values, f"s{index}") for index, (trial, values) in enumerate(curves)]
    series = [charts.Series(name=name, values=values, style=style) for name, values, style in reversed(named)]
    steps = np.diff(view.bar_utc.astype("datetime64[s]").astype(np.int64))
    starts = np.flatnonzero(steps > 20 * np.median(steps)) + 1
    return {
        "equity_chart": charts.line_chart(
            series,
            view.bar_utc,
            label="Equity of the best trials",
            format_value=lambda v: f"{v:.4g}",
            height=320,
            baseline=1.0,
            boundaries=[int(start) for start in starts][:20],
        ),
        "legend": [
            {"name": name, "style": style, "value": f"{values[-1]:.3f}"} for name, values, style in named
        ],
    }


def _parameters(view: StudyView) -> dict[str, Any]:
    scored = view.trials[view.trials["score"].notna()] if len(view.trials) else view.trials
    importance = parameter_importance(view)
    note = "Share of the score's variance that each explains (fANOVA, complete trials)."
    found: dict[str, Any] = {
        "parallel": "",
        "slices": [],
        "importance_note": note if importance else "At least four complete trials are needed.",
        "importance": share_bars(importance),
    }
    if len(scored) < 2:
        return found
    score = scored["score"].to_numpy(dtype=np.float64)
    better, titles = _direction(view) * score, _titles(view, scored)
    axes = [_axis(view, label, scored) for label in view.parameters]
    vertical = score_axis("score", score)
    strong = best_share(better, trained_furthest(scored))
    found["parallel"] = parallel_coordinates([*axes, vertical], better, strong, titles)
    found["slices"] = [scatter(axis, vertical, strong=strong, titles=titles) for axis in axes]
    return found


def _axis(view: StudyView, label: str, rows: pd.DataFrame) -> Any:
    values = [None if _missing(value) else value for value in rows[f"{PARAM}{label}"]]
    return parameter_axis(label, view.space.parameters[label], values)


def _front(view: StudyView) -> dict[str, Any]:
    """The Pareto front of the objectives; of Sharpe ratio and drawdown where there is one objective only."""
    metrics = view.search.objective.metrics
    pair = metrics[:2] if len(metrics) > 1 else ("sharpe", "max_drawdown")
    names = [f"objective_{name}" if len(metrics) > 1 else name for name in pair]
    complete = view.trials[view.trials["state"] == "complete"] if len(view.trials) else view.trials
    title = f"{_words(pair[0]).capitalize()} against {_words(pair[1])}"
    columns = [f"objective_{name}" for name in metrics] if len(metrics) > 1 else names
    known = complete.dropna(subset=columns) if set(columns) <= set(complete.columns) else complete.head(0)
    if len(known) < 2:
        return {"front": "", "front_title": title, "front_note": "At least two complete trials are needed."}
    order = metrics if len(metrics) > 1 else pair
    signs = [-1.0 if METRICS[name] == "maximize" else 1.0 for name in order]
    front = pareto_front(known[columns].to_numpy(dtype=np.float64) * signs)
    axes = [
        score_axis(_words(name), known[column].to_numpy(dtype=np.float64))
        for name, column in zip(pair, names)
    ]
    # Of three objectives two are drawn: the front is no line there.
    line = front if len(order) == 2 else None
    chart = scatter(axes[0], axes[1], strong=front, titles=_titles(view, known), front=line)
    count = f"{int(front.sum())} of {len(known)} complete trials are not beaten by another in all respects"
    count += "." if len(order) == 2 else f", which are {', '.join(map(_words, order))}."
    return {"front": chart, "front_title": title, "front_note": f"{count} Means over folds and seeds."}


def _folds(view: StudyView) -> dict[str, Any]:
    metric = view.search.objective.metrics[0]
    numbers = [] if not len(view.trials) else view.trials["trial"].head(TOP_ROWS).tolist()
    numbers = [number for number in numbers if number in view.folds]
    columns, rows = heat_rows(numbers, view.folds, metric, METRICS[metric] == "maximize")
    note = f"{_words(metric)} of the best trials on each validation fold: a good one is good everywhere."
    return {"heat": {"columns": columns, "rows": rows}, "heat_note": note[0].upper() + note[1:]}


def _facts(view: StudyView) -> list[tuple[str, str]]:
    search, facts = view.search, view.facts
    windows = facts.get("validation_windows") or []
    penalty = f"less {search.objective.spread_penalty:g} standard deviations"
    rungs = ", ".join(f"{fraction:.0%}" for fraction in search.scheduler.fractions)
    rows = [
        ("objective", f"{', '.join(search.objective.metrics)}, {penalty}"),
        ("sampler", search.sampler.kind),
        ("scheduler", f"{search.scheduler.kind}, scored at {rungs} of the training"),
        ("seeds", ", ".join(map(str, search.seeds))),
        ("validation folds", "; ".join(f"{first[:10]} to {last[:10]}" for first, last in windows) or "–"),
        ("holdout", " to ".join(bar[:10] for bar in facts.get("holdout_window", [])) or "–"),
        ("folder", str(view.directory)),
    ]
    rows += [
        (f"space: {row['parameter']}", f"{row['key']}: {row['kind']}, {row['range']}")
        for row in view.space.rows()
    ]
    return rows


def _titles(view: StudyView, rows: pd.DataFrame) -> list[str]:
    labels = view.parameters
    return [
        f"trial {row['trial']}: {number(row['score'], '.3f')}{_at_rung(view, row)}; "
        + ", ".join(
            f"{label} {_text(row[f'{PARAM}{label}'])}"
            for label in labels
            if not _missing(row[f"{PARAM}{label}"])
        )
        for row in rows.to_dict("records")
    ]


def _at_rung(view: StudyView, row: Mapping[str, Any]) -> str:
    """Where a trial was scored, unless that is at the end of its training."""
    fractions, rung = view.search.scheduler.fractions, row["rung"]
    if _missing(rung) or int(rung) + 1 >= len(fractions):
        return ""
    return f" at {fractions[int(rung)]:.0%} of the training"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _words(name: str) -> str:
    return name.removeprefix(PARAM).replace("_", " ")


def _get(row: Mapping[str, Any] | None, name: str) -> Any:
    return None if row is None else row[name]
