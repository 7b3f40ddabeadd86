"""One command line for both ends: what submit reads, what the job reads, and what is refused before sending."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from rayjobs.config.typed_config import ConfigError
from rayjobs.submission.job_command import job_command, split_for_job, typed_command
from rayjobs.submit import checked_command

SMALL = "+experiment=planted_signal"


def test_submits_own_keys_stay_here_and_the_cluster_belongs_to_both():
    arguments = [
        "job=train",
        SMALL,
        "cluster=aws",
        "seed=3",
        "submit.follow=false",
        "cluster.storage=s3://b/x",
    ]
    ours, theirs = split_for_job(arguments)
    assert ours == ["job=train", "cluster=aws", "submit.follow=false", "cluster.storage=s3://b/x"]
    assert theirs == [SMALL, "cluster=aws", "seed=3", "cluster.storage=s3://b/x"]


def test_the_job_joins_the_cluster_and_writes_below_its_storage():
    command = job_command("train", [SMALL, "seed=3"], "s3://bucket/rayfold")
    assert command.values["seed"] == 3
    assert command.values["cluster"]["address"] == "auto"
    assert command.values["run"]["directory"] == "s3://bucket/rayfold/runs"
    assert shlex.split(command.shell)[:3] == ["python", "-m", "rayjobs.train"]
    assert command.experiment == "planted_signal"


def entrypoint_under(environment, script):
    """What the command's `python` is, started as Ray's job supervisor does from a process that has Ray loaded."""
    command = job_command("train", [SMALL], "/work").entrypoint.replace("python -m", "command -v python #", 1)
    code = f"import os, subprocess, sys; {script}; subprocess.run({command!r}, shell=True)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads Linux' list of mapped libraries")
def test_the_job_runs_with_the_python_that_ray_runs_in_though_path_names_another(tmp_path):
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(tmp_path)}
    library = next(Path(ray.__file__).parent.glob("_raylet*.so"))
    mapping = f"import mmap; kept = mmap.mmap(os.open({str(library)!r}, os.O_RDONLY), 0, prot=mmap.PROT_READ)"
    assert entrypoint_under(environment, mapping) == str(Path(sys.executable).parent / "python")
    assert entrypoint_under(environment, "pass") == str(other)  # nothing is known: as it was


def test_a_command_is_shown_as_it_would_be_typed():
    command = job_command("train", [SMALL, "seed=3"], "/work")
    assert typed_command(command.entrypoint) == command.shell
    assert typed_command("python -m rayjobs.train") == "python -m rayjobs.train"  # of an earlier release


def test_cluster_local_becomes_the_cluster_that_the_job_finds_itself_in():
    command = job_command("train", [SMALL, "cluster=local"], "/work")
    assert "cluster=local" not in command.arguments
    assert command.values["cluster"]["address"] == "auto"


def test_a_storage_with_a_query_keeps_it_at_the_end():
    command = job_command(
        "train", [SMALL], "s3://bucket/rayfold?scheme=http&endpoint_override=127.0.0.1:9000"
    )
    directory = "s3://bucket/rayfold/runs?scheme=http&endpoint_override=127.0.0.1:9000"
    assert command.values["run"]["directory"] == directory


@pytest.mark.parametrize("directory", ["/shared/runs", "~/runs", "s3://other/runs"])
def test_a_run_directory_of_ones_own_is_left_alone(directory):
    command = job_command("train", [SMALL, f"run.directory='{directory}'"], "s3://bucket/rayfold")
    assert command.values["run"]["directory"] == directory


def test_the_commands_arguments_compose_to_the_values_that_were_checked():
    from rayjobs.config.compose import compose_command_line

    command = job_command("sweep", [SMALL, "search.num_trials=6"], "~/rayfold")
    arguments = shlex.split(command.shell)[3:]
    assert compose_command_line("sweep", arguments) == command.values


@pytest.mark.parametrize(
    ("job", "arguments", "message"),
    [
        ("trian", [SMALL], "job=trian: unknown; did you mean train"),
        ("train", ["+experiment=planted_signl"], "planted_signal"),
        ("train", [SMALL, "algo.learnin_rate=3"], "learning_rate"),
        ("train", [SMALL, "seed=-1"], "seed is -1"),
        ("sweep", [SMALL, "search.num_trials=0"], "num_trials"),
    ],
)
def test_what_the_job_would_refuse_is_refused_here(job, arguments, message):
    with pytest.raises(ConfigError, match=message):
        checked_command(job, arguments, "~/rayfold")


def test_an_evaluation_takes_no_cluster_and_finds_its_run_below_the_storage():
    given = ["cluster=aws", "cluster.storage=s3://b/x", "run=runs/noise", "cost_factor=2", "data.seed=7"]
    command = job_command("evaluate", given, "s3://b/x")
    assert set(command.arguments) == {"run='s3://b/x/runs/noise'", "cost_factor=2", "data.seed=7"}
    assert command.directory == command.values["run"] == "s3://b/x/runs/noise"
    assert command.values["cost_factor"] == 2
    elsewhere = job_command("evaluate", ["run=/mnt/runs/noise", "cluster=local"], "/work")
    assert elsewhere.arguments == ("run=/mnt/runs/noise",)


@pytest.mark.parametrize("wrong", ["cost_factr=2", "cost_factor=cheap"])
def test_a_mistake_in_an_evaluation_is_refused_before_it_is_sent(wrong):
    with pytest.raises(ConfigError, match="cost_fact"):
        checked_command("evaluate", ["run=/runs/noise", wrong], "/work")
