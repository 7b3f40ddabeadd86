"""How far a sweep is: counted in Optuna's own database, beside the sweep that writes it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from made_study import MadeTrial, make_study
from optuna.trial import TrialState

from rayjobs.config.compose import compose
from rayjobs.config.typed_config import build_dataclass
from rayjobs.pages.catalogue import Catalogue
from rayjobs.pages.settings_sections import leaves
from rayjobs.pages.trial_progress import count_trials, sweep_progress, trial_states, trials_in_all
from rayjobs.search.plan.settings import SearchConfig
from rayjobs.search.proposal.studies import ATTEMPT, RETRY_OF

NAME = "20260101T000000Z-aaaaaa"


def trial(state, **attributes):
    scores = [0.1] if state is TrialState.COMPLETE else []
    return MadeTrial(scores=scores, returns=[[0.0] * 4], state=state, attributes=attributes)


def half_way():
    """Of eight: two complete, one that failed and is tried again, which runs beside another one."""
    return [
        trial(TrialState.COMPLETE, seconds=10.0),
        trial(TrialState.COMPLETE, seconds=20.0),
        trial(TrialState.FAIL, seconds=30.0, again=True),
        trial(TrialState.RUNNING, **{RETRY_OF: 2, ATTEMPT: 1}),
        trial(TrialState.RUNNING),
    ]


def running(root, *arguments, trials=None, status="running"):
    made = half_way() if trials is None else trials
    return make_study(root, NAME, made, "search.num_trials=8", *arguments, status=status, pid=os.getpid())


@pytest.fixture(scope="module")
def under_way(tmp_path_factory):
    """A folder of runs with one sweep that is half way."""
    root = tmp_path_factory.mktemp("runs")
    running(root)
    return root


SWEEP = Path("planted_signal", "sweeps", NAME)


def test_a_trial_that_is_tried_again_has_not_ended_and_is_no_trial_more(under_way):
    counts = count_trials(under_way / SWEEP / "study.db")
    assert (counts.known, counts.begun, counts.ended, counts.running, counts.again) == (4, 4, 2, 2, 0)
    assert counts.mean_seconds == pytest.approx(20.0)


def test_the_list_of_runs_tells_how_far_a_sweep_is(under_way):
    catalogue = Catalogue(under_way)
    catalogue.refresh()
    (entry,) = catalogue.entries()
    assert (entry.kind, entry.status) == ("sweep", "running")
    # 2 of 8 have ended. Four wait and two are half done: 5 trials of 20 s, two at a time.
    assert {name: entry.numbers[name] for name in ("trials_ended", "num_trials", "progress", "seconds_left")} == {
        "trials_ended": 2, "num_trials": 8, "progress": 0.25, "seconds_left": pytest.approx(50.0),
    }  # fmt: skip
    assert catalogue.refresh() == []  # nothing is told anew while no trial begins or ends


def test_a_sweep_that_ended_early_has_no_time_left_and_one_that_is_done_no_progress(tmp_path):
    ended = [trial(TrialState.COMPLETE, seconds=10.0), trial(TrialState.PRUNED, seconds=2.0)]
    running(tmp_path, trials=ended, status="interrupted")
    catalogue = Catalogue(tmp_path)
    catalogue.refresh()
    assert catalogue.entries()[0].numbers == {"trials_ended": 2.0, "num_trials": 8.0, "progress": 0.25}
    (tmp_path / SWEEP / "status.json").write_text('{"status": "done"}')
    catalogue.refresh()
    assert catalogue.entries()[0].numbers == {}


@pytest.mark.parametrize(
    ("arguments", "known", "expected"),
    [
        (["search.num_trials=12"], 3, 12),
        # Six members, at rungs of 25, 50 and 75 % and at the end.
        (["search=pbt", "search.scheduler.population=6"], 3, 24),
        # A grid is queued whole: nine combinations are all that there are.
        (["search=grid", "search.num_trials=12"], 9, 9),
        (["search=grid", "search.num_trials=4"], 9, 4),
    ],
)
def test_trials_in_all_are_those_that_the_search_itself_counts(arguments, known, expected):
    values = compose("sweep", ["+experiment=planted_signal", *arguments])
    assert trials_in_all(dict(leaves(values)), known) == expected
    search = build_dataclass(SearchConfig, values["search"], "search")
    assert expected == (
        min(search.total_trials, known) if "search=grid" in arguments else search.total_trials
    )


@pytest.mark.parametrize(
    "settings", [{}, {"search.num_trials": "many"}, {"search.scheduler.kind": "pbt", "search.num_trials": 8}]
)
def test_settings_that_do_not_say_how_many_trials_there_are_give_no_progress(under_way, settings):
    assert sweep_progress(under_way / SWEEP, settings) == {}


def test_a_folder_may_be_called_anything_and_a_database_may_be_missing_damaged_or_begun(under_way, tmp_path):
    folder = shutil.copytree(under_way, tmp_path / "what? a #100% name")
    assert count_trials(folder / SWEEP / "study.db").running == 2
    assert count_trials(tmp_path / "none.db") is None
    (tmp_path / "damaged.db").write_text("no database")
    sqlite3.connect(tmp_path / "begun.db").close()
    (tmp_path / "begun.db").touch()
    for name in ("damaged.db", "begun.db"):
        assert count_trials(tmp_path / name) is None
        assert trial_states(tmp_path / name) == {}
    assert sweep_progress(tmp_path, {"search.num_trials": 8}) == {}


def test_a_study_of_which_no_trial_has_begun_is_at_its_beginning(tmp_path):
    run = running(tmp_path, trials=[])
    assert sweep_progress(run, {"search.num_trials": 8}) == {
        "trials_ended": 0.0, "num_trials": 8.0, "progress": 0.0,
    }  # fmt: skip
