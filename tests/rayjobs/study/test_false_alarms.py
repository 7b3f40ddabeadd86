"""Honest runs of the bundled experiments are accused of nothing: what they saw, were charged, leaked, or earned."""

from __future__ import annotations

import pytest
from honest_runs import ABOUT_THE_RUN, EXPERIMENTS, drawn, false_alarms, study_runs

NUM_STUDIES = 7
"""Of each experiment, with up to six policies each: about 40 runs."""
LEAKS_EACH = 2
"""Studies of each experiment whose bars are compared for leaks, which takes the longest."""


def test_the_studies_that_are_drawn_differ():
    for experiment in EXPERIMENTS:
        assert len({drawn(experiment, seed) for seed in range(NUM_STUDIES)}) == NUM_STUDIES


def test_a_short_honest_run_is_measured_in_everything_that_it_could_be_accused_of(tmp_path):
    overrides = ("data.seed=11", "data.num_bars=1300", "walk_forward.train_bars=600", "walk_forward.test_bars=200",
                 "env.episode.bars=48")  # fmt: skip
    (run,) = study_runs("planted_signal", overrides, ["momentum_sign"], tmp_path, leaks=False)
    assert not run.alarms
    assert all(run.criteria[name].passed is not None for name in ABOUT_THE_RUN)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_of_about_40_honest_runs_of_a_bundled_experiment_none_is_accused(experiment, tmp_path):
    count, alarms = false_alarms(experiment, NUM_STUDIES, tmp_path, leaks=LEAKS_EACH)
    assert count >= 5 * NUM_STUDIES
    assert not alarms
