"""Where a trial lies on an axis, which trials stand out, what a cell of the heat map says."""

from __future__ import annotations

import numpy as np
import pytest

from rayjobs.search.page.study_charts import (
    best_share,
    heat_rows,
    parallel_coordinates,
    parameter_axis,
    score_axis,
    share_bars,
    short,
)
from rayjobs.search.page.study_view import pareto_front
from rayjobs.search.space.parameter import Parameter


def test_a_logarithmic_parameter_lies_on_its_scale():
    # 0.01 to 1 spans two decades: 0.1 lies half-way, and is the middle tick.
    axis = parameter_axis(
        "kl", Parameter(key="a.b", kind="log_uniform", low=0.01, high=1.0), [0.01, 0.1, 1.0, None]
    )
    np.testing.assert_allclose(axis.place[:3], [0.0, 0.5, 1.0])
    assert np.isnan(axis.place[3])
    assert [text for _, text in axis.ticks] == ["0.01", "0.1", "1"]


def test_choices_are_spread_evenly_also_when_a_column_holds_them_as_floats():
    axis = parameter_axis(
        "units", Parameter(key="a.b", kind="categorical", choices=(32, 64, 128)), [64.0, 128, None]
    )
    np.testing.assert_allclose(axis.place[:2], [0.5, 1.0])
    assert np.isnan(axis.place[2])


def test_a_score_axis_spans_round_numbers():
    axis = score_axis("score", np.array([0.1, 1.9]))
    assert [text for _, text in axis.ticks] == ["0", "0.5", "1", "1.5", "2"]
    np.testing.assert_allclose(axis.place, [0.05, 0.95])


def test_the_best_fifth_stands_out_and_at_least_one():
    assert best_share(np.arange(10.0), np.ones(10, dtype=bool)).tolist() == [False] * 8 + [True] * 2
    assert best_share(np.array([3.0, 1.0]), np.ones(2, dtype=bool)).tolist() == [True, False]
    assert best_share(np.array([3.0, 1.0]), np.array([False, True])).tolist() == [False, True]
    assert not best_share(np.array([3.0, 1.0]), np.zeros(2, dtype=bool)).any()


def test_a_point_beaten_in_all_respects_is_not_on_the_front():
    costs = np.array([[1.0, 3.0], [3.0, 1.0], [2.0, 2.0], [3.0, 3.0], [2.0, 2.0]])
    assert pareto_front(costs).tolist() == [True, True, True, False, True]


def test_a_heat_map_has_a_cell_per_fold_and_a_dash_where_there_is_none():
    folds = {
        0: [{"fold": 0, "seed": 0, "sharpe": 2.0}, {"fold": 1, "seed": 0, "sharpe": -1.0}],
        1: [{"fold": 0, "seed": 0, "sharpe": None}],
    }
    names, rows = heat_rows([0, 1], folds, "sharpe", maximize=True)
    assert names == ["fold 0", "fold 1"]
    assert [[cell["text"] for cell in row["cells"]] for row in rows] == [["2.00", "-1.00"], ["–", "–"]]
    assert "--pass" in rows[0]["cells"][0]["shade"]
    assert "--fail" in rows[0]["cells"][1]["shade"]


def test_text_of_a_user_is_escaped():
    axis = parameter_axis("<b>", Parameter(key="a.b", kind="uniform", low=0.0, high=1.0), [0.5])
    vertical = score_axis("score", np.array([1.0]))
    svg = parallel_coordinates([axis, vertical], np.array([1.0]), np.array([True]), ["<script>"])
    assert "<script>" not in svg
    assert "&lt;b&gt;" in svg


@pytest.mark.parametrize(("value", "text"), [(0.005, "0.005"), (4000.0, "4,000"), (894.4, "894")])
def test_numbers_are_short(value, text):
    assert short(value) == text


def test_without_shares_there_are_no_bars():
    assert share_bars({}) == ""
    assert "66%" in share_bars({"learning_rate": 0.66, "kl": 0.34})
