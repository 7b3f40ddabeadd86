"""A job's output is followed to its end, each character once, however often the connection breaks."""

from __future__ import annotations

from dataclasses import dataclass, field

import aiohttp
import pytest
from ray.job_submission import JobStatus

from rayjobs.submission import job_log
from rayjobs.submission.job_log import ConnectionLost, follow

LOG = "one\ntwo\nthree\n"


@dataclass
class Server:
    """Tells the log from its start at each connection, in pieces, and breaks the first few of them."""

    breaks_after: list[int]
    error: Exception = field(default_factory=lambda: aiohttp.ClientConnectionError("reset"))
    ends: JobStatus = JobStatus.SUCCEEDED

    async def tail_job_logs(self, job_id):
        limit = self.breaks_after.pop(0) if self.breaks_after else None
        for position in range(0, len(LOG), 5):
            if limit is not None and position >= limit:
                raise self.error
            yield LOG[position : position + 5]

    def get_job_status(self, job_id):
        return self.ends

    def get_job_logs(self, job_id):
        return LOG


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(job_log, "FIRST_WAIT_SECONDS", 0.001)


@pytest.mark.parametrize("breaks", [[], [5], [5, 10], [0, 0, 10, 5, 0]])
def test_no_character_is_lost_or_repeated(breaks):
    pieces = []
    assert follow(Server(list(breaks)), "job", pieces.append, give_up_after_s=60.0) is JobStatus.SUCCEEDED
    assert "".join(pieces) == LOG


@pytest.mark.parametrize("error", [RuntimeError("closed unexpectedly"), OSError("unreachable")])
def test_every_kind_of_break_is_survived(error):
    pieces = []
    follow(Server([5], error=error), "job", pieces.append, give_up_after_s=60.0)
    assert "".join(pieces) == LOG


def test_a_server_that_stays_away_is_given_up_and_the_job_named():
    with pytest.raises(ConnectionLost, match="job j1 goes on: python -m rayjobs.submit logs j1"):
        follow(Server([0] * 100000), "j1", lambda piece: None, give_up_after_s=0.05)


def test_how_the_job_ended_is_told():
    assert (
        follow(Server([], ends=JobStatus.FAILED), "job", lambda piece: None, give_up_after_s=1.0)
        is JobStatus.FAILED
    )
