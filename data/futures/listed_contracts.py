"""Contracts with their bars and their last days: what their names, their bars and the rules of their exchange say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from data.bar_sessions import sessions_of
from data.checks.hygiene import inconsistent_rows
from data.errors import DataError
from data.futures.contracts import ContractName, contract_name
from data.futures.expiries import CONTRACTS, ContractRules, python_date
from data.futures.roll_decisions import FuturesConfig
from data.futures.rolls import Contract
from data.schema import PRICE_COLUMNS
from data.traded_prices import COLUMNS

_FARTHEST = np.timedelta64(3_470, "D")
"""9.5 years: a year that is written by one digit is never ten years off."""


def listed_contracts(
    root: str, rows: Mapping[str, pd.DataFrame], config: FuturesConfig, calendar: str, bar_seconds: int
) -> list[Contract]:
    """Contracts that have bars, by their last trading day.

    Parameters
    ----------
    rows : contract -> rows by naive UTC label, ascending and unique.

    Raises
    ------
    DataError
        If a last trading day is not known, or the bars contradict it.
    """
    made = []
    for symbol, own in rows.items():
        if not len(own):
            continue
        clash = [name for name in COLUMNS if name in own]
        if clash:
            raise DataError(
                f"{symbol} has a column {clash[0]!r} of its own; rename it, for rolls are told by it."
            )
        session, inside = sessions_of(own, calendar, bar_seconds)
        known = own[list(PRICE_COLUMNS)].notna().all(axis=1).to_numpy()
        traded = known & ~inconsistent_rows(own) & (own["volume"].to_numpy() > 0.0)
        of = session[inside] if inside.any() else session
        first_bar, last_bar = (np.datetime64(int(of[end]), "D") for end in (0, -1))
        name = contract_name(symbol)
        assert name is not None
        last_day, notice = _days(symbol, name, CONTRACTS.get(root), config, first_bar, last_bar)
        made.append(
            Contract(
                symbol=symbol,
                last_day=last_day,
                first_notice=notice,
                rows=own,
                session=session,
                inside=inside,
                usable=traded,
            )
        )
    if not made:
        raise DataError(f"{root}: none of its contracts {', '.join(rows)} has a bar in the window.")
    made.sort(key=lambda one: one.last_day)
    for one, other in zip(made, made[1:]):
        if one.last_day == other.last_day:
            raise DataError(
                f"{one.symbol} and {other.symbol} both end on {python_date(one.last_day)}: they are two names of one "
                "contract; leave one of them out."
            )
    return made


def _days(
    symbol: str,
    name: ContractName,
    rules: ContractRules | None,
    config: FuturesConfig,
    first_bar: np.datetime64,
    last_bar: np.datetime64,
) -> tuple[np.datetime64, np.datetime64 | None]:
    """Last trading day and first notice day of a contract with bars in the sessions `first_bar` to `last_bar`."""
    stated = config.stated(symbol)
    if stated is None and rules is None:
        raise DataError(
            f"the last trading day of {symbol} is not known: {name.root} is none of {', '.join(sorted(CONTRACTS))}; "
            f"state it: data.futures.expiries.{symbol}=YYYY-MM-DD, and so for each of its contracts."
        )
    if stated is not None:
        if stated < last_bar:
            raise DataError(_outlived(symbol, stated, last_bar, "data.futures.expiries says"))
        return stated, None
    assert rules is not None
    # A name with one or two digits is the contract that was listed next when its first bar was traded. Some end in the
    # year before that of delivery, so that an earlier year is tried first.
    for year in dict.fromkeys(name.years(int(str(first_bar)[:4]) - 1)):
        day = rules.last_day(year, name.month)
        if day < first_bar or ((day - first_bar) > _FARTHEST and name.digits < 4):
            continue
        if day < last_bar:
            raise DataError(_outlived(symbol, day, last_bar, f"the rules of {name.root} say"))
        return day, None if rules.first_notice is None else rules.first_notice(year, name.month)
    raise DataError(
        f"{symbol} has bars from {first_bar} to {last_bar}, and no contract of that name was traded then; correct the "
        f"file or its name, or state its last trading day: data.futures.expiries.{symbol}=YYYY-MM-DD."
    )


def _outlived(symbol: str, ended: np.datetime64, last_bar: np.datetime64, who: str) -> str:
    return (
        f"{symbol} has bars until {last_bar}, and {who} that its last trading day was {ended}; correct the file or its "
        f"name, or state the day: data.futures.expiries.{symbol}=YYYY-MM-DD."
    )
