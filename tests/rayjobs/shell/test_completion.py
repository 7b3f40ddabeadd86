"""What may follow the words typed so far, and that bash can use it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rayjobs.config.exit_codes import ExitCode
from rayjobs.shell.commands import main
from rayjobs.shell.completion import SCRIPTS, WORDS, following

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trai"], {"train"}),
        (["train", "+exper"], {"+experiment="}),
        (["train", "+experiment=planted_si"], {"+experiment=planted_signal"}),
        (["train", "trainer.total"], {"trainer.total_env_steps="}),
        (["train", "env=dir"], {"env=direction_size"}),
        (["train", "policy.core_u"], {"policy.core_units="}),
        (["sweep", "search.num_tr"], {"search.num_trials="}),
        (["train", "nothing.li"], set()),
        (["sweep", "trainer.total"], {"trainer.total_env_steps="}),  # a sweep has a training's keys
        (["evaluate", "costs.fee_b"], {"costs.fee_bps="}),
        (["deploy", "prom"], {"promote"}),
        (["deploy", "promote", "prom"], set()),  # it is said once
        (["ingest", "inv"], {"inventory"}),
        (["completion", "z"], {"zsh"}),
        (["doctor", ""], set()),
        (["train", "--c"], {"--cfg"}),
        (["train", "resume=l"], {"resume=latest"}),
    ],
)
def test_what_may_follow(words, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert set(following(words)) == expected


def test_runs_and_a_projects_own_files_are_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "mine" / "20260101T000000Z-abcdef"
    run.mkdir(parents=True)
    (run / "status.json").write_text(json.dumps({"status": "done"}))
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "own_one.yaml").write_text("")
    assert following(["evaluate", "run=runs/m"]) == [f"run={run.relative_to(tmp_path)}"]
    assert following(["compare", "runs/m"]) == ["runs/mine", str(run.relative_to(tmp_path))]
    sweep = tmp_path / "runs" / "mine" / "sweeps" / "20260102T000000Z-abcdef"
    (sweep / "winner").mkdir(parents=True)
    (sweep / "status.json").write_text(json.dumps({"status": "interrupted"}))
    (sweep / "winner" / "verdict.json").write_text("{}")
    assert following(["sweep", "resume=runs"]) == [f"resume={sweep.relative_to(tmp_path)}"]
    assert following(["train", "resume=runs"])[0] == f"resume={run.relative_to(tmp_path)}"
    winner = f"policy={(sweep / 'winner').relative_to(tmp_path)}"
    assert set(following(["trade", "policy="])) >= {
        winner,
        f"policy={run.relative_to(tmp_path)}",
        "policy=runs/mine",
    }
    assert "policy=lstm" not in following(["trade", "policy="])
    assert following(["train", "policy=ls"]) == ["policy=lstm"]
    assert following(["train", "+experiment=own"]) == []
    (tmp_path / "rayfold.yaml").write_text("conf: conf\n")
    assert following(["train", "+experiment=own"]) == ["+experiment=own_one"]


def test_shells_have_scripts_and_others_a_sentence(capsys):
    for shell in SCRIPTS:
        assert main(["completion", shell]) == ExitCode.DONE
    assert "rayfold completion words" in capsys.readouterr().out
    assert main(["completion", "tcsh"]) == ExitCode.BAD_INPUT
    assert "bash, zsh, fish" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("rayfold trai", "train"),
        ("rayfold train +experiment=planted_si", "planted_signal"),
        ("rayfold train trainer.total", "trainer.total_env_steps="),
        ("rayfold ", "audit"),
    ],
)
def test_bash_completes(line, reply):
    """The script as bash runs it, where `=` breaks words: only what stands behind it is replied."""
    script = f"""
        rayfold() {{ PYTHONPATH={ROOT} {sys.executable} -m rayjobs "$@"; }}
        compopt() {{ :; }}
        complete() {{ :; }}
        COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
        {SCRIPTS["bash"]}
        COMP_LINE='{line}'; COMP_POINT={len(line)}
        _rayfold
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert reply in done.stdout.splitlines(), done.stderr


def test_the_words_of_commands_are_those_that_the_commands_know():
    from rayjobs import deploy, features, submit
    from rayjobs.ingest import __main__ as ingest

    known = {"deploy": deploy.COMMANDS, "features": features.COMMANDS, "submit": submit.COMMANDS}
    known |= {"ingest": ("inventory", *ingest.COMMANDS), "completion": SCRIPTS}
    assert {command: set(words) for command, words in WORDS.items()} == {
        command: set(words) for command, words in known.items()
    }
