"""Listings of a lake: what is due of a symbol lies between the days on which it was listed."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from data.calendars import bar_grid
from data.lake import Lake, Series
from data.lake.holdings import holding
from data.lake.listings import ListedSpan, in_listing, known_listings, write_listings
from data.vendors.definition import BarRequest, Delivery, MalformedAnswer
from data.vendors.reference import Listing

DAY = 86_400
ABC = Series(source="made", bar_seconds=DAY, adjustment="raw", symbol="ABC")
# Sessions of the NYSE in March 2023: 23, of which 13 before the 20th and 7 after the 22nd.
GRID = bar_grid("NYSE", DAY, "2023-03-01", "2023-04-01")
dates = GRID.session.astype("datetime64[D]")


def listing(symbol="ABC", listed_on=None, delisted_on=None) -> Listing:
    days = [None if day is None else dt.date.fromisoformat(day) for day in (listed_on, delisted_on)]
    return Listing(
        symbol=symbol, name=symbol, exchange="XNYS", kind="CS", listed_on=days[0], delisted_on=days[1]
    )


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path))


def store(lake: Lake, kept: np.ndarray) -> None:
    """March, asked for as a whole, with the bars of these sessions."""
    labels = pd.DatetimeIndex(GRID.bar_utc[kept], tz="UTC")
    rows = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "volume"), 5.0), index=labels)
    start, stop = (pd.Timestamp(day, tz="UTC") for day in ("2023-03-01", "2023-04-01"))
    piece = BarRequest(symbol="ABC", bar_seconds=DAY, start_utc=start, stop_utc=stop)
    now = pd.Timestamp("2024-01-01", tz="UTC")
    delivery = Delivery(rows=rows, source_uri="made:", calls=1)
    lake.store(ABC, piece, delivery, now_utc=now, settle_seconds=0.0, calendar="NYSE")


def held(lake: Lake, *listings: Listing):
    write_listings(lake.files, "made", dt.date(2023, 6, 1), [listing("OTHER"), *listings], [])
    return holding(lake, ABC, listings=known_listings(lake.files, "made"))


def test_the_sessions_of_the_example_are_as_counted():
    assert (len(dates), (dates < np.datetime64("2023-03-20")).sum()) == (23, 13)
    assert (dates > np.datetime64("2023-03-22")).sum() == 7


def test_after_its_end_nothing_is_missing_of_a_symbol(lake):
    store(lake, dates < np.datetime64("2023-03-20"))
    assert holding(lake, ABC).missing == 10
    found = held(lake, listing(delisted_on="2023-03-20"))
    assert (found.missing, found.expected, found.empty_sessions, found.beyond_listing) == (0, 13, 0, 0)
    assert (found.listed_on, found.delisted_on) == (None, "2023-03-20")
    assert found.listings_of == "made as of 2023-06-01"


def test_before_its_first_bar_a_symbol_that_was_listed_is_missing_bars(lake):
    store(lake, dates > np.datetime64("2023-03-22"))
    assert holding(lake, ABC).missing == 0  # nobody says that it was listed before
    assert held(lake, listing(listed_on="2023-03-20")).missing == 3  # the 20th, 21st and 22nd


def test_bars_beyond_a_listing_are_counted_and_kept(lake):
    store(lake, np.ones(23, bool))
    found = held(lake, listing(delisted_on="2023-03-22"))
    assert (found.beyond_listing, found.missing, found.outside, found.expected) == (7, 0, 0, 23)


def test_a_symbol_that_was_given_to_another_company_is_due_in_both_listings(lake):
    store(lake, np.ones(23, bool))
    first = listing(listed_on="2010-01-04", delisted_on="2023-03-20")
    found = held(lake, listing(listed_on="2023-03-23"), first)
    assert found.beyond_listing == 2  # the 21st and 22nd; the 20th may be the last day of trading
    assert (found.listed_on, found.delisted_on) == ("2010-01-04", None)


def test_a_symbol_that_the_listings_do_not_know_is_looked_at_without_them(lake):
    store(lake, dates < np.datetime64("2023-03-20"))
    found = held(lake)
    assert (found.listings_of, found.missing) == (None, 10)


def test_the_newest_table_counts_and_tells_who_ended(lake):
    write_listings(lake.files, "made", dt.date(2023, 1, 2), [listing("ABC"), listing("NEW")], [])
    ended = [listing("OLD", "2001-02-03", "2020-05-06"), listing("ABC", delisted_on="2023-03-20")]
    write_listings(lake.files, "made", dt.date(2023, 6, 1), [listing("NEW")], ended)
    known = known_listings(lake.files, "made")
    assert known is not None
    assert known.as_of == dt.date(2023, 6, 1)
    assert known.of("OLD") == (ListedSpan(dt.date(2001, 2, 3), dt.date(2020, 5, 6)),)
    assert known.ended(dt.date(2020, 5, 6), dt.date(2023, 6, 1)) == ["ABC", "OLD"]
    assert known.ended(dt.date(2020, 5, 7), dt.date(2023, 3, 19)) == []
    assert known_listings(lake.files, "another") is None


def test_an_answer_without_any_listing_is_none(lake):
    with pytest.raises(MalformedAnswer, match="no listing at all"):
        write_listings(lake.files, "made", dt.date(2023, 6, 1), [], [])


def test_the_day_of_the_end_counts_where_it_is_wanted():
    session = dates.astype(np.int32)
    span = [ListedSpan(None, dt.date(2023, 3, 20))]
    assert in_listing(session, span, last_day=True).sum() == 14
    assert in_listing(session, span, last_day=False).sum() == 13
