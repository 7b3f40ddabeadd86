"""A lake: what goes in comes out, once, with its origin; the newest word counts, and what was known when is kept."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from made_vendor import law

from data.lake import Lake, Series, Span
from data.lake.files import LakeError
from data.lake.holdings import holding
from data.lake.spans import instant
from data.vendors.definition import BarRequest, Delivery, MalformedAnswer

NOW = pd.Timestamp("2024-06-01", tz="UTC")
SERIES = Series(source="made", bar_seconds=3600, adjustment="raw", symbol="ABC")
PIECE = BarRequest(
    symbol="ABC",
    bar_seconds=3600,
    start_utc=pd.Timestamp("2024-01-20", tz="UTC"),
    stop_utc=pd.Timestamp("2024-02-10", tz="UTC"),
)


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


def bars(piece: BarRequest = PIECE) -> pd.DataFrame:
    return law(piece.symbol, piece.start_utc, piece.stop_utc, piece.bar_seconds)


def store(lake, rows, piece=PIECE, *, now=NOW, complete_to=None, settle=0.0):
    delivery = Delivery(rows=rows, source_uri="made:/abc", calls=1, complete_to_utc=complete_to)
    return lake.store(SERIES, piece, delivery, now_utc=now, settle_seconds=settle, calendar="24/7")


def assert_holds(reading, rows):
    expected = rows.tz_localize(None)
    columns = sorted(expected.columns)
    pd.testing.assert_frame_equal(
        reading.rows[columns], expected[columns], check_freq=False, check_names=False
    )


def test_rows_come_back_as_they_were_delivered_before_and_after_curation(lake):
    rows = bars().assign(vwap=101.5, trades=7)
    assert store(lake, rows).rows == len(rows) == 21 * 24
    before = lake.read(SERIES)
    assert before.uncurated == 2  # January and February
    assert_holds(before, rows.astype(float))
    assert lake.curate(SERIES) == 2
    after = lake.read(SERIES)
    assert after.uncurated == 0
    assert_holds(after, rows.astype(float))
    assert after.lineage == before.lineage


def test_every_row_says_where_it_comes_from(lake, tmp_path):
    store(lake, bars())
    lake.curate(SERIES)
    for kind, transform in (("raw", "delivered-1"), ("curated", "curated-1:")):
        paths = sorted((tmp_path / "lake" / kind).rglob("*.parquet"))
        assert len(paths) == 2
        for path in paths:
            table = pq.read_table(path).to_pandas()
            assert set(table["source_uri"].astype(str)) == {"made:/abc"}
            assert set(table["ingested_at"]) == {NOW}
            assert table["transform_id"].astype(str).str.startswith(transform).all()


def test_a_window_is_read_without_opening_other_months(lake, monkeypatch):
    store(lake, bars())
    lake.curate(SERIES)
    opened = []
    monkeypatch.setattr(
        "data.lake.lake.read_months",
        lambda files, names, span, only: opened.extend(names) or bars().tz_localize(None).iloc[:0],
    )
    lake.read(SERIES, Span.between(pd.Timestamp("2024-02-02"), pd.Timestamp("2024-02-03")))
    assert ["month=2024-02" in name for name in opened] == [True]


def test_a_delivery_that_is_stored_twice_is_one(lake):
    first = store(lake, bars())
    again = store(lake, bars(), now=NOW + pd.Timedelta(hours=1))
    assert (len(first.written), again.written) == (2, ())
    assert again.known == len(bars())
    assert len(lake.parts(SERIES)) == 2


def test_the_newest_word_on_a_bar_counts_and_the_contradiction_is_counted(lake):
    store(lake, bars())
    other = bars().assign(close=lambda rows: rows["close"] + 0.001)
    store(lake, other, now=NOW + pd.Timedelta(hours=1))
    lake.curate(SERIES)
    assert_holds(lake.read(SERIES), other)
    assert holding(lake, SERIES).defects["contradicted"] == len(other)
    assert holding(lake, SERIES).rows_delivered == 2 * len(other)


def test_a_vendor_that_returns_to_what_it_said_first_is_believed(lake):
    first, other = bars(), bars().assign(close=lambda rows: rows["close"] + 0.001)
    for hours, rows in enumerate((first, other, first)):
        store(lake, rows, now=NOW + pd.Timedelta(hours=hours))
    assert_holds(lake.read(SERIES), first)
    store(lake, first, now=NOW + pd.Timedelta(hours=9))
    assert len(lake.parts(SERIES)) == 6


def test_a_reading_as_of_an_instant_knows_nothing_of_later_deliveries(lake):
    first, other = bars(), bars().assign(close=lambda rows: rows["close"] + 0.001)
    store(lake, first)
    lake.curate(SERIES)
    store(lake, other, now=NOW + pd.Timedelta(days=1))
    lake.curate(SERIES)
    assert_holds(lake.read(SERIES, as_of=instant(NOW + pd.Timedelta(hours=1))), first)
    assert_holds(lake.read(SERIES, as_of=instant(NOW + pd.Timedelta(days=2))), other)
    assert len(lake.read(SERIES, as_of=instant(NOW - pd.Timedelta(hours=1))).rows) == 0


def test_a_writer_whose_clock_is_behind_still_has_the_last_word(lake):
    other = bars().assign(close=lambda rows: rows["close"] + 0.001)
    store(lake, bars())
    store(lake, other, now=NOW - pd.Timedelta(days=3))
    assert_holds(lake.read(SERIES), other)


def test_a_curated_month_is_not_used_once_there_is_a_newer_delivery(lake):
    store(lake, bars())
    lake.curate(SERIES)
    later = replace(PIECE, start_utc=PIECE.stop_utc, stop_utc=pd.Timestamp("2024-02-12", tz="UTC"))
    store(lake, bars(later), later)
    reading = lake.read(SERIES)
    assert reading.uncurated == 1
    assert_holds(reading, pd.concat([bars(), bars(later)]))
    assert lake.curate(SERIES) == 1
    assert len(lake.files.files_below("curated")) == 2  # the older February is gone


def test_what_is_not_over_or_not_complete_is_not_answered_for(lake):
    now = pd.Timestamp("2024-01-25T10:30", tz="UTC")
    # The bar of 9:00 is over at 10:00, that of 10:00 still runs.
    assert store(lake, bars(), now=now).to_utc == pd.Timestamp("2024-01-25T09:30", tz="UTC")
    assert lake.read(SERIES).rows.index[-1] == pd.Timestamp("2024-01-25T09:00")
    delayed = pd.Timestamp("2024-01-27", tz="UTC")
    store(lake, bars(), now=NOW, complete_to=delayed)
    assert lake.fetched(SERIES) == [Span.between(PIECE.start_utc, delayed)]
    assert lake.read(SERIES).rows.index[-1] == pd.Timestamp("2024-01-26T23:00")


def test_a_window_without_bars_is_remembered_as_asked_for(lake):
    store(lake, bars().iloc[:0])
    assert lake.fetched(SERIES) == [Span.between(PIECE.start_utc, PIECE.stop_utc)]
    assert len(lake.read(SERIES).rows) == 0
    assert lake.curate(SERIES) == 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda rows: rows.iloc[::-1], "ascend"),
        (lambda rows: rows.iloc[[0, 0, 1]], "ascend"),
        (lambda rows: rows.shift(freq="30D"), "for the window"),
        (lambda rows: rows.drop(columns="volume"), "columns"),
        (lambda rows: rows.assign(close="12.5"), "not numbers"),
        (lambda rows: rows.reset_index(drop=True), "not by instants"),
    ],
)
def test_nothing_is_kept_of_a_delivery_that_breaks_the_protocol(lake, wrong, told):
    with pytest.raises(MalformedAnswer, match=told):
        store(lake, wrong(bars()))
    assert lake.parts(SERIES) == []


def test_a_delivery_in_another_zone_is_the_same_delivery(lake):
    store(lake, bars().tz_convert("America/New_York"))
    assert_holds(lake.read(SERIES), bars())


def test_rows_that_are_no_bars_are_dropped_and_counted_and_the_others_kept(lake):
    rows = bars()
    rows.iloc[3, rows.columns.get_loc("close")] = np.nan
    rows.iloc[5, rows.columns.get_loc("volume")] = np.nan
    rows.iloc[7, rows.columns.get_loc("high")] = rows.iloc[7]["low"] - 1.0
    store(lake, rows)
    lake.curate(SERIES)
    found, kept = holding(lake, SERIES), lake.read(SERIES).rows
    assert {kind: count for kind, count in found.defects.items() if count} == {
        "unpriced": 1,
        "volume_unknown": 1,
        "inconsistent": 1,
        "zero_volume": 1,
    }
    assert len(kept) == len(rows) - 1
    assert kept.loc[rows.index[5].tz_localize(None), "volume"] == 0.0
    assert found.missing == 1


def test_a_bar_that_a_newer_delivery_lacks_is_kept_and_counted(lake):
    store(lake, bars())
    store(lake, bars().drop(bars().index[4]), now=NOW + pd.Timedelta(hours=1))
    lake.curate(SERIES)
    assert_holds(lake.read(SERIES), bars())
    assert holding(lake, SERIES).defects["withdrawn"] == 1


@pytest.mark.parametrize("offset", [200, -300])
def test_a_file_that_was_changed_is_refused_by_its_checksum(lake, tmp_path, offset):
    store(lake, bars())
    (path, *_) = sorted((tmp_path / "lake" / "raw").rglob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[offset] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(LakeError, match="is not what was written there"):
        lake.curate(SERIES)


def test_a_delivery_under_the_name_of_another_is_refused(lake, tmp_path):
    store(lake, bars())
    store(lake, bars().assign(close=lambda rows: rows["close"] + 0.001), now=NOW + pd.Timedelta(hours=1))
    one, other = sorted((tmp_path / "lake" / "raw").rglob("month=2024-01/*.parquet"))
    one.write_bytes(other.read_bytes())
    with pytest.raises(LakeError, match="is not what was written there"):
        lake.read(SERIES)


def test_half_a_file_is_no_file(lake, tmp_path):
    store(lake, bars())
    (path, *_) = sorted((tmp_path / "lake" / "raw").rglob("*.parquet"))
    path.with_name(".partial-abc").write_bytes(path.read_bytes()[:100])
    assert len(lake.parts(SERIES)) == 2
    assert_holds(lake.read(SERIES), bars())


@pytest.mark.parametrize(
    "symbol", ["BTC/USDT:USDT", "^VIX", "BRK.B", "..", "a b", "日経", "O:SPY240119C00450000", "%2F"]
)
def test_any_text_is_a_symbol(lake, symbol):
    series = replace(SERIES, symbol=symbol)
    piece = replace(PIECE, symbol=symbol)
    delivery = Delivery(rows=bars(piece), source_uri="made:/x", calls=1)
    lake.store(series, piece, delivery, now_utc=NOW, settle_seconds=0, calendar="24/7")
    lake.curate(series)
    assert lake.series() == [series]
    assert lake.symbols(series) == [symbol]
    assert_holds(lake.read(series), bars(piece))


def test_writers_side_by_side_leave_each_bar_once(lake, tmp_path):
    other = Lake(str(tmp_path / "lake"))
    days = pd.date_range(PIECE.start_utc, PIECE.stop_utc, freq="D", inclusive="left")
    pieces = [replace(PIECE, start_utc=day, stop_utc=day + pd.Timedelta(days=1)) for day in days]

    def write(one: Lake, order: list[BarRequest]) -> None:
        for piece in order:
            store(one, bars(piece), piece)
        one.curate(SERIES)

    threads = [
        threading.Thread(target=write, args=(one, order))
        for one, order in ((lake, pieces), (other, pieces[::-1]), (lake, pieces[7:] + pieces[:7]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_holds(lake.read(SERIES), bars())
    assert len(lake.parts(SERIES)) == len(pieces)


def test_an_inventory_names_windows_that_were_never_fetched_and_sessions_without_a_bar(lake):
    hole = pd.Timestamp("2024-01-24", tz="UTC"), pd.Timestamp("2024-01-26", tz="UTC")
    for piece in (replace(PIECE, stop_utc=hole[0]), replace(PIECE, start_utc=hole[1])):
        rows = bars(piece)
        store(lake, rows[rows.index.strftime("%Y-%m-%d") != "2024-01-29"], piece)
    found = holding(lake, SERIES, verify=True)
    assert found.open_windows == (("2024-01-24T00:00:00Z", "2024-01-26T00:00:00Z"),)
    assert (found.missing, found.empty_sessions, found.empty_dates) == (24, 1, ("2024-01-29",))
    assert found.damaged is None


def test_the_place_of_a_lake_is_shown_without_what_may_be_a_key():
    shown = Lake("s3://bucket/lake?access_key=AKIA123&secret_key=topsecret").files.shown
    assert shown == "s3://bucket/lake"


def test_no_changed_byte_of_a_curated_file_passes_unnoticed(lake, tmp_path):
    store(lake, bars())
    lake.curate(SERIES)
    (path, *_) = sorted((tmp_path / "lake" / "curated").rglob("*.parquet"))
    content = path.read_bytes()
    # The end of a file is not covered by the checksums of its pages.
    for at in (
        *np.random.default_rng(0).integers(0, len(content), 20),
        *range(len(content) - 40, len(content), 5),
    ):
        changed = bytearray(content)
        changed[at] ^= 0x41
        path.write_bytes(bytes(changed))
        with pytest.raises(LakeError, match="is not what was written there"):
            lake.read(SERIES)
