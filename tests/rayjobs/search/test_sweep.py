"""The entry point `rayjobs.sweep` from end to end on small trainings, and `rayjobs.compare` on what it leaves."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from evaluation.ledger.ledger import Ledger, LookEntry
from policies.exported_policy import TrainedPolicy
from rayjobs.audit import main as audit
from rayjobs.compare import main as compare
from rayjobs.compare import split_arguments
from rayjobs.config.compose import compose
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.entry import run_entry_point
from rayjobs.search.sweep.config import build_sweep_config, find_study, resumed_values
from rayjobs.search.sweep.winner import open_for_winner
from rayjobs.storage.ledger_place import without_password
from rayjobs.sweep import sweep

SMALL = (
    "+experiment=planted_signal", "data.num_bars=6000", "walk_forward.train_bars=2000", "walk_forward.test_bars=1000",
    "walk_forward.embargo_bars=8", "trainer.total_env_steps=2048", "trainer.validation_every=2", "env.episode.bars=48",
    "algo.num_envs=16", "algo.fragment_bars=32", "algo.minibatch_steps=256", "policy.core_units=8",
    "policy.encoder_units=8", "policy.value_units=8", "search.scoring.overlap_bars=64", "cluster.object_store_mb=100",
    "search.open_holdout=true",  # trainings this small lose
)  # fmt: skip


def refusal(*arguments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        build_sweep_config(compose("sweep", [*SMALL, *arguments]))
    return str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search.num_trials=0"], "num_trials is 0; it must be at least 1"),
        (["search.max_concurrent=0"], "max_concurrent is 0; it must be auto or at least 1"),
        (["search.max_concurrent=many"], "search.max_concurrent is 'many'"),
        (["search.seeds=[1,1]"], "give one or more different whole numbers"),
        (["search.sampler.kind=tpee"], "did you mean tpe?"),
        (["search.objective.metrics=[sharp]"], "metrics names 'sharp'; known are sharpe"),
        (["search.scheduler.rungs=[0.5,0.25]"], "give fractions of the training, ascending"),
        (
            ["search=nsga2", "search.scheduler.kind=asha"],
            "trials with several objectives cannot be ranked half-way",
        ),
        (["search=pbt", "search.sampler.kind=grid"], "pbt, which draws its own members"),
        (
            ["search.space.kl_stop.key=algo.kl_stp"],
            "algo.kl_stp is not a key of the configuration; did you mean",
        ),
        (
            ["search.enqueue=[{kl_stp: 1}]"],
            "search.enqueue[0]: kl_stp is no parameter of the space; did you mean kl_stop?",
        ),
        (
            ["search.space.kl_stop.kind=lognormal"],
            "search.space.kl_stop.kind is 'lognormal'; it must be one of",
        ),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_starts(arguments, sentence):
    assert sentence in refusal(*arguments)


def test_a_resumed_study_keeps_what_its_trials_were_scored_with(tmp_path):
    stored = compose("sweep", [*SMALL, "search.num_trials=4"])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**stored, "provenance": {}}))
    same = resumed_values(compose("sweep", ["search.num_trials=8"]), tmp_path)
    assert same == {**stored, "search": {**stored["search"], "num_trials": 8}}
    with pytest.raises(ConfigError, match="algo.gamma is 0.5 but the study was begun with 0.97"):
        resumed_values(compose("sweep", ["algo.gamma=0.5"]), tmp_path)


def test_a_study_that_is_done_goes_on_only_where_something_is_left_to_do(tmp_path):
    stored = compose("sweep", [*SMALL, "search.num_trials=4", "search.open_holdout=auto"])
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**stored, "provenance": {}}))
    (tmp_path / "status.json").write_text(json.dumps({"status": "done"}))
    for asked in ([], ["search.max_concurrent=1"]):
        with pytest.raises(ConfigError, match="there is nothing to resume.*search.open_holdout=true"):
            resumed_values(compose("sweep", asked), tmp_path)
    for setting in ("open_holdout=true", "num_trials=8"):
        again = resumed_values(compose("sweep", [f"search.{setting}"]), tmp_path)
        assert (
            f"{setting.partition('=')[0]}={json.dumps(again['search'][setting.partition('=')[0]])}" == setting
        )
    (tmp_path / "winner").mkdir()
    with pytest.raises(ConfigError, match="has met the holdout, which is opened once"):
        resumed_values(compose("sweep", ["search.num_trials=8"]), tmp_path)


def test_the_password_of_a_studys_database_is_not_stored_and_may_be_given_again(tmp_path):
    place = "search.storage=postgresql://me:geheim@db.example/studies"
    stored = without_password(compose("sweep", [*SMALL, place]))
    assert "geheim" not in str(stored)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({**stored, "provenance": {}}))
    again = resumed_values(compose("sweep", [place]), tmp_path)
    assert again["search"]["storage"] == place.partition("=")[2]
    with pytest.raises(ConfigError, match="search.storage is"):
        resumed_values(compose("sweep", [place.replace("studies", "others")]), tmp_path)


def test_a_study_does_not_go_on_with_other_bars_than_its_trials_were_chosen_on(tmp_path, capsys):
    study = tmp_path / "20260101T000000Z-aaaaaa"
    study.mkdir()
    stored = compose("sweep", [*SMALL, "data.num_bars=3100", f"run.directory={tmp_path}"])
    provenance = {"run_id": study.name, "data_fingerprint": "0" * 64}
    (study / "config.yaml").write_text(yaml.safe_dump({**stored, "provenance": provenance}))
    (study / "status.json").write_text(json.dumps({"status": "interrupted", "host": "elsewhere", "pid": 1}))
    assert run_entry_point(sweep, "sweep", [f"resume={study}"]) is ExitCode.BAD_INPUT
    assert "put the old data back or start a new run" in capsys.readouterr().err
    assert json.loads((study / "status.json").read_text())["status"] == "interrupted"


def test_a_holdout_is_opened_for_one_trial_only(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    entry = LookEntry(
        kind="holdout opening", study="s", identity={}, seed=0, data_fingerprint="f", code_commit="c"
    )
    assert open_for_winner(ledger, entry, tmp_path, 3)
    assert open_for_winner(ledger, entry, tmp_path, 3)  # killed while it was judged
    assert not open_for_winner(ledger, entry, tmp_path, 4)
    (tmp_path / "winner").mkdir(exist_ok=True)
    (tmp_path / "winner" / "opened.json").write_text('{"trial": 4}')  # of earlier releases, or forged
    assert not open_for_winner(ledger, entry, tmp_path, 4)


def test_the_latest_unfinished_study_of_an_experiment_can_be_named(tmp_path):
    values = compose("sweep", [*SMALL, f"run.directory={tmp_path}", "resume=latest"])
    with pytest.raises(ConfigError, match="is no study and holds no unfinished one"):
        find_study(values)
    folders = [
        tmp_path / "planted_signal" / "sweeps" / f"2026010{day}T000000Z-00000{day}" for day in (1, 2, 3)
    ]
    for folder, status in zip(folders, ("interrupted", "failed", "done")):
        folder.mkdir(parents=True)
        (folder / "status.json").write_text(json.dumps({"status": status}))
    assert find_study(values) == folders[1]
    assert find_study({**values, "resume": None}) is None


def test_paths_and_options_are_told_apart():
    assert split_arguments(["runs/a", "sort=-dsr", "filter=x > 1", "runs/b"]) == (
        [Path("runs/a"), Path("runs/b")],
        ["sort=-dsr", 'filter="x > 1"'],
    )


def run(directory: Path, *arguments: str) -> tuple[ExitCode, Path]:
    code = run_entry_point(sweep, "sweep", [*SMALL, f"run.directory={directory}", *arguments])
    studies = sorted((directory / "planted_signal" / "sweeps").glob("2*"))
    return code, studies[-1]


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_ends_with_a_ranking_a_verdict_and_a_page(tmp_path, capsys):
    code, study = run(
        tmp_path,
        "search.num_trials=4",
        "search.scheduler.rungs=[0.5]",
        "search.seeds=[0,1]",
        "tracking=wandb",
    )
    assert code == ExitCode.DONE
    facts = json.loads((study / "study.json").read_text())
    assert facts["trials"]["complete"] + facts["trials"]["pruned"] == 4
    assert facts["significance"]["num_trials"] == 4
    assert len(facts["validation_windows"]) == 2
    assert facts["verdict"] is not None
    trials = pd.read_csv(study / "trials.csv")
    assert len(trials) == 4
    assert (trials["env_steps"] <= 2 * 2 * 2048).all()
    assert (
        "Approved" in (study / "report.html").read_text() or "Refused" in (study / "report.html").read_text()
    )
    assert (study / "winner" / "report.html").is_file()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    kinds = [look.kind for look in ledger.state().looks if look.study == f"planted_signal/{study.name}"]
    assert sorted(kinds) == ["holdout opening", *["sweep trial"] * 4]
    assert facts["verdict"]["looks"]["kinds"] == {"sweep trial": 4, "holdout opening": 1}
    assert len(list((study / "tracking").glob("*/sent"))) == 4
    assert len(list((study / "tracking").glob("*/wandb/offline-run-*"))) == 4
    _holdout_stays_out_of_the_search(study, facts)
    _winner_has_seen_the_validation_bars(study, facts)
    assert compare([str(study), "sort=-score", "top=2"]) == ExitCode.DONE
    assert "of 4 trials" in capsys.readouterr().out
    assert compare([str(study / "winner"), f"output={tmp_path / 'page.html'}"]) == ExitCode.DONE
    assert audit([f"run={study / 'winner'}"]) == ExitCode.DONE
    told = (study / "winner" / "audit_report.md").read_text()
    assert "the folds are those of a search's holdout" in told
    assert "is the one that the ledger sealed" in told
    assert "not derived" not in told
    assert (tmp_path / "page.html").is_file()
    assert compare([str(study), "sort=scor"]) == ExitCode.BAD_INPUT


def _winner_has_seen_the_validation_bars(study: Path, facts: dict) -> None:
    (policy, *_) = sorted((study / "winner" / "checkpoints").glob("fold_*/best"))
    origin = TrainedPolicy.load(policy).contract.origin
    chosen_on = [entry.coverage.span for entry in origin.seen if entry.role == "selection"]
    assert [f"{first}" for first, _ in chosen_on] == [w[0][:19] for w in facts["validation_windows"]]
    assert origin.run_id == study.name
    returns = pd.read_parquet(study / "winner" / "walk_forward" / "returns.parquet")
    assert not (returns["in_sample"] | returns["hindsight"]).any()


def _holdout_stays_out_of_the_search(study: Path, facts: dict) -> None:
    assert facts["validation_windows"][-1][1] < facts["holdout_window"][0]
    judged = pd.read_parquet(study / "winner" / "walk_forward" / "returns.parquet")["bar_utc"]
    assert judged.min().isoformat()[:19] == facts["holdout_window"][0][:19]
    assert judged.max().isoformat()[:19] == facts["holdout_window"][1][:19]


@pytest.mark.ray
@pytest.mark.slow
def test_a_population_trains_on_from_the_best_and_its_winner_repeats_the_way(tmp_path):
    code, study = run(tmp_path, "search=pbt", "search.scheduler.population=3", "search.scheduler.rungs=[0.5]")
    assert code == ExitCode.DONE
    trials = pd.read_csv(study / "trials.csv")
    assert len(trials) == 6
    assert set(trials["state"]) == {"complete"}
    assert sorted(trials["rung"]) == [0, 0, 0, 1, 1, 1]
    # Two folds of 2,048 env steps; a generation trains to half of them, then to all.
    assert set(trials.loc[trials["rung"] == 0, "env_steps"]) == {2 * 1024}
    assert set(trials.loc[trials["rung"] == 1, "env_steps"]) == {2 * 2048}
    progress = pd.read_csv(study / "winner" / "progress.csv")
    assert progress["env_steps"].max() == 2048


@pytest.mark.ray
@pytest.mark.slow
def test_a_winner_that_loses_is_judged_by_the_command_that_the_sweep_tells(tmp_path, caplog):
    caplog.set_level("INFO")
    code, study = run(tmp_path, "search.num_trials=2", "search.open_holdout=auto", "costs.fee_bps=400")
    told = json.loads((study / "study.json").read_text())
    assert code == ExitCode.DONE
    assert told["verdict"] is None
    words = shlex.split(caplog.text.partition("all the same: ")[2].splitlines()[0])
    assert words[:3] == ["python", "-m", "rayjobs.sweep"]
    assert run_entry_point(sweep, "sweep", words[3:]) is ExitCode.DONE
    judged = json.loads((study / "study.json").read_text())
    assert judged["verdict"] is not None
    assert judged["trials"] == told["trials"]
    assert judged["best"]["trial"] == told["best"]["trial"]
    assert run_entry_point(sweep, "sweep", words[3:]) is ExitCode.BAD_INPUT  # once


@pytest.mark.ray
@pytest.mark.slow
def test_a_sweep_in_which_every_trial_fails_ends_and_says_so(tmp_path):
    # A mean KL of more than 1e-12 counts as diverged, so every training stops in its first iterations.
    code, study = run(tmp_path, "search.num_trials=2", "search.retries=0", "algo.kl_limit=1e-12")
    assert code == ExitCode.FAILED
    trials = pd.read_csv(study / "trials.csv")
    assert set(trials["state"]) == {"failed"}
    assert trials["error"].str.contains("TrainingDiverged").all()


@pytest.mark.ray
@pytest.mark.slow
def test_ctrl_c_ends_a_sweep_cleanly_and_says_how_to_go_on(tmp_path):
    command = [
        sys.executable,
        "-m",
        "rayjobs.sweep",
        *SMALL,
        f"run.directory={tmp_path}",
        "search.num_trials=50",
    ]
    job = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not list(tmp_path.glob("planted_signal/sweeps/*/trials/0*.npy")):
        assert job.poll() is None
        time.sleep(0.5)
    job.send_signal(signal.SIGINT)
    asked = time.monotonic()
    _, said = job.communicate(timeout=60)
    assert time.monotonic() - asked < 10
    assert job.returncode == ExitCode.INTERRUPTED
    (study,) = tmp_path.glob("planted_signal/sweeps/2*")
    assert f"python -m rayjobs.sweep resume={study}" in said
    assert json.loads((study / "status.json").read_text())["status"] == "interrupted"
