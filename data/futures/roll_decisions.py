"""Decisions about dated contracts: when one is left for the next, and how their prices are joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from data.errors import DataError
from data.futures.contracts import contract_name


@dataclass(frozen=True, kw_only=True)
class RollConfig:
    """When a contract is left, and what becomes of the step in price.

    Parameters
    ----------
    rule : "volume" or "open_interest" of a later contract above that of the one that is held, or
        "days_before_expiry"; None joins nothing, so that contracts are symbols of their own.
    days : of the last rule, business days before the last trading day.
    delay_sessions : of the first two, sessions between the one that decides and the one that opens in the next
        contract: 1 is yesterday's.
    adjust : "difference" or "ratio" takes the steps out of what features see, "none" leaves them in. Fills and marks
        are at the contracts' own prices in any case.
    """

    rule: Literal["volume", "open_interest", "days_before_expiry"] | None
    days: int
    delay_sessions: int
    adjust: Literal["difference", "ratio", "none"]

    def __post_init__(self) -> None:
        if self.days < 0:
            raise DataError(
                f"days is {self.days}; give business days before the last trading day, 0 for that day itself."
            )
        if self.delay_sessions < 1:
            raise DataError(
                f"delay_sessions is {self.delay_sessions}; a session is over before it can decide: give 1 or more."
            )


@dataclass(frozen=True, kw_only=True)
class FuturesConfig:
    """How dated contracts become series.

    Parameters
    ----------
    roll : when, and at which prices.
    expiries : contract -> last trading day, such as {FDAXH4: 2024-03-15}, of roots that `data.futures.expiries` does
        not know, or in place of what it says.
    """

    roll: RollConfig
    expiries: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for symbol, day in self.expiries.items():
            if contract_name(symbol) is None:
                raise DataError(
                    f"expiries names {symbol!r}, which is no dated contract: write root, month code and year, "
                    "such as FDAXH4."
                )
            try:
                np.datetime64(str(day), "D")
            except ValueError as error:
                raise DataError(
                    f"expiries.{symbol} is {day!r}; write its last trading day as 2024-03-15."
                ) from error

    @property
    def joins(self) -> bool:
        """Whether contracts are joined at all."""
        return self.roll.rule is not None

    def stated(self, symbol: str) -> np.datetime64 | None:
        """The last trading day that is stated of a contract."""
        day = self.expiries.get(symbol)
        return None if day is None else np.datetime64(str(day), "D")
