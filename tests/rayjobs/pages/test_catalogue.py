"""The catalogue and the list: which runs there are, how each stands, filters and orders over anything."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import make_run, write_live

from rayjobs.monitoring.live_rows import LiveRows, read_live_rows
from rayjobs.pages.catalogue import Catalogue
from rayjobs.pages.listing import BadQuestion, Question, listed
from rayjobs.pages.notes import Note, Notes
from rayjobs.pages.secrets import without_passwords
from rayjobs.pages.training_curves import MAX_POINTS, curves_of, training_curves


def names(root, **question):
    catalogue = Catalogue(root)
    catalogue.refresh()
    return [row["run"].split("-")[-1] for row in listed(catalogue, Notes(root), Question(**question))["rows"]]


@pytest.fixture
def root(tmp_path):
    for number, (sharpe, gamma) in enumerate([(0.5, 0.9), (2.0, 0.99), (-1.0, 0.97)]):
        make_run(
            tmp_path,
            f"e/20260101T00000{number}Z-{number}",
            sharpe=sharpe,
            config={"algo": {"gamma": gamma, "name": f"ppo{number}", "flag": number > 0}},
        )
    make_run(tmp_path, "e/20260101T000003Z-3", status="failed")
    return tmp_path


@pytest.mark.parametrize(
    ("filter", "sort", "expected"),
    [
        ("", "", ["3", "2", "1", "0"]),  # the newest first
        ("sharpe > 0", "sharpe", ["0", "1"]),
        ("", "-sharpe", ["1", "0", "2", "3"]),  # what is not known stays at the end
        ("", "sharpe", ["2", "0", "1", "3"]),
        ("algo.gamma >= 0.97 and status = done", "algo.gamma", ["2", "1"]),
        ("algo.name = ppo1", "", ["1"]),
        ("algo.name ~ ppo", "-algo.name", ["2", "1", "0"]),
        ("algo.flag = true", "started", ["1", "2"]),
        ("status != done", "", ["3"]),
        ("z-2", "", ["2"]),
        ("verdict = refused", "started", ["0", "1", "2"]),
        ("sharpe = 2", "", ["1"]),
    ],
)
def test_runs_are_filtered_and_sorted_by_any_number_word_or_setting(root, filter, sort, expected):
    assert names(root, filter=filter, sort=sort) == expected


def test_a_tag_is_found_and_a_limit_says_how_many_there_are(root):
    notes, catalogue = Notes(root), Catalogue(root)
    catalogue.refresh()
    notes.write("e/20260101T000001Z-1", Note(tags=("baseline",), text=""))
    assert names(root, filter="tags ~ baseline") == ["1"]
    assert names(root, filter="baseline") == ["1"]
    found = listed(catalogue, notes, Question(limit=1))
    assert (len(found["rows"]), found["found"], found["total"]) == (1, 4, 4)
    notes.write("e/20260101T000001Z-1", Note())
    assert notes.all() == {}


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=30))
def test_no_filter_raises_anything_but_a_sentence(text):
    catalogue = Catalogue(Path(__file__).parent)
    with contextlib.suppress(BadQuestion):
        listed(catalogue, Notes(catalogue.root), Question(filter=text))


def test_only_what_changed_is_read_again_and_named(root):
    catalogue = Catalogue(root)
    assert len(catalogue.refresh()) == 4
    assert catalogue.refresh() == []
    version = catalogue.version
    summary = root / "e/20260101T000001Z-1/backtest/summary.json"
    summary.write_text(json.dumps({"sharpe": 3.0}))
    os.utime(summary, ns=(1, 1))
    assert catalogue.refresh() == ["e/20260101T000001Z-1"]
    assert catalogue.find("e/20260101T000001Z-1").numbers["sharpe"] == 3.0
    assert catalogue.version == version + 1


def test_a_run_whose_process_is_gone_is_killed_and_one_of_another_machine_runs(tmp_path):
    make_run(tmp_path, "e/20260101T000000Z-0", status="running")
    make_run(tmp_path, "e/20260101T000000Z-1", status="running", host="elsewhere")
    make_run(tmp_path, "e/20260101T000000Z-2", status="running", pid=os.getpid())
    catalogue = Catalogue(tmp_path)
    catalogue.refresh()
    states = {entry.name[-1]: entry.status for entry in catalogue.entries()}
    assert states == {"0": "killed", "1": "running", "2": "running"}


@pytest.mark.parametrize(
    ("name", "status", "command"),
    [
        ("e/20260101T000000Z-0", "failed", "train"),
        ("e/20260101T000000Z-0", "interrupted", "train"),
        ("e/sweeps/20260101T000000Z-0", "failed", "sweep"),
        ("e/20260101T000000Z-0", "done", ""),
        ("e/evaluations/20260101T000000Z-0", "failed", ""),  # is not resumed, but run again
    ],
)
def test_a_run_that_ended_early_says_by_what_command_it_goes_on(tmp_path, name, status, command):
    path = make_run(tmp_path / "my runs", name, status=status)
    catalogue = Catalogue(tmp_path / "my runs")
    catalogue.refresh()
    expected = f"python -m rayjobs.{command} 'resume={path}'" if command else ""
    assert catalogue.find(name).resumed_by == expected


def test_sweeps_winners_and_evaluations_are_found_where_they_lie_and_damaged_files_hide_no_run(tmp_path):
    make_run(tmp_path, "e/sweeps/20260101T000000Z-0")
    winner = make_run(tmp_path, "e/sweeps/20260101T000000Z-0/winner", passed=True)
    (winner / "status.json").unlink()
    make_run(tmp_path, "e/evaluations/20260102T000000Z-1")
    damaged = make_run(tmp_path, "e/20260103T000000Z-2")
    for name in ("config.yaml", "status.json", "verdict.json", "backtest/summary.json"):
        (damaged / name).write_text("{[")
    catalogue = Catalogue(tmp_path)
    catalogue.refresh()
    kinds = {entry.name.removeprefix("e/"): (entry.kind, entry.status) for entry in catalogue.entries()}
    assert kinds == {
        "sweeps/20260101T000000Z-0": ("sweep", "done"),
        "sweeps/20260101T000000Z-0/winner": ("winner", "done"),
        "evaluations/20260102T000000Z-1": ("evaluation", "done"),
        "20260103T000000Z-2": ("run", "unknown"),
    }
    assert catalogue.settings("e/20260103T000000Z-2") == {}


def test_no_run_at_all_is_an_empty_list(tmp_path):
    assert names(tmp_path) == []


def test_progress_and_the_time_left_count_folds_that_have_not_begun(tmp_path):
    run = make_run(tmp_path, "e/20260101T000000Z-0", status="running", pid=os.getpid())
    write_live(
        run,
        {
            "fold": 0,
            "iteration": 1,
            "env_steps": 500,
            "env_steps_per_second": 50,
            "utc": "1",
            "approx_kl": 0.1,
        },
        {
            "fold": 1,
            "iteration": 1,
            "env_steps": 250,
            "env_steps_per_second": 50,
            "utc": "2",
            "approx_kl": 0.2,
        },
        cut='{"fold": 2, "iterat',
        num_folds=3,
    )
    catalogue = Catalogue(tmp_path)
    catalogue.refresh()
    numbers = catalogue.entries()[0].numbers
    # (500 + 250 + 0) / 3 of 1000; 500 + 750 + 1000 steps are left at 50 + 50 a second.
    assert numbers["progress"] == pytest.approx(0.25)
    assert numbers["seconds_left"] == pytest.approx(22.5)
    assert (numbers["folds_begun"], numbers["approx_kl"]) == (2, 0.2)


def test_rows_of_a_training_come_back_finite_and_a_later_one_of_an_iteration_counts(tmp_path):
    live = LiveRows(tmp_path / "run", 1000, 2)
    row = {
        "fold": 0,
        "iteration": 2,
        "env_steps": 20,
        "approx_kl": float("nan"),
        "health": "KL low",
        "nudges": "",
    }
    live.write({**row, "entropy": 1.0})
    live.write({**row, "iteration": 1})
    live.write({**row, "entropy": 2.0})
    with (tmp_path / "run" / "live.jsonl").open("a") as stream:
        stream.write('[1]\n{}\n{"fold": 0, "iteration": 9}\nnull\n{"fold": "x"\n')  # not ours, or damaged
    rows = read_live_rows(tmp_path / "run" / "live.jsonl")
    assert [(one["iteration"], one.get("entropy"), one["health"]) for one in rows] == [
        (1, None, "KL low"),
        (2, 2.0, "KL low"),
    ]
    assert all("approx_kl" not in one and one["total_env_steps"] == 1000 for one in rows)


def test_a_live_file_that_cannot_be_written_ends_no_training_and_is_told_once(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    live = LiveRows(tmp_path / "file" / "run", 1000, 2)
    for iteration in range(3):
        live.write({"fold": 0, "iteration": iteration})
    assert len([record for record in caplog.records if "cannot be written" in record.message]) == 1
    assert read_live_rows(tmp_path / "file" / "run" / "live.jsonl") == []


def test_curves_of_an_ended_run_come_from_its_progress_by_fold_and_long_ones_keep_their_last_point(tmp_path):
    (tmp_path / "progress.csv").write_text(
        "fold,iteration,env_steps,entropy,health\n0,1,10,2.5,\n1,1,10,,KL low\n"
    )
    assert training_curves(tmp_path)["curves"] == {"entropy": {"fold 0": ([10.0], [2.5])}}
    long = curves_of({"fold": 0, "env_steps": step, "entropy": step / 2} for step in range(5000))
    steps, values = long["curves"]["entropy"]["fold 0"]
    assert len(steps) <= MAX_POINTS + 1
    assert (steps[-1], values[-1]) == (4999, 2499.5)


def test_passwords_in_addresses_are_blotted_out_and_the_rest_stays():
    text = "postgresql://me:pw@host:5432/db and s3://b/x?access_key=A&region=eu"
    assert (
        without_passwords(text)
        == "postgresql://me:(hidden)@host:5432/db and s3://b/x?access_key=(hidden)&region=eu"
    )
