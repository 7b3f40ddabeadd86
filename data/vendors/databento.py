"""Databento: bars of futures (GLBX.MDP3) and other datasets over its HTTP interface, or from DBN files at hand.

A symbol is a raw one (ESH4) or a continuous one (ES.c.0, ES.v.0, ES.n.0: by calendar, volume, open interest); a
continuous one is not adjusted at its rolls, and the column `instrument_id` changes there. Prices are as traded, of
zero and below as well. With the option `open_interest`, each bar has the contracts held that had been published before
its close. Days are not offered: Databento's run from midnight to midnight UTC and cut a session of Globex
in two. Every answer is charged for by its size.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from data.array_types import TimeArray
from data.vendors.clients import require_client
from data.vendors.clock import over_by, utc_now
from data.vendors.dbn import (
    KNOWN_FOR,
    SCHEMAS,
    STATISTICS,
    DbnBars,
    DbnFile,
    OpenInterest,
    dbn_bars,
    dbn_file,
    dbn_open_interest,
)
from data.vendors.definition import (
    AnswerRefused,
    BarRequest,
    Budget,
    Delivery,
    MalformedAnswer,
    TemporarilyUnavailable,
    VendorError,
)
from data.vendors.failures import ask, quote, refused
from data.vendors.keys import key_from_environment
from data.vendors.pieces import cut, cut_at, require_offered
from data.vendors.tables import delivery, nothing_yet

KEY_VARIABLE = "DATABENTO_API_KEY"
_CONTINUOUS = re.compile(r"[A-Z0-9]+\.[cnv]\.\d+")
_PARENT = re.compile(r".+\.(FUT|OPT|SPOT)")
OPEN_INTEREST = "open_interest"
"""Column of contracts held, as the rolls of dated contracts read it."""
_SETTLED = pd.Timedelta(2, "D")
"""Older data are there for certain, and the vendor is not asked how far it has come."""


@dataclass(frozen=True, kw_only=True)
class Databento:
    """The vendor `databento`.

    Parameters
    ----------
    dataset : such as GLBX.MDP3.
    path : a DBN file, or a folder of them (*.dbn, *.dbn.zst), to read instead of asking; None asks.
    open_interest : adds the column `open_interest`, from the schema `statistics` of the same window and the week before
        it: one more answer a piece, charged for by its size, or files of that schema in `path`.
    base_url : of the HTTP interface.
    delay_seconds : how far the plan is behind: 86400 where the last 24 hours need a licence that it lacks.
    timeout_s : for connecting, and for each read.
    now : the clock of this machine.
    """

    name: ClassVar[str] = "databento"

    dataset: str = "GLBX.MDP3"
    path: str | None = None
    open_interest: bool = False
    base_url: str = "https://hist.databento.com"
    delay_seconds: float = 0
    timeout_s: float = 100
    now: Callable[[], pd.Timestamp] = utc_now

    def __post_init__(self) -> None:
        require_client("databento", self.name)

    @property
    def budget(self) -> Budget:
        """Databento counts bytes, not calls; its limit is 100 a second and address."""
        return Budget(calls_per_minute=None if self.path else 3000, calls_per_day=None, at_a_time=4)

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """Months of bars of a minute, years of bars of an hour."""
        self._require(request)
        pieces = cut(request, "month" if request.bar_seconds < 3600 else "year")
        if self.path is None:
            return pieces
        # Cut where files begin and end as well, so that what they do not reach is a piece of its own.
        edges = {edge for file in self._files(request) for edge in (file.start, file.end)}
        return tuple(part for piece in pieces for part in cut_at(piece, edges))

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for one piece, or read it from the files."""
        self._require(piece)
        over = over_by(piece, self.now(), 0.0 if self.path else self.delay_seconds)
        uri = f"{self.name}:{self.dataset}/{SCHEMAS[piece.bar_seconds]}?symbols={piece.symbol}"
        uri += f"&start={piece.start_utc.isoformat()}&end={piece.stop_utc.isoformat()}"
        if self.path is not None:
            return self._read(piece, Path(self.path), over)
        if over <= piece.start_utc:
            return nothing_yet(piece, uri)
        key = key_from_environment(self.name, KEY_VARIABLE)
        client = _client(key, self.base_url, self.timeout_s)
        calls = 0
        if piece.stop_utc > self.now() - _SETTLED:
            over = min(over, self._available(client, key, piece))
            calls += 1
            if over <= piece.start_utc:
                return replace(nothing_yet(piece, uri), calls=calls)
        bars = self._bars(client, key, piece, min(piece.stop_utc, over))
        if piece.symbol in bars.unresolved:
            raise AnswerRefused(f"{self.dataset} knows no {piece.symbol} in {piece.start_utc:%Y-%m}")
        columns = dict(bars.columns)
        calls += 1
        if self.open_interest:
            held = self._held(client, key, piece, min(piece.stop_utc, over))
            columns[OPEN_INTEREST] = held.known_at(_closes(bars.labels, piece.bar_seconds))
            calls += 1
        return delivery(
            piece, bars.labels, columns, vendor=self.name, source_uri=uri, calls=calls, over_by=over
        )

    def _require(self, request: BarRequest) -> None:
        """Raise AnswerRefused for what Databento lacks."""
        if request.bar_seconds == 86_400:
            raise AnswerRefused(
                f"databento has no days by session for {request.symbol}: its own run from midnight to midnight UTC. "
                "Ask for bars of an hour or a minute, from which days are made by session."
            )
        require_offered(request, self.name, tuple(SCHEMAS), ("raw",), "Nothing is adjusted.")
        if _PARENT.fullmatch(request.symbol):
            raise AnswerRefused(
                f"{request.symbol} stands for many contracts; name one, or a continuous one as ES.v.0."
            )

    def _bars(self, client: Any, key: str, piece: BarRequest, stop: pd.Timestamp) -> DbnBars:
        data = self._asked(client, key, piece.symbol, SCHEMAS[piece.bar_seconds], piece.start_utc, stop)
        return ask(lambda: dbn_bars(data, piece.bar_seconds, "databento's answer"), self.name, [key])

    def _held(self, client: Any, key: str, piece: BarRequest, stop: pd.Timestamp) -> OpenInterest:
        """Open interest as published; what was known at the first bar came out before it."""
        data = self._asked(client, key, piece.symbol, STATISTICS, piece.start_utc - KNOWN_FOR, stop)
        return ask(lambda: dbn_open_interest(data, "databento's answer"), self.name, [key])

    def _asked(
        self, client: Any, key: str, symbol: str, schema: str, start: pd.Timestamp, stop: pd.Timestamp
    ) -> bytes:
        def answered() -> bytes:
            with warnings.catch_warnings():
                # That a day is empty is an answer; what is cut is found when it is read.
                warnings.simplefilter("ignore")
                store = client.timeseries.get_range(
                    dataset=self.dataset,
                    symbols=symbol,
                    schema=schema,
                    stype_in="continuous" if _CONTINUOUS.fullmatch(symbol) else "raw_symbol",
                    start=start,
                    end=stop,
                )
            return bytes(store.raw)

        return ask(answered, self.name, [key], _translate)

    def _available(self, client: Any, key: str, piece: BarRequest) -> pd.Timestamp:
        """Up to which instant the dataset has come."""
        found = ask(lambda: client.metadata.get_dataset_range(self.dataset), self.name, [key], _translate)
        wanted = [SCHEMAS[piece.bar_seconds], *([STATISTICS] if self.open_interest else [])]
        return min(over_by(piece, _end_of(found, schema, self.dataset), 0.0) for schema in wanted)

    def _read(self, piece: BarRequest, path: Path, over: pd.Timestamp) -> Delivery:
        """Bars of one piece from the files that have them."""
        uri = f"{self.name}:{path.name}?symbols={piece.symbol}&start={piece.start_utc}&end={piece.stop_utc}"
        own = self._files(piece)
        if over <= piece.start_utc or piece.start_utc >= max(file.end for file in own):
            return nothing_yet(piece, uri)
        read = [file for file in own if file.start < piece.stop_utc and file.end > piece.start_utc]
        if not read:
            first, last = min(file.start for file in own), max(file.end for file in own)
            raise AnswerRefused(
                f"no file of {path} has {piece.symbol} at {piece.start_utc}; they reach from {first} to {last}."
            )
        try:
            found = [self._bars_of(file, piece) for file in read]
        except TemporarilyUnavailable as error:
            raise MalformedAnswer(f"{error}; fetch it again") from None  # a file does not mend by waiting
        labels = found[0].labels.append([bars.labels for bars in found[1:]])
        columns = {name: np.concatenate([bars.columns[name] for bars in found]) for name in found[0].columns}
        if self.open_interest:
            columns[OPEN_INTEREST] = self._held_in_files(piece).known_at(_closes(labels, piece.bar_seconds))
        return delivery(
            piece,
            labels,
            columns,
            vendor=self.name,
            source_uri=uri,
            calls=0,
            over_by=min(over, piece.stop_utc),
        )

    def _bars_of(self, file: DbnFile, piece: BarRequest) -> DbnBars:
        data = file.path.read_bytes()
        return ask(lambda: dbn_bars(data, piece.bar_seconds, file.path.name, piece.symbol), self.name)

    def _held_of(self, file: DbnFile, piece: BarRequest) -> OpenInterest:
        data = file.path.read_bytes()
        return ask(lambda: dbn_open_interest(data, file.path.name, piece.symbol), self.name)

    def _held_in_files(self, piece: BarRequest) -> OpenInterest:
        """Open interest of the piece and the week before it, from the files of statistics that have it."""
        first = piece.start_utc - KNOWN_FOR
        files = [
            file
            for file in self._files(piece, STATISTICS)
            if file.start < piece.stop_utc and file.end > first
        ]
        try:
            read = [self._held_of(file, piece) for file in files]
        except TemporarilyUnavailable as error:
            raise MalformedAnswer(f"{error}; fetch it again") from None
        if not read:
            raise AnswerRefused(
                f"no file of {self.path} has the {STATISTICS} of {piece.symbol} from {first} to {piece.stop_utc}; "
                "fetch them, or set the option open_interest to false"
            )
        published = np.concatenate([one.published_utc for one in read])
        order = np.argsort(published, kind="stable")
        contracts = np.concatenate([one.contracts for one in read])
        return OpenInterest(published_utc=published[order], contracts=contracts[order])

    def _files(self, request: BarRequest, schema: str | None = None) -> list[DbnFile]:
        """Headers of the files that have the symbol in a schema; None means that of bars of the request's length."""
        path = Path(self.path or "")
        kinds = ("*.dbn", "*.dbn.zst")
        paths = sorted(file for kind in kinds for file in path.rglob(kind)) if path.is_dir() else [path]
        if not paths or not paths[0].is_file():
            raise AnswerRefused(f"the option path is {path}, where no file *.dbn or *.dbn.zst is")
        headers = [_header_of(file) for file in paths]
        schema = schema or SCHEMAS[request.bar_seconds]
        offered = sorted({symbol for file in headers if file.schema == schema for symbol in file.symbols})
        if request.symbol not in offered:
            listed = ", ".join(offered[:8]) or f"no {schema}"
            raise AnswerRefused(f"the files of {path} hold {listed}, and no {request.symbol}")
        return [file for file in headers if file.schema == schema and request.symbol in file.symbols]


def _end_of(found: Any, schema: str, dataset: str) -> pd.Timestamp:
    """Where a schema ends by what was answered of the dataset."""
    schemas = found.get("schema") if isinstance(found, dict) else None
    own = schemas.get(schema) if isinstance(schemas, dict) else None
    told = (own or found).get("end") if isinstance(found, dict) else None
    try:
        end = pd.Timestamp(told)
    except (TypeError, ValueError):
        end = pd.NaT
    if end is pd.NaT or end is None:
        raise MalformedAnswer(f"databento sent {quote(repr(told))} as the end of {dataset}")
    return end.tz_localize("UTC") if end.tzinfo is None else end.tz_convert("UTC")


def _closes(labels: pd.DatetimeIndex, bar_seconds: int) -> TimeArray:
    closes: TimeArray = labels.tz_localize(None).to_numpy("datetime64[ns]") + np.timedelta64(bar_seconds, "s")
    return closes


def _header_of(path: Path) -> DbnFile:
    try:
        return ask(lambda: dbn_file(path), "databento", translate=_translate)
    except TemporarilyUnavailable:
        raise MalformedAnswer(f"{path.name} ends early inside its header; fetch it again") from None


def _client(key: str, base_url: str, timeout_s: float) -> Any:
    from databento import Historical

    client = Historical(key)
    for part in (client.timeseries, client.metadata):
        # The argument `gateway` would force https; the paths behind it stay.
        part._base_url = base_url.rstrip("/") + part._base_url.removeprefix(part._gateway)
        part.TIMEOUT = timeout_s  # type: ignore[assignment]
    return client


def _translate(error: Exception) -> VendorError | None:
    kind = type(error).__name__
    if kind in ("BentoClientError", "BentoServerError"):
        body = getattr(error, "http_body", None) or str(error)
        detail = getattr(error, "json_body", None)
        said = detail.get("detail") if isinstance(detail, dict) else None
        text = said.get("message", body) if isinstance(said, dict) else said or body
        return refused(
            getattr(error, "http_status", 0), "databento", str(text), getattr(error, "headers", None)
        )
    if kind == "BentoError" and "compression format" in str(error):
        return MalformedAnswer("databento sent a body that is no DBN")
    if kind in ("BentoError", "DBNError") or "empty" in str(error):
        return TemporarilyUnavailable(f"databento sent a body that ends early: {quote(str(error))}")
    return None
