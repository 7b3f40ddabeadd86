"""An approval under lowered criteria names what was lowered; a stricter gate is no lower one."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from evaluation.gate.config import GateConfig
from evaluation.gate.standard import STRICTER, lowered_thresholds
from rayjobs.config.compose import compose
from rayjobs.study.config import build_train_config

STANDARD = build_train_config(compose("train")).gate
NO_THRESHOLD = {"enforced"}


def test_every_threshold_of_the_gate_has_a_direction():
    assert {field.name for field in fields(GateConfig)} - NO_THRESHOLD == set(STRICTER)


def test_the_standard_gate_is_not_lowered():
    assert lowered_thresholds(STANDARD, STANDARD) == ()


@pytest.mark.parametrize("name", sorted(set(STRICTER) - {"min_cost_bps"}))
def test_each_threshold_is_named_when_it_is_lowered_and_not_when_it_is_raised(name):
    value = getattr(STANDARD, name)
    step = 0.01 if 0.0 < abs(value) < 1.0 else 0.1 * abs(value)
    step = max(1, round(step)) if isinstance(value, int) else step
    lower = replace(STANDARD, **{name: value - STRICTER[name] * step})
    higher = replace(STANDARD, **{name: value + STRICTER[name] * step})
    (phrase,) = lowered_thresholds(lower, STANDARD)
    assert phrase.startswith(f"{name} is ")
    assert lowered_thresholds(higher, STANDARD) == ()


def test_any_number_in_place_of_the_least_cost_of_each_kind_is_named():
    (phrase,) = lowered_thresholds(replace(STANDARD, min_cost_bps=3.0), STANDARD)
    assert phrase == "min_cost_bps is 3 instead of the kind's own"


def test_a_criterion_that_no_longer_decides_is_named():
    rest = tuple(name for name in STANDARD.enforced if name != "overfitting")
    assert lowered_thresholds(replace(STANDARD, enforced=rest), STANDARD) == ("overfitting is not enforced",)
