"""Schedules over training and what moves the learning rate besides."""

from __future__ import annotations

import dataclasses

import pytest

from policies.schedules import (
    CostCurriculum,
    KLPenalty,
    LearningRateControl,
    TrainingSchedule,
    adapted_learning_rate_factor,
)

CONTROL = LearningRateControl(
    kl_target=0.01, kl_step=1.5, minimum=1e-4, maximum=1e-2, plateau_validations=3, plateau_factor=0.5
)


@pytest.mark.parametrize(
    ("kind", "values"), [("constant", [4, 4, 4]), ("linear", [4, 3, 0]), ("cosine", [4, 3.4142, 0])]
)
def test_a_schedule_goes_from_its_first_to_its_last_value(kind, values):
    schedule = TrainingSchedule(kind=kind, initial=4.0, final=0.0)
    # A quarter of the way: linear 4 - 4 / 4; cosine 4 x (1 + cos 45 degrees) / 2.
    assert [schedule.at(share) for share in (0.0, 0.25, 1.0)] == pytest.approx(values, abs=1e-4)


def test_rllibs_form_holds_the_same_values():
    assert TrainingSchedule(kind="constant", initial=2.0, final=0.0).points(100) == 2.0
    assert TrainingSchedule(kind="linear", initial=2.0, final=1.0).points(100) == [[0, 2.0], [100, 1.0]]
    points = TrainingSchedule(kind="cosine", initial=1.0, final=0.0).points(320)
    assert points[16] == [160, pytest.approx(0.5)]


@pytest.mark.parametrize(
    ("kl", "factor"), [(0.021, 1 / 1.5), (0.02, 1.0), (0.005, 1.0), (0.004, 1.5), (float("nan"), 1.0)]
)
def test_the_learning_rate_moves_only_outside_half_and_twice_the_target(kl, factor):
    moved = adapted_learning_rate_factor(CONTROL, kl=kl, factor=1.0, learning_rate=1e-3)
    assert moved == pytest.approx(factor)


@pytest.mark.parametrize(("kl", "learning_rate", "ends_at"), [(0.1, 1.2e-4, 1e-4), (0.0, 9e-3, 1e-2)])
def test_the_learning_rate_stays_within_its_bounds(kl, learning_rate, ends_at):
    factor = adapted_learning_rate_factor(CONTROL, kl=kl, factor=2.0, learning_rate=learning_rate)
    assert learning_rate / 2.0 * factor == pytest.approx(ends_at)


def test_without_a_target_kl_moves_nothing():
    control = dataclasses.replace(CONTROL, kl_target=None)
    assert adapted_learning_rate_factor(control, kl=9.0, factor=0.7, learning_rate=1e-3) == 0.7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TrainingSchedule(kind="step", initial=1.0, final=0.0), "choose constant, linear or cosine"),
        (lambda: TrainingSchedule(kind="linear", initial=-1.0, final=0.0), "neither may be negative"),
        (lambda: dataclasses.replace(CONTROL, kl_target=0.0), "kl_target is 0.0; it must be positive"),
        (lambda: dataclasses.replace(CONTROL, kl_step=1.0), "kl_step is 1.0; it must be above 1"),
        (lambda: dataclasses.replace(CONTROL, minimum=1.0), "the minimum not above the maximum"),
        (lambda: dataclasses.replace(CONTROL, plateau_validations=0), "plateau_validations is 0"),
        (lambda: dataclasses.replace(CONTROL, plateau_factor=1.0), "between 0 and 1"),
        (lambda: KLPenalty(target=-1.0, initial=0.2), "kl_penalty.target is -1.0"),
        (lambda: KLPenalty(target=None, initial=-0.2), "must not be negative"),
        (lambda: CostCurriculum(free_fraction=0.7, ramp_fraction=0.7), "add up to 1.4"),
        (lambda: CostCurriculum(free_fraction=-0.1, ramp_fraction=0.7), "must lie in"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_costs_are_free_first_then_rise_to_full():
    curriculum = CostCurriculum(free_fraction=0.2, ramp_fraction=0.4)
    assert [curriculum.scale(x) for x in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 0.5, 1, 1])
    step = CostCurriculum(free_fraction=0.2, ramp_fraction=0.0)
    assert [step.scale(x) for x in (0.1, 0.2)] == [0.0, 1.0]
