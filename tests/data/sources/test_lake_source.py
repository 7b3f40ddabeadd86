"""`data=lake`: the panel of what was ingested, which vendor gave what, and what the reading says of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_vendor import law

from data.errors import DataError
from data.lake import Lake, Series
from data.sources import describe, load
from data.sources.lake import LakeConfig
from data.vendors.definition import BarRequest, Delivery

NOW = pd.Timestamp("2024-06-01", tz="UTC")


def put(place, symbol, start, stop, *, source="made", seconds=3600, rows=None, now=NOW, calendar="24/7"):
    piece = BarRequest(
        symbol=symbol,
        bar_seconds=seconds,
        start_utc=pd.Timestamp(start, tz="UTC"),
        stop_utc=pd.Timestamp(stop, tz="UTC"),
    )
    rows = law(symbol, piece.start_utc, piece.stop_utc, seconds) if rows is None else rows
    series = Series(source=source, bar_seconds=seconds, adjustment="raw", symbol=symbol)
    lake = Lake(str(place))
    delivery = Delivery(rows=rows, source_uri=f"{source}:/{symbol}", calls=1)
    lake.store(series, piece, delivery, now_utc=now, settle_seconds=0, calendar=calendar)
    lake.curate(series)
    return rows


def config(place, **changes) -> LakeConfig:
    plain = {
        "lake": str(place), "source_name": "made", "bar": "1h", "made_from": None, "adjustment": "raw",
        "calendar": None, "as_of": None, "symbols": (), "start_utc": None, "stop_utc": None,
    }  # fmt: skip
    return LakeConfig(**{**plain, **changes})


def test_the_bars_of_all_symbols_by_name_and_of_those_that_are_chosen(tmp_path):
    for symbol in ("BBB", "AAA"):
        put(tmp_path, symbol, "2024-01-01", "2024-01-05")
    assert load(config(tmp_path)).panel.symbols == ("AAA", "BBB")
    chosen = load(config(tmp_path, symbols=("BBB",)))
    assert chosen.panel.symbols == ("BBB",)
    assert any("chooses 1 of 2 symbols" in remark for remark in chosen.hygiene.remarks)
    np.testing.assert_array_equal(
        chosen.panel.close[:, 0],
        law("BBB", pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-05", tz="UTC"), 3600)["close"],
    )


def test_the_fingerprint_follows_from_the_bars_and_not_from_how_they_came(tmp_path):
    put(tmp_path / "one", "AAA", "2024-01-01", "2024-02-10")
    for start, stop in (("2024-01-20", "2024-02-10"), ("2024-01-01", "2024-01-20")):
        put(tmp_path / "two", "AAA", start, stop, now=NOW + pd.Timedelta(days=1))
    one, two = (load(config(tmp_path / name)) for name in ("one", "two"))
    assert one.panel.fingerprint == two.panel.fingerprint
    assert one.hygiene.lineage != two.hygiene.lineage
    assert one.hygiene.lineage[0][1].startswith("made sha256:")
    assert describe(config(tmp_path / "one")) == f"lake: made 1h, prices raw, of {tmp_path / 'one'}"


def test_coarser_bars_are_made_of_the_longest_that_divides_them(tmp_path):
    put(tmp_path, "AAA", "2024-01-01", "2024-01-05")
    put(tmp_path, "AAA", "2024-01-01", "2024-01-05", seconds=1800)
    hours = load(config(tmp_path, bar="4h"))
    assert hours.panel.bar_seconds == 14_400
    assert "24 bars of 4h were made of 96 of 1h" in " ".join(hours.hygiene.remarks)
    halves = load(config(tmp_path, bar="4h", made_from="30m"))
    assert "24 bars of 4h were made of 192 of 30m" in " ".join(halves.hygiene.remarks)
    rows = law("AAA", pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-05", tz="UTC"), 3600)
    np.testing.assert_array_equal(hours.panel.open[:, 0], rows["open"].iloc[::4])
    np.testing.assert_array_equal(hours.panel.close[:, 0], rows["close"].iloc[3::4])


def test_a_window_that_ends_inside_a_coarser_bar_has_that_bar_as_a_whole(tmp_path):
    put(tmp_path, "AAA", "2024-01-01", "2024-01-05")
    cut = load(config(tmp_path, bar="4h", start_utc="2024-01-02", stop_utc="2024-01-02T05:00")).panel
    whole = load(config(tmp_path, bar="4h")).panel
    assert cut.num_bars == 2  # 00:00 and 04:00
    np.testing.assert_array_equal(cut.close[:, 0], whole.close[6:8, 0])


def test_what_the_first_vendor_was_never_asked_for_comes_from_the_next(tmp_path):
    put(tmp_path, "AAA", "2024-01-01", "2024-01-03")
    start, stop = pd.Timestamp("2024-01-02", tz="UTC"), pd.Timestamp("2024-01-05", tz="UTC")
    other = law("AAA", start, stop, 3600)
    other[["open", "high", "low", "close"]] += 1.0
    put(tmp_path, "AAA", "2024-01-02", "2024-01-05", source="spare", rows=other)
    both = load(config(tmp_path, source_name=("made", "spare")))
    own = law("AAA", pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-03", tz="UTC"), 3600)
    expected = np.concatenate([own["close"], other["close"].iloc[24:]])
    np.testing.assert_array_equal(both.panel.close[:, 0], expected)
    told = " ".join(both.hygiene.remarks)
    assert "48 rows of 1 deliveries of made" in told
    assert "48 rows of 1 deliveries of spare" in told


def test_a_window_that_was_never_fetched_is_said_to_be_unknown(tmp_path):
    put(tmp_path, "AAA", "2024-01-01", "2024-01-02")
    put(tmp_path, "AAA", "2024-01-03", "2024-01-04")
    found = load(config(tmp_path))
    assert found.hygiene.bars("missing") == 24
    assert any(
        "were never fetched, the first from 2024-01-02 00:00" in remark for remark in found.hygiene.remarks
    )


def test_what_was_known_at_an_instant_is_read_as_it_was_then(tmp_path):
    rows = put(tmp_path, "AAA", "2024-01-01", "2024-01-03")
    changed = rows.assign(close=rows["close"] + 0.001)
    put(tmp_path, "AAA", "2024-01-01", "2024-01-03", rows=changed, now=NOW + pd.Timedelta(days=2))
    then, now = load(config(tmp_path, as_of="2024-06-02")), load(config(tmp_path))
    np.testing.assert_array_equal(then.panel.close[:, 0], rows["close"])
    np.testing.assert_array_equal(now.panel.close[:, 0], changed["close"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"source_name": "mad"}, "did you mean 'made'"),
        ({"symbols": ("AAB",)}, "did you mean 'AAA'"),
        ({"bar": "30m"}, "no bars of one length of which 30m can be made"),
        ({"bar": "45"}, "write the length of a bar"),
        ({"bar": "1h", "made_from": "7m"}, "no multiple"),
        ({"calendar": "NYS"}, "did you mean"),
        ({"start_utc": "2025-01-01", "stop_utc": "2025-02-01"}, "holds no bar"),
        ({"source_name": "../etc"}, "becomes a folder"),
        ({"as_of": "last week"}, "is not a date"),
    ],
)
def test_what_a_lake_cannot_give_is_refused_with_what_it_has(tmp_path, changes, told):
    put(tmp_path, "AAA", "2024-01-01", "2024-01-05")
    with pytest.raises(DataError, match=told):
        load(config(tmp_path, **changes))


def test_symbols_of_different_calendars_need_one_that_is_stated(tmp_path):
    put(tmp_path, "AAA", "2024-01-01", "2024-01-05")
    put(tmp_path, "BBB", "2024-01-01", "2024-01-05", calendar="NYSE")
    with pytest.raises(DataError, match="state one with data.calendar"):
        load(config(tmp_path))
    assert load(config(tmp_path, calendar="24/7")).panel.num_assets == 2
