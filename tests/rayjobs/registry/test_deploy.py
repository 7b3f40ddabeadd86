"""`rayjobs.deploy` over real sealed runs: what is registered, what moves, and what no force moves."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sealed_run import make_sealed_run

from evaluation.artefacts.manifest import write_manifest
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.deploy import main as deploy
from rayjobs.registry.pages import gate_word
from rayjobs.registry.registry import Registry
from rayjobs.registry.resolving import resolve
from rayjobs.replay.run_seal import run_identity

pytestmark = pytest.mark.runs
PASSES = ("gate.enforced=[num_trades]", "gate.min_trades=1")


@pytest.fixture(scope="module")
def made(tmp_path_factory, leak_check_aside) -> Path:
    """A folder with a ledger and two runs: the older passes a gate that asks nothing, the newer fails the real one."""
    root = tmp_path_factory.mktemp("runs")
    make_sealed_run(root, *PASSES)
    make_sealed_run(root, "seed=5")
    return root


@pytest.fixture
def root(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "runs"))


def runs(root: Path) -> tuple[Path, Path]:
    passed, failed = sorted((root / "small").glob("2*"))
    return passed, failed


def ask(root: Path, *words: str) -> ExitCode:
    return deploy([*words, f"registry={root}/registry.sqlite", f"ledger={root}/ledger.sqlite"])


def stage(root: Path, reference: str) -> str:
    return Registry(f"{root}/registry.sqlite").version(reference).stage


def refusal(capsys) -> str:
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert told.startswith("error: ")
    return told


def test_a_registered_policy_holds_verdict_data_config_and_the_hash_of_every_file(root, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")  # a hash is folded where it does not fit
    passed, _ = runs(root)
    assert ask(root, "register", str(passed), "name=small") is ExitCode.DONE
    registry = Registry(f"{root}/registry.sqlite")
    version = registry.version("small@1")
    manifest = json.loads((passed / "manifest.json").read_text())
    folds = pd.read_csv(passed / "walk_forward" / "folds.csv")
    assert version.stage == "candidate"
    assert version.facts.passed
    assert version.facts.manifest == manifest["root"]
    assert [file.path for file in registry.files(version)] == [row["path"] for row in manifest["files"]]
    assert version.facts.policy_hash == folds["policy_hash"].iloc[-1]
    assert version.facts.lowered  # a gate that asks nothing is less than the standard one
    assert ask(root, "register", str(passed), "name=small") is ExitCode.DONE
    assert len(registry.versions()) == 1, "the same policy again is the version that it is"
    assert ask(root, "show", "small@1") is ExitCode.DONE
    assert version.facts.policy_hash in capsys.readouterr().out
    assert ask(root, "list") is ExitCode.DONE
    assert "small@1" in capsys.readouterr().out


def test_each_fold_has_its_own_version_and_an_export_names_its_fold(root):
    passed, _ = runs(root)
    assert ask(root, "register", str(passed / "checkpoints/fold_00/best"), "name=small") is ExitCode.DONE
    assert ask(root, "register", str(passed), "name=small") is ExitCode.DONE
    registry = Registry(f"{root}/registry.sqlite")
    assert [registry.version(f"small@{n}").facts.fold for n in (1, 2)] == [0, 1]


def test_what_the_gate_did_not_pass_is_promoted_by_no_force(root, capsys):
    _, failed = runs(root)
    assert ask(root, "register", str(failed), "name=small") is ExitCode.DONE
    capsys.readouterr()
    assert ask(root, "promote", "small@1", "force=true", "reason=I like it") is ExitCode.BAD_INPUT
    assert "has not passed the gate" in refusal(capsys)
    assert stage(root, "small@1") == "candidate"


@pytest.mark.parametrize("made_market", [False, True])
def test_a_step_beyond_shadow_names_what_an_approval_lacks_and_the_history_keeps_it(
    root, capsys, caplog, monkeypatch, made_market
):
    passed, _ = runs(root)
    if made_market:
        verdict = {**json.loads((passed / "verdict.json").read_text()), "lowered": [], "synthetic": True}
        monkeypatch.setattr("rayjobs.registry.vouching.read_verdict", lambda run: verdict)
    ask(root, "register", str(passed), "name=small")
    assert ask(root, "promote", "small@1") is ExitCode.DONE
    assert "no leave" not in caplog.text
    forced = ("force=true", "reason=because")
    assert ask(root, "promote", "small@1", "stage=champion", *forced) is ExitCode.DONE
    assert "goes to champion on less than the standard gate asks for" in caplog.text
    lack = "a made market" if made_market else "is not enforced"
    assert lack in caplog.text
    last = Registry(f"{root}/registry.sqlite").version("small@1").history[-1]
    assert any(lack in one for one in last.evidence["lacks"])


def test_the_list_tells_approvals_apart(root, capsys):
    passed, failed = runs(root)
    ask(root, "register", str(passed), "name=small")
    ask(root, "register", str(failed), "name=small")
    registry = Registry(f"{root}/registry.sqlite")
    versions = [registry.version(f"small@{number}") for number in (1, 2)]
    assert [gate_word(one) for one in versions] == ["LOWERED CRITERIA", "NOT PASSED"]
    standard = replace(versions[0].facts, lowered=())
    assert gate_word(replace(versions[0], facts=standard)) in ("passed", "made market")
    assert gate_word(replace(versions[0], facts=replace(standard, synthetic=True))) == "made market"
    assert gate_word(replace(versions[0], facts=replace(standard, synthetic=False))) == "passed"


def test_a_version_leaves_shadow_after_four_weeks_or_by_a_reason_that_is_recorded(root, capsys):
    passed, _ = runs(root)
    ask(root, "register", str(passed), "name=small")
    assert ask(root, "promote", "small@1") is ExitCode.DONE
    assert stage(root, "small@1") == "shadow"
    capsys.readouterr()
    assert ask(root, "promote", "small@1") is ExitCode.BAD_INPUT
    assert "0.0 of 28 days" in refusal(capsys)
    assert ask(root, "promote", "small@1", "--force") is ExitCode.BAD_INPUT
    assert "reason" in refusal(capsys)
    assert ask(root, "promote", "small@1", "--force", "reason=a drill, nothing more: paper") is ExitCode.DONE
    last = Registry(f"{root}/registry.sqlite").version("small@paper").history[-1]
    assert last.forced
    assert last.why == "a drill, nothing more: paper"
    assert last.who
    assert "0.0 of 28 days" in last.evidence["objections"][0]
    assert ask(root, "promote", "small@1", "deploy.min_shadow_days=0") is ExitCode.DONE
    assert stage(root, "small@1") == "champion"


def test_a_champion_that_is_demoted_needs_a_reason_and_one_that_is_retired_trades_nowhere(root, capsys):
    passed, _ = runs(root)
    ask(root, "register", str(passed), "name=small")
    ask(root, "promote", "small@1", "stage=champion", "force=true", "reason=drill")
    capsys.readouterr()
    assert ask(root, "demote", "small@champion") is ExitCode.BAD_INPUT
    assert "needs a reason" in refusal(capsys)
    assert ask(root, "demote", "small@champion", "reason=slips") is ExitCode.DONE
    assert stage(root, "small@1") == "paper"
    assert ask(root, "retire", "small@1", "reason=done with") is ExitCode.DONE
    with pytest.raises(ConfigError, match="retired and trades nowhere"):
        resolve("small@1", f"{root}/registry.sqlite", "shadow")


@pytest.mark.parametrize(
    "file", ["verdict.json", "config.yaml", "checkpoints/fold_01/best/weights.safetensors", "progress.csv"]
)
def test_a_file_that_was_edited_trades_nowhere_even_with_a_new_manifest(root, file, capsys):
    passed, _ = runs(root)
    place = f"{root}/registry.sqlite"
    ask(root, "register", str(passed), "name=small")
    ask(root, "promote", "small@1", "stage=champion", "force=true", "reason=drill")
    assert resolve("small@champion", place, "paper").export == (passed / "checkpoints/fold_01/best")
    content = (passed / file).read_bytes()
    (passed / file).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    for broker in ("paper", "shadow", "ibkr"):
        with pytest.raises(ConfigError, match=f"not those that were registered .*{Path(file).name}"):
            resolve("small@champion", place, broker)
    write_manifest(passed, run_identity(passed) if file != "config.yaml" else passed.name)
    with pytest.raises(ConfigError, match="not those that were registered"):
        resolve("small@champion", place, "paper")
    capsys.readouterr()
    assert ask(root, "demote", "small@champion", "reason=drill") is ExitCode.DONE, (
        "a demotion is always possible"
    )
    assert ask(root, "promote", "small@1", "force=true", "reason=drill") is ExitCode.BAD_INPUT
    assert "not those that were registered" in refusal(capsys)


def test_a_history_that_was_rewritten_is_found(root, capsys):
    _, failed = runs(root)
    ask(root, "register", str(failed), "name=small")
    with sqlite3.connect(root / "registry.sqlite") as database:
        ((facts,),) = database.execute("SELECT facts FROM ledger_event").fetchall()
        told = facts.replace('"stage": "candidate"', '"stage": "champion"').replace(
            '"passed": false', '"passed": true'
        )
        assert told != facts
        database.execute("UPDATE ledger_event SET facts = ?", (told,))
    capsys.readouterr()
    assert ask(root, "list") is ExitCode.BAD_INPUT
    assert "changed by other hands at event 1" in refusal(capsys)


def test_a_registry_that_was_cut_short_is_found_also_after_it_went_on(root, capsys):
    passed, _ = runs(root)
    ask(root, "register", str(passed), "name=small")
    ask(root, "promote", "small@1", "stage=champion", "force=true", "reason=drill")
    shutil.copy(root / "registry.sqlite", root / "older.sqlite")
    ask(root, "demote", "small@champion", "stage=candidate", "reason='it loses'")
    for name in ("registry.sqlite-wal", "registry.sqlite-shm"):
        (root / name).unlink(missing_ok=True)
    shutil.copy(root / "older.sqlite", root / "registry.sqlite")
    place = f"{root}/registry.sqlite"
    for broker in ("paper", "replay"):
        with pytest.raises(ConfigError, match="does not hold its event 3 as the ledger .* saw it"):
            resolve("small@1", place, broker)
    assert ask(root, "demote", "small@1", "stage=paper", "reason=drill") is ExitCode.DONE
    with pytest.raises(ConfigError, match="does not hold its event 3"):
        resolve("small@1", place, "paper")
    capsys.readouterr()
    assert ask(root, "promote", "small@1", "force=true", "reason=drill") is ExitCode.BAD_INPUT
    assert "cut short or put back from a copy" in refusal(capsys)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name what to do"),
        (["promot", "small@1"], "did you mean promote"),
        (["promote"], "name one version"),
        (["promote", "small"], "names no version"),
        (["promote", "small@chmpion"], "did you mean champion"),
        (["promote", "other@1"], "has no policy other; known: small"),
        (["promote", "small@7"], "there is no such version"),
        (["demote", "small@1", "reason=x"], "nothing below"),
        (["register", "nowhere", "name=small"], "no such directory"),
        (["promote", "small@1", "data.seed=1"], "only retrain"),
        (["list", "nam=small"], "nam"),
    ],
)
def test_a_wrong_word_is_told_in_one_sentence(root, capsys, words, told):
    passed, _ = runs(root)
    ask(root, "register", str(passed), "name=small")
    capsys.readouterr()
    assert ask(root, *words) is ExitCode.BAD_INPUT
    assert told in refusal(capsys)


def shadow_record(root: Path, version, returns: np.ndarray, name: str, broker: str = "shadow") -> Path:
    """A trading run as the loop leaves one, from today on."""
    directory = Path(version.facts.run).parent / "trading" / name
    directory.mkdir(parents=True)
    first = np.datetime64(datetime.now(UTC).replace(tzinfo=None), "D") + 1
    days = first + np.arange(len(returns))
    table = pd.DataFrame({"date": [f"{day}T00:00:00Z" for day in days], "net_return": returns})
    table.to_csv(directory / "daily_report.csv", index=False)
    config = yaml.safe_load((Path(version.facts.run) / "config.yaml").read_text())
    config["trading"] = {
        "policy": str(version.facts.export), "broker": {"kind": broker}, "feed": {"kind": None}
    }  # fmt: skip
    (directory / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return directory


@pytest.mark.parametrize(
    ("lead_bps", "broker", "told"),
    [
        (5.0, "shadow", None),
        (0.0, "shadow", "its margin over small@1"),
        (5.0, "replay", "0 days of live returns"),
    ],
)
def test_a_champion_gives_way_to_a_lead_on_the_same_days_alone(root, capsys, lead_bps, broker, told):
    passed, _ = runs(root)
    ask(root, "register", str(passed / "checkpoints/fold_00/best"), "name=small")
    ask(root, "promote", "small@1", "stage=champion", "force=true", "reason=drill")
    ask(root, "register", str(passed), "name=small")
    ask(root, "promote", "small@2")
    registry = Registry(f"{root}/registry.sqlite")
    random = np.random.default_rng(3)
    market = 0.01 * random.standard_normal(60)
    noise = 2e-4 * random.standard_normal(60)
    shadow_record(root, registry.version("small@1"), market, "20260101T000000Z-aaaaaa")
    ours = market + noise - noise.mean() + 1e-4 * lead_bps
    shadow_record(root, registry.version("small@2"), ours, "20260101T000000Z-bbbbbb", broker)
    capsys.readouterr()
    code = ask(root, "promote", "small@2", "stage=paper", "deploy.min_shadow_days=0")
    if told is not None:
        assert code is ExitCode.BAD_INPUT
        assert told in refusal(capsys)
        return
    assert code is ExitCode.DONE
    margin = registry.version("small@2").history[-1].evidence["margin"]
    assert margin["num_days"] == 60
    assert margin["low"] < 1e-4 * lead_bps < margin["high"]
    assert ask(root, "promote", "small@2", "deploy.min_shadow_days=0") is ExitCode.DONE
    assert stage(root, "small@2") == "champion"
    was = registry.version("small@1")
    assert was.stage == "shadow"
    assert was.history[-1].why == "replaced by small@2"


def test_time_in_shadow_counts_without_a_break(root):
    passed, _ = runs(root)
    start = datetime(2026, 1, 5, tzinfo=UTC)
    ask(root, "register", str(passed), "name=small")
    clock = [start]
    registry = Registry(f"{root}/registry.sqlite", now=lambda: clock[0])
    version = registry.move(registry.version("small@1"), "promote", "shadow", why="drill")
    clock[0] = start + timedelta(days=20)
    version = registry.move(version, "demote", "candidate", why="drill")
    clock[0] = start + timedelta(days=30)
    version = registry.move(version, "promote", "shadow", why="drill")
    clock[0] = start + timedelta(days=40)
    assert version.time_in("shadow", clock[0]) == timedelta(days=10)


def test_two_decisions_at_once_are_one_decision(root):
    passed, _ = runs(root)
    ask(root, "register", str(passed), "name=small")
    registry = Registry(f"{root}/registry.sqlite")
    seen = registry.version("small@1")
    registry.move(seen, "promote", "shadow", why="first")
    with pytest.raises(ConfigError, match="somebody else decided meanwhile"):
        registry.move(seen, "retire", "retired", why="second")


def test_a_retraining_is_registered_only_where_the_gate_passes_it(root, monkeypatch):
    passed, _ = runs(root)
    ask(root, "register", str(passed), "name=small")
    asked = []

    def trained(*overrides):
        def train(values):
            asked.append(values)
            make_sealed_run(root, *overrides)
            return ExitCode.DONE

        return train

    monkeypatch.setattr("rayjobs.train.train", trained("seed=8"))
    assert ask(root, "retrain", "small@1", f"run.directory={root}") is ExitCode.GATE_SAID_NO
    monkeypatch.setattr("rayjobs.train.train", trained("seed=9", *PASSES))
    assert ask(root, "retrain", "small@1", f"run.directory={root}", "data.seed=4") is ExitCode.DONE
    assert asked[-1]["data"]["seed"] == 4
    assert asked[-1]["policy"] == asked[0]["policy"]
    new = Registry(f"{root}/registry.sqlite").version("small@2")
    assert new.facts.parent == 1
    assert new.stage == "candidate"


@pytest.mark.parametrize("worse", [False, True])
def test_a_champion_that_loses_live_is_demoted_and_one_that_holds_is_left(root, capsys, worse):
    passed, _ = runs(root)
    ask(root, "register", str(passed), "name=small")
    ask(root, "promote", "small@1", "stage=champion", "force=true", "reason=drill")
    registry = Registry(f"{root}/registry.sqlite")
    scored = pd.read_csv(passed / "backtest" / "portfolio_history.csv")
    random = np.random.default_rng(1)
    returns = 0.005 * random.standard_normal(250) + (-0.02 if worse else 0.01)
    run = shadow_record(root, registry.version("small@1"), returns, "20260101T000000Z-cccccc")
    live = scored[scored["fold"] == 1]
    live.to_csv(run / "equity.csv", index=False)
    capsys.readouterr()
    code = ask(root, "watch", "small@champion")
    told = capsys.readouterr().out
    if not worse:
        assert code is ExitCode.DONE, told
        assert stage(root, "small@1") == "champion"
        return
    assert code is ExitCode.FAILED
    assert "live_loss" in told
    last = registry.version("small@1").history[-1]
    assert (last.stage, last.who) == ("shadow", "tripwire")
    assert "live_loss" in last.why


def test_exposures_that_moved_trip_a_wire_and_demote_false_only_tells(root, capsys):
    passed, _ = runs(root)
    ask(root, "register", str(passed), "name=small")
    ask(root, "promote", "small@1", "stage=champion", "force=true", "reason=drill")
    registry = Registry(f"{root}/registry.sqlite")
    run = shadow_record(root, registry.version("small@1"), np.zeros(3), "20260101T000000Z-dddddd")
    live = pd.read_csv(passed / "backtest" / "portfolio_history.csv").query("fold == 1")
    live.assign(gross_exposure=live["gross_exposure"] + 5.0).to_csv(run / "equity.csv", index=False)
    assert ask(root, "watch", "small@champion", "tripwires.demote=false") is ExitCode.FAILED
    assert "decision_drift" in capsys.readouterr().out
    assert stage(root, "small@1") == "champion"
