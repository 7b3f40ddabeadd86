"""Sending a job, watching it to its end, and finding it again."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from ray.job_submission import JobSubmissionClient

from rayjobs.cluster.session import local_job_server
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.storage.provenance import COMMIT_VARIABLE, git_commit
from rayjobs.submission.job_command import JobCommand
from rayjobs.submission.job_log import ConnectionLost, follow
from rayjobs.submission.job_server import connect, explaining
from rayjobs.submission.settings import SubmitConfig
from rayjobs.submission.upload import EXCLUDES

LOG = logging.getLogger(__name__)


@contextmanager
def job_server(cluster: ClusterConfig) -> Iterator[JobSubmissionClient]:
    """A client of the cluster's job server; for a cluster of this machine, one that ends with the block.

    Raises
    ------
    ConfigError
        See `rayjobs.submission.job_server.connect`; also for what breaks inside the block in the same ways.
    """
    if cluster.dashboard is None:
        with local_job_server(cluster) as dashboard, explaining(dashboard):
            yield connect(dashboard)
    else:
        client = connect(cluster.dashboard)
        with explaining(cluster.dashboard):
            yield client


def send(client: JobSubmissionClient, command: JobCommand, settings: SubmitConfig) -> str:
    """Upload the working tree and queue the job; its id."""
    job_id = f"{command.job}-{command.experiment}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    commit, dirty = git_commit()
    client.submit_job(
        entrypoint=command.entrypoint,
        submission_id=job_id,
        runtime_env={
            "working_dir": str(settings.tree),
            "excludes": list(EXCLUDES),
            "env_vars": {COMMIT_VARIABLE: f"{commit or ''} {'dirty' if dirty else ''}".strip()},
        },
        metadata={"job": command.job, "experiment": command.experiment, "user": os.environ.get("USER", "")},
        entrypoint_num_cpus=settings.driver_cpus or None,
    )
    return job_id


def watch(client: JobSubmissionClient, job_id: str, give_up_after_s: float) -> ExitCode:
    """Show a job's output until it ends, and end as it did. Ctrl-C stops the watching, not the job."""
    try:
        status = follow(client, job_id, _write, give_up_after_s=give_up_after_s)
    except KeyboardInterrupt:
        LOG.warning("the job goes on; come back with: python -m rayjobs.submit logs %s", job_id)
        raise
    except ConnectionLost as error:
        raise ConfigError(str(error)) from error
    details = client.get_job_info(job_id)
    LOG.info("job %s: %s", job_id, status.value)
    if status.value == "SUCCEEDED":
        return ExitCode.DONE
    if status.value == "STOPPED":
        return ExitCode.INTERRUPTED
    known = {int(code) for code in ExitCode} - {int(ExitCode.DONE)}
    code = details.driver_exit_code
    if code not in known:
        LOG.error("job %s failed: %s", job_id, (details.message or "no message").strip().splitlines()[0])
        return ExitCode.FAILED
    return ExitCode(code)


def require_job(client: JobSubmissionClient, job_id: str) -> None:
    """Refuse a job that the cluster does not know.

    Raises
    ------
    ConfigError
        With the ids that it knows.
    """
    known = [job.submission_id for job in client.list_jobs() if job.submission_id]
    if job_id not in known:
        listed = f"it knows {', '.join(sorted(known)[-5:])}" if known else "it knows none"
        raise ConfigError(f"the cluster has no job {job_id}; {listed}")


def _write(piece: str) -> None:
    sys.stdout.write(piece)
    sys.stdout.flush()
