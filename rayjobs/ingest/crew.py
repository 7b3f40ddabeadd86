"""Who asks: threads of this process, or Ray tasks on a cluster; either does one piece, from the vendor into the lake.

Fetching waits for the vendor nearly all of its time, and its pace is the vendor's budget: threads do as many pieces a
minute as Ray tasks do, without the seconds and the memory that a Ray runtime takes to start. So threads are the
default, and Ray is for what it is good at: a cluster whose nodes share the parsing and writing of very many symbols.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

from data.errors import DataError, one_line
from data.lake import Lake, Series, Span
from data.lake.deliveries import checked_rows
from data.lake.files import LakeError
from data.schema import PRICE_COLUMNS
from data.vendors.definition import (
    AnswerRefused,
    BarRequest,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
    Vendor,
)
from rayjobs.ingest.keys import without_keys
from rayjobs.ingest.settings import SourceSettings
from rayjobs.ingest.sources import vendor_of_process

Kind = Literal[
    "stored", "agrees", "revised", "key", "refused", "rate", "unavailable", "malformed", "storage", "fault"
]
REVISED = 1e-6
"""Relative distance between two deliveries of a price from which on it is another price."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece to be fetched and stored.

    Parameters
    ----------
    number : by which the outcome is known. lake : place of the lake.
    witness : compare with what is there, and store nothing.
    """

    number: int
    source: str
    settings: SourceSettings
    series: Series
    piece: BarRequest
    lake: str
    witness: bool


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job.

    Parameters
    ----------
    kind : stored, or the kind of error; of a witness whether it agrees with what is there, or was revised.
    message : of an error, without any key. retry_after_s : of "too many requests", where the vendor said.
    calls : that the vendor counts. rows : new bars. to_utc : up to where the piece is answered for.
    """

    number: int
    kind: Kind
    message: str = ""
    retry_after_s: float | None = None
    calls: int = 1
    rows: int = 0
    to_utc: pd.Timestamp | None = None


class Crew(Protocol):
    """Does jobs side by side."""

    def submit(self, job: Job) -> None:
        """Begin a job."""

    def collect(self, timeout_s: float) -> Sequence[Outcome]:
        """Outcomes that are there; waits for the first of them, no longer than this."""


def fetch_and_store(job: Job, vendor: Vendor | None = None) -> Outcome:
    """Fetch a piece and put it into the lake; whatever goes wrong becomes an outcome."""
    try:
        vendor = vendor or vendor_of_process(job.settings)
        delivery = vendor.fetch(job.piece)
        lake = Lake(job.lake)
        if job.witness:
            revised = _revised(lake, job, checked_rows(job.piece, delivery))
            return Outcome(number=job.number, kind="revised" if revised else "agrees", calls=delivery.calls)
        stored = lake.store(
            job.series,
            job.piece,
            delivery,
            now_utc=pd.Timestamp.now("UTC"),
            settle_seconds=job.settings.settle_s,
            calendar=job.settings.calendar,
        )
    except Exception as error:
        return _failed(job, error)
    return Outcome(
        number=job.number, kind="stored", calls=delivery.calls, rows=stored.rows, to_utc=stored.to_utc
    )


def _failed(job: Job, error: Exception) -> Outcome:
    kinds: tuple[tuple[type[Exception], Kind], ...] = (
        (KeyRefused, "key"),
        (AnswerRefused, "refused"),
        (RateLimited, "rate"),
        (TemporarilyUnavailable, "unavailable"),
        (MalformedAnswer, "malformed"),
        (LakeError, "storage"),
        (DataError, "refused"),
    )
    kind: Kind = next((kind for of_kind, kind in kinds if isinstance(error, of_kind)), "fault")
    message = one_line(error) if kind != "fault" else f"{type(error).__name__}: {one_line(error)}"
    return Outcome(
        number=job.number,
        kind=kind,
        message=without_keys(message),
        retry_after_s=getattr(error, "retry_after_s", None),
    )


def _revised(lake: Lake, job: Job, fresh: pd.DataFrame) -> bool:
    """Whether a delivery contradicts the prices that are there by more than rounding."""
    span = Span.between(job.piece.start_utc, job.piece.stop_utc)
    there = lake.read(job.series, span).rows
    shared = there.index.intersection(fresh.index)
    one = there.loc[shared, list(PRICE_COLUMNS)].to_numpy(np.float64)
    other = fresh.loc[shared, list(PRICE_COLUMNS)].to_numpy(np.float64)
    return bool((np.abs(one - other) > REVISED * np.abs(one)).any()) or not len(shared)


class ThreadCrew:
    """Threads of this process. They end with it: one that hangs in a vendor's client holds nothing up."""

    def __init__(self) -> None:
        self._done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()

    def submit(self, job: Job) -> None:
        threading.Thread(target=self._run, args=(job,), daemon=True, name=f"fetch {job.number}").start()

    def collect(self, timeout_s: float) -> Sequence[Outcome]:
        found = []
        try:
            found.append(self._done.get(timeout=max(timeout_s, 0.0)))
            while True:
                found.append(self._done.get_nowait())
        except queue.Empty:
            return found

    def _run(self, job: Job) -> None:
        self._done.put(fetch_and_store(job))


class RayCrew:
    """Ray tasks, wherever the cluster has room. Nodes take keys from their own environment, never from the driver."""

    def __init__(self) -> None:
        import ray

        self._ray = ray
        # Waiting for a vendor takes no CPU; a node runs as many side by side as the vendor's budget allows.
        self._fetch = ray.remote(num_cpus=0.05, max_retries=3)(fetch_and_store)
        self._open: dict[Any, Job] = {}

    def submit(self, job: Job) -> None:
        self._open[self._fetch.remote(job)] = job

    def collect(self, timeout_s: float) -> Sequence[Outcome]:
        if not self._open:
            return []
        ready, _ = self._ray.wait(
            list(self._open), num_returns=len(self._open), timeout=max(min(timeout_s, 0.2), 0.0)
        )
        if not ready:
            ready, _ = self._ray.wait(list(self._open), num_returns=1, timeout=max(timeout_s, 0.0))
        return [self._outcome(reference) for reference in ready]

    def _outcome(self, reference: Any) -> Outcome:
        job = self._open.pop(reference)
        try:
            outcome: Outcome = self._ray.get(reference)
        except (
            self._ray.exceptions.RayError
        ) as error:  # the node died more often than the task was tried again
            return Outcome(number=job.number, kind="unavailable", message=without_keys(one_line(error)))
        return outcome
