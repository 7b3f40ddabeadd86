"""The manifest of a run directory: what it covers, and that nothing changes without being named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from evaluation.artefacts.manifest import build_manifest, changes, is_sealed, read_manifest, write_manifest
from evaluation.audit.seal import check_seal
from evaluation.ledger.ledger import Ledger


@pytest.fixture
def run(tmp_path) -> Path:
    directory = tmp_path / "run"
    files = {
        "config.yaml": "a: 1\n",
        "backtest/summary.json": "{}\n",
        "status.json": "{}",
        "checkpoints/fold_00/best/policy.json": "{}",
        "checkpoints/fold_00/iteration_000004/state.pkl": "x",
        "wandb/run.log": "live",
    }
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    (directory / "checkpoints/fold_00/latest").symlink_to("iteration_000004")
    return directory


def test_every_file_is_listed_with_size_and_hash_but_live_ones(run):
    write_manifest(run, "r1")
    content = json.loads((run / "manifest.json").read_text())
    assert [file["path"] for file in content["files"]] == [
        "backtest/summary.json",
        "checkpoints/fold_00/best/policy.json",
        "config.yaml",
    ]
    assert content["files"][2] == {
        "path": "config.yaml",
        "size": 5,
        "sha256": hashlib.sha256(b"a: 1\n").hexdigest(),
    }


def test_the_root_is_a_hash_over_run_paths_sizes_and_hashes(run):
    manifest = write_manifest(run, "r1")
    lines = ["rayfold manifest 1", "r1", *(f"{f.sha256} {f.size} {f.path}" for f in manifest.files)]
    assert manifest.root == hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert read_manifest(run) == manifest
    assert build_manifest(run, "r2").root != manifest.root


def test_what_changed_was_added_or_is_missing_is_named(run):
    manifest = write_manifest(run, "r1")
    assert not changes(run, manifest)
    (run / "config.yaml").write_text("a: 2\n")
    (run / "backtest" / "extra.csv").write_text("")
    (run / "checkpoints/fold_00/best/policy.json").unlink()
    found = changes(run, manifest)
    assert str(found) == (
        "changed: config.yaml; added: backtest/extra.csv; missing: checkpoints/fold_00/best/policy.json"
    )
    assert str(changes(run, manifest, ["backtest/summary.json"])) == ""
    assert changes(run, manifest, ["config.yaml", "verdict.json"]).changed == ("config.yaml",)


@pytest.mark.parametrize(
    "name", ["audit_report.json", "audit_report.md", "status.json", "tensorboard/events", ".config.yaml.part"]
)
def test_what_is_written_after_the_seal_does_not_break_it(run, name):
    manifest = write_manifest(run, "r1")
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).write_text("later")
    assert not changes(run, manifest)
    assert not is_sealed(Path(name))


def test_a_file_of_that_name_deeper_in_the_run_is_sealed():
    assert is_sealed(Path("backtest/status.json"))


def test_a_file_that_was_replaced_by_a_link_is_missing(run, tmp_path):
    manifest = write_manifest(run, "r1")
    (tmp_path / "other.json").write_text("{}\n")
    (run / "backtest" / "summary.json").unlink()
    (run / "backtest" / "summary.json").symlink_to(tmp_path / "other.json")
    assert changes(run, manifest).missing == ("backtest/summary.json",)


def test_a_manifest_that_was_edited_is_refused(run):
    write_manifest(run, "r1")
    content = json.loads((run / "manifest.json").read_text())
    content["files"][0]["size"] += 1
    (run / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="was changed: its root is not that of the files that it lists"):
        read_manifest(run)
    (run / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match="cannot be read"):
        read_manifest(run)


def outcomes(run: Path, seals: list[str] | None) -> dict[str, tuple[str, str]]:
    return {c.name: (c.outcome, c.detail) for c in check_seal(run, "r1", seals, "the place")}


def test_an_honest_seal_passes_and_every_doubt_is_told(run):
    root = write_manifest(run, "r1").root
    assert {outcome for outcome, _ in outcomes(run, [root]).values()} == {"pass"}
    assert outcomes(run, None)["ledger"][0] == "warn"
    assert outcomes(run, [])["ledger"][0] == "fail"
    assert outcomes(run, ["other", root])["ledger"][0] == "warn"
    assert "an earlier seal fits" in outcomes(run, [root, "other"])["ledger"][1]
    assert outcomes(run, ["other"])["ledger"][0] == "fail"
    (run / "manifest.json").unlink()
    assert outcomes(run, [root])["files"][0] == "fail"
    assert "the other files are those that were sealed" in outcomes(run, [root])["files"][1]
    assert outcomes(run, [])["files"] == (
        "warn",
        "not derived: manifest.json is missing and the ledger at the place holds no seal: the run was made before runs "
        "were sealed, or both were removed; no file is vouched for",
    )


def test_files_and_manifest_changed_together_are_betrayed_by_the_ledger(run):
    root = write_manifest(run, "r1").root
    (run / "config.yaml").write_text("a: 2\n")
    assert outcomes(run, [root])["files"][0] == "fail"
    write_manifest(run, "r1")
    found = outcomes(run, [root])
    assert found["files"][0] == "pass"
    assert found["ledger"][0] == "fail"


def test_the_manifest_of_another_run_is_called_that(run):
    root = write_manifest(run, "r2").root
    assert outcomes(run, [root])["run"] == ("fail", "manifest.json is that of the run r2, not of r1")


def test_a_ledger_keeps_every_seal_in_order(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.seals("r1") == []
    for root in ("a", "a", "b", "a"):
        ledger.seal("r1", root)
    ledger.seal("r2", "c")
    assert ledger.seals("r1") == ["a", "a", "b", "a"]
    assert ledger.seals("r2") == ["c"]
