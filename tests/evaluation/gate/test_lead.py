"""How often the gate finds a lead over baselines where there is none, and where there is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from good_evidence import CONFIG, good_evidence
from lead_studies import LeadLaw

from evaluation.gate.criteria import CRITERIA

SURE = replace(CONFIG, min_lead_confidence=0.95)
DAILY = {"years": 4.0, "bars_a_year": 252}


def share_ahead(law: LeadLaw, count: int, seed: int, config=SURE) -> float:
    """Share of the studies that meet `beats_baselines`."""
    evidence, measure = good_evidence(), CRITERIA["beats_baselines"][1]
    found = 0
    for returns in law.draw(count, np.random.default_rng(seed)):
        study = replace(
            evidence,
            net_return=returns[0],
            baselines={f"rival_{k}": one for k, one in enumerate(returns[1:])},
            bar_utc=np.datetime64("2020-01-01", "ns") + np.arange(returns.shape[1]) * np.timedelta64(1, "D"),
            periods_per_year=float(law.bars_a_year),
            seeds=None, stressed=None, stressed_baselines=None, exposure=None,
        )  # fmt: skip
        found += bool(measure(config, study).passed)
    return found / count


@pytest.mark.parametrize("correlation", [0.5, 0.9, 0.99])
def test_without_a_true_lead_over_one_baseline_a_lead_is_found_in_one_of_twenty(correlation):
    law = LeadLaw(policy=1.0, baselines=(1.0,), correlation=correlation, **DAILY)
    share = share_ahead(law, 300, seed=1)
    assert share <= 0.09  # of 300 at 5 %, more than 26 have a probability of 0.4 %


def test_any_lead_at_all_is_found_in_half_of_the_studies_without_one():
    law = LeadLaw(policy=1.0, baselines=(1.0,), correlation=0.9, **DAILY)
    assert 0.4 < share_ahead(law, 300, seed=2, config=replace(SURE, min_lead_confidence=0.5)) < 0.6


def test_other_baselines_beside_one_that_is_as_good_make_no_more_false_leads():
    law = LeadLaw(policy=1.0, baselines=(1.0, 0.0, 0.0, -1.0), correlation=0.5, **DAILY)
    assert share_ahead(law, 200, seed=3) <= 0.10


@pytest.mark.parametrize(("correlation", "least"), [(0.5, 0.6), (0.9, 0.9)])
def test_a_true_lead_is_found(correlation, least):
    law = LeadLaw(policy=2.0, baselines=(0.5, 0.0, 0.0), correlation=correlation, **DAILY)
    assert share_ahead(law, 150, seed=4) >= least
