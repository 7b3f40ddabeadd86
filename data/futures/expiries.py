"""When dated contracts end: last trading days and first notice days by the rules of their exchanges.

Rules are those of the contract specifications of CME Group (CME, CBOT, NYMEX and COMEX rulebooks), as they stand for
contracts that expire in 2009 to 2026. Business days are weekdays without the regular holidays of the NYSE, which CME
settles by; a day on which the NYSE alone was shut (for a storm, for mourning) is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Day = np.datetime64
Rule = Callable[[int, int], Day]
"""Year and month (1 to 12) of delivery -> day."""
_FROM, _TO = "1990-01-01", "2060-01-01"


@dataclass(frozen=True, kw_only=True)
class ContractRules:
    """What the contracts of one root have in common.

    Attributes
    ----------
    last_day : of trading. first_notice : from which day on the holder of a long position may be delivered to; None
        where contracts settle in cash, or notices follow the last day.
    allow_nonpositive_prices : whether the exchange takes orders at zero and below.
    """

    last_day: Rule
    first_notice: Rule | None = None
    allow_nonpositive_prices: bool = False


@lru_cache(maxsize=1)
def _holidays() -> NDArray[np.datetime64]:
    import pandas_market_calendars as market_calendars  # slow, and only expiries need it

    found = market_calendars.get_calendar("NYSE").regular_holidays.holidays(_FROM, _TO)
    return np.asarray(found.to_numpy("datetime64[D]"))


def business_days(day: Day, count: int) -> Day:
    """The business day `count` before (negative) or after `day`; 0 is the day itself, or the one before it."""
    return _offset(day, count, "backward" if count <= 0 else "forward")


def business_days_before(day: Day, count: int) -> Day:
    """The `count`-th business day before `day`, whether or not that is one itself."""
    return _offset(day, -count, "forward")


def _offset(day: Day, count: int, roll: Literal["backward", "forward"]) -> Day:
    found: Day = np.busday_offset(day, count, roll=roll, holidays=_holidays())
    return found


def _first(year: int, month: int, months_later: int = 0) -> Day:
    """First day of a month."""
    return (Day(f"{year:04d}-{month:02d}", "M") + np.timedelta64(months_later, "M")).astype("datetime64[D]")


def _nth(year: int, month: int, number: int, weekday: str) -> Day:
    """The n-th of a weekday in a month, counted from 1."""
    found: Day = np.busday_offset(_first(year, month), number - 1, roll="forward", weekmask=weekday)
    return found


def third_friday(year: int, month: int) -> Day:
    """The third Friday of the month, or the business day before it (CME chapter 358, and those of its kin)."""
    return business_days(_nth(year, month, 3, "Fri"), 0)


def last_friday(year: int, month: int) -> Day:
    """The last Friday of the month, or the business day before it (CME chapter 350, Bitcoin)."""
    friday: Day = np.busday_offset(_first(year, month, 1), -1, roll="forward", weekmask="Fri")
    return business_days(friday, 0)


def three_before_the_25th(year: int, month: int) -> Day:
    """Three business days before the 25th of the month before delivery, four where that is none (NYMEX chapter 200)."""
    day = _first(year, month, -1) + np.timedelta64(24, "D")
    open_then = bool(np.is_busday(day, holidays=_holidays()))
    return business_days_before(day, 3 if open_then else 4)


def one_day_before(rule: Rule) -> Rule:
    """The business day before that of another contract, as the small ones on crude oil end."""
    return lambda year, month: business_days_before(rule(year, month), 1)


def last_business_days(count: int, months_later: int = 0) -> Rule:
    """The `count`-th last business day of a month, counted from that of delivery."""
    return lambda year, month: business_days_before(_first(year, month, months_later + 1), count)


def seven_before_the_last(year: int, month: int) -> Day:
    """The seventh business day before the last one of the month (CBOT chapters 18, 19: bonds, ten-year notes)."""
    return business_days_before(last_business_days(1)(year, month), 7)


def before_third_wednesday(count: int) -> Rule:
    """So many business days before the third Wednesday (CME chapters 251 to 271, currencies)."""
    return lambda year, month: business_days_before(_nth(year, month, 3, "Wed"), count)


def before_the_15th(year: int, month: int) -> Day:
    """The business day before the 15th (CBOT chapters 10, 11, 14: corn, soybeans, wheat)."""
    return business_days_before(_first(year, month) + np.timedelta64(14, "D"), 1)


_NOTICE = last_business_days(1, months_later=-1)
_INDEX = ContractRules(last_day=third_friday)
_COIN = ContractRules(last_day=last_friday)
_METAL = ContractRules(last_day=last_business_days(3), first_notice=_NOTICE)
_LONG_RATE = ContractRules(last_day=seven_before_the_last, first_notice=_NOTICE)
_SHORT_RATE = ContractRules(last_day=last_business_days(1), first_notice=_NOTICE)
_GRAIN = ContractRules(last_day=before_the_15th, first_notice=_NOTICE)
_CURRENCY = ContractRules(last_day=before_third_wednesday(2))
_CRUDE = ContractRules(last_day=three_before_the_25th, allow_nonpositive_prices=True)
_SMALL_CRUDE = ContractRules(last_day=one_day_before(three_before_the_25th), allow_nonpositive_prices=True)
_GAS = ContractRules(last_day=last_business_days(3, months_later=-1), allow_nonpositive_prices=True)
_SMALL_GAS = ContractRules(last_day=last_business_days(4, months_later=-1), allow_nonpositive_prices=True)
_PRODUCT = ContractRules(last_day=last_business_days(1, months_later=-1), allow_nonpositive_prices=True)

CONTRACTS: Mapping[str, ContractRules] = MappingProxyType(
    {
        **dict.fromkeys(("ES", "MES", "NQ", "MNQ", "YM", "MYM", "RTY", "M2K"), _INDEX),
        **dict.fromkeys(("BTC", "MBT", "ETH", "MET"), _COIN),
        **dict.fromkeys(("GC", "SI", "HG", "PL", "PA", "MGC", "SIL"), _METAL),
        **dict.fromkeys(("ZN", "TN", "ZB", "UB"), _LONG_RATE),
        **dict.fromkeys(("ZT", "ZF"), _SHORT_RATE),
        **dict.fromkeys(("ZC", "ZS", "ZW", "KE", "ZM", "ZL"), _GRAIN),
        **dict.fromkeys(("6A", "6B", "6E", "6J", "6N", "6S", "M6A", "M6B", "M6E"), _CURRENCY),
        "6C": ContractRules(last_day=before_third_wednesday(1)),
        "CL": _CRUDE,
        **dict.fromkeys(("MCL", "QM"), _SMALL_CRUDE),
        "NG": _GAS,
        **dict.fromkeys(("QG", "MNG"), _SMALL_GAS),
        **dict.fromkeys(("RB", "HO"), _PRODUCT),
    }
)
"""Root -> rules. What is not here has its last trading days stated in ``data.futures.expiries``."""


def python_date(day: Day) -> date:
    """A day as Python has it."""
    found: date = day.astype("datetime64[D]").astype(object)
    return found
