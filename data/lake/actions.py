"""Splits and dividends of a symbol in a lake: what a vendor answered for a window of dates, and what was known when.

Each answer is a file of its own that is never changed. An ex-date that several answers cover is told by the newest of
them, so that an action which a vendor takes back is gone, and is still there for who reads as of an earlier instant.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

import numpy as np
import pandas as pd

from data.lake.files import LakeFiles
from data.lake.reference import read_table, write_table
from data.vendors.definition import MalformedAnswer
from data.vendors.reference import Dividend, Split

_NAME = re.compile(r"(\d{4}-\d\d-\d\d)_(\d{4}-\d\d-\d\d)_[0-9a-f]{20}\.parquet$")
_COLUMNS = ("kind", "ex_date", "new_shares", "old_shares", "cash_per_share", "currency", "split_adjusted")
_ADJUSTED = {True: "yes", False: "no", None: "not said"}


@dataclass(frozen=True, kw_only=True)
class KnownActions:
    """What is known of one symbol.

    Parameters
    ----------
    source : whose word it is.
    windows : [first, last] ex-dates that were asked about, ascending; they may overlap.
    splits, dividends : in order of their ex-date.
    """

    source: str
    windows: tuple[tuple[date, date], ...]
    splits: tuple[Split, ...]
    dividends: tuple[Dividend, ...]

    def covers(self, first: date, last: date) -> bool:
        """Whether every date of [first, last] was asked about."""
        reached = first - pd.Timedelta(1, "D")
        for begin, end in self.windows:
            if begin > reached + pd.Timedelta(1, "D"):
                break
            reached = max(reached, end)
        return bool(reached >= last)


def write_actions(
    files: LakeFiles,
    source: str,
    symbol: str,
    first: date,
    last: date,
    splits: Sequence[Split],
    dividends: Sequence[Dividend],
) -> str:
    """Keep what a vendor answered for the ex-dates [first, last]; return the name of the file.

    Raises
    ------
    MalformedAnswer
        If an action lies outside of the window, so that nobody would look for it there.
    LakeError
        If the storage cannot be written to.
    """
    actions: tuple[Split | Dividend, ...] = (*splits, *dividends)
    for action in actions:
        if not first <= action.ex_date <= last:
            raise MalformedAnswer(
                f"{source} answered for {symbol} from {first} to {last} with an ex-date of {action.ex_date}"
            )
    rows = [
        ("split", split.ex_date.isoformat(), split.new_shares, split.old_shares, 0.0, "", "")
        for split in splits
    ]
    rows += [
        (
            "dividend", paid.ex_date.isoformat(), 1.0, 1.0, paid.cash_per_share, paid.currency,
            _ADJUSTED[paid.split_adjusted],
        )
        for paid in dividends
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(
        dict.fromkeys(("new_shares", "old_shares", "cash_per_share"), "float64")
    )
    facts = {"source": source, "kind": "actions", "symbol": symbol}
    return write_table(files, _folder(source, symbol), f"{first}_{last}_", table, facts)


def read_actions(files: LakeFiles, source: str, symbol: str, as_of: int | None = None) -> KnownActions | None:
    """What is known of a symbol; None where nobody was asked.

    Parameters
    ----------
    as_of : only what was in the lake at this instant, ns; None means all.

    Raises
    ------
    LakeError
        If a file is not what was written.
    """
    answers = []
    for fact in files.files_below(_folder(source, symbol)):
        match = _NAME.search(fact.name)
        if match is None:
            continue
        facts, table = read_table(files, fact.name)
        if as_of is None or facts["ingested_at"] <= as_of:
            window = (date.fromisoformat(match[1]), date.fromisoformat(match[2]))
            answers.append((int(facts["ingested_at"]), window, table))
    if not answers:
        return None
    answers.sort(key=lambda answer: answer[:2], reverse=True)
    kept = []
    for number, (_, _, table) in enumerate(answers):
        dates = table["ex_date"].map(date.fromisoformat)
        newer = [window for _, window, _ in answers[:number]]
        told = [any(begin <= day <= end for begin, end in newer) for day in dates]
        kept.append(table[~np.array(told, dtype=bool)])
    rows = pd.concat(kept).sort_values(["ex_date", "kind"], kind="stable")
    return KnownActions(
        source=source,
        windows=tuple(sorted(window for _, window, _ in answers)),
        splits=tuple(_split(symbol, row) for row in rows.itertuples() if row.kind == "split"),
        dividends=tuple(_dividend(symbol, row) for row in rows.itertuples() if row.kind == "dividend"),
    )


def _split(symbol: str, row: object) -> Split:
    return Split(
        symbol=symbol,
        ex_date=date.fromisoformat(row.ex_date),  # type: ignore[attr-defined]
        new_shares=float(row.new_shares),  # type: ignore[attr-defined]
        old_shares=float(row.old_shares),  # type: ignore[attr-defined]
    )


def _dividend(symbol: str, row: object) -> Dividend:
    said = {word: value for value, word in _ADJUSTED.items()}
    return Dividend(
        symbol=symbol,
        ex_date=date.fromisoformat(row.ex_date),  # type: ignore[attr-defined]
        cash_per_share=float(row.cash_per_share),  # type: ignore[attr-defined]
        currency=str(row.currency),  # type: ignore[attr-defined]
        split_adjusted=said[row.split_adjusted],  # type: ignore[attr-defined]
    )


def _folder(source: str, symbol: str) -> str:
    return f"reference/source={source}/kind=actions/symbol={quote(symbol, safe='')}"
