"""One round of an ingest: plan, fetch, curate, sum up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pandas as pd

from data.lake import Lake, Series
from data.lake.holdings import empty_windows
from data.lake.spans import instant
from data.vendors.definition import Vendor
from rayjobs.ingest.actions import ActionsTally, bring_actions, today_utc
from rayjobs.ingest.crew import Crew, RayCrew, ThreadCrew
from rayjobs.ingest.fetching import Fetching, Tally
from rayjobs.ingest.listings import ListingsTally, bring_listings
from rayjobs.ingest.pacing import Pacing
from rayjobs.ingest.plan import (
    Piece,
    in_turn,
    newest_first,
    open_windows,
    pieces_of,
    series_of,
    whole_request,
    windowed,
    witness_of,
)
from rayjobs.ingest.progress import IngestProgress
from rayjobs.ingest.settings import IngestSettings
from rayjobs.ingest.shared_budget import shared_budget
from rayjobs.ingest.sources import budget_of, vendor_of_process
from rayjobs.ingest.symbols import chosen_symbols

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round did.

    Parameters
    ----------
    symbols : that it was about. tally : of fetching. curated : months that were made.
    actions : of splits and dividends; None where they were not wanted. listings : the same of what was listed.
    """

    symbols: tuple[str, ...]
    tally: Tally
    curated: int
    actions: ActionsTally | None = None
    listings: ListingsTally | None = None

    @property
    def whole(self) -> bool:
        """Whether everything that was asked for is there."""
        beside = (self.actions, self.listings)
        return not self.tally.left and not any(brought and brought.left for brought in beside)


class Ingest:
    """Vendors, their pacing and a lake, for one round or many.

    Parameters
    ----------
    clock : seconds, for the pacing. crew : who fetches; None is what the settings say.
    """

    def __init__(
        self,
        settings: IngestSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        crew: Crew | None = None,
    ) -> None:
        self._settings, self._clock = settings, clock
        self.lake = Lake(settings.lake)
        self.vendors: dict[str, Vendor] = {
            name: vendor_of_process(source) for name, source in settings.sources.items()
        }
        generator = np.random.default_rng()
        budgets = {name: budget_of(vendor, settings.sources[name]) for name, vendor in self.vendors.items()}
        self._pacings = {
            name: Pacing(
                budget,
                settings.pacing,
                clock,
                generator,
                shared_budget(settings.lake, settings.sources[name].vendor, budget),
            )
            for name, budget in budgets.items()
        }
        self._crew = crew or (RayCrew() if settings.execution == "ray" else ThreadCrew())

    def symbols(self) -> tuple[str, ...]:
        """The symbols that are asked for now."""
        return chosen_symbols(self._settings, self.lake, dict(self.vendors))

    def round(self, symbols: Sequence[str], *, backfill_days: int | None = None) -> Round:
        """Fetch what is missing up to now, and curate.

        Parameters
        ----------
        backfill_days : sessions without any bar of this many days are asked for again; None leaves them.

        Raises
        ------
        KeyRefused
            If a vendor refuses its key.
        LakeError
            If the lake cannot be read or written to.
        """
        self.lake.files.sweep("raw")
        now = pd.Timestamp.now("UTC")
        pieces = in_turn([self._pieces(symbol, now, backfill_days) for symbol in symbols])
        with ExitStack() as stack:
            progress = stack.enter_context(IngestProgress())
            fetching = Fetching(
                self._settings, self.lake, self.vendors, self._pacings, self._crew, self._clock, progress.tell
            )
            tally = fetching.run(pieces)
        curated = self.curate(symbols) if self._settings.curate else 0
        return Round(
            symbols=tuple(symbols),
            tally=tally,
            curated=curated,
            actions=self._actions(symbols),
            listings=self._listings(),
        )

    def _actions(self, symbols: Sequence[str]) -> ActionsTally | None:
        if not self._settings.actions:
            return None
        return bring_actions(
            self._settings, self.lake, self.vendors, self._pacings, symbols, today=today_utc()
        )

    def _listings(self) -> ListingsTally | None:
        if not self._settings.listings:
            return None
        return bring_listings(self._settings, self.lake, self.vendors, self._pacings, today=today_utc())

    def curate(self, symbols: Sequence[str]) -> int:
        """Bring the curated months of the symbols up to date."""
        return curate_all(
            self.lake,
            [series_of(self._settings, source, symbol) for symbol in symbols for source in self.vendors],
        )

    def _pieces(self, symbol: str, now_utc: pd.Timestamp, backfill_days: int | None) -> list[Piece]:
        request = whole_request(self._settings, symbol, now_utc)
        if request is None:
            return []
        requests = open_windows(self.lake, self._settings, request)
        witness = witness_of(self.lake, self._settings, symbol)
        pieces = newest_first([piece for window in requests for piece in pieces_of(self.vendors, window)])
        if witness is not None and pieces:
            pieces.insert(0, witness)
        if backfill_days:
            since = max(now_utc - pd.Timedelta(days=backfill_days), request.start_utc)
            pieces += self._refills(symbol, since, request.stop_utc)
        return pieces

    def _refills(self, symbol: str, since: pd.Timestamp, stop: pd.Timestamp) -> list[Piece]:
        name, source = next(iter(self._settings.sources.items()))
        request = whole_request(self._settings, symbol, stop)
        assert request is not None
        windows = empty_windows(self.lake, series_of(self._settings, name, symbol), source.calendar, since)
        wanted = [
            windowed(request, span._replace(stop=min(span.stop, instant(stop))))
            for span in windows
            if span.start < instant(stop)
        ]
        return [piece for window in wanted for piece in pieces_of(self.vendors, window)]


def curate_all(lake: Lake, many: Sequence[Series]) -> int:
    """Curate series one after the other; memory is bounded by a month of one of them."""
    return sum(lake.curate(series) for series in many)
