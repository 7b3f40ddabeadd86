"""Following a job's output from here, across lost connections."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import aiohttp
import requests
from ray.job_submission import JobStatus, JobSubmissionClient

LOG = logging.getLogger(__name__)
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 15.0
LOST = (aiohttp.ClientError, requests.exceptions.RequestException, OSError, RuntimeError)
"""What Ray's client raises when a connection breaks; a websocket that closes oddly is a RuntimeError to it."""


class ConnectionLost(RuntimeError):
    """The job server has not answered for long; the job itself goes on."""


def follow(
    client: JobSubmissionClient, job_id: str, write: Callable[[str], object], *, give_up_after_s: float
) -> JobStatus:
    """Write a job's output as it comes, each character once, until the job has ended.

    Parameters
    ----------
    write : takes pieces of text.
    give_up_after_s : how long the job server may be out of reach, seconds.

    Returns
    -------
    How the job ended.

    Raises
    ------
    ConnectionLost
        If the server was out of reach for longer.
    """
    return asyncio.run(_follow(client, job_id, write, give_up_after_s))


async def _follow(
    client: JobSubmissionClient, job_id: str, write: Callable[[str], object], give_up_after_s: float
) -> JobStatus:
    written = 0
    reached, wait = time.monotonic(), FIRST_WAIT_SECONDS
    while True:
        position = 0  # the server tells the log from its start each time
        try:
            async for piece in client.tail_job_logs(job_id):
                reached, wait = time.monotonic(), FIRST_WAIT_SECONDS
                fresh = piece[max(0, written - position) :]
                position += len(piece)
                if fresh:
                    write(fresh)
                    written = position
            status = client.get_job_status(job_id)
            reached, wait = time.monotonic(), FIRST_WAIT_SECONDS
            if status.is_terminal():
                rest = client.get_job_logs(job_id)[written:]
                if rest:
                    write(rest)
                return status
        except LOST as error:
            away = time.monotonic() - reached
            if away > give_up_after_s:
                raise ConnectionLost(
                    f"the job server has not answered for {away:.0f} s ({error}); job {job_id} goes on: "
                    f"python -m rayjobs.submit logs {job_id}"
                ) from error
            LOG.warning("connection to the job server lost; trying again in %.1f s", wait)
        await asyncio.sleep(wait)
        wait = min(2.0 * wait, LONGEST_WAIT_SECONDS)
