"""Charts draw every peak, label round numbers, and stand odd series."""

from __future__ import annotations

import numpy as np
import pytest
from gate_settings import gate_config
from scoring_settings import scoring_config

from evaluation.artefacts.summary import summarise
from evaluation.gate.evidence import SupportingEvidence
from evaluation.gate.verdict import GateEvidence, judge
from evaluation.report.charts import (
    Series,
    bar_chart,
    column_chart,
    date_ticks,
    envelope,
    line_chart,
    log_ticks,
    nice_ticks,
)
from evaluation.report.page import write_report
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.windows.splits import WalkForward


def test_ticks_are_round_and_span_the_values():
    assert nice_ticks(0.0, 1.0).tolist() == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert nice_ticks(-0.037, 0.0)[0] <= -0.037
    assert len(nice_ticks(3.0, 3.0)) > 1  # a constant series has an axis as well
    assert log_ticks(0.3, 40.0).tolist() == pytest.approx([0.2, 0.5, 1, 2, 5, 10, 20, 50])


def test_decimation_keeps_the_highest_and_the_lowest_point():
    values = np.zeros(100_000)
    values[77_777], values[11_111] = 5.0, -3.0
    kept = values[envelope(values)]
    assert len(kept) < 2000
    assert kept.max() == 5.0
    assert kept.min() == -3.0


@pytest.mark.parametrize(
    ("days", "expected"), [(1500, "2022"), (200, "Mar 2021"), (20, "02 Jan"), (1, "01 Jan 2021")]
)
def test_dates_are_labelled_in_the_unit_that_fits(days, expected):
    bars = np.datetime64("2021-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")
    assert any(expected in text for _, text in date_ticks(bars))


def test_text_from_users_is_escaped():
    bars = np.datetime64("2021-01-01", "ns") + np.arange(3) * np.timedelta64(1, "D")
    drawn = line_chart(
        [Series(name="<b>", values=np.array([1.0, 2.0, 3.0]), style="s0")],
        bars,
        label='a"b',
        format_value=str,
    )
    assert "<b>" not in drawn
    assert 'a"b' not in drawn
    assert "<i>" not in bar_chart(["<i>"], [1.0], label="x", format_value=str)
    assert "<i>" not in column_chart(["<i>"], [0.0], label="x", format_value=str)


GATE = gate_config("sharpe")


class Always:
    """Takes one action for ever; or turns every asset round at every bar."""

    def __init__(self, action):
        self.action = action

    def initial_state(self, num_envs):
        return np.zeros(num_envs, dtype=int)

    def act(self, observation, state):
        side = np.where(state % 2 == 0, 0, 2) if self.action == "flip" else np.full(len(state), self.action)
        return np.repeat(side[:, None], 2, axis=1), state + 1


@pytest.mark.parametrize(
    ("action", "word"),
    [(1, "The policy never held a position, so there is nothing to judge."), ("flip", "Refused")],
)
def test_policies_that_never_trade_or_are_ruined_get_a_report_too(action, word, noise_world, tmp_path):
    scoring = scoring_config(momentum_bars=20, hold_bars=1, stress_cost_factor=2.0, in_sample=True)
    world = noise_world
    from dataclasses import replace

    costs = replace(world.config.costs, fee_bps=50.0 if action == "flip" else 1.0)
    config = replace(world.config, costs=costs)
    folds = tuple(
        score_fold(fold, Always(action), world.panel, world.market, config, scoring, seed=1)
        for fold in WalkForward(800, 500).folds(2000)
    )
    study = WalkForwardResult(panel=world.panel, folds=folds)
    summary = summarise(study)
    verdict = judge(GATE, GateEvidence.of(study, SupportingEvidence()))
    assert not verdict.passed
    path = write_report(tmp_path / "r.html", study, summary, verdict, title="x", provenance={})
    page = path.read_text()
    assert word in page
    assert "nan" not in page.replace("finance", "").lower().split("<style>")[0]
    assert ">nan<" not in page
    assert "inf " not in page
    if action == "flip":  # ruined in both folds: the loss stays, the rest of each window earns nothing
        assert summary["total_return"] < -0.9
        assert (study.net_return[-50:] == 0).all()
