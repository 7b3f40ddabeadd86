"""Files that are parts of one series become one asset; other files stay assets of their own, or are refused."""

import numpy as np
import pandas as pd
import pytest

from data.errors import DataError
from data.sources.part_files import group_parts


def cut(table, *edges):
    return [table.iloc[start:stop] for start, stop in zip((0, *edges), (*edges, len(table)))]


@pytest.mark.parametrize(
    "names",
    [
        ["BTC-2024-01", "BTC-2024-02", "BTC-2024-03"],
        ["BTC_20240101", "BTC_20240115", "BTC_20240201"],
        ["BTC-30m-2024-01", "BTC-30m-2024-02", "BTC-30m-2024-03"],
        ["BTC_1", "BTC_2", "BTC_3"],
        ["BTC_8", "BTC_9", "BTC_10"],
        ["BTC_2022", "BTC_2023", "BTC_2024"],
        ["BTC part1", "BTC part2", "BTC part3"],
        ["BTC_2024Q1", "BTC_2024Q2", "BTC_2024Q3"],
        ["2024-01-BTC", "2024-02-BTC", "2024-03-BTC"],
        ["BTC", "BTC_1", "BTC_2"],
        ["BTC_2024-01-01_2024-01-31", "BTC_2024-02-01_2024-02-29", "BTC_2024-03-01_2024-03-31"],
    ],
)
def test_parts_of_one_series_are_joined_in_order_of_time(load_tables, bars_at, every, names):
    table = bars_at(every("2024-01-01", "30min", 300))
    dataset = load_tables({f"{n}.csv": part for n, part in zip(names, cut(table, 90, 200))})
    assert dataset.panel.symbols == ("BTC",)
    np.testing.assert_array_equal(dataset.panel.close[:, 0], table["close"])
    assert dataset.hygiene.clean
    (remark,) = dataset.hygiene.remarks
    assert remark.startswith("BTC: joined from 3 files")


def test_files_named_by_dates_alone_are_of_the_folder(bars_at, every, load_tables, tmp_path):
    table = bars_at(every("2024-01-01", "30min", 200))
    parts = dict(zip(["2024-01-01.csv", "2024-01-03.csv"], cut(table, 96)))
    assert load_tables(parts).panel.symbols == (tmp_path.name,)


def test_rows_that_two_parts_share_are_taken_once_where_they_agree(load_tables, bars_at, every):
    table = bars_at(every("2024-01-01", "30min", 200))
    dataset = load_tables({"BTC-2024-01.csv": table.iloc[:101], "BTC-2024-02.csv": table.iloc[100:]})
    np.testing.assert_array_equal(dataset.panel.close[:, 0], table["close"])
    assert "1 rows that two of them share were taken once" in dataset.hygiene.remarks[0]


def test_a_second_copy_of_a_file_is_no_second_asset(load_tables, bars_at, every):
    table = bars_at(every("2024-01-01", "30min", 200))
    assert load_tables({"BTC.csv": table, "BTC (1).csv": table}).panel.symbols == ("BTC",)


def test_dated_parts_that_differ_where_they_overlap_are_refused(load_tables, bars_at, every):
    tables = {
        "BTC-2024-01.csv": bars_at(every("2024-01-01", "30min", 100), seed=1),
        "BTC-2024-02.csv": bars_at(every("2024-01-02", "30min", 100), seed=2),
    }
    with pytest.raises(
        DataError, match="BTC-2024-01 and BTC-2024-02 look like parts of BTC but both have bars"
    ):
        load_tables(tables)


def test_numbered_files_that_run_side_by_side_are_assets_of_their_own(load_tables, bars_at, every):
    tables = {f"stock_{k}.csv": bars_at(every("2024-01-01", "30min", 100), seed=k) for k in (1, 2, 10)}
    panel = load_tables(tables).panel
    assert panel.symbols == (
        "stock_1",
        "stock_10",
        "stock_2",
    )  # in the order of their files, as any directory
    assert load_tables(tables, symbols=("stock_2", "stock_1")).panel.symbols == ("stock_2", "stock_1")


def test_numbered_files_at_prices_of_two_instruments_are_not_joined(load_tables, bars_at, every):
    first, second = cut(bars_at(every("2024-01-01", "30min", 200)), 100)
    second = second.assign(**{name: 3.0 * second[name] for name in ("open", "high", "low", "close")})
    with pytest.raises(DataError, match="look like parts of fund, but the first ends at"):
        load_tables({"fund_1.csv": first, "fund_2.csv": second})


@pytest.mark.parametrize(
    "stems",
    [["BTC", "ETH"], ["000001", "600519", "200002"], ["2007.HK", "1988.HK"], ["BRK.A", "BRK.B"], ["ES-2024-03"],
     ["BTC-1", "ETH-2"], ["S&P500", "DAX40"], ["USDT-EUR", "USDT-USD"]],
)  # fmt: skip
def test_names_of_assets_are_not_taken_for_parts(stems):
    assert [group.name for group in group_parts(stems, "folder")] == stems


def test_a_part_can_still_be_asked_for_by_its_own_name(load_tables, bars_at, every):
    table = bars_at(every("2024-01-01", "30min", 200))
    tables = dict(zip(["BTC-2024-01.csv", "BTC-2024-02.csv"], cut(table, 90)))
    assert load_tables(tables, symbols=("BTC-2024-02",)).panel.num_bars == 110
    assert load_tables(tables, symbols=("BTC",)).panel.num_bars == 200


def test_a_gap_between_parts_is_missing_bars_of_one_asset(load_tables, bars_at, every):
    table = bars_at(every("2024-01-01", "30min", 200))
    dataset = load_tables({"BTC-2024-01.csv": table.iloc[:50], "BTC-2024-02.csv": table.iloc[80:]})
    assert dataset.panel.symbols == ("BTC",)
    assert dataset.hygiene.bars("missing") == 30
    assert pd.isna(dataset.panel.close[50:80]).all()


def test_parts_may_name_their_symbol_in_full(load_tables, bars_at, every):
    table = bars_at(every("2024-01-01", "30min", 200)).assign(symbol="BTCUSDT")
    tables = dict(zip(["BTC-2024-01.csv", "BTC-2024-02.csv"], cut(table, 90)))
    assert load_tables(tables).panel.symbols == ("BTC",)
    tables["BTC-2024-02.csv"] = tables["BTC-2024-02.csv"].assign(symbol="ETHUSDT")
    with pytest.raises(DataError, match="named after 'BTC-2024-02' but its column symbol says 'ETHUSDT'"):
        load_tables(tables)


def test_parts_of_two_bar_lengths_are_refused(load_tables, bars_at, every):
    tables = {
        "BTC-30m-2024-01.csv": bars_at(every("2024-01-01", "30min", 100)),
        "BTC-1h-2024-02.csv": bars_at(every("2024-02-01", "1h", 100)),
    }
    with pytest.raises(DataError, match="give bars of one length"):
        load_tables(tables)
