"""Settings of an ingest, and a crew that works in the caller's thread while the clock stands still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from data.lake import Lake
from rayjobs.config.compose import compose
from rayjobs.ingest.crew import Job, Outcome, fetch_and_store
from rayjobs.ingest.fetching import Fetching, Tally
from rayjobs.ingest.pacing import Pacing
from rayjobs.ingest.plan import in_turn, newest_first, open_windows, pieces_of, whole_request, witness_of
from rayjobs.ingest.settings import IngestSettings, build_ingest_settings

ENTRY: Mapping[str, Any] = {
    "vendor": "made_vendor:own_vendor",
    "calendar": "24/7",
    "options": {},
    "calls_per_minute": None,
    "calls_per_day": None,
    "at_a_time": None,
    "settle_s": 0,
}


@cache
def _composed() -> dict[str, Any]:
    return compose("ingest")


def ingest_settings(
    lake: Path | str,
    sources: Sequence[str] = ("made",),
    *,
    pacing: Mapping[str, Any] | None = None,
    **changes: Any,
) -> IngestSettings:
    """Settings for January to March 2024 of two symbols with bars of an hour, and what is changed of them."""
    values = deepcopy(_composed())
    values |= {"lake": str(lake), "symbols": ["AAA", "BBB"], "start": "2024-01-01", "end": "2024-04-01"}
    values |= {"bar": "1h", "source": {name: dict(ENTRY) for name in sources}} | changes
    values["pacing"] = values["pacing"] | {"jitter": 0.0} | dict(pacing or {})
    return build_ingest_settings(values)


class Clock:
    """Seconds that pass when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class InlineCrew:
    """Does a job when its outcome is collected; waiting turns the clock. `vendors` are by source."""

    def __init__(self, vendors: Mapping[str, Any], clock: Clock) -> None:
        self._vendors, self._clock = vendors, clock
        self._jobs: list[Job] = []
        self.begun: list[tuple[float, str, str]] = []

    def submit(self, job: Job) -> None:
        self._jobs.append(job)
        self.begun.append((self._clock.now, job.source, job.piece.symbol))

    def collect(self, timeout_s: float) -> Sequence[Outcome]:
        if not self._jobs:
            assert 0.0 < timeout_s < float("inf")
            self._clock.now += timeout_s
            return []
        self._clock.now += 0.01
        job = self._jobs.pop(0)
        return [fetch_and_store(job, self._vendors[job.source])]


def fetch(
    settings: IngestSettings, vendors: Mapping[str, Any], *, clock: Clock | None = None
) -> tuple[Tally, InlineCrew, Fetching]:
    """Plan and fetch what is missing, with time that costs nothing."""
    import pandas as pd

    clock = clock or Clock()
    lake, crew = Lake(settings.lake), InlineCrew(vendors, clock)
    generator = np.random.default_rng(0)
    pacings = {name: Pacing(v.budget, settings.pacing, clock, generator) for name, v in vendors.items()}
    fetching = Fetching(settings, lake, vendors, pacings, crew, clock)
    pieces = []
    for symbol in settings.symbols:
        request = whole_request(settings, symbol, pd.Timestamp.now("UTC"))
        windows = open_windows(lake, settings, request)
        witness = witness_of(lake, settings, symbol)
        first = [witness] if witness is not None and windows else []
        cut = [piece for window in windows for piece in pieces_of(vendors, window)]
        pieces.append(first + newest_first(cut))
    return fetching.run(in_turn(pieces)), crew, fetching
