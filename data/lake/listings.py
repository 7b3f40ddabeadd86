"""Listings of a lake: which symbols a vendor had listed and which had ended, as of the day that it was asked.

A symbol may have been listed more than once, by one company after another.

Axes: T bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import BoolArray
from data.lake.files import LakeFiles
from data.lake.reference import newest_reference, write_reference
from data.vendors.definition import MalformedAnswer
from data.vendors.reference import Listing

LISTINGS = "listings"
"""Kind of the reference table."""


class ListedSpan(NamedTuple):
    """Days between which a symbol was listed; None where the vendor does not say, or it still is."""

    listed_on: date | None
    delisted_on: date | None


@dataclass(frozen=True, kw_only=True)
class KnownListings:
    """What one vendor said.

    Parameters
    ----------
    source : whose word it is. as_of : the day that it was asked about.
    spans : symbol -> its listings, in order of their ends.
    """

    source: str
    as_of: date
    spans: Mapping[str, tuple[ListedSpan, ...]]

    def of(self, symbol: str) -> tuple[ListedSpan, ...]:
        """The listings of a symbol; empty where the vendor knows none."""
        return self.spans.get(symbol, ())

    def ended(self, first: date, last: date) -> list[str]:
        """Symbols that had their last listing end in [first, last], in alphabetical order."""
        return sorted(
            symbol
            for symbol, spans in self.spans.items()
            if spans[-1].delisted_on is not None and first <= spans[-1].delisted_on <= last
        )


def write_listings(
    files: LakeFiles, source: str, as_of: date, listed: Sequence[Listing], ended: Sequence[Listing]
) -> str:
    """Keep what a vendor answered; return the name of the file.

    Parameters
    ----------
    listed, ended : what was listed on that day, and what had been listed before.

    Raises
    ------
    MalformedAnswer
        If the vendor answered with nothing at all.
    LakeError
        If the storage cannot be written to.
    """
    if not listed:
        raise MalformedAnswer(f"{source} answered with no listing at all as of {as_of}")
    table = pd.DataFrame(
        [
            (one.symbol, one.name, one.exchange, one.kind, _text(one.listed_on), _text(one.delisted_on))
            for one in (*listed, *ended)
        ],
        columns=["symbol", "name", "exchange", "kind", "listed_on", "delisted_on"],
    ).drop_duplicates(ignore_index=True)
    return write_reference(files, source, LISTINGS, as_of, table)


def known_listings(files: LakeFiles, source: str) -> KnownListings | None:
    """The newest listings of a source; None where it was never asked.

    Raises
    ------
    LakeError
        If a file is not what was written.
    """
    newest = newest_reference(files, source, LISTINGS)
    if newest is None:
        return None
    as_of, table = newest
    spans: dict[str, list[ListedSpan]] = {}
    for symbol, listed_on, delisted_on in zip(table["symbol"], table["listed_on"], table["delisted_on"]):
        spans.setdefault(str(symbol), []).append(ListedSpan(_day(listed_on), _day(delisted_on)))
    return KnownListings(
        source=source,
        as_of=as_of,
        spans={symbol: tuple(sorted(own, key=_end)) for symbol, own in spans.items()},
    )


def in_listing(session: NDArray[np.int32], spans: Sequence[ListedSpan], *, last_day: bool) -> BoolArray:
    """Whether bars (T,) are of sessions (days from 1970-01-01) in which a symbol was listed.

    Parameters
    ----------
    last_day : whether the day on which a listing ended counts; some vendors name the last day of trading, and some
        the first one without.
    """
    found = np.zeros(len(session), dtype=bool)
    for span in spans:
        begun = True if span.listed_on is None else session >= _number(span.listed_on)
        if span.delisted_on is None:
            found |= begun
        else:
            end = _number(span.delisted_on)
            found |= begun & ((session <= end) if last_day else (session < end))
    return found


def _number(day: date) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


def _end(span: ListedSpan) -> date:
    return span.delisted_on or date.max


def _text(day: date | None) -> str:
    return "" if day is None else day.isoformat()


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
