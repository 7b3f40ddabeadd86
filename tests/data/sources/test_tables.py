"""A file is the table that its maker meant, or is refused by the shape that it has."""

import numpy as np
import pandas as pd
import pytest

from data.errors import DataError


@pytest.fixture
def good(bars_at, every):
    return bars_at(every("2024-01-01", "30min", 60))


@pytest.mark.parametrize("symbol", ["000001", "TRUE", "NA", "null", "1e5", "nan", "2024-01-01", "0x10"])
def test_a_symbol_is_the_text_that_was_written(load_tables, good, tmp_path, symbol):
    load_tables({"bars.csv": pd.concat([good.assign(symbol=symbol), good.assign(symbol="zz")])})
    panel = load_tables({}, path=str(tmp_path / "bars.csv")).panel
    assert panel.symbols == (symbol, "zz")
    assert load_tables({}, path=str(tmp_path / "bars.csv"), symbols=(symbol,)).panel.symbols == (symbol,)


def test_a_file_may_be_named_by_such_a_symbol(load_tables, good):
    assert load_tables({"000001.csv": good, "NA.csv": good}).panel.symbols == ("000001", "NA")


def test_spaces_around_a_symbol_and_its_column_do_not_count(load_tables, good, tmp_path):
    first, last = good.iloc[:30].assign(s=" BTC "), good.iloc[30:].assign(s="BTC")
    table = pd.concat([first, last]).rename(columns={"s": " Symbol "})
    dataset = load_tables({"bars.csv": table}, path=str(tmp_path / "bars.csv"))
    assert dataset.panel.symbols == ("BTC",)
    assert dataset.panel.num_bars == 60
    assert dataset.hygiene.remarks == ("bars.csv: 'BTC ' is 'BTC' but for spaces; 30 rows were taken for it",)


def test_spaces_that_would_make_two_rows_of_one_time_are_refused(load_tables, good, tmp_path):
    table = pd.concat([good.assign(symbol="BTC"), good.iloc[:5].assign(symbol="BTC ")])
    with pytest.raises(
        DataError, match=r"'BTC ' is 'BTC' but for spaces, and both have a row at 2024-01-01 00:00"
    ):
        load_tables({"bars.csv": table}, path=str(tmp_path / "bars.csv"))


def test_symbols_that_differ_in_case_only_are_refused(load_tables, good, tmp_path):
    table = pd.concat([good.assign(symbol="BTC"), good.assign(symbol="btc")])
    with pytest.raises(DataError, match="'BTC' and 'btc' differ in case only"):
        load_tables({"bars.csv": table}, path=str(tmp_path / "bars.csv"))


def test_files_whose_names_differ_in_case_only_are_refused(load_tables, good, tmp_path):
    with pytest.raises(DataError, match=r"BTC.csv and btc.csv, which differ in case only"):
        load_tables({"BTC.csv": good, "btc.csv": good})


def test_a_row_without_a_symbol_is_refused(load_tables, good, tmp_path):
    table = good.assign(symbol=["A"] * 59 + [" "])
    with pytest.raises(DataError, match="row 60 has no symbol"):
        load_tables({"bars.csv": table}, path=str(tmp_path / "bars.csv"))


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("BTC", "ETH"), ("A", "AAPL"), ("BTC-2024-01", "ETH"), ("ES", "NQH4"), ("000001", "000002")],
)
def test_a_file_whose_name_and_rows_name_two_assets_is_refused(load_tables, good, tmp_path, name, symbol):
    with pytest.raises(
        DataError, match=f"{name}.csv is named after '{name}' but its column symbol says '{symbol}'"
    ):
        load_tables({f"{name}.csv": good.assign(symbol=symbol)})


def test_the_contradiction_is_seen_in_a_single_file_too(load_tables, good, tmp_path):
    with pytest.raises(DataError, match="named after 'BTC'"):
        load_tables({"BTC.csv": good.assign(symbol="ETH")}, path=str(tmp_path / "BTC.csv"))
    # A name that is no symbol says nothing.
    table = {"bars_1.csv": good.assign(symbol="ETH")}
    assert load_tables(table, path=str(tmp_path / "bars_1.csv")).panel.symbols == ("ETH",)


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("BTC", "BTC"), ("btc", "BTC"), ("BTC", "BTC/USDT"), ("BTCUSDT", "BTC"), ("BRK-B", "BRK.B"), ("ES", "ESH4"),
     ("binance_BTC_1h", "BTC"), ("BRK.B_daily", "BRK.B"), ("Ω", "Ω")],
)  # fmt: skip
def test_a_name_and_a_symbol_that_may_mean_one_asset_agree(load_tables, good, name, symbol):
    panel = load_tables({f"{name}.csv": good.assign(symbol=symbol)}).panel
    assert panel.symbols == (name,)
    assert not panel.exogenous


def test_a_directory_of_one_long_file_is_read_as_that_file(load_tables, good):
    assert load_tables({"x.csv": pd.concat([good.assign(symbol=s) for s in "AB"])}).panel.symbols == (
        "A",
        "B",
    )


def test_one_of_several_files_must_hold_one_symbol(load_tables, good):
    tables = {"x.csv": pd.concat([good.assign(symbol=s) for s in "AB"]), "y.csv": good}
    with pytest.raises(DataError, match="x.csv is one of several files but holds the symbols A, B"):
        load_tables(tables)


@pytest.mark.parametrize("first_column", ["", "Unnamed: 0", "index"])
def test_a_column_of_row_numbers_is_no_feature(load_tables, good, first_column):
    table = good.copy()
    table.insert(0, first_column, range(len(good)))
    dataset = load_tables(table)
    assert not dataset.panel.exogenous
    assert dataset.hygiene.remarks == ("the column of row numbers in BTC.csv was left out",)


def test_a_column_without_a_name_that_holds_something_is_refused(load_tables, good):
    with pytest.raises(DataError, match="column 7 has no name"):
        load_tables(good.assign(x=0.5).rename(columns={"x": ""}))


@pytest.mark.parametrize(
    ("one", "two"), [("volume", "Volume"), ("volume", "volume"), ("timestamp", " Timestamp ")]
)
def test_two_columns_of_one_name_are_named(load_tables, good, one, two):
    table = pd.concat([good, good[[one]].rename(columns={one: two})], axis=1)
    with pytest.raises(DataError, match=f"BTC.csv has two columns named '{one}'"):
        load_tables(table)


def test_rows_with_more_fields_than_the_header_are_refused_as_such(load_tables, good):
    lines = good.to_csv(index=False).splitlines()
    text = "\n".join([lines[0], *(f"{line},7" for line in lines[1:])])
    with pytest.raises(DataError, match="the rows have 7 fields but the header names 6 columns"):
        load_tables({"BTC.csv": text})


def test_rows_newest_first_are_turned_round_and_that_is_said(load_tables, good):
    dataset = load_tables(good.iloc[::-1])
    np.testing.assert_array_equal(dataset.panel.close[:, 0], good["close"])
    assert "the rows were newest first, and were turned round" in dataset.hygiene.remarks[0]


def test_files_of_a_mac_are_skipped_and_other_files_are_named(load_tables, good, tmp_path):
    (tmp_path / "._BTC.csv").write_bytes(b"\x00\x05\x16\x07Mac OS X")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "notes.txt").write_text("not a bar")
    assert load_tables(good).hygiene.remarks == ()
    (tmp_path / "ETH.xlsx").write_bytes(b"")
    (tmp_path / "LTC.dbn").write_bytes(b"")
    (remark,) = load_tables(good).hygiene.remarks
    assert remark.startswith(f"ETH.xlsx, LTC.dbn in {tmp_path} were not read")
    with pytest.raises(DataError, match=r"Symbol 'ETH' is not in .*ETH.xlsx, LTC.dbn in .* were not read"):
        load_tables(good, symbols=("ETH",))


@pytest.mark.parametrize("name", ["ETH.feather", "ETH.zip", "ETH.parquet", "ETH.csv.gz", "ETH.csv.xz"])
def test_a_damaged_file_is_named_and_stops_nobody_who_did_not_ask_for_it(load_tables, good, tmp_path, name):
    (tmp_path / name).write_bytes(b"damaged")
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        load_tables(good)
    assert load_tables(good, symbols=("BTC",)).panel.num_bars == 60


def test_utf16_is_read_by_its_mark(load_tables, good, tmp_path):
    (tmp_path / "BTC.csv").write_text(good.to_csv(index=False), encoding="utf-16")
    assert load_tables({}).panel.num_bars == 60


def test_levels_of_an_index_in_parquet_are_columns(load_tables, good, tmp_path):
    table = pd.concat(
        [good.assign(symbol=s, timestamp=pd.to_datetime(good["timestamp"])) for s in ("NA", "ETH")]
    )
    table.set_index(["symbol", "timestamp"]).to_parquet(tmp_path / "bars.parquet")
    assert load_tables({}).panel.symbols == ("ETH", "NA")


def test_an_index_and_a_column_of_time_must_say_the_same(load_tables, good, tmp_path):
    times = pd.to_datetime(good["timestamp"])
    both = good.assign(timestamp=1_704_067_200 + 1800 * np.arange(60))
    both.set_axis(pd.DatetimeIndex(times, name="Date")).to_parquet(tmp_path / "BTC.parquet")
    assert load_tables({}).panel.num_bars == 60
    shifted = both.set_axis(pd.DatetimeIndex(times, name="Date") + pd.Timedelta("30min"))
    shifted.to_parquet(tmp_path / "BTC.parquet")
    with pytest.raises(
        DataError, match=r"BTC.parquet has two times a row: .* and 'Date' says 2024-01-01T00:30:00 in row 1"
    ):
        load_tables({})


def test_numbers_that_are_no_symbols_are_refused(load_tables, good, tmp_path):
    good.assign(symbol=600519.0).to_parquet(tmp_path / "bars.parquet")
    with pytest.raises(DataError, match="column symbol holds float64 values such as 600519.0"):
        load_tables({})
