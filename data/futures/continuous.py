"""One series of dated contracts: adjusted forward for what features see, with what leads back to traded prices.

The first contract's prices stand as they are. At each roll the next contract is moved by the step between the opens of
the two in the bar of the roll, and so is every contract after it: what is past never changes, and no later roll shows
in it (adjusting backward from the newest contract would rewrite the whole past with every roll). `data.traded_prices`
says what the columns mean that are added.

N bars of a symbol, in order of time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.array_types import TimeArray
from data.calendars import minute
from data.checks.hygiene import require_usable
from data.errors import DataError
from data.futures.chains import chains_of, may_be_nonpositive
from data.futures.contract_series import ContractRoll, ContractSeries, DatedContract, venue_name
from data.futures.listed_contracts import listed_contracts
from data.futures.roll_decisions import FuturesConfig
from data.futures.rolls import Contract, Roll, RollPlan, rolls_of
from data.repair_decisions import Repairs
from data.repairs import without_duplicates
from data.schema import FURTHER_PRICES, PRICE_COLUMNS
from data.traded_prices import DECIMALS, OFFSET, ROLL, SCALE

_SHOWN = 8
"""Rolls that a remark lists."""


class Joined(NamedTuple):
    """Rows per symbol, contracts joined.

    Attributes
    ----------
    rows : symbol or root -> rows. remarks : sentences on what was joined.
    series : root -> its contracts, and the bars in which it was rolled.
    """

    rows: dict[str, pd.DataFrame]
    remarks: list[str]
    series: dict[str, ContractSeries]

    @property
    def rolls(self) -> dict[str, TimeArray]:
        """Root -> labels of the bars in which it was rolled."""
        return {
            root: np.array([roll.bar_utc for roll in one.rolls], "datetime64[ns]")
            for root, one in self.series.items()
        }


def join_all(
    bars: Mapping[str, pd.DataFrame],
    wanted: Sequence[str],
    config: FuturesConfig,
    *,
    calendar: str,
    bar_seconds: int,
    repairs: Repairs,
    nonpositive: Collection[str],
) -> Joined:
    """Join the contracts of each wanted root; the other symbols stay as they are.

    Parameters
    ----------
    bars : symbol -> rows as traded, as `data.alignment.align` takes them.
    wanted : roots and symbols, in the order of the asset axis; empty for all there are.
    repairs : of which those of duplicates are done before anything is joined.
    nonpositive : what is stated of symbols whose prices may be zero and below, see `may_be_nonpositive`.

    Raises
    ------
    DataError
        If nothing is to be joined, or contracts cannot be; see `join_contracts`.
    """
    chains = chains_of(list(bars), wanted, config)
    if not chains.contracts and wanted:
        named = f"{', '.join(wanted)}: symbols of their own, which data.futures.roll does not concern"
        return Joined({name: bars[name] for name in wanted}, [named], {})
    if not chains.contracts:
        raise DataError(
            f"data.futures.roll.rule is {config.roll.rule}, and of the symbols {', '.join(bars)} none is a dated "
            "contract of a root that is known: contracts are called by root, month code and year, such as ESH4; "
            "rename them, or set data.futures.roll.rule=null."
        )
    rows: dict[str, pd.DataFrame] = {}
    remarks: list[str] = []
    series: dict[str, ContractSeries] = {}
    for name in wanted or [*chains.contracts, *chains.alone]:
        if name not in chains.contracts:
            rows[name] = bars[name]
            continue
        repaired = without_duplicates({symbol: bars[symbol] for symbol in chains.contracts[name]}, repairs)
        for symbol, own in repaired.rows.items():
            allowed = bool(may_be_nonpositive([symbol, name], nonpositive))
            if len(own):
                require_usable(symbol, own, nonpositive=allowed)
            if len(own) < len(bars[symbol]):
                again = len(bars[symbol]) - len(own)
                remarks.append(f"{symbol}: {again:,} rows of a time that occurred before are left out")
        rows[name], told, series[name] = join_contracts(
            name, repaired.rows, config, calendar=calendar, bar_seconds=bar_seconds
        )
        remarks += told
    return Joined(rows, remarks, series)


def join_contracts(
    root: str, rows: Mapping[str, pd.DataFrame], config: FuturesConfig, *, calendar: str, bar_seconds: int
) -> tuple[pd.DataFrame, list[str], ContractSeries]:
    """Join the contracts of one root.

    Parameters
    ----------
    rows : contract -> rows as traded, by naive UTC label, ascending and unique, with float64 columns open, high, low,
        close, volume and others.

    Returns
    -------
    Rows of the series, remarks on it, and its contracts.

    Raises
    ------
    DataError
        If a contract's last trading day is not known or its bars contradict it, or a roll cannot be made.
    """
    contracts = listed_contracts(root, rows, config, calendar, bar_seconds)
    plan = rolls_of(contracts, config.roll, root)
    begun, rolls = plan.begun, plan.rolls
    parts, steps = [], []
    scale, offset, start = 1.0, 0.0, 0
    for roll, following in zip((None, *rolls), (*rolls, None), strict=True):
        if roll is not None:
            old, new = (
                float(contracts[c].rows["open"].iloc[row])
                for c, row in ((roll.old, roll.old_row), (roll.new, roll.new_row))
            )
            steps.append((old, new))
            offset, scale = _further(config.roll.adjust, offset, scale, old, new, contracts[roll.new].symbol)
        held = contracts[begun if roll is None else roll.new]
        part = held.rows.iloc[start : None if following is None else following.old_row]
        parts.append(
            _adjusted(part, config.roll.adjust, offset, scale, None if roll is None else steps[-1][0])
        )
        start = 0 if following is None else following.new_row
    told = _remarks(root, contracts, begun, rolls, steps, config)
    return pd.concat(parts), told, _series(root, contracts, plan, steps)


def _series(
    root: str, contracts: list[Contract], plan: RollPlan, steps: list[tuple[float, float]]
) -> ContractSeries:
    """What stands behind the bars. steps : opens of the two contracts of each roll."""
    return ContractSeries(
        symbol=root,
        contracts=tuple(
            DatedContract(
                symbol=one.symbol, name=venue_name(root, one.symbol, one.last_day), last_day=one.last_day
            )
            for one in contracts
        ),
        first=plan.begun,
        rolls=tuple(
            ContractRoll(
                bar_utc=contracts[roll.new].rows.index[roll.new_row].to_datetime64(),
                begun=roll.new,
                left_at=old,
                begun_at=new,
            )
            for roll, (old, new) in zip(plan.rolls, steps, strict=True)
        ),
        due=plan.due,
        due_next=plan.due_next,
    )


def _further(
    adjust: str, offset: float, scale: float, old: float, new: float, symbol: str
) -> tuple[float, float]:
    """Offset and scale of the next contract, whose open is `new` where that of the one that is left is `old`."""
    if adjust == "difference":
        return round(offset + (new - old), DECIMALS), scale
    if adjust == "ratio":
        if old <= 0.0 or new <= 0.0:
            raise DataError(
                f"{symbol} is rolled into at a price of {new:g}, from {old:g}: prices of zero and below have no "
                "ratio; set data.futures.roll.adjust=difference."
            )
        return offset, scale * (new / old)
    return offset, scale


def _adjusted(
    rows: pd.DataFrame, adjust: str, offset: float, scale: float, left_at: float | None
) -> pd.DataFrame:
    """Rows of one contract as part of the series; left_at : open of the contract before it, None for the first one."""
    rolls = np.full(len(rows), np.nan)
    if left_at is not None:
        rolls[0] = left_at
    if adjust == "none":
        return rows.assign(**{ROLL: rolls})
    names = [name for name in (*PRICE_COLUMNS, *FURTHER_PRICES) if name in rows]
    if adjust == "difference":
        prices = {name: np.round(rows[name].to_numpy() - offset, DECIMALS) for name in names}
        return rows.assign(**prices, **{OFFSET: offset, ROLL: rolls})
    prices = {name: rows[name].to_numpy() / scale for name in names}
    return rows.assign(**prices, **{SCALE: scale, ROLL: rolls})


def _remarks(
    root: str,
    contracts: list[Contract],
    begun: int,
    rolls: list[Roll],
    steps: list[tuple[float, float]],
    config: FuturesConfig,
) -> list[str]:
    roll = config.roll
    rule = (
        f"{roll.days} business days before the last trading day"
        if roll.rule == "days_before_expiry"
        else (f"the {str(roll.rule).replace('_', ' ')} of {roll.delay_sessions} session(s) before")
    )
    told = [
        f"{contracts[one.old].symbol} to {contracts[one.new].symbol} at "
        f"{minute(contracts[one.new].rows.index[one.new_row].to_datetime64())} ({old:g} to {new:g})"
        for one, (old, new) in zip(rolls, steps, strict=True)
    ]
    shown = "; ".join(told[:_SHOWN]) + (f"; and {len(told) - _SHOWN} more" if len(told) > _SHOWN else "")
    used = {begun, *(one.new for one in rolls)}
    idle = [one.symbol for c, one in enumerate(contracts) if c not in used]
    remarks = [
        f"{root}: one series of {len(used)} contracts from {contracts[begun].symbol} on, rolled by {rule}, prices "
        f"adjusted by {roll.adjust}" + (f": {shown}" if told else "; no roll falls into the bars"),
    ]
    if idle:
        remarks.append(f"{root}: never held were {', '.join(idle)}")
    for one in rolls:
        old = contracts[one.old]
        left = np.datetime64(int(old.session[one.old_row]), "D")
        if old.first_notice is not None and left > old.first_notice:
            remarks.append(
                f"{root}: {old.symbol} is held until {left}, after its first notice day {old.first_notice}, from which "
                "on a long position may be delivered to; set data.futures.roll.days higher"
            )
    return remarks
