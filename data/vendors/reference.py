"""Reference data beside bars: splits, dividends, listings with the day they ended, a universe as of a date.

A vendor offers what it has by methods of these names; `isinstance(vendor, CorporateActions)` asks whether it does.
Dates are those of the exchange. Empty is an answer, what a vendor lacks altogether is `AnswerRefused`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol, runtime_checkable

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Split:
    """`new_shares` for `old_shares` from the opening of `ex_date` on: 4 for 1 has new_shares=4, old_shares=1."""

    symbol: str
    ex_date: date
    new_shares: float
    old_shares: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(shares) and shares > 0 for shares in (self.new_shares, self.old_shares)):
            raise ValueError(
                f"the split of {self.symbol} on {self.ex_date} is {self.new_shares} for {self.old_shares}; both must "
                "be positive"
            )

    @property
    def factor(self) -> float:
        """What shares held over the split are multiplied by, and prices before it are divided by."""
        return self.new_shares / self.old_shares


@dataclass(frozen=True, kw_only=True)
class Dividend:
    """Cash per share, owed to who holds at the close before `ex_date`.

    Parameters
    ----------
    currency : ISO code; empty where the vendor does not say.
    cash_per_share : in `currency`, per share as it was at the time, or as of today after later splits.
    split_adjusted : True if it is per share as of today, False as of then, None where the vendor does not say.
    declared_on, paid_on : None where the vendor does not say.
    """

    symbol: str
    ex_date: date
    cash_per_share: float
    currency: str
    split_adjusted: bool | None
    declared_on: date | None = None
    paid_on: date | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.cash_per_share) or self.cash_per_share < 0:
            raise ValueError(
                f"the dividend of {self.symbol} on {self.ex_date} is {self.cash_per_share}; it must be at least 0"
            )


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A symbol that is or was listed; the same symbol may have several over the years.

    Parameters
    ----------
    kind : as the vendor writes it, such as CS, ETF, Stock. listed_on, delisted_on : None where not known, or not yet.
    """

    symbol: str
    name: str
    exchange: str
    kind: str
    listed_on: date | None
    delisted_on: date | None


@dataclass(frozen=True, kw_only=True)
class PricedListing:
    """A listing with its last known session at a date: what a universe is chosen by.

    Parameters
    ----------
    session : date of the prices, at or before the date of the universe.
    close, volume : as traded on that session, not adjusted for what came later.
    """

    listing: Listing
    session: date
    close: float
    volume: float


@runtime_checkable
class CorporateActions(Protocol):
    """A vendor with splits and dividends."""

    def splits(self, symbol: str, first: date, last: date) -> Sequence[Split]:
        """Splits whose ex-date lies in [first, last], in order of it."""

    def dividends(self, symbol: str, first: date, last: date) -> Sequence[Dividend]:
        """Cash dividends whose ex-date lies in [first, last], in order of it."""


@runtime_checkable
class Listings(Protocol):
    """A vendor that knows what was listed at a date, those included that ended since."""

    def listings(self, as_of: date) -> Sequence[Listing]:
        """Everything listed on that date, by symbol."""

    def delisted(self, as_of: date) -> Sequence[Listing]:
        """What had been listed before and was not on that date any more, with the day on which it ended where known."""


@runtime_checkable
class PricedUniverse(Protocol):
    """A vendor that knows what everything cost at a date."""

    def universe(self, as_of: date) -> Sequence[PricedListing]:
        """Everything listed on that date with the last close at or before it; nothing after that date is in it."""


@runtime_checkable
class OptionChains(Protocol):
    """A vendor with option chains as of now."""

    def option_chain(self, underlying: str) -> pd.DataFrame:
        """One row a contract: expiration, strike, kind (call, put) and what the vendor quotes (NaN: no quote)."""
