"""Which piece is asked of whom, and when: the loop between the plan, the vendors' pacing and the crew."""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from data.errors import one_line
from data.lake import Lake
from data.vendors.definition import AnswerRefused, KeyRefused, Vendor
from rayjobs.ingest.crew import Crew, Job, Outcome
from rayjobs.ingest.keys import without_keys
from rayjobs.ingest.pacing import CallsLeft, Pacing
from rayjobs.ingest.plan import Piece, fetched_extent, series_of, windowed
from rayjobs.ingest.settings import IngestSettings

LOG = logging.getLogger(__name__)
REFUSALS = 3
"""Pieces of a symbol, none given, after whose refusal its other pieces are not asked for."""
LONGEST_LOOK_S = 1.0
"""Seconds after which the progress is drawn again although nothing came."""


@dataclass(kw_only=True)
class Tally:
    """What a run did so far; counts of pieces, calls and bars, by source where they are mappings."""

    pieces: int = 0
    done: int = 0
    rows: int = 0
    failures: int = 0
    calls: dict[str, int] = field(default_factory=dict)
    rows_of: dict[str, int] = field(default_factory=dict)
    revised: list[str] = field(default_factory=list)
    left: list[Piece] = field(default_factory=list)
    given_up: dict[str, str] = field(default_factory=dict)
    """source -> why no more was asked of it in this run."""


class Fetching:
    """Fetches pieces until all are there, or no vendor gives what is left.

    Parameters
    ----------
    vendors, pacings : by source, the first choice first.
    clock : seconds, that of the pacings.
    told : called with the tally and the calls left of the first source after every turn, for the progress.
    """

    def __init__(
        self,
        settings: IngestSettings,
        lake: Lake,
        vendors: Mapping[str, Vendor],
        pacings: Mapping[str, Pacing],
        crew: Crew,
        clock: Callable[[], float],
        told: Callable[[Tally, Mapping[str, CallsLeft]], None] = lambda tally, left: None,
    ) -> None:
        self._settings, self._lake, self._vendors = settings, lake, vendors
        self._pacings, self._crew, self._clock, self._told = pacings, crew, clock, told
        self._queue: deque[Piece] = deque()
        self._open: dict[int, tuple[Piece, str]] = {}
        self._numbers = 0
        self._known: set[tuple[str, str]] = set()
        self._refusals: Counter[tuple[str, str]] = Counter()
        self.tally = Tally()

    def run(self, pieces: Iterable[Piece]) -> Tally:
        """Fetch and store the pieces.

        Raises
        ------
        KeyRefused
            If a vendor refuses the key.
        data.lake.files.LakeError
            If the lake cannot be written to.
        """
        self._add(pieces)
        while self._queue or self._open:
            wait = self._hand_out()
            if not self._open and math.isinf(wait):
                break  # nobody is left who could be asked
            for outcome in self._crew.collect(min(wait, LONGEST_LOOK_S)):
                self._take(outcome)
            self._tell()
        self.tally.left += self._queue
        self._queue.clear()
        self._tell()
        return self.tally

    def _tell(self) -> None:
        self._told(self.tally, {name: pacing.calls_left() for name, pacing in self._pacings.items()})

    def _add(self, pieces: Iterable[Piece]) -> None:
        added = list(pieces)
        self.tally.pieces += len(added)
        self._queue.extend(added)

    def _hand_out(self) -> float:
        """Give every source what it may be asked now; return the seconds until more can be given."""
        wait = math.inf
        for source in list(self._vendors):
            while (piece := self._next_for(source)) is not None:
                if isinstance(piece, float):
                    wait = min(wait, piece)
                    break
                leave = self._pacings[source].ask()
                if leave > 0.0:
                    if leave > self._settings.pacing.patience_s and not math.isinf(leave):
                        self._give_up(source, leave)
                    wait = min(wait, leave)
                    break
                self._queue.remove(piece)
                self._begin(piece, source)
        return LONGEST_LOOK_S if self._queue and math.isinf(wait) and self._open else wait

    def _next_for(self, source: str) -> Piece | float | None:
        """The first piece that a source may be asked for; seconds until there is one; None if there is none at all.

        A source takes what those before it refuse, or cannot give while they rest.
        """
        now, soonest = self._clock(), math.inf
        if source in self.tally.given_up:
            return None
        for piece in self._queue:
            if source in piece.refused_by or (piece.witness and source != next(iter(self._vendors))):
                continue
            if not self._is_turn(source, piece):
                soonest = min(soonest, LONGEST_LOOK_S)
            elif piece.not_before > now:
                soonest = min(soonest, piece.not_before - now)
            else:
                return piece
        return None if math.isinf(soonest) else soonest

    def _is_turn(self, source: str, piece: Piece) -> bool:
        for name in self._vendors:
            if name == source:
                return True
            able = name not in piece.refused_by and name not in self.tally.given_up
            if able and self._pacings[name].rests() <= 0.0:
                return False
        raise AssertionError(f"{source} is no source of this run")

    def _begin(self, piece: Piece, source: str) -> None:
        self._numbers += 1
        self._open[self._numbers] = (piece, source)
        job = Job(
            number=self._numbers,
            source=source,
            settings=self._settings.sources[source],
            series=series_of(self._settings, source, piece.request.symbol),
            piece=piece.request,
            lake=self._settings.lake,
            witness=piece.witness,
        )
        self._crew.submit(job)

    def _take(self, outcome: Outcome) -> None:
        piece, source = self._open.pop(outcome.number)
        pacing, tally = self._pacings[source], self.tally
        tally.calls[source] = tally.calls.get(source, 0) + outcome.calls
        if outcome.kind in ("stored", "agrees", "revised"):
            pacing.succeeded(outcome.calls)
            self._known.add((source, piece.request.symbol))
            tally.done += 1
            tally.rows += outcome.rows
            tally.rows_of[source] = tally.rows_of.get(source, 0) + outcome.rows
            if outcome.kind == "revised":
                self._fetch_again(piece, source)
            return
        piece.why = outcome.message
        if outcome.kind == "key":
            raise KeyRefused(outcome.message)
        if outcome.kind == "storage":
            from data.lake.files import LakeError

            raise LakeError(outcome.message)
        tally.failures += 1
        if outcome.kind == "rate":
            pacing.rate_limited(outcome.retry_after_s)
            self._queue.appendleft(piece)
            LOG.info("%s rests for %.0f s: %s", source, pacing.rests(), outcome.message)
        elif outcome.kind in ("unavailable", "malformed"):
            pacing.unavailable()
            self._try_again(piece, source, pacing)
        else:
            pacing.refused()
            self._refuse(piece, source)
            self._refuse_like(piece, source)

    def _try_again(self, piece: Piece, source: str, pacing: Pacing) -> None:
        piece.tries += 1
        if piece.tries >= self._settings.pacing.tries:
            piece.tries = 0
            self._refuse(piece, source)
            return
        piece.not_before = self._clock() + pacing.piece_wait(piece.tries)
        self._queue.append(piece)

    def _refuse(self, piece: Piece, source: str) -> None:
        """Leave a piece to the other sources; with none left, to a later run."""
        piece.refused_by[source] = piece.why
        others = [name for name in self._vendors if name not in piece.refused_by]
        if not others or piece.witness:
            self.tally.left.append(piece)
            return
        self.tally.pieces -= 1
        self._add(self._cut_for(others[0], piece))

    def _refuse_like(self, piece: Piece, source: str) -> None:
        """Ask no more for a symbol that a source refuses whenever it is asked: not a day's calls for a misspelt one.

        The newest piece is asked for first, so that a plan that only lacks older years is not taken for that.
        """
        key = (source, piece.request.symbol)
        self._refusals[key] += 1
        if key in self._known or self._refusals[key] < REFUSALS:
            return
        for other in [one for one in self._queue if one.request.symbol == piece.request.symbol]:
            if source not in other.refused_by:
                self._queue.remove(other)
                other.why = piece.why
                self._refuse(other, source)

    def _cut_for(self, source: str, piece: Piece) -> Sequence[Piece]:
        """The piece as another vendor cuts it."""
        try:
            requests = self._vendors[source].pieces(piece.request)
        except AnswerRefused as error:
            piece.why = without_keys(one_line(error))
            piece.refused_by[source] = piece.why
            return [replace(piece, refused_by=dict(piece.refused_by))]
        return [replace(piece, request=request, refused_by=dict(piece.refused_by)) for request in requests]

    def _fetch_again(self, piece: Piece, source: str) -> None:
        """Adjusted prices were revised: everything that was fetched of the symbol is fetched anew."""
        symbol = piece.request.symbol
        self.tally.revised.append(symbol)
        LOG.warning(
            "%s: prices adjusted for %s were revised since they were fetched; all of them are fetched again",
            symbol, self._settings.adjustment,
        )  # fmt: skip
        requests = [
            windowed(piece.request, span) for span in fetched_extent(self._lake, self._settings, symbol)
        ]
        again = [Piece(request=cut) for request in requests for cut in self._vendors[source].pieces(request)]
        self._add(again)

    def _give_up(self, source: str, seconds: float) -> None:
        until = pd.Timestamp.now("UTC") + pd.Timedelta(seconds=seconds)
        self.tally.given_up[source] = f"it may be asked again at {until:%Y-%m-%d %H:%M} UTC"
        LOG.warning("%s is not asked any more in this run: %s", source, self.tally.given_up[source])
