"""Files that are parts of one series: `BTC-2024-01.csv`, `BTC-2024-02.csv`, or `BTCUSDT_1.csv`, `BTCUSDT_2.csv`.

A name that ends in a date is that of a part, and so may be one that ends in a number. Parts are joined in order of
time where they do not overlap, or where they agree on the rows that they share; otherwise they are refused, or, if only
numbers tell them apart and they run side by side, they are assets of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from data.checks.hygiene import JUMP_RATIO
from data.errors import DataError
from data.schema import BAR_COLUMNS

_YEAR = r"(?:19|20)\d{2}"
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_DATE = rf"(?:{_YEAR}[-_.]{_MONTH}(?:[-_.]{_DAY})?|{_YEAR}{_MONTH}{_DAY}|{_YEAR}[-_.]?(?:Q[1-4]|W\d{{2}}))"
_DATES = rf"{_DATE}(?:[-_. ]+(?:to[-_. ]+)?{_DATE})?"
_DATED = re.compile(rf"^(?P<name>.+?)[-_. ]+{_DATES}$", re.IGNORECASE)
_DATED_BEFORE = re.compile(rf"^{_DATES}[-_. ]+(?P<name>.+)$", re.IGNORECASE)
_ONLY_DATE = re.compile(rf"^{_DATES}$", re.IGNORECASE)
# A year alone is a number: 1988 and 2007 are stocks of Hong Kong, too.
_NUMBERED = re.compile(
    rf"^(?P<name>.+?)(?:[-_. ]*\((?P<copy>\d{{1,3}})\)|[-_. ]+(?P<years>{_YEAR}[-_. ]+{_YEAR})"
    r"|[-_. ]+(?:part|chunk|file|p)?[-_. ]?(?P<part>\d{1,6}))$",
    re.IGNORECASE,
)
_INTERVAL = re.compile(r"^(?P<name>.+?)[-_. ]+\d{1,3}(?:s|m|min|mins|h|hr|d|day|w|mo)$", re.IGNORECASE)


class Group(NamedTuple):
    """Files of one instrument: its name, their stems in order of name, and whether they are parts by their dates."""

    name: str
    stems: tuple[str, ...]
    dated: bool


def group_parts(stems: Sequence[str], folder: str) -> list[Group]:
    """Return the instruments that files with these names seem to be of, in the order of their first files.

    Parameters
    ----------
    stems : names of files without suffix, in order.
    folder : name of their directory, which names the instrument of files that are called by a date alone.
    """
    dated: dict[str, list[str]] = {}
    for stem in stems:
        name = _dated_name(stem, folder)
        if name is not None:
            dated.setdefault(name, []).append(stem)
    rest = [stem for stem in stems if _dated_name(stem, folder) is None]
    groups = []
    for name, parts in dated.items():
        whole = [stem for stem in rest if stem.casefold() == name.casefold()]
        rest = [stem for stem in rest if stem not in whole]
        alone = len(parts) == 1 and not whole
        groups.append(Group(parts[0] if alone else name, tuple(whole + sorted(parts)), not alone))
    numbered: dict[str, list[str]] = {}
    for stem in rest:
        match = _NUMBERED.match(stem)
        if match:
            numbered.setdefault(match["name"], []).append(stem)
    for name, parts in numbered.items():
        members = ([name] if name in rest else []) + sorted(parts, key=_number)
        if len(members) > 1:
            groups.append(Group(name, tuple(members), False))
            rest = [stem for stem in rest if stem not in members]
    groups += [Group(stem, (stem,), False) for stem in rest]
    place = {stem: index for index, stem in enumerate(stems)}
    return sorted(groups, key=lambda group: min(place[stem] for stem in group.stems))


def named_by_date(stem: str) -> bool:
    """True if a file is called by a date alone, which says nothing of what it is of."""
    return _ONLY_DATE.match(stem) is not None


def join_parts(group: Group, parts: Mapping[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Join the rows of a group's files to one series, or find that they are several assets.

    Parameters
    ----------
    parts : stem -> rows, indexed by naive UTC label, in order of time.

    Returns
    -------
    symbol -> rows, and remarks. Files that are numbered, not dated, and run side by side with prices of their own
    are assets of their own, under their own names.

    Raises
    ------
    DataError
        If parts overlap with different rows, or one follows another at prices that are not of one instrument.
    """
    if len(parts) == 1:
        return {group.name: next(iter(parts.values()))}, []
    ordered = sorted(parts.items(), key=lambda item: item[1].index[0])
    joined, repeated = ordered[0][1], 0
    for (before, _), (stem, rows) in zip(ordered, ordered[1:]):
        shared = joined.index.intersection(rows.index)
        overlap = rows.index[0] <= joined.index[-1]
        if overlap and (not len(shared) or not _agree(joined, rows, shared)):
            if not group.dated and _mostly_side_by_side(joined, rows):
                return dict(parts), []
            raise DataError(
                f"{before} and {stem} look like parts of {group.name} but both have bars between {rows.index[0]} and "
                f"{joined.index[-1]} and they differ; keep one, or rename the files if they are different instruments."
            )
        if not overlap and not group.dated:
            _require_continuity(group, before, stem, joined, rows)
        repeated += len(shared)
        joined = pd.concat([joined, rows[~rows.index.isin(shared)]])
        if overlap:
            joined = joined.sort_index(kind="stable")
    files = ", ".join(stem for stem, _ in ordered)
    again = f"; {repeated:,} rows that two of them share were taken once" if repeated else ""
    return {group.name: joined}, [f"{group.name}: joined from {len(ordered)} files ({files}){again}"]


def _dated_name(stem: str, folder: str) -> str | None:
    if _ONLY_DATE.match(stem):
        return folder
    match = _DATED.match(stem) or _DATED_BEFORE.match(stem)
    if match is None:
        return None
    interval = _INTERVAL.match(match["name"])
    return interval["name"] if interval else match["name"]


def _number(stem: str) -> int:
    match = _NUMBERED.match(stem)
    return int(match["part"] or match["copy"] or match["years"][:4]) if match else -1


def _agree(one: pd.DataFrame, other: pd.DataFrame, shared: pd.Index) -> bool:
    names = list(BAR_COLUMNS)
    return bool(np.array_equal(one.loc[shared, names].to_numpy(), other.loc[shared, names].to_numpy()))


def _mostly_side_by_side(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """True if at least half of the shorter span lies inside the other."""
    both = min(one.index[-1], other.index[-1]) - max(one.index[0], other.index[0])
    shorter = min(rows.index[-1] - rows.index[0] for rows in (one, other))
    return bool(2 * both >= shorter)


def _require_continuity(group: Group, before: str, stem: str, one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Numbers are a weak sign: what follows must go on where the last part ended."""
    last, first = float(one["close"].iloc[-1]), float(other["open"].iloc[0])
    if not (last > 0.0 and first > 0.0) or max(last / first, first / last) > JUMP_RATIO:
        raise DataError(
            f"{before} and {stem} look like parts of {group.name}, but the first ends at {last:g} and the second "
            f"begins at {first:g}; join them yourself if they are one series, or rename different assets."
        )
