"""Run a job on a cluster without editing code, and look after it from here.

Run: python -m rayjobs.submit job=sweep +experiment=crypto_portfolio cluster=address search.num_trials=64
Later: python -m rayjobs.submit status [JOB] | logs JOB | stop JOB
The job does not need this process: Ctrl-C, a closed laptop and a lost connection leave it running.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

from rayjobs.config.arguments import command_line, is_output_option, split
from rayjobs.config.compose import compose_command_line
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError, build_dataclass, did_you_mean
from rayjobs.entry import run_entry_point
from rayjobs.submission.job_command import JobCommand, job_command, split_for_job
from rayjobs.submission.settings import SubmitConfig, cluster_config

LOG = logging.getLogger("rayjobs.submit")  # run as a program, __name__ is not below our package
COMMANDS = ("status", "logs", "stop")


def submit(values: dict[str, Any], arguments: Sequence[str]) -> ExitCode:
    """Check, send, follow; ``values`` is the resolved ``conf/submit.yaml``, ``arguments`` the job's command line."""
    settings = build_dataclass(SubmitConfig, values["submit"], "submit")
    cluster = cluster_config(values)
    if cluster.storage is None:
        raise ConfigError(
            "cluster.storage: missing; give a place that all nodes reach, cluster.storage=s3://BUCKET/PATH"
        )
    command = checked_command(str(values["job"]), arguments, cluster.storage)
    # Slow imports come after the check, so that a typo is reported at once.
    from rayjobs.submission.jobs import job_server, send, watch
    from rayjobs.submission.upload import check_upload

    if cluster.dashboard is None and not settings.follow:
        raise ConfigError(
            "submit.follow=false needs a cluster that outlives this command; use cluster=address"
        )
    size_mb = check_upload(settings.tree, settings.max_upload_mb)
    with job_server(cluster) as client:
        job_id = send(client, command, settings)
        LOG.info("job %s: %s (working tree of %.1f MB)", job_id, command.shell, size_mb)
        LOG.info("results go to %s", command.directory)
        return watch(client, job_id, settings.give_up_after_s) if settings.follow else ExitCode.DONE


def checked_command(job: str, arguments: Sequence[str], storage: str) -> JobCommand:
    """The command for the cluster; what the job would refuse there, after the upload and the queue, is refused here.

    Raises
    ------
    ConfigError
        As `job_command`, and for a value that the job does not take.
    """
    command = job_command(job, arguments, storage)
    if job == "train":
        from rayjobs.study.config import build_train_config

        build_train_config(command.values)
    elif job == "sweep":
        from rayjobs.search.sweep.config import build_sweep_config

        build_sweep_config(command.values)
    else:
        from rayjobs.replay.rescoring import EvaluateConfig

        build_dataclass(EvaluateConfig, command.values, "")
    return command


def look_after(command: str, arguments: Sequence[str]) -> ExitCode:
    """``status``, ``logs`` and ``stop``: the job comes first, then what chooses the cluster."""
    settings_given, names = split(arguments, lambda argument: "=" in argument)
    values = compose_command_line("submit", ["job=train", *settings_given])
    assert values is not None
    settings = build_dataclass(SubmitConfig, values["submit"], "submit")
    cluster = cluster_config(values)
    if len(names) > 1 or (not names and command != "status"):
        raise ConfigError(
            f"rayjobs.submit {command} takes one job; list them with: python -m rayjobs.submit status"
        )
    if cluster.dashboard is None:
        raise ConfigError(
            "cluster=local has a job server only while its job runs; name one with cluster.dashboard=URL"
        )
    from rayjobs.submission.job_status import print_job, print_jobs
    from rayjobs.submission.jobs import job_server, require_job, watch

    with job_server(cluster) as client:
        if not names:
            print_jobs(client)
            return ExitCode.DONE
        require_job(client, names[0])
        if command == "logs":
            return watch(client, names[0], settings.give_up_after_s)
        if command == "stop":
            stopped = client.stop_job(names[0])
            LOG.info("job %s %s", names[0], "is asked to end" if stopped else "had ended already")
            return ExitCode.DONE
        print_job(client, names[0])
        return ExitCode.DONE


def _refuse(command: str) -> ExitCode:
    raise ConfigError(
        f"rayjobs.submit {command}: there is no such command; {did_you_mean(command, COMMANDS)}; a job is submitted "
        "with job=train, job=sweep or job=evaluate"
    )


def main(given: Sequence[str] | None = None) -> ExitCode:
    """Tell the commands apart."""
    argv = command_line(given)
    if argv and argv[0] in COMMANDS:
        speech, words = split(argv[1:], is_output_option)
        return run_entry_point(lambda _: look_after(argv[0], words), "submit", ["job=train", *speech])
    if argv and "=" not in argv[0] and not argv[0].startswith(("-", "+")):
        speech, _ = split(argv, is_output_option)
        return run_entry_point(lambda _: _refuse(argv[0]), "submit", ["job=train", *speech])
    ours, theirs = split_for_job(argv)
    return run_entry_point(lambda values: submit(values, theirs), "submit", ours)


if __name__ == "__main__":
    sys.exit(main())
