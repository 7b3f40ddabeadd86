"""Databento: bars of futures (GLBX.MDP3) and other datasets over its HTTP interface, or from DBN files at hand.

A symbol is a raw one (ESH4) or a continuous one (ES.c.0, ES.v.0, ES.n.0: by calendar, volume, open interest); a
continuous one is not adjusted at its rolls, and the column `instrument_id` changes there. Prices are as traded, of
zero and below as well. Days are not offered: Databento's run from midnight to midnight UTC and cut a session of Globex
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

from data.vendors.clients import require_client
from data.vendors.clock import over_by, utc_now
from data.vendors.dbn import SCHEMAS, DbnBars, DbnFile, dbn_bars, dbn_file
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
_SETTLED = pd.Timedelta(2, "D")
"""Older data are there for certain, and the vendor is not asked how far it has come."""


@dataclass(frozen=True, kw_only=True)
class Databento:
    """The vendor `databento`.

    Parameters
    ----------
    dataset : such as GLBX.MDP3.
    path : a DBN file, or a folder of them (*.dbn, *.dbn.zst), to read instead of asking; None asks.
    base_url : of the HTTP interface.
    delay_seconds : how far the plan is behind: 86400 where the last 24 hours need a licence that it lacks.
    timeout_s : for connecting, and for each read.
    now : the clock of this machine.
    """

    name: ClassVar[str] = "databento"

    dataset: str = "GLBX.MDP3"
    path: str | None = None
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
        return delivery(
            piece, bars.labels, bars.columns, vendor=self.name, source_uri=uri, calls=calls + 1, over_by=over
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
        def answered() -> bytes:
            with warnings.catch_warnings():
                warnings.simplefilter(
                    "ignore"
                )  # that a day is empty is an answer; what is cut is found below
                store = client.timeseries.get_range(
                    dataset=self.dataset,
                    symbols=piece.symbol,
                    schema=SCHEMAS[piece.bar_seconds],
                    stype_in="continuous" if _CONTINUOUS.fullmatch(piece.symbol) else "raw_symbol",
                    start=piece.start_utc,
                    end=stop,
                )
            return bytes(store.raw)

        data = ask(answered, self.name, [key], _translate)
        return ask(lambda: dbn_bars(data, piece.bar_seconds, "databento's answer"), self.name, [key])

    def _available(self, client: Any, key: str, piece: BarRequest) -> pd.Timestamp:
        """Up to which instant the dataset has come."""
        found = ask(lambda: client.metadata.get_dataset_range(self.dataset), self.name, [key], _translate)
        schemas = found.get("schema") if isinstance(found, dict) else None
        own = schemas.get(SCHEMAS[piece.bar_seconds]) if isinstance(schemas, dict) else None
        told = (own or found).get("end") if isinstance(found, dict) else None
        try:
            end = pd.Timestamp(told)
        except (TypeError, ValueError):
            end = pd.NaT
        if end is pd.NaT or end is None:
            raise MalformedAnswer(f"databento sent {quote(repr(told))} as the end of {self.dataset}")
        end = end.tz_localize("UTC") if end.tzinfo is None else end.tz_convert("UTC")
        return over_by(piece, end, 0.0)

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

    def _files(self, request: BarRequest) -> list[DbnFile]:
        """Headers of the files that have the symbol in bars of this length."""
        path = Path(self.path or "")
        kinds = ("*.dbn", "*.dbn.zst")
        paths = sorted(file for kind in kinds for file in path.rglob(kind)) if path.is_dir() else [path]
        if not paths or not paths[0].is_file():
            raise AnswerRefused(f"the option path is {path}, where no file *.dbn or *.dbn.zst is")
        headers = [_header_of(file) for file in paths]
        schema = SCHEMAS[request.bar_seconds]
        offered = sorted({symbol for file in headers if file.schema == schema for symbol in file.symbols})
        if request.symbol not in offered:
            listed = ", ".join(offered[:8]) or f"no {schema}"
            raise AnswerRefused(f"the files of {path} hold {listed}, and no {request.symbol}")
        return [file for file in headers if file.schema == schema and request.symbol in file.symbols]


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
