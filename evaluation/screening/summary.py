"""What a feature screening found: the consensus of all models, and which features stand out from chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats


def consensus(table: pd.DataFrame, *, confidence: float = 0.95) -> pd.DataFrame:
    """A row per feature, best first.

    A feature stands out when, in **every** model, its importance is above zero by a one-sided t test over the blocks of
    all test windows, at `confidence` after Bonferroni's correction for the number of features. Out of sample the
    importance of a useless feature has mean zero, so that noise passes at most once in 1 / (1 - confidence) screenings.

    Parameters
    ----------
    table : of `evaluation.screening.screen.screen_features`.

    Returns
    -------
    feature, importance (net return a row and bar), t_MODEL per model, helped (share of folds and models with an
    importance above zero), rank (mean over folds and models), p_value (of the model that doubts most, corrected),
    stands_out.
    """
    by_fold = table.groupby(["feature", "model", "fold"], sort=False)["importance"].mean().reset_index()
    by_fold["rank"] = by_fold.groupby(["model", "fold"])["importance"].rank(ascending=False)
    by_fold["helped"] = by_fold["importance"] > 0.0
    result = by_fold.groupby("feature", sort=False).agg(
        importance=("importance", "mean"), helped=("helped", "mean"), rank=("rank", "mean")
    )
    blocks = table.groupby(["feature", "model"], sort=False)["importance"].agg(["mean", "std", "count"])
    error = (blocks["std"] / np.sqrt(blocks["count"])).to_numpy()
    t = np.divide(blocks["mean"].to_numpy(), error, out=np.zeros(len(blocks)), where=error > 0.0)
    blocks = blocks.assign(t=t, p=stats.t.sf(t, np.maximum(blocks["count"] - 1, 1)))
    for model in table["model"].unique():
        result[f"t_{model}"] = blocks["t"].xs(model, level="model").reindex(result.index)
    worst = blocks["p"].groupby("feature").max().reindex(result.index)
    result["p_value"] = np.minimum(worst * len(result), 1.0)
    result["stands_out"] = result["p_value"] < 1.0 - confidence
    return result.sort_values(["p_value", "rank", "feature"], kind="stable").reset_index()


def finding(agreed: pd.DataFrame) -> str:
    """What the consensus comes to, in one sentence."""
    best = agreed.loc[agreed["stands_out"], "feature"].tolist()
    if not best:
        return f"Nothing stands out: none of {len(agreed)} features helps every model beyond chance."
    verb = "stands out" if len(best) == 1 else "stand out"
    return f"{len(best)} of {len(agreed)} features {verb}, best first: {', '.join(best)}."


def model_scores(table: pd.DataFrame) -> pd.DataFrame:
    """A row per model: mean net return of a row out of sample, and its t statistic over blocks."""
    once = table.drop_duplicates(["model", "fold", "block"]).groupby("model", sort=False)["score"]
    scores = once.agg(["mean", "std", "count"])
    scores["t"] = scores["mean"] / (scores["std"] / np.sqrt(scores["count"])).replace(0.0, np.nan)
    return scores.reset_index()[["model", "mean", "t"]].rename(columns={"mean": "score"})


def summary_markdown(table: pd.DataFrame, agreed: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """The text of summary.md: what was found, the consensus table, how the models did as a whole."""
    models = [column for column in agreed.columns if column.startswith("t_")]
    lines = ["# Feature screening", "", finding(agreed), ""]
    lines += [*(f"- {note}" for note in notes), ""]
    head = [
        "feature",
        "stands out",
        "p",
        *(f"t, {name[2:]}" for name in models),
        "helped in",
        "importance, bps",
    ]
    lines += [f"| {' | '.join(head)} |", f"|---|---|{'---:|' * (len(head) - 2)}"]
    for row in agreed.to_dict("records"):
        cells = [row["feature"], "yes" if row["stands_out"] else "no", f"{row['p_value']:.3f}"]
        cells += [f"{row[name]:.1f}" for name in models]
        cells += [f"{row['helped']:.0%}", f"{1e4 * row['importance']:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| model | net return out of sample, bps a bar and asset | t |", "|---|---:|---:|"]
    lines += [
        f"| {row.model} | {1e4 * row.score:.3f} | {row.t:.1f} |" for row in model_scores(table).itertuples()
    ]
    lines += [
        "",
        "t: importance over its standard error, from blocks of time. p: of the model that doubts most,",
    ]
    lines += [
        "corrected for the number of features. Importance: net return lost when the feature is shuffled."
    ]
    return "\n".join(lines) + "\n"
