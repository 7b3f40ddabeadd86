"""`--quiet` says nothing but errors, `--json` one object and nothing else, for jobs and for commands of words."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from rayjobs.config.arguments import command_line
from rayjobs.config.exit_codes import ExitCode, JobOutcome
from rayjobs.config.terminal import error_console, output_console, speaking, speech
from rayjobs.config.typed_config import ConfigError
from rayjobs.entry import run_entry_point, run_words
from rayjobs.monitoring.result_tables import print_paths, print_sentence, print_table
from rayjobs.storage.run_directory import JobFailed, RunConfig, RunDirectory

ROOT = Path(__file__).parents[3]
LOG = logging.getLogger("rayjobs.test")


def told(words) -> ExitCode:
    """A command that says all there is to say, and prints beside it what it should not."""
    LOG.info("it begins")
    LOG.warning("it is odd")
    warnings.warn("and deprecated", stacklevel=1)
    print_table("Folds", [{"fold": 0, "sharpe": 1.23456789, "why": None, "drift": float("nan")}])
    print_sentence("That was all.")
    print_paths([Path("runs/report.html")])
    sys.stdout.write("a stray line\n")
    return ExitCode.DONE


def test_quiet_leaves_nothing_on_either_stream_where_all_went_well(capsys):
    assert run_words(told, "told", ["--quiet"]) is ExitCode.DONE
    assert capsys.readouterr() == ("", "")


def test_json_is_one_object_with_the_numbers_as_they_are_and_logs_on_the_other_stream(capsys):
    assert run_words(told, "told", ["--json"]) is ExitCode.DONE
    seen = capsys.readouterr()
    record = json.loads(seen.out)
    assert record["command"] == "told"
    assert (record["code"], record["outcome"], record["error"]) == (0, "done", None)
    rows = [{"fold": 0, "sharpe": 1.23456789, "why": None, "drift": None}]
    assert record["tables"] == [{"title": "Folds", "rows": rows}]
    assert record["sentences"] == ["That was all."]
    assert record["paths"] == ["runs/report.html"]
    assert "it begins" in seen.err
    assert "a stray line" in seen.err


def test_without_options_a_command_speaks_to_a_person_again(capsys):
    run_words(told, "told", ["--json", "-q"])
    assert "it begins" not in capsys.readouterr().err
    assert run_words(told, "told", []) is ExitCode.DONE
    seen = capsys.readouterr()
    assert "1.235" in seen.out
    assert seen.out.endswith("That was all.\nruns/report.html\na stray line\n")
    assert "it begins" in seen.err
    assert not speech().as_json


@pytest.mark.parametrize("options", [["--quiet"], ["--json"], ["--json", "--quiet"]])
def test_an_error_is_a_sentence_on_standard_error_and_an_entry_of_the_object(options, capsys):
    def refuse(words):
        raise ConfigError(f"there is no {words[0]}")

    assert run_words(refuse, "told", [*options, "such thing"]) is ExitCode.BAD_INPUT
    seen = capsys.readouterr()
    assert seen.err == "error: there is no such thing\n"
    if "--json" in options:
        record = json.loads(seen.out)
        assert (record["code"], record["outcome"]) == (2, "bad input")
        assert record["error"] == "there is no such thing"
    else:
        assert seen.out == ""


def test_a_run_is_told_with_its_directory_verdict_and_numbers(tmp_path, capsys):
    (tmp_path / "backtest").mkdir()
    (tmp_path / "backtest" / "summary.json").write_text('{"sharpe": 0.25, "num_trades": 7}')
    (tmp_path / "verdict.json").write_text('{"pass": false, "headline": "No: 2 of 9 fail"}')

    def job(values):
        return JobOutcome(code=ExitCode.GATE_SAID_NO, directory=tmp_path)

    assert run_entry_point(job, "compare", ["--json"]) is ExitCode.GATE_SAID_NO
    record = json.loads(capsys.readouterr().out)
    assert record["outcome"] == "gate said no"
    assert record["run_directory"] == str(tmp_path)
    assert record["verdict"] == {"pass": False, "headline": "No: 2 of 9 fail"}
    assert record["numbers"] == {"sharpe": 0.25, "num_trades": 7}


def test_a_job_that_failed_names_its_directory(tmp_path, capsys):
    def job(values):
        raise JobFailed("out of memory", tmp_path, None)

    assert run_entry_point(job, "compare", ["--json"]) is ExitCode.FAILED
    record = json.loads(capsys.readouterr().out)
    assert (record["code"], record["run_directory"]) == (1, str(tmp_path))
    assert "out of memory" in record["error"]


def test_an_interrupted_job_names_its_directory_too(tmp_path, capsys):
    def job(values):
        place = RunConfig(experiment="small", directory=str(tmp_path))
        with RunDirectory.create(place, values, seed=0, data_fingerprint="f" * 64):
            raise KeyboardInterrupt

    assert run_entry_point(job, "compare", ["--json"]) is ExitCode.INTERRUPTED
    record = json.loads(capsys.readouterr().out)
    assert record["outcome"] == "interrupted"
    assert (Path(record["run_directory"]) / "config.yaml").is_file()


def test_a_configuration_and_a_page_of_help_are_entries_too(capsys):
    assert run_entry_point(told, "nudge", ["--cfg", "job", "--json", "lr=x2"]) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["config"]["lr"] == "x2"
    assert run_entry_point(told, "nudge", ["--json", "--help"]) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["text"].startswith("usage: rayfold nudge")


def test_how_to_speak_may_stand_anywhere_and_takes_no_word_after_it_for_its_own():
    assert command_line(["--json", "list", "subject=price"]) == ["list", "subject=price", "--json"]
    with speaking("features", command_line(["list", "-q", "subject=price"])) as spoken:
        assert spoken.words == ("list", "subject=price")
        assert spoken.quiet


@pytest.mark.parametrize("options", [["--no-color"], []])
def test_no_colours_where_they_are_not_wanted(options, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with speaking("told", options):
        for console in (output_console(), error_console()):
            with console.capture() as shown:
                console.print("[bold red]loss[/bold red]")
            assert ("\x1b" in shown.get()) is (options == [])
    assert os.environ.get("NO_COLOR") is None


def test_as_a_program_nothing_reaches_standard_output_but_the_object(tmp_path):
    # The child process and the C library write to file descriptor 1, past Python's own standard output.
    program = tmp_path / "loud.py"
    program.write_text(
        "import os, subprocess, sys\n"
        "from rayjobs.config.exit_codes import ExitCode\n"
        "from rayjobs.entry import run_words\n"
        "def loud(words):\n"
        "    os.write(1, b'from below\\n')\n"
        "    subprocess.run([sys.executable, '-c', 'print(\"from a child\")'], check=True)\n"
        "    return ExitCode.DONE\n"
        "sys.exit(run_words(loud, 'loud', sys.argv[1:]))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = {
        option: subprocess.run(
            [sys.executable, str(program), option], env=env, capture_output=True, text=True, check=True
        )
        for option in ("--json", "--quiet")
    }
    assert json.loads(ended["--json"].stdout)["outcome"] == "done"
    assert ended["--json"].stderr == "from below\nfrom a child\n"
    assert (ended["--quiet"].stdout, ended["--quiet"].stderr) == ("", "")
