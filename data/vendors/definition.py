"""What a vendor of bars is: a request is cut into pieces, each piece is one delivery, each delivery keeps its origin.

The lake (`data.lake`) stores deliveries, and `rayjobs.ingest` decides which piece is asked for when. A vendor only
knows its own client: it does not wait, retry, write or log a key. What went wrong it says by one of the errors
below, and the caller does what that kind asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import pandas as pd

from data.errors import DataError

Adjustment = Literal["raw", "splits", "all"]


@dataclass(frozen=True, kw_only=True)
class BarRequest:
    """Bars of one symbol.

    Parameters
    ----------
    symbol : as the user writes it; the vendor's own spelling is the vendor's business.
    bar_seconds : length of a bar, seconds; 60, 300, 900, 1800, 3600, 14400 or 86400 where the vendor has it.
    start_utc, stop_utc : window [start, stop) of opening instants, UTC.
    adjustment : prices as traded, adjusted for splits, or for splits and dividends. A vendor refuses what it lacks.
    """

    symbol: str
    bar_seconds: int
    start_utc: pd.Timestamp
    stop_utc: pd.Timestamp
    adjustment: Adjustment = "raw"

    def __post_init__(self) -> None:
        for name in ("start_utc", "stop_utc"):
            if getattr(self, name).tzinfo is None:
                raise ValueError(f"{name} {getattr(self, name)} has no zone; give it in UTC")
        if self.stop_utc <= self.start_utc:
            raise ValueError(
                f"the request of {self.symbol} ends at {self.stop_utc}, not after its start {self.start_utc}"
            )
        if self.bar_seconds <= 0:
            raise ValueError(f"bar_seconds is {self.bar_seconds}; it must be the positive length of a bar")


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What a vendor sent for one piece of a request.

    Attributes
    ----------
    rows : index `timestamp_utc` (opening instants, UTC, ascending, unique), float64 columns open, high, low, close,
        volume, and further columns as the vendor has them (vwap, trades, funding_rate, ...). Empty where the vendor
        says that there was nothing. Every row lies in the window that was asked for.
    source_uri : where the rows come from, without any key: such as `massive:/v2/aggs/ticker/SPY/range/1/minute/...`.
    calls : requests that the vendor counts, pages included.
    complete_to_utc : up to which instant the vendor has everything by now; later bars may still come (a day that runs,
        a delayed feed). None: all that was asked for.
    """

    rows: pd.DataFrame
    source_uri: str
    calls: int
    complete_to_utc: pd.Timestamp | None = None


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How often a vendor may be asked.

    Parameters
    ----------
    calls_per_minute, calls_per_day : None means without a limit.
    at_a_time : requests that may be open side by side.
    """

    calls_per_minute: float | None
    calls_per_day: int | None
    at_a_time: int


class VendorError(DataError):
    """A vendor did not give what was asked for. Never holds a key."""


class KeyRefused(VendorError):
    """The key is missing, wrong, or not entitled to this: asking again does not help."""


class AnswerRefused(VendorError):
    """The vendor knows no such symbol, bar size or range: asking again does not help, other pieces may succeed."""


class RateLimited(VendorError):
    """Too many requests: the whole vendor rests for `retry_after_s` seconds (None: it did not say)."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TemporarilyUnavailable(VendorError):
    """A broken connection, a time-out, a 5xx, a body that ends early: the same piece is asked for again."""


class MalformedAnswer(VendorError):
    """An answer that is not what the vendor documents (wrong types, prices that are text): nothing of it is kept."""


@runtime_checkable
class Vendor(Protocol):
    """A vendor of bars. Objects are made in the process that asks, from the config alone (it can be pickled)."""

    @property
    def name(self) -> str:
        """The name in `data.vendors.VENDORS`."""

    @property
    def budget(self) -> Budget:
        """How often it may be asked."""

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """Cut a request into pieces that are fetched and stored one by one; together they are the request.

        Raises
        ------
        AnswerRefused
            If the vendor has no such bar size or adjustment.
        """

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for one piece, all pages of it.

        Raises
        ------
        VendorError
            One of its kinds.
        """


@runtime_checkable
class Following(Protocol):
    """A vendor that keeps bars up to date by itself, so that a live loop need not ask for each."""

    def follow(self, request: BarRequest) -> pd.DataFrame:
        """The bars of a request that runs up to now which are over, as rows of a `Delivery`.

        Called again and again with a later start. What an outage left out is there too, for a bar that is missing is
        asked for before it is left out.

        Raises
        ------
        VendorError
            One of its kinds; call again.
        """
