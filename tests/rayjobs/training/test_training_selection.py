"""The best policy so far, early stop and the cut of the learning rate on a plateau."""

from __future__ import annotations

import dataclasses

from policies.settings import PPOSettings
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import build_dataclass
from rayjobs.training.selection import Selection


def selection(*, early_stop=None, plateau=None):
    settings = build_dataclass(PPOSettings, compose("train")["algo"], "algo")
    control = dataclasses.replace(settings.learning_rate_control, plateau_validations=plateau)
    return Selection(
        dataclasses.replace(settings, early_stop_validations=early_stop, learning_rate_control=control)
    )


def test_only_a_higher_score_is_better():
    one = selection()
    assert [one.take(score) for score in (0.1, 0.1, -0.5, 0.2)] == [True, False, False, True]
    assert one.best_score == 0.2


def test_training_stops_after_so_many_validations_in_a_row_without_a_better_score():
    one = selection(early_stop=2)
    stops = []
    for score in (0.1, 0.0, 0.2, 0.0, 0.1):
        one.take(score)
        stops.append(one.stops)
    assert stops == [False, False, False, False, True]


def test_the_learning_rate_is_cut_on_each_plateau():
    one = selection(plateau=2)
    cuts = []
    for score in (0.5, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0):
        one.take(score)
        cuts.append(one.cuts_learning_rate())
    assert cuts == [False, False, True, False, True, False, False]


def test_nothing_follows_when_it_is_switched_off():
    one = selection()
    for _ in range(50):
        one.take(0.0)
    assert not one.stops
    assert not one.cuts_learning_rate()
