"""Which dated contract stands behind each bar of a joined series, and which one a session is to be held in.

A panel has the prices of a series alone. Who trades it at a venue needs the contracts: the one that a bar shows, and,
before a session opens, the one that the session is to be held in, by what was known then.

Contracts are counted by their last trading day; sessions are days from 1970-01-01.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.errors import DataError
from data.futures.contracts import contract_name
from data.futures.expiries import python_date


def delivery_month(symbol: str, last_day: np.datetime64) -> str:
    """YYYYMM of the delivery of a contract, such as 202406 of ESM4.

    symbol : root, month code and year. last_day : of trading, from which a year that is written short follows: it
    lies within months of the delivery.

    Raises
    ------
    DataError
        If the symbol is no name of a dated contract.
    """
    name = contract_name(symbol)
    if name is None:
        raise DataError(f"{symbol!r} is no dated contract; write root, month code and year, such as ESH4.")
    ended = python_date(last_day)

    def months_off(year: int) -> int:
        return abs(12 * (year - ended.year) + name.month - ended.month)

    return f"{min(name.years(ended.year - 1), key=months_off)}{name.month:02d}"


def venue_name(root: str, symbol: str, last_day: np.datetime64) -> str:
    """A contract as orders name it: the series and the month of delivery, such as ES:202406."""
    return f"{root}:{delivery_month(symbol, last_day)}"


def series_of(name: str) -> str:
    """The series that a contract's name at a venue belongs to; the name itself where it is none."""
    root, _, month = name.rpartition(":")
    return root if root and len(month) == 6 and month.isdigit() else name


@dataclass(frozen=True, kw_only=True)
class DatedContract:
    """One contract of a series.

    Attributes
    ----------
    symbol : its name in the bars, such as ESM4. name : at a venue, see `venue_name`.
    last_day : datetime64[D], of trading.
    """

    symbol: str
    name: str
    last_day: np.datetime64


@dataclass(frozen=True, kw_only=True)
class ContractRoll:
    """A roll of a series.

    Attributes
    ----------
    bar_utc : datetime64[ns], label of the first bar of the contract that begins.
    begun : its place among the contracts.
    left_at, begun_at : opens in that bar of the contract that is left and of the one that begins.
    """

    bar_utc: np.datetime64
    begun: int
    left_at: float
    begun_at: float

    @property
    def step(self) -> float:
        """Price of the contract that begins less that of the one that is left."""
        return self.begun_at - self.left_at


@dataclass(frozen=True, kw_only=True, eq=False)
class ContractSeries:
    """The contracts of one series, as its bars up to some instant tell them.

    Parameters
    ----------
    symbol : of the series in a panel, such as ES.
    contracts : by last trading day. first : place of the one that the series begins with.
    rolls : in order of time.
    due : session -> place of the contract that it was to be held in, by what was known before it opened.
    due_next : the same for a session after the last one that the bars have.
    """

    symbol: str
    contracts: tuple[DatedContract, ...]
    first: int
    rolls: tuple[ContractRoll, ...]
    due: Mapping[int, int]
    due_next: Callable[[int], int]

    @property
    def held(self) -> tuple[int, ...]:
        """Places of the contracts that the series has shown, in order of time."""
        return (self.first, *(roll.begun for roll in self.rolls))

    def num_rolls(self, bar_utc: np.datetime64) -> int:
        """Rolls in the bars up to this one, itself included."""
        return sum(bool(roll.bar_utc <= bar_utc) for roll in self.rolls)

    def due_in(self, session: int) -> int:
        """Place of the contract that a session is to be held in, as it is known before the session opens."""
        if session in self.due:
            return self.due[session]
        known = list(self.due)
        if not known or session > known[-1]:
            return self.due_next(session)
        before = bisect_right(known, session)
        return self.due[known[before - 1]] if before else self.first

    def place(self, name: str) -> int | None:
        """Place of a contract by its name at a venue; None where the series has none of that name."""
        return next((k for k, one in enumerate(self.contracts) if one.name == name), None)

    def names(self, since: np.datetime64 | None = None) -> tuple[str, ...]:
        """Names at a venue of all contracts, or of those that are traded on a day or after it."""
        return tuple(
            one.name
            for one in self.contracts
            if since is None or one.last_day >= since.astype("datetime64[D]")
        )


def by_symbol(series: Sequence[ContractSeries]) -> dict[str, ContractSeries]:
    """The series by their symbols in the panel."""
    return {one.symbol: one for one in series}
