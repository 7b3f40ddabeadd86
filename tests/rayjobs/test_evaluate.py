"""A finished run scored again: the same numbers on the same bars, others under other costs, bars or policies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from sealed_run import make_sealed_run
from small_run import make_run

from rayjobs.config.exit_codes import ExitCode
from rayjobs.evaluate import main

pytestmark = pytest.mark.runs


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs"))


def evaluated(run: Path, root: Path, *arguments: str) -> Path:
    """The directory of a new evaluation."""
    before = set((root / "evaluations").glob("*"))
    assert main([f"run={run}", f"directory={root}", *arguments]) is ExitCode.DONE
    (new,) = set((root / "evaluations").iterdir()) - before
    return new


def verdict(directory: Path) -> dict:
    return json.loads((directory / "verdict.json").read_text())


def summary(directory: Path) -> dict:
    return json.loads((directory / "backtest" / "summary.json").read_text())


def test_unchanged_inputs_give_the_recorded_files_again_to_the_last_bit(finished, tmp_path, capsys):
    again = evaluated(finished, tmp_path)
    assert "are reproduced exactly" in capsys.readouterr().out
    for name in (
        "backtest/summary.json",
        "backtest/trades.csv",
        "walk_forward/fills.parquet",
        "walk_forward/folds.csv",
        "verdict.json",
        "progress.csv",
    ):
        assert (again / name).read_bytes() == (finished / name).read_bytes(), name
    assert summary(again)["num_trades"] > 20
    assert summary(again)["num_trials"] == 1


def test_a_run_of_a_scripted_policy_is_scored_again_too(tmp_path):
    run = make_run(tmp_path, "policy=flip")
    assert summary(evaluated(run, tmp_path)) == summary(run)


def test_the_evaluation_lies_beside_the_run_and_is_not_taken_for_a_run_itself(finished):
    assert main([f"run={finished.parent}"]) is ExitCode.DONE  # the experiment's folder: its newest run
    (one,) = (finished.parent / "evaluations").iterdir()
    assert "KL above 0.01, steps too bold in 25% of updates" in (one / "report.html").read_text()
    assert summary(one) == summary(finished)
    shutil.rmtree(finished.parent / "evaluations")


def test_costs_are_multiplied_and_late_fills_are_late(finished, tmp_path):
    base, free = summary(finished), summary(evaluated(finished, tmp_path / "free", "cost_factor=0"))
    assert free["total_cost"] == 0.0
    assert free["total_return"] > base["total_return"]
    late = evaluated(finished, tmp_path / "late", "extra_latency_bars=2")
    fills = pd.read_parquet(late / "walk_forward" / "fills.parquet").query("reason == 'signal'")
    # 30-minute bars: the next open and two more.
    assert ((fills["filled_utc"] - fills["decided_utc"]) == pd.Timedelta(minutes=90)).all()


def test_every_seed_that_was_trained_is_scored_again_so_that_the_first_does_not_speak_for_them(tmp_path):
    run = make_sealed_run(tmp_path, "trainer.num_seeds=2")
    again = evaluated(run, tmp_path)
    (told,) = [c for c in verdict(again)["criteria"] if c["name"] == "all_seeds_positive"]
    assert "the worst of 2 seeds" in told["reason"]
    assert told in verdict(run)["criteria"]
    alone = verdict(evaluated(run, tmp_path, "fold=1"))
    assert "the worst of 2 seeds" in next(
        c["reason"] for c in alone["criteria"] if c["name"] == "all_seeds_positive"
    )
    shutil.rmtree(run / "seed_1")
    assert main([f"run={run}", f"directory={tmp_path}"]) is ExitCode.BAD_INPUT


def test_a_fold_alone_and_a_run_that_was_changed_are_never_approved_without_a_word(tmp_path):
    run = make_sealed_run(tmp_path)
    assert "alone" not in " ".join(verdict(evaluated(run, tmp_path))["lowered"])
    assert "1 of 2 folds judged without the others" in verdict(evaluated(run, tmp_path, "fold=1"))["lowered"]
    cut = verdict(evaluated(run, tmp_path, "data.num_bars=1100"))  # ends before the last test window
    assert "1 of 2 folds judged without the others" in cut["lowered"]
    trained = verdict(make_sealed_run(tmp_path, "walk_forward.only_fold=0"))
    assert "1 of 2 folds judged without the others" in trained["lowered"]
    (run / "report.html").write_text("Approved")
    (said,) = [phrase for phrase in verdict(evaluated(run, tmp_path))["lowered"] if "report.html" in phrase]
    assert "are not those that the run wrote" in said


def test_an_enforced_job_ends_by_the_gate_that_was_configured_and_says_where_that_asked_for_less(
    finished, tmp_path
):
    asked = (f"run={finished}", f"directory={tmp_path}", "gate.enforced=[num_trades]", "gate.min_trades=1")
    assert main([*asked, "gate.enforce=true"]) is ExitCode.DONE
    (directory,) = (tmp_path / "evaluations").iterdir()
    assert verdict(directory)["pass"] is True
    assert verdict(directory)["headline"].startswith("Approved under lowered criteria")


def test_a_changed_key_of_the_run_counts(finished, tmp_path):
    other = evaluated(finished, tmp_path, "costs.half_spread_bps=0", "costs.fee_bps=0")
    assert summary(other)["total_cost"] == 0.0


def test_other_bars_are_scored_with_the_policys_own_statistics(finished, tmp_path, monkeypatch, capsys):
    # Nothing may be fitted on the other bars.
    from data.features import Standardiser

    monkeypatch.setattr(Standardiser, "fit", _refuse)
    monkeypatch.setattr("rayjobs.study.evidence.leak_report", lambda *_: None)
    other = evaluated(finished, tmp_path, "data.seed=7")
    assert "Scored on other bars than the run's own." in capsys.readouterr().out
    assert summary(other)["total_return"] != summary(finished)["total_return"]


def _refuse(*_, **__):
    raise AssertionError("statistics were fitted")


def test_one_policy_on_every_bar_of_another_kind_of_data(finished, tmp_path):
    bars = ["data=noise", "data.num_bars=400", "data.num_assets=2", "data.noise_features=2"]
    # Two noise columns in place of a signal and a noise column: other observations, and a refusal that says so.
    assert main([f"run={finished}", *bars, "windows=whole"]) is ExitCode.BAD_INPUT
    whole = evaluated(finished, tmp_path, "data.seed=9", "data.num_bars=400", "windows=whole", "fold=0")
    folds = pd.read_csv(whole / "walk_forward" / "folds.csv")
    assert folds["fold"].tolist() == [0]
    assert folds["test_bars"].tolist() == [399]  # every bar but the one before the first decision


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["windows=whole"], "would score policies on bars that they were trained on"),
        (["fold=5"], "fold=5: the run has the folds 0, 1"),
        (["cost_factor=-1"], "cost_factor is -1.0; it must not be negative"),
        (["data.sede=3"], "data.sede: unknown key; did you mean seed?"),
        (["data=3"], "data is chosen by one name, not by 3; known: crypto_30m, files"),
        (
            ["costs=[venue,flat_2bps]"],
            "costs is chosen by one name, not by [venue,flat_2bps]; known: flat_2bps",
        ),
        (["data=nose"], "there is no data 'nose'; did you mean noise?"),
        (["cost_facto=2"], "cost_facto: unknown key; did you mean cost_factor?"),
        (["data.num_bars=600"], "one fold needs"),
        (["data.num_assets=3"], "observation entries"),
        (["run=nowhere"], "run=nowhere: there is no such directory"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(finished, capsys, arguments, sentence):
    given = arguments if arguments[0].startswith("run=") else [f"run={finished}", *arguments]
    assert main(given) is ExitCode.BAD_INPUT
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert sentence in line


def test_an_export_that_is_missing_damaged_or_another_is_refused(finished, tmp_path, capsys):
    run = tmp_path / "20260101T000000Z-aaaaaa"
    shutil.copytree(finished, run)
    first, second = (run / "checkpoints" / f"fold_0{k}" / "best" for k in (0, 1))
    shutil.copytree(first, second, dirs_exist_ok=True)
    assert main([f"run={run}"]) is ExitCode.BAD_INPUT
    assert "does not hold the weights that were scored" in capsys.readouterr().err
    contract = (first / "policy.json").read_text()
    (first / "policy.json").write_text(contract.replace('"clip": 10.0', '"clip": 11.0'))
    assert main([f"run={run}"]) is ExitCode.BAD_INPUT
    assert "is damaged" in capsys.readouterr().err
    (first / "policy.json").write_text(contract)
    (first / "weights.safetensors").unlink()
    assert main([f"run={run}"]) is ExitCode.BAD_INPUT
    assert "holds no weights.safetensors" in capsys.readouterr().err


# Every evaluation is a look.


def looks(directory: Path) -> dict:
    return json.loads((directory / "verdict.json").read_text())["looks"]


def test_each_evaluation_of_another_kind_is_a_look_before_anything_is_shown(tmp_path):
    run = make_run(tmp_path)
    assert looks(run)["kinds"] == {"training": 1}
    other = evaluated(run, tmp_path, "extra_latency_bars=1")
    assert looks(other)["kinds"] == {"training": 1, "re-scoring": 1}
    fold = evaluated(run, tmp_path, "fold=1")
    assert looks(fold)["kinds"] == {"training": 1, "single fold": 1, "re-scoring": 1}
    assert looks(fold)["effective"] > 1
    again = evaluated(run, tmp_path, "fold=1")
    assert (again / "verdict.json").read_bytes() == (fold / "verdict.json").read_bytes()
    rows = json.loads((fold / "verdict.json").read_text())["criteria"]
    (reason,) = [row["reason"] for row in rows if row["name"] == "deflated_sharpe"]
    assert "deflated for 3 looks at these bars (1 training, 1 single fold, 1 re-scoring; " in reason


def test_an_evaluation_that_fails_counts(tmp_path, monkeypatch):
    run = make_run(tmp_path)

    def die(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("rayjobs.replay.rescoring.score_windows", die)
    assert main([f"run={run}", f"directory={tmp_path}", "cost_factor=2"]) is ExitCode.INTERRUPTED
    monkeypatch.undo()
    assert looks(evaluated(run, tmp_path))["kinds"] == {"training": 1, "re-scoring": 1}


def test_another_users_ledger_counts_no_fewer_looks_than_the_run_was_deflated_for(tmp_path):
    run = make_run(tmp_path)
    for gamma in (0.5, 0.6):
        last = make_run(tmp_path, f"algo.gamma={gamma}", "walk_forward.test_bars=290")
    assert looks(last)["all"] == 3
    elsewhere = tmp_path / "copied" / "small" / last.name
    shutil.copytree(last, elsewhere)
    found = looks(evaluated(elsewhere, tmp_path / "mine", f"ledger={tmp_path}/mine.sqlite"))
    assert found["all"] == 3
    assert any(
        "3 looks" in note or "looks when it was judged" in note or "lacks" in note for note in found["notes"]
    )
    assert run.is_dir()


def test_comparing_runs_that_the_ledger_lacks_enters_them(tmp_path, capsys):
    from evaluation.ledger.ledger import Ledger
    from rayjobs.compare import main as compare

    runs = [make_run(tmp_path), make_run(tmp_path, "policy=flip")]
    own = Ledger(tmp_path / "ledger.sqlite")
    page = f"output={tmp_path / 'page.html'}"
    assert compare([*map(str, runs), page]) is ExitCode.DONE
    assert len(own.state().looks) == 2  # they are known
    assert compare([*map(str, runs), page, f"ledger={tmp_path}/other.sqlite"]) is ExitCode.DONE
    assert compare([*map(str, runs), page, f"ledger={tmp_path}/other.sqlite"]) is ExitCode.DONE
    found = Ledger(tmp_path / "other.sqlite").state().looks
    assert [look.kind for look in found] == ["comparison", "comparison"]
    assert all(look.status == "finished" and look.coverages for look in found)


def test_a_team_shares_a_ledger_on_a_server_and_the_password_stands_nowhere(postgres, tmp_path, monkeypatch):
    password = postgres.split(":")[2].split("@")[0]
    mine = make_run(tmp_path / "mine", f"ledger={postgres}")
    theirs = make_run(tmp_path / "theirs", f"ledger={postgres}", "algo.gamma=0.5")
    assert looks(mine)["all"] == 1
    assert looks(theirs)["all"] == 2  # runs that lie elsewhere, counted in the same ledger
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or password.encode() not in file.read_bytes(), file
    assert main([f"run={mine}", f"directory={tmp_path}"]) is ExitCode.BAD_INPUT  # it is asked for
    monkeypatch.setenv("PGPASSWORD", password)
    assert looks(evaluated(mine, tmp_path))["kinds"] == {"training": 2}
