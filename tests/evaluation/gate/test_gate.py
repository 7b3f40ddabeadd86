"""The gate: each criterion decides on what it says, and nothing is passed by leaving it out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from good_evidence import CLEAN, CONFIG, good_evidence

from envs.checks.leaks import LeakFinding
from envs.checks.sampling import Sampling
from evaluation.files import plain
from evaluation.gate.plausibility import DelayLoss
from evaluation.gate.verdict import CRITERIA, judge
from policies.origin import EARLIER, SEEN, UNSEEN

LEAK = LeakFinding(
    kind="feature",
    culprit="tomorrow",
    cut_bar=5,
    first_bar=5,
    last_bar=5,
    hint="it reads up to 1 bar(s) ahead",
)


def outcome(name: str, **changed):
    verdict = judge(CONFIG, replace(good_evidence(), **changed))
    criterion = next(c for c in verdict.criteria if c.name == name)
    return verdict, criterion


def test_a_record_that_meets_every_criterion_is_approved():
    verdict = judge(CONFIG, good_evidence())
    assert verdict.passed
    assert verdict.headline.startswith("Approved: all 14 criteria hold")


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("sharpe", {"net_return": good_evidence().net_return - 0.0015}),
        ("max_drawdown", {"net_return": np.where(np.arange(1000) == 500, -0.3, good_evidence().net_return)}),
        ("deflated_sharpe", {"num_trials": 10_000, "trial_sharpe_variance": 0.01}),
        ("beats_baselines", {"baselines": {"better": good_evidence().net_return + 0.001}}),
        ("beats_baselines_stressed", {"stressed": good_evidence().net_return - 0.003}),
        ("num_trades", {"num_trades": 29}),
        ("all_seeds_positive", {"seeds": {1: good_evidence().net_return, 2: -good_evidence().net_return}}),
        ("overfitting", {"overfitting": 0.5}),
        ("leak_check", {"leak_check": replace(CLEAN, findings=(LEAK,))}),
        ("full_costs", {"cost_factor": 0.5}),
        ("placebo", {"placebo_rate": 0.1}),
        ("plausibility", {"net_return": good_evidence().net_return + 0.004}),
        ("plausibility", {"delay_losses": (DelayLoss(names=("vendor_score",), share_lost=0.9, t=5.0),)}),
        ("unseen", {"exposure": np.where(np.arange(1000) == 999, SEEN, UNSEEN).astype(np.int8)}),
        ("unseen", {"exposure": np.where(np.arange(1000) == 0, EARLIER, UNSEEN).astype(np.int8)}),
    ],
)
def test_each_criterion_alone_refuses(name, changed):
    verdict, criterion = outcome(name, **changed)
    assert criterion.passed is False
    assert not verdict.passed


def test_a_record_shorter_than_the_minimum_track_record_is_refused():
    short = {"bar_utc": good_evidence().bar_utc[:40], "net_return": good_evidence().net_return[:40]}
    random = np.random.default_rng(1).normal(0.001, 0.01, 40)
    _, criterion = outcome(
        "track_record",
        **short | {"net_return": random},
        baselines={},
        stressed=None,
        seeds=None,
        exposure=None,
    )
    assert criterion.passed is False
    assert criterion.value == 40
    assert criterion.threshold > 40


def test_a_gate_that_enforces_what_is_no_criterion_judges_nothing():
    with pytest.raises(ValueError, match="names 'sharp'; known criteria are"):
        judge(replace(CONFIG, enforced=("sharp",)), good_evidence())


def test_bars_that_were_seen_decide_whatever_is_enforced_and_the_headline_names_them_first():
    exposure = np.repeat([EARLIER, SEEN, UNSEEN], [100, 250, 650]).astype(np.int8)
    evidence = replace(good_evidence(), exposure=exposure, cost_factor=0.5)
    verdict = judge(replace(CONFIG, enforced=("sharpe",)), evidence)
    assert not verdict.passed
    assert next(c for c in verdict.criteria if c.name == "unseen").value == pytest.approx(0.35)
    for config in (CONFIG, replace(CONFIG, enforced=("sharpe",))):
        assert judge(config, evidence).headline.startswith(
            "Refused: 250 of the 1,000 scored bars are in sample"
        )


@pytest.mark.parametrize(
    "missing",
    [
        {"baselines": {}},
        {"stressed": None},
        {"seeds": None},
        {"overfitting": None},
        {"leak_check": None},
        {"cost_factor": None},
        {"charged": None},
        {"delay_losses": None},
        {"placebo_rate": None},
        {"exposure": None},
    ],
)
def test_missing_evidence_refuses_what_is_enforced(missing):
    verdict = judge(CONFIG, replace(good_evidence(), **missing))
    assert not verdict.passed
    assert "was not measured" in verdict.headline


def test_what_is_not_enforced_is_shown_and_does_not_decide():
    config = replace(CONFIG, enforced=("sharpe",))
    verdict = judge(config, replace(good_evidence(), overfitting=0.9, leak_check=None))
    assert verdict.passed
    assert {c.name for c in verdict.criteria if not c.enforced} == set(CRITERIA) - {"sharpe"}


def test_a_policy_that_never_trades_is_refused_for_having_no_sharpe_ratio():
    verdict, criterion = outcome("sharpe", net_return=np.zeros(1000))
    assert not verdict.passed
    assert np.isnan(criterion.value)
    assert verdict.headline.startswith("Refused: the net annual Sharpe ratio is not defined")


def test_a_refusal_for_a_leak_names_the_culprit():
    verdict, _ = outcome("leak_check", leak_check=replace(CLEAN, findings=(LEAK,)))
    assert "feature 'tomorrow' moved at bar 5" in verdict.headline


def test_the_leak_check_tells_its_cuts_and_which_peeks_they_find():
    sampled = Sampling(name="x", num_rows=35_000, tested_rows=4_917, computations=60)
    _, criterion = outcome("leak_check", leak_check=replace(CLEAN, samplings=(sampled,)))
    assert criterion.passed
    # (1 - 4917 / 35000)^31 is the first power below 1 %: 31 bars, one in 1,129.
    assert "features at 4,917 cuts or more: a peek on one bar in 1,129 is found with 99%" in criterion.reason


def test_too_few_cuts_of_a_feature_are_no_evidence():
    sampled = Sampling(name="slow", num_rows=35_000, tested_rows=300, computations=900)
    verdict, criterion = outcome("leak_check", leak_check=replace(CLEAN, samplings=(sampled,)))
    assert not verdict.passed
    assert criterion.passed is False
    assert "compared too little: features at 300 cuts or more: a peek on one bar in 65" in criterion.reason
    assert "'slow' was compared least" in criterion.reason


def test_a_random_feature_is_refused_but_not_called_a_leak():
    random = replace(LEAK, kind="random", hint="computed again it differs")
    _, criterion = outcome("leak_check", leak_check=replace(CLEAN, findings=(random,)))
    assert criterion.passed is False
    assert criterion.reason == (
        "The leak check found what it cannot check: 'tomorrow' cannot be checked: computed again it differs."
    )


def test_a_single_seed_is_judged_and_said_to_show_no_spread():
    _, criterion = outcome("all_seeds_positive", seeds={0: good_evidence().net_return})
    assert criterion.passed
    assert "the only seed" in criterion.reason


def test_overfitting_as_published_is_told_beside_the_form_that_decides():
    _, criterion = outcome("overfitting", overfitting_published=0.41)
    assert criterion.passed
    assert "as published: 0.41" in criterion.reason


def test_more_trials_make_the_same_record_less_believable():
    few = outcome("deflated_sharpe", num_trials=2)[1].value
    many = outcome("deflated_sharpe", num_trials=2000)[1].value
    assert many < few


def test_an_unknown_variance_across_trials_is_replaced_by_the_one_without_skill():
    unknown = outcome("deflated_sharpe", trial_sharpe_variance=None)[1].value
    assert unknown == outcome("deflated_sharpe", trial_sharpe_variance=1 / 999)[1].value


def test_a_refusal_is_one_sentence_that_names_the_first_reason():
    verdict = judge(CONFIG, replace(good_evidence(), num_trades=3))
    assert verdict.headline == "Refused: the number of closed trades is 3; at least 30 is required."


def test_the_verdict_is_strict_json():
    verdict = judge(CONFIG, replace(good_evidence(), net_return=np.zeros(1000)))
    text = json.dumps(plain(verdict.to_dict()), allow_nan=False)
    assert json.loads(text)["criteria"][0]["value"] is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"enforced": ()}, "lets everything through"),
        ({"max_drawdown": 0.2}, "between -1 and 0"),
        ({"max_overfitting": 5.0}, "probability"),
        ({"track_record_confidence": 95.0}, "0.5 to 1"),
    ],
)
def test_thresholds_out_of_range_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changed)


def test_returns_that_do_not_cover_the_bars_are_refused():
    with pytest.raises(ValueError, match="give one per bar"):
        replace(good_evidence(), baselines={"short": np.zeros(10)})


def test_an_approval_under_lowered_criteria_says_so_and_a_refusal_gives_its_reason():
    verdict = judge(CONFIG, good_evidence(), lowered=("min_sharpe is 0.1 instead of 1",))
    assert verdict.passed
    assert verdict.headline.startswith(
        "Approved under lowered criteria: min_sharpe is 0.1 instead of 1; the "
    )
    assert verdict.to_dict()["lowered"] == ["min_sharpe is 0.1 instead of 1"]
    assert verdict.passed
    refused = judge(CONFIG, replace(good_evidence(), num_trades=3), lowered=("x",))
    assert refused.headline.startswith("Refused: ")


def test_an_approval_on_a_made_market_says_so():
    verdict = judge(CONFIG, replace(good_evidence(), synthetic=True))
    assert verdict.headline.startswith("Approved on a made market: all ")
    assert verdict.to_dict()["synthetic"] is True


def test_a_stressed_comparison_at_lower_costs_than_the_gates_is_none():
    # scoring.stress_cost_factor=1.001 beside gate.stress_cost_factor=2 must not read "under costs x2".
    criterion = {
        c.name: c for c in judge(CONFIG, replace(good_evidence(), stress_cost_factor=1.001)).criteria
    }["beats_baselines_stressed"]
    assert criterion.passed is None
    assert "scoring.stress_cost_factor is 1.001" in criterion.reason
    higher = judge(CONFIG, replace(good_evidence(), stress_cost_factor=3.0))
    assert higher.passed
    assert "Under costs x3 the lead" in next(
        c.reason for c in higher.criteria if c.name == "beats_baselines_stressed"
    )
