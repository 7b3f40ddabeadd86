"""The loop that keeps a lake up to date: forward, backfill, curate, sleep; no outage ends it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np

from data.errors import DataError, one_line
from data.vendors.definition import KeyRefused
from rayjobs.config.typed_config import ConfigError
from rayjobs.ingest.keys import without_keys
from rayjobs.ingest.rounds import Ingest, Round
from rayjobs.ingest.settings import IngestSettings

LOG = logging.getLogger(__name__)
FIRST_WAIT_S = 30.0


def watch(
    settings: IngestSettings,
    ingest: Ingest,
    *,
    sleep: Callable[[float], None] = time.sleep,
    generator: np.random.Generator | None = None,
) -> int:
    """Run rounds until it is stopped, or for as many as the settings say; return how many were whole.

    What a user must fix ends it in the first round, before anything ever worked: a key that is refused, a lake that
    cannot be written to. Later the same is an outage: it is logged, and tried again after a wait that doubles.

    Raises
    ------
    DataError
        In the first round, as `Ingest.round`.
    """
    drawn = generator or np.random.default_rng()
    whole = failures = number = 0
    while settings.watch.rounds is None or number < settings.watch.rounds:
        number += 1
        wait = settings.watch.every_minutes * 60.0
        try:
            done = ingest.round(ingest.symbols(), backfill_days=settings.watch.backfill_days)
            _tell(number, done)
            whole += done.whole
            failures = 0
        except Exception as error:
            if number == 1 and isinstance(error, KeyRefused | ConfigError | DataError):
                raise
            failures += 1
            wait = min(FIRST_WAIT_S * 2.0 ** min(failures - 1, 20), max(wait, FIRST_WAIT_S))
            LOG.error(
                "round %d failed (%s: %s); the next one in %.0f s",
                number, type(error).__name__, without_keys(one_line(error)), wait,
            )  # fmt: skip
        if settings.watch.rounds is None or number < settings.watch.rounds:
            sleep(wait * (1.0 + settings.pacing.jitter * float(drawn.random())))
    return whole


def _tell(number: int, done: Round) -> None:
    tally = done.tally
    LOG.info(
        "round %d: %d symbols, %d new bars in %d pieces, %d months curated, %d pieces left for later",
        number, len(done.symbols), tally.rows, tally.done, done.curated, len(tally.left),
    )  # fmt: skip
    for piece in tally.left[:3]:
        LOG.warning("%s from %s: %s", piece.request.symbol, piece.request.start_utc, piece.why)
