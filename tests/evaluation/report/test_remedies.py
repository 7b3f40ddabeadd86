"""Why a run was refused: each failing criterion says what would have to be otherwise, in numbers that hold."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.gate.criteria import CRITERIA, UNSEEN_SYMBOLS
from evaluation.gate.verdict import Criterion, Verdict
from evaluation.report.remedies import (
    _MEASURED,
    _WORDS,
    bars_for_deflation,
    bars_in_words,
    length_in_words,
    remedies,
)
from evaluation.statistics.significance import deflated_sharpe_ratio

YEAR = 252.0
LABELS = {name: label for name, (label, _) in CRITERIA.items()} | {
    UNSEEN_SYMBOLS: "Criteria that fail on others"
}
SUMMARY = {"num_trials": 1.0, "trial_sharpe_variance": None, "annual_turnover": 900.0}


def criterion(name, value, threshold, *, passed=False, enforced=True):
    return Criterion(
        name=name, label=LABELS[name], value=value, threshold=threshold, comparison=">=", passed=passed,
        enforced=enforced, first_bar_utc="", last_bar_utc="", num_bars=100, reason="Because.",
    )  # fmt: skip


def verdict(*criteria):
    return Verdict(passed=False, headline="Refused: x.", criteria=criteria, num_trials=1.0)


def change(one, returns, summary=SUMMARY):
    (found,) = remedies(verdict(one), returns, YEAR, summary)
    return found.change


def two_valued(mean, deviation, bars=1000):
    """Returns with just this mean and (sample) deviation: half above, half below."""
    step = deviation * math.sqrt((bars - 1) / bars)
    return mean + step * np.tile([1.0, -1.0], bars // 2)


def test_what_has_passed_or_does_not_decide_needs_no_remedy_and_what_voids_the_record_comes_first():
    found = remedies(
        verdict(
            criterion("sharpe", 0.1, 1.0),
            criterion("num_trades", 500.0, 100.0, passed=True),
            criterion("max_drawdown", -0.5, -0.2, enforced=False),
            criterion("unseen", 0.5, 0.0),
        ),
        two_valued(1e-4, 1e-2),
        YEAR,
        SUMMARY,
    )
    assert [one.label for one in found] == [CRITERIA["unseen"][0], CRITERIA["sharpe"][0]]
    assert found[0].why == "Because."


def test_every_criterion_has_words_for_what_would_have_to_change():
    assert set(LABELS) == {*_MEASURED, *_WORDS}
    for name in LABELS:
        for value in (math.nan, -0.4, 0.0):
            for passed in (False, None):
                for returns in (np.zeros(100), two_valued(-1e-3, 1e-2), two_valued(1e-3, 1e-2)):
                    text = change(
                        criterion(name, value, 0.5 if name != "max_drawdown" else -0.2, passed=passed),
                        returns,
                    )
                    assert text.endswith(".")
                    assert not re.search(r"\bnan\b|\binf\b", text)


def test_the_sharpe_ratio_asks_for_the_gain_that_it_means_and_the_bars_that_show_it():
    # 1 % a bar is 15.87 % a year; a Sharpe ratio of 1 is a gain of as much. 1e-4 a bar are 2.5 % a year.
    text = change(criterion("sharpe", 0.16, 1.0), two_valued(1e-4, 1e-2))
    assert "has to be +15.9% a year; it was +2.5%" in text
    # Normal returns: n = 1 + (1 + SR^2 / 2) (1.645 / SR)^2 with SR = 1 / sqrt(252): 685 bars, fewer than 1,000.
    sharpe = 1 / math.sqrt(252)
    bars = math.ceil(1 + (1 + sharpe**2 / 2) * (1.6448536 / sharpe) ** 2)
    assert f"about {bars:,} bars ({bars / YEAR:.1f} years), which is no more than were scored" in text


def test_half_the_positions_make_about_half_the_fall():
    assert "about 45% of those held" in change(criterion("max_drawdown", -0.39, -0.2), np.zeros(10))
    assert math.log(0.8) / math.log(0.61) == pytest.approx(0.45, abs=0.005)


def test_trades_come_as_often_as_so_far():
    text = change(criterion("num_trades", 40.0, 100.0), np.zeros(1000))
    assert text.startswith("60 more closed trades")
    assert "about 2,500 bars (9.9 years), 1,500 more than were scored" in text


def test_a_record_below_what_luck_shows_is_told_that_no_length_will_do():
    summary = {**SUMMARY, "num_trials": 100.0, "trial_sharpe_variance": 0.01}
    text = change(criterion("deflated_sharpe", 0.1, 0.95), two_valued(5e-4, 1e-2), summary)
    assert "no number of bars makes up for that" in text
    assert "100 trials" in text


@given(
    sharpe=st.floats(0.01, 0.3),
    trials=st.sampled_from([1.0, 3.5, 20.0, 500.0]),
    variance=st.sampled_from([None, 1e-6, 1e-4]),
    skewness=st.floats(-1.0, 1.0),
)
def test_at_the_bars_that_are_named_the_deflated_probability_is_what_is_asked(
    sharpe, trials, variance, skewness
):
    shape = {"skewness": skewness, "kurtosis": 4.0}
    bars = bars_for_deflation(sharpe, 0.95, trials=trials, trial_variance=variance, **shape)
    if math.isnan(bars):
        assert variance is not None
        return
    found = deflated_sharpe_ratio(
        sharpe,
        bars,
        num_trials=trials,
        sharpe_variance=1 / (bars - 1) if variance is None else variance,
        **shape,
    )
    assert found == pytest.approx(0.95, abs=1e-9)


def test_lengths_are_said_in_bars_years_and_what_is_missing():
    assert bars_in_words(503.2, 252, 252.0) == "about 504 bars (2.0 years), 252 more than were scored"


@pytest.mark.parametrize("mean", [1e-4, 1e-3])
def test_the_page_says_how_many_bars_a_true_sharpe_ratio_of_the_measured_size_needs(mean):
    # Two values, half each: skewness 0, kurtosis 1, so n = 1 + (1.6448536 / SR)^2 (Bailey and Lopez de Prado 2012).
    returns = two_valued(mean, 1e-2)
    sharpe = mean / 1e-2
    bars = math.ceil(1 + (1.6448536 / sharpe) ** 2)
    text = length_in_words(verdict(criterion("sharpe", 0.2, 1.0)), returns, YEAR, SUMMARY)
    assert text.startswith(f"The annual Sharpe ratio was {sharpe * math.sqrt(YEAR):.2f}.")
    assert (
        f"A true one of that size is told from none at 95% after {bars_in_words(bars, 1000, YEAR)}." in text
    )
    assert "A true Sharpe ratio of 1.00 a year is told from none at 95% after" in text


@pytest.mark.parametrize(
    ("returns", "words"),
    [(np.zeros(100), "does not move"), (two_valued(-1e-3, 1e-2), "only show the loss better")],
)
def test_a_record_that_loses_or_does_not_move_is_told_so_and_what_the_gate_asks_for_would_need(
    returns, words
):
    text = length_in_words(verdict(criterion("sharpe", math.nan, 1.0)), returns, YEAR, SUMMARY)
    assert words in text
    assert "A true Sharpe ratio of 1.00 a year" in text
    assert not re.search(r"\bnan\b|\binf\b", text)
