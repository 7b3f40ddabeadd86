"""How `walk_forward.unit` becomes windows, and what a validation window that is named by its dates changes."""

from __future__ import annotations

import pytest

from evaluation.windows.calendar_windows import DatedWindows, PeriodWalkForward
from evaluation.windows.splits import Fold, WalkForward
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError
from rayjobs.study.config import build_train_config
from rayjobs.study.config_groups import build_windows
from rayjobs.study.fold_windows import training_windows
from rayjobs.study.looks.entered import shown_bars

DATES = (
    "walk_forward=dates",
    "walk_forward.train=[2018-01-01,2018-06-30]",
    "walk_forward.test=[2019-01-01,2019-02-28]",
)
VALIDATION = "walk_forward.validation=[2018-07-01,2018-12-31]"


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ((), WalkForward),
        (("walk_forward=anchored",), WalkForward),
        (("walk_forward=calendar",), PeriodWalkForward),
        (("walk_forward=calendar", "walk_forward.unit=sessions"), PeriodWalkForward),
        ((*DATES, VALIDATION), DatedWindows),
    ],
)
def test_the_unit_says_what_cuts_the_windows(overrides, kind):
    assert isinstance(build_windows(_group(*overrides)), kind)


def test_a_run_of_an_earlier_release_counts_bars():
    group = _group()
    del group["unit"]
    assert isinstance(build_windows(group), WalkForward)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("walk_forward.unit=months",), "no step_bars, test_bars, train_bars; choose the group walk_forward=calendar"),
        (("walk_forward=calendar", "walk_forward.unit=bars"), "choose the group walk_forward=rolling or anchored"),
        (("walk_forward=calendar", "walk_forward.unit=days"), "it must be one of bars, sessions, weeks, months, dates"),
        (("walk_forward=calendar", "walk_forward.train=0"), "train is 0; it must be at least 1 of the months"),
    ],
)  # fmt: skip
def test_keys_that_do_not_fit_the_unit_are_refused_in_one_sentence(overrides, message):
    with pytest.raises(ConfigError, match=message):
        build_windows(_group(*overrides))


def test_a_checkpoint_is_chosen_on_the_named_window_and_the_training_bars_are_all_trained_on():
    config = build_train_config(compose("train", [*DATES, VALIDATION, "scoring.in_sample=false"]))
    fold = Fold(index=0, train=slice(0, 8_000), validation=slice(8_100, 12_000), test=slice(12_100, 14_000))
    training, validation = training_windows(config, fold, first_bar=336)
    assert (training.stop_bar, validation.start_bar, validation.stop_bar) == (8_000, 8_100, 12_000)
    # Who chose on the validation window looked at it.
    assert shown_bars(config, [fold]) == slice(8_100, 14_000)


def test_whether_a_checkpoint_is_chosen_follows_from_the_window_or_the_share():
    none = "trainer.validation_fraction=0"
    assert build_train_config(compose("train", [*DATES, VALIDATION, none])).validates
    assert not build_train_config(compose("train", [*DATES, none])).validates
    assert build_train_config(compose("train", DATES)).validates
    assert not build_train_config(compose("train", ["policy=flat"])).validates


def _group(*overrides):
    group = dict(compose("train", overrides)["walk_forward"])
    return {key: value for key, value in group.items() if key not in ("only_fold", "fold_order")}
