"""A finished run is sealed: what is changed, added or removed later is told by audit, evaluation and comparison."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file
from sealed_run import make_sealed_run
from small_run import make_run

from evaluation.artefacts.manifest import read_manifest, write_manifest
from evaluation.ledger.ledger import Ledger
from policies.exported_policy import TrainedPolicy
from rayjobs.audit import main as audit
from rayjobs.compare import main as compare
from rayjobs.config.compose import compose
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.evaluate import main as evaluate
from rayjobs.replay.run_seal import run_identity, seal_warning, unvouched
from rayjobs.storage.run_directory import RunDirectory
from rayjobs.storage.uri import CHECKPOINT_RECORD
from rayjobs.train import train
from rayjobs.training.checkpoints import BEST, CheckpointFolder

pytestmark = pytest.mark.runs


@pytest.fixture(scope="module")
def sealed(tmp_path_factory) -> Path:
    return make_sealed_run(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def run(sealed, tmp_path) -> Path:
    return Path(shutil.copytree(sealed, tmp_path / sealed.name))


def found(run: Path, code: ExitCode) -> dict[str, str]:
    """check -> what the audit of the manifest found."""
    assert audit([f"run={run}", "checks=manifest"]) is code
    report = json.loads((run / "audit_report.json").read_text())
    return {check["check"]: check["detail"] for check in report["checks"]}


def test_a_run_is_sealed_once_with_its_exported_policies_and_its_root_in_the_ledger(sealed):
    manifest = read_manifest(sealed)
    assert {
        "config.yaml",
        "verdict.json",
        "report.html",
        "progress.csv",
        "backtest/trades.csv",
        "evidence.json",
        "checkpoints/fold_00/best/weights.safetensors",
    } <= {file.path for file in manifest.files}
    assert Ledger(sealed.parents[1] / "ledger.sqlite").seals(sealed.name) == [manifest.root]
    assert run_identity(sealed) == sealed.name


def test_the_audits_own_report_and_a_second_audit_do_not_break_the_seal(run):
    for _ in range(2):
        assert "files are as they were when the run ended" in found(run, ExitCode.DONE)["files"]


@pytest.mark.parametrize(
    "name",
    ["config.yaml", "report.html", "checkpoints/fold_01/best/policy.json", "walk_forward/folds.csv"],
)
def test_any_file_that_was_changed_is_named(run, name):
    with (run / name).open("ab") as stream:
        stream.write(b" ")
    assert f"(changed: {name})" in found(run, ExitCode.FAILED)["files"]


def test_a_file_that_can_no_longer_be_read_is_bad_input_and_the_manifest_names_it(run, capsys):
    (run / "walk_forward" / "fills.parquet").write_text("")
    assert audit([f"run={run}"]) is ExitCode.BAD_INPUT
    assert "fills.parquet cannot be read" in (told := " ".join(capsys.readouterr().err.split()))
    assert "(changed: walk_forward/fills.parquet)" in told


def test_a_table_of_folds_without_its_columns_is_bad_input(run, capsys):
    (run / "walk_forward" / "folds.csv").write_text("a,b\n1,2\n")
    assert audit([f"run={run}"]) is ExitCode.BAD_INPUT
    assert "folds.csv has no column fold" in " ".join(capsys.readouterr().err.split())


def test_files_that_were_added_or_removed_are_named(run):
    (run / "tearsheet.html").write_text("nice")
    (run / "evidence.json").unlink()
    assert "(added: tearsheet.html; missing: evidence.json)" in found(run, ExitCode.FAILED)["files"]


def test_who_writes_the_manifest_anew_is_betrayed_by_the_ledger(run):
    (run / "report.html").write_text("Approved")
    write_manifest(run, run_identity(run))
    assert "files and manifest were changed after the run ended" in found(run, ExitCode.FAILED)["ledger"]


def test_a_run_of_before_is_told_to_have_no_manifest(tmp_path):
    old = make_run(tmp_path, sealed=False)
    assert "holds no seal: the run was made before runs were sealed" in found(old, ExitCode.DONE)["files"]


def test_an_evaluation_warns_of_a_changed_run_and_writes_it_down(run, tmp_path, capsys):
    assert evaluate([f"run={run}", f"directory={tmp_path}"]) is ExitCode.DONE
    assert "Warning" not in capsys.readouterr().out
    path = run / "backtest" / "summary.json"
    path.write_text(path.read_text().replace('"num_trades": ', '"num_trades": 1'))
    assert evaluate([f"run={run}", f"directory={tmp_path / 'again'}"]) is ExitCode.DONE
    sentence = "are not those that the run wrote (changed: backtest/summary.json)"
    assert sentence in " ".join(capsys.readouterr().out.split())
    (evaluation,) = (tmp_path / "again" / "evaluations").iterdir()
    assert sentence in " ".join((evaluation / "report.html").read_text().split())
    assert (
        Ledger(tmp_path / "ledger.sqlite").seals(evaluation.name) == []
    )  # it went where the run's configuration says
    assert read_manifest(evaluation) is not None


def test_an_approval_of_a_run_that_nothing_vouches_for_says_so(run, tmp_path):
    """Statistics of another policy, hashes and manifest written anew: the ledger knows better."""
    ledger = RunDirectory(run).config()["ledger"]
    assert unvouched(run, [ledger]) is None
    assert "no ledger holds the seal" in unvouched_elsewhere(run, tmp_path)
    (tmp_path / "no_ledger").write_text("text")
    assert unvouched(run, [str(tmp_path / "no_ledger"), ledger]) is None
    folds = run / "walk_forward" / "folds.csv"
    folds.write_text(folds.read_text().replace("0", "1", 1))
    assert "(changed: walk_forward/folds.csv)" in unvouched(run, [ledger])
    write_manifest(run, run_identity(run))
    assert "are not those that the ledger" in unvouched(run, [ledger])


def unvouched_elsewhere(run, tmp_path):
    moved = tmp_path / "a" / "b" / "c" / "d" / "e" / run.name
    shutil.copytree(run, moved)
    return unvouched(moved, [str(tmp_path / "nowhere.sqlite")])


def test_a_comparison_warns_of_a_verdict_that_was_changed(run, tmp_path, capsys):
    assert compare([str(run), f"output={tmp_path / 'page.html'}"]) is ExitCode.DONE
    assert "Warning" not in capsys.readouterr().out
    (run / "verdict.json").write_text(
        (run / "verdict.json").read_text().replace('"pass": false', '"pass": true')
    )
    assert compare([str(run), f"output={tmp_path / 'page.html'}"]) is ExitCode.DONE
    assert "(changed: verdict.json)" in capsys.readouterr().out
    write_manifest(run, run_identity(run))  # made to fit
    assert compare([str(run), f"output={tmp_path / 'page.html'}"]) is ExitCode.DONE
    assert "are not those that the ledger" in " ".join(capsys.readouterr().out.split())


def test_a_page_that_contradicts_its_verdict_fails_whatever_release_wrote_it(run, monkeypatch):
    monkeypatch.setattr("rayjobs.replay.derived_again.git_commit", lambda: ("of another release", False))
    assert audit([f"run={run}", "checks=reproduction"]) is ExitCode.DONE
    page = run / "report.html"
    page.write_text(page.read_text().replace("Refused", "Approved"))
    assert audit([f"run={run}", "checks=reproduction"]) is ExitCode.FAILED
    report = json.loads((run / "audit_report.json").read_text())
    assert "the page does not say what verdict.json says: Refused" in report["headline"]
    assert "not looked at: manifest, data, leak" in report["headline"]


def test_a_run_without_a_manifest_is_told_to_a_reader(run):
    (run / "manifest.json").unlink()
    assert "has no manifest.json: nothing says that its files are those that the run wrote" in seal_warning(
        run
    )


def test_a_run_at_a_uri_is_sealed_with_what_other_nodes_exported_and_audited_where_it_is_fetched_to(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("RAYFOLD_CACHE", str(tmp_path / "here"))
    bucket = f"file://{tmp_path}/bucket"
    run = make_sealed_run(tmp_path, f"run.directory={bucket}", f"ledger={bucket}/ledger.sqlite")
    there = tmp_path / "bucket" / "small" / run.name
    assert (there / "manifest.json").is_file()
    shutil.copytree(run / "checkpoints", there / "checkpoints")  # each fold's task copies its own
    monkeypatch.setenv("RAYFOLD_CACHE", str(tmp_path / "elsewhere"))
    assert audit([f"run={bucket}/small/{run.name}"]) is ExitCode.DONE
    fetched = tmp_path / "elsewhere" / "storage" / "file" / str(there).strip("/")
    checks = json.loads((fetched / "audit_report.json").read_text())["checks"]
    assert {c["outcome"] for c in checks if c["section"] == "manifest"} == {"pass"}


def test_a_sealed_run_is_not_gone_on_with_whatever_its_status_says(run, sealed):
    status = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(status | {"status": "failed"}))
    with pytest.raises(ConfigError, match="holds the seal of this run, so it has ended"):
        train(compose("train", [f"resume={run}", f"ledger={sealed.parents[1]}/ledger.sqlite"]))


def test_a_checkpoint_gives_back_no_other_policy_than_the_training_exported(run):
    folder = CheckpointFolder(run / "checkpoints" / "fold_00")
    checkpoint, exported = folder.newest(), TrainedPolicy.load(folder.best)
    record = json.loads((checkpoint / CHECKPOINT_RECORD).read_text())
    (checkpoint / CHECKPOINT_RECORD).write_text(json.dumps(record | {"best": exported.policy_hash}))
    exported.save(checkpoint / BEST)
    shutil.rmtree(folder.best)
    folder.restore_best(checkpoint)
    assert TrainedPolicy.load(folder.best).policy_hash == exported.policy_hash
    weights = load_file(checkpoint / BEST / "weights.safetensors")
    TrainedPolicy(exported.contract, {name: value + 1.0 for name, value in weights.items()}).save(
        checkpoint / BEST
    )
    with pytest.raises(ValueError, match="is not the one that this training exported"):
        folder.restore_best(checkpoint)
