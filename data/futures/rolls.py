"""When contracts are rolled: which one is held in each session, and in which bar the next one takes over.

A roll happens in the first bar of its session in which both contracts were traded. What decides it was over before
that session opened: the volume or the open interest of earlier sessions, or the calendar.

Axes: S session, C contract (by last trading day), N bars of one contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray
from data.calendars import minute
from data.errors import DataError
from data.futures.expiries import business_days, python_date
from data.futures.roll_decisions import RollConfig

OPEN_INTEREST = "open_interest"


@dataclass(frozen=True, kw_only=True, eq=False)
class Contract:
    """Bars of one contract.

    Attributes
    ----------
    symbol : its name. last_day : of trading. first_notice : from which a long position may be delivered to, if any.
    rows : (N,) bars by naive UTC label, ascending and unique. session : (N,) days from 1970-01-01.
    inside : (N,) bars within a session's hours. usable : (N,) of these the consistent ones with volume.
    """

    symbol: str
    last_day: np.datetime64
    first_notice: np.datetime64 | None
    rows: pd.DataFrame
    session: NDArray[np.int64]
    inside: BoolArray
    usable: BoolArray


class Roll(NamedTuple):
    """From which row of one contract on the rows of another count, by their places in the two."""

    old: int
    new: int
    old_row: int
    new_row: int


class RollPlan(NamedTuple):
    """The contract that a series begins with, its rolls in order of time, and what led to them.

    Attributes
    ----------
    due : session -> contract to be in, by what was known before the session opened.
    due_next : the same for a session after the last one.
    """

    begun: int
    rolls: list[Roll]
    due: Mapping[int, int]
    due_next: Callable[[int], int]


def rolls_of(contracts: Sequence[Contract], config: RollConfig, root: str) -> RollPlan:
    """When a series of contracts is rolled.

    Raises
    ------
    DataError
        If a contract ended and no bar shows it beside the next one, or open interest is asked for and not there.
    """
    sessions = np.unique(np.concatenate([one.session[one.inside] for one in contracts]))
    strength = _strength(contracts, sessions, config, root)
    last = np.array([int(one.last_day.astype(np.int64)) for one in contracts])
    leave = last
    if config.rule == "days_before_expiry":
        days = [business_days(one.last_day, -config.days) for one in contracts]
        leave = np.array([int(day.astype(np.int64)) for day in days])
    held = begun = _first(contracts, sessions[0], leave)
    found: list[Roll] = []
    due: dict[int, int] = {}
    for i, session in enumerate(sessions):
        wanted = due[int(session)] = _wanted(i, int(session), held, strength, leave, config)
        if wanted == held:
            continue
        rows = _first_common(contracts[held], contracts[wanted], int(session))
        if rows is None:
            if session > last[held]:
                raise DataError(_unrolled(contracts[held], contracts[wanted]))
            continue
        found.append(Roll(held, wanted, *rows))
        held = wanted
    after = partial(
        _wanted_next, num_sessions=len(sessions), held=held, strength=strength, leave=leave, config=config
    )
    return RollPlan(begun, found, due, after)


def _wanted_next(
    session: int,
    *,
    num_sessions: int,
    held: int,
    strength: FloatArray,
    leave: NDArray[np.int64],
    config: RollConfig,
) -> int:
    """The contract to be in during the session that follows the last one of the bars."""
    return _wanted(num_sessions, session, held, strength, leave, config)


def _strength(
    contracts: Sequence[Contract], sessions: NDArray[np.int64], config: RollConfig, root: str
) -> FloatArray:
    """(S, C) volume or open interest of each contract's sessions; -1 where it has no bar, NaN nowhere."""
    table = np.full((len(sessions), len(contracts)), -1.0)
    if config.rule == "days_before_expiry":
        return table
    name = "volume" if config.rule == "volume" else OPEN_INTEREST
    for c, one in enumerate(contracts):
        if name not in one.rows:
            raise DataError(
                f"{one.symbol} has no column {name!r}, and data.futures.roll.rule is {config.rule} of {root}; give "
                "bars with it, or set the rule to volume or days_before_expiry."
            )
        values = pd.Series(one.rows[name].to_numpy()[one.inside], index=one.session[one.inside]).dropna()
        by_session = values.groupby(level=0)
        of = by_session.sum() if name == "volume" else by_session.last()
        table[np.searchsorted(sessions, of.index.to_numpy()), c] = of.to_numpy()
    return table


def _first(contracts: Sequence[Contract], session: np.int64, leave: NDArray[np.int64]) -> int:
    """The nearest contract that has bars in the first session and is not to be left in it."""
    here = [c for c, one in enumerate(contracts) if (one.session[one.inside] == session).any()]
    return next((c for c in here if leave[c] > session), here[-1])


def _wanted(
    i: int,
    session: int,
    held: int,
    strength: FloatArray,
    leave: NDArray[np.int64],
    config: RollConfig,
) -> int:
    """The contract to be in during session number i, by what was known before it opened."""
    later = np.arange(held + 1, len(leave))
    later = later[leave[later] > session]
    if not len(later):
        return held
    due = leave[held] <= session
    if config.rule == "days_before_expiry":
        return int(later[0]) if due else held
    if i < config.delay_sessions:
        return int(later[0]) if due else held
    known = strength[i - config.delay_sessions]
    best = int(later[np.argmax(known[later])])
    if known[best] > known[held]:
        return best
    return (best if known[best] > 0.0 else int(later[0])) if due else held


def _first_common(old: Contract, new: Contract, session: int) -> tuple[int, int] | None:
    """Rows of the first bar of a session that both contracts traded in."""
    here, there = (np.flatnonzero((one.session == session) & one.usable & one.inside) for one in (old, new))
    left, begun = (
        one.rows.index.to_numpy("datetime64[ns]")[rows] for one, rows in ((old, here), (new, there))
    )
    _, at_old, at_new = np.intersect1d(left, begun, assume_unique=True, return_indices=True)
    return (int(here[at_old[0]]), int(there[at_new[0]])) if len(at_old) else None


def _unrolled(old: Contract, new: Contract) -> str:
    ends = minute(old.rows.index[-1].to_datetime64()) if len(old.rows) else "nowhere"
    begins = minute(new.rows.index[0].to_datetime64()) if len(new.rows) else "nowhere"
    return (
        f"{old.symbol} cannot be rolled into {new.symbol}: it was to be left by {python_date(old.last_day)}, its last "
        f"trading day, and they have no traded bar in common in a session in which it was due ({old.symbol} ends at "
        f"{ends}, {new.symbol} begins at {begins}), so that the step between their prices is not known; give bars of "
        "both that overlap, or set data.futures.roll.rule=days_before_expiry with more data.futures.roll.days."
    )
