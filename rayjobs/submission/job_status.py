"""What is known of a job from its job server: its state, and from its output the speed and the env steps spent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ray.job_submission import JobSubmissionClient

from rayjobs.monitoring.result_tables import print_facts, print_sentence, print_table
from rayjobs.submission.job_command import typed_command

_FOLD = re.compile(r"fold (\d+): ([\d,]+) \((\d+)%\) env steps, ([\d,]+) steps/s")
_TRIAL = re.compile(r"trial +(\d+) (\w+) .*?([\d,]+) env steps in (\d+) s")
_ENDED = re.compile(r"trial +(\d+) (complete|pruned|failed) ")


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What a job's output says it has done.

    Parameters
    ----------
    env_steps : trained on so far, over folds and trials.
    env_steps_per_second : of what trains now, added up; None when nothing does.
    folds, trials : that have reported, and that have ended.
    """

    env_steps: int
    env_steps_per_second: float | None
    folds: int
    trials: int


def spending(log: str) -> Spending:
    """Read the progress lines of a job's output; the last line of each fold and trial counts.

    A sweep's winner trains folds after the trials, so both kinds of line may stand in one log.
    """
    folds = {m[1]: m for m in _FOLD.finditer(log)}
    trials = {m[1]: m for m in _TRIAL.finditer(log)}
    running = [_number(m[4]) for m in folds.values() if int(m[3]) < 100]
    steps = sum(_number(m[2]) for m in folds.values()) + sum(_number(m[3]) for m in trials.values())
    seconds = sum(_number(m[4]) for m in trials.values())
    speed: float | None = float(sum(running)) if running else None
    if speed is None and trials and not folds and seconds:
        speed = sum(_number(m[3]) for m in trials.values()) / seconds
    return Spending(
        env_steps=steps,
        env_steps_per_second=speed,
        folds=len(folds),
        trials=len({m[1] for m in _ENDED.finditer(log)}),
    )


def print_job(client: JobSubmissionClient, job_id: str) -> None:
    """One job, on standard output."""
    job = client.get_job_info(job_id)
    spent = spending(client.get_job_logs(job_id))
    facts = {
        "job": job_id,
        "status": job.status.value,
        "command": typed_command(job.entrypoint),
        "started": _moment(job.start_time),
        "ended": _moment(job.end_time),
        "env_steps": spent.env_steps,
        "steps_per_s": spent.env_steps_per_second,
        "folds_reported": spent.folds,
        "trials_ended": spent.trials,
        "message": " ".join((job.message or "").split())[:200],
    }
    print_facts(facts, formats={"env_steps": ",d", "steps_per_s": ",.0f"})


def print_jobs(client: JobSubmissionClient) -> None:
    """All jobs that were submitted, newest first, on standard output."""
    jobs: list[Any] = [job for job in client.list_jobs() if job.submission_id]
    rows = [
        {
            "job": job.submission_id,
            "status": job.status.value,
            "started": _moment(job.start_time),
            "ended": _moment(job.end_time),
        }
        for job in sorted(jobs, key=lambda job: job.start_time or 0, reverse=True)
    ]
    if rows:
        print_table("", rows)
    else:
        print_sentence("no jobs yet")


def _moment(milliseconds: int | None) -> str:
    return (
        "-" if not milliseconds else f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"
    )


def _number(text: str) -> int:
    return int(text.replace(",", ""))
