"""Whole runs on a figure dated by its quarter's end: refused by name until the lag of its release is stated."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from taught_run import taught_run

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
SYMBOLS, BARS, QUARTER = 6, 2_000, 90


@pytest.fixture(scope="module")
def figures(tmp_path_factory) -> list[str]:
    """Daily bars that jump 20 to 44 days after each quarter's end by what the column says from that end on."""
    folder = tmp_path_factory.mktemp("bars")
    for a in range(SYMBOLS):
        drawn = np.random.default_rng(a)
        returns, eps = 0.01 * drawn.standard_normal(BARS), np.full(BARS, np.nan)
        for start in range(7 * a, BARS, QUARTER):
            eps[start : start + QUARTER] = figure = drawn.standard_normal()
            out = start + int(drawn.integers(20, 45))
            if out < BARS:
                returns[out] += 0.06 * figure
        close = 50.0 * np.exp(np.cumsum(returns))
        opened = np.append(50.0, close[:-1])
        labels = pd.date_range("2015-01-01", periods=BARS, freq="1D")
        prices = {
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
        }
        table = pd.DataFrame({"timestamp": labels, **prices, "volume": 1e7, "eps": eps})
        table.to_parquet(folder / f"S{a}.parquet")
    return [
        "data=files", f"data.path={folder}", "data.calendar='24/7'", "data.bar_seconds=86400",
        "walk_forward.train_bars=1000", "walk_forward.test_bars=900",
    ]  # fmt: skip


def plausibility(run) -> dict:
    rows = json.loads((run / "verdict.json").read_text())["criteria"]
    return next(row for row in rows if row["name"] == "plausibility")


def test_a_figure_that_is_dated_early_is_refused_by_its_name_and_told_the_remedy(figures, tmp_path):
    found = plausibility(taught_run(tmp_path, *figures, rule={"eps": 1.0}))
    assert not found["pass"]
    assert "'eps' (all symbols)" in found["reason"]
    assert "data.columns.eps.released_in moves to when it was known" in found["reason"]


def test_with_its_lag_stated_it_knows_nothing_and_the_statement_is_kept(figures, tmp_path):
    stated = "data.columns.eps.released_in=45 days"
    run = taught_run(tmp_path, *figures, stated, rule={"eps": 1.0})
    found = plausibility(run)
    assert "eps is known after 45 days (released_in)" in found["reason"]
    assert abs(json.loads((run / "backtest" / "summary.json").read_text())["sharpe"]) < 1.5
    assert "released_in: 45 days" in (run / "config.yaml").read_text()
