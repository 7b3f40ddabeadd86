"""Bars and open interest in Databento's own encoding (DBN), from an answer or a file: complete, of one symbol.

A body that is cut off inside its compression still yields the records before the cut, and one cut between two records
looks whole; so the frames are checked here before anything is read. Prices are counts of 1e-9.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray, TimeArray
from data.vendors.definition import MalformedAnswer, TemporarilyUnavailable

SCHEMAS = {60: "ohlcv-1m", 3600: "ohlcv-1h"}
_ZSTANDARD, _DBN = b"\x28\xb5\x2f\xfd", b"DBN"
_PRICE_UNITS = 1e9
_NO_PRICE = np.iinfo(np.int64).max
_COLUMNS = ("open", "high", "low", "close")
STATISTICS = "statistics"
"""The schema that open interest is published in, beside settlement prices and others."""
_OPEN_INTEREST, _DELETED = 9, 2
"""`stat_type` and `update_action` of Databento's StatMsg."""
_NO_QUANTITY = (np.iinfo(np.int32).max, np.iinfo(np.int64).max)
"""A quantity that is not there, in 32 bits until DBN 2 and in 64 from then on."""
KNOWN_FOR = np.timedelta64(7, "D")
"""Age from which on a figure counts as unknown: it comes out every business day."""


@dataclass(frozen=True, kw_only=True)
class DbnBars:
    """Bars of one answer or file.

    Attributes
    ----------
    labels : (N,) opening instants, UTC.
    columns : name -> (N,): open, high, low, close, volume, instrument_id.
    unresolved : symbols that the vendor did not know.
    """

    labels: pd.DatetimeIndex
    columns: dict[str, FloatArray]
    unresolved: tuple[str, ...]


def dbn_bars(data: bytes, bar_seconds: int, where: str, symbol: str | None = None) -> DbnBars:
    """Bars of encoded data.

    Parameters
    ----------
    data : plain or compressed with Zstandard.
    where : the place, for messages.
    symbol : of the bars that are wanted; None takes all, for an answer to a question about one symbol.

    Raises
    ------
    TemporarilyUnavailable
        If the data end early.
    MalformedAnswer
        If they are no DBN, or bars of another length.
    """
    records, store = _records(data, where, SCHEMAS[bar_seconds], symbol, "ts_event")
    prices = {name: records[name].astype(np.int64) for name in _COLUMNS}
    if any((price == _NO_PRICE).any() for price in prices.values()):
        raise MalformedAnswer(f"{where} holds a bar without a price")
    columns = {name: price / _PRICE_UNITS for name, price in prices.items()}
    columns["volume"] = records["volume"].astype(np.float64)
    columns["instrument_id"] = records["instrument_id"].astype(np.float64)
    labels = pd.DatetimeIndex(records["ts_event"].astype(np.int64).astype("datetime64[ns]")).tz_localize(
        "UTC"
    )
    return DbnBars(labels=labels, columns=columns, unresolved=tuple(store.metadata.not_found))


@dataclass(frozen=True, kw_only=True)
class OpenInterest:
    """What was published of one symbol, in order of when it was received.

    Attributes
    ----------
    published_utc : (N,) datetime64[ns]. contracts : (N,) held at the end of the session that the figure is about.
    """

    published_utc: TimeArray
    contracts: FloatArray

    def known_at(self, closes_utc: TimeArray) -> FloatArray:
        """The newest figure that had been published before each of these instants (M,); NaN where none is recent."""
        found = np.full(len(closes_utc), np.nan)
        if not len(self.contracts):
            return found
        at = np.searchsorted(self.published_utc, closes_utc, side="left") - 1
        known = (at >= 0) & (closes_utc - self.published_utc[at] <= KNOWN_FOR)
        found[known] = self.contracts[at[known]]
        return found


def dbn_open_interest(data: bytes, where: str, symbol: str | None = None) -> OpenInterest:
    """Open interest of encoded statistics.

    Parameters
    ----------
    data, where, symbol : as of `dbn_bars`.

    Raises
    ------
    TemporarilyUnavailable
        If the data end early.
    MalformedAnswer
        If they are no DBN, or no statistics.
    """
    records, _ = _records(data, where, STATISTICS, symbol, "ts_recv")
    quantity = records["quantity"].astype(np.int64)
    told = (records["stat_type"] == _OPEN_INTEREST) & (records["update_action"] != _DELETED)
    told &= ~np.isin(quantity, _NO_QUANTITY)
    if (quantity[told] < 0).any():
        raise MalformedAnswer(f"{where} holds a negative open interest")
    order = np.argsort(records["ts_recv"][told], kind="stable")
    return OpenInterest(
        published_utc=records["ts_recv"][told][order].astype(np.int64).astype("datetime64[ns]"),
        contracts=quantity[told][order].astype(np.float64),
    )


def _records(data: bytes, where: str, schema: str, symbol: str | None, at: str) -> tuple[NDArray[Any], Any]:
    """The records of a schema and a symbol, and their store; `at` is the field of their instants."""
    from databento import DBNStore

    plain = _plain(data, where)
    _require_whole(plain, where)
    store: Any = DBNStore.from_bytes(io.BytesIO(plain))
    if str(store.schema) != schema:
        raise MalformedAnswer(f"{where} holds {store.schema}, not {schema}")
    records = np.atleast_1d(store.to_ndarray()).ravel()
    moments = records[at].astype(np.uint64)
    if len(moments) and moments.max() > np.uint64(_NO_PRICE):
        raise MalformedAnswer(f"{where} holds a record without a time")
    if symbol is not None:
        records = records[_of_symbol(records, store.mappings, symbol, at)]
    return records, store


@dataclass(frozen=True, kw_only=True)
class DbnFile:
    """What the header of a file says: its schema, its symbols, and the window [start, end) that was asked for."""

    path: Path
    schema: str
    symbols: tuple[str, ...]
    start: pd.Timestamp
    end: pd.Timestamp


def dbn_file(path: Path) -> DbnFile:
    """The header of a file; its records are not read. A file that does not say where it ends, ends with all time."""
    from databento import DBNStore

    store: Any = DBNStore.from_file(path)
    end = pd.Timestamp.max.tz_localize("UTC") if store.end is None else store.end
    symbols = tuple(store.mappings or store.symbols)
    return DbnFile(path=path, schema=str(store.schema), symbols=symbols, start=store.start, end=end)


def _of_symbol(
    records: NDArray[Any], mappings: dict[str, list[dict[str, Any]]], symbol: str, at: str
) -> BoolArray:
    """Records whose instrument stood for the symbol on their day; a continuous symbol changes it at a roll."""
    days = records[at].astype(np.int64).astype("datetime64[ns]").astype("datetime64[D]")
    wanted = np.zeros(len(records), dtype=bool)
    for interval in mappings.get(symbol, []):
        first, last = (_day(interval[edge]) for edge in ("start_date", "end_date"))
        instrument = records["instrument_id"] == int(interval["symbol"])
        wanted |= instrument & (days >= first) & (days < last)
    return wanted


def _day(value: date) -> np.datetime64:
    return np.datetime64(value, "D")


def _plain(data: bytes, where: str) -> bytes:
    """The data without compression."""
    if not data:
        raise TemporarilyUnavailable(f"{where} is empty")
    if data.startswith(_DBN):
        return data
    if not data.startswith(_ZSTANDARD):
        raise MalformedAnswer(f"{where} is no DBN")
    import zstandard  # comes with the client

    parts = []
    while data:
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            parts.append(frame.decompress(data))
        except zstandard.ZstdError:
            raise TemporarilyUnavailable(f"{where} is damaged inside its compression") from None
        if not frame.eof:
            raise TemporarilyUnavailable(f"{where} ends early inside its compression")
        data = frame.unused_data
    plain = b"".join(parts)
    if not plain.startswith(_DBN):
        raise MalformedAnswer(f"{where} is no DBN")
    return plain


def _require_whole(plain: bytes, where: str) -> None:
    """Raise unless the header and every record end where they say; a record begins with its length in words."""
    at = 8 + int.from_bytes(plain[4:8], "little")
    while at < len(plain):
        words = plain[at]
        if words == 0:
            raise MalformedAnswer(f"{where} holds a record of no length")
        at += 4 * words
    if at != len(plain):
        raise TemporarilyUnavailable(f"{where} ends early inside a record")
