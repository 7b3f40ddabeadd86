"""A universe by date: read as it is written, refused where it says two things, and told where it has survivors."""

import numpy as np
import pandas as pd
import pytest

from data.errors import DataError
from data.sources import FilesConfig, load
from data.universe import MEMBER, read_universe

DAYS = pd.date_range("2024-01-01", periods=10, freq="D").strftime("%Y-%m-%d")


def universe(folder, text):
    (folder / "universe.csv").write_text(text)
    return str(folder / "universe.csv")


def stocks(folder, *symbols):
    bars = folder / "bars"
    bars.mkdir(exist_ok=True)
    for k, symbol in enumerate(symbols):
        price = 10.0 + k
        rows = {"timestamp": DAYS, "open": price, "high": price, "low": price, "close": price, "volume": 9.0}
        pd.DataFrame(rows).to_csv(bars / f"{symbol}.csv", index=False)
    return bars


def read(folder, path, symbols=()):
    config = {
        "calendar": "24/7",
        "bar_seconds": 86_400,
        "timezone": None,
        "start_utc": None,
        "stop_utc": None,
    }
    return load(FilesConfig(path=str(folder), symbols=symbols, universe=path, **config))


def test_a_symbol_is_a_member_from_its_first_day_to_its_last(tmp_path):
    path = universe(
        tmp_path, "symbol,from,to\nA,2024-01-03,2024-01-05\nA,2024-01-08,\nB,2020-01-01,2024-01-04\n"
    )
    dataset = read(stocks(tmp_path, "A", "B", "C"), path)
    assert dataset.panel.symbols == ("A", "B")
    # In the row of a day stands what is so on the next one, which a decision at its close is for.
    inside = [0, 0, 1, 1, 1, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(dataset.panel.exogenous[MEMBER][:, 0], [*inside[1:], 1])
    np.testing.assert_array_equal(dataset.panel.exogenous[MEMBER][:, 1], [1, 1, 1] + [0] * 7)
    assert any("1 symbols of the data are never in it then: C" in r for r in dataset.hygiene.remarks)
    assert dataset.panel.tradable.all()


def test_members_without_bars_are_told(tmp_path):
    path = universe(
        tmp_path, "symbol,from,to\nA,2020-01-01,\nGONE,2020-01-01,2024-01-02\nOLD,2001-01-01,2010-01-01\n"
    )
    remarks = read(stocks(tmp_path, "A"), path).hygiene.remarks
    assert any("1 of its members have no bars here: GONE" in remark for remark in remarks)


def test_a_table_of_parquet_and_symbols_that_look_like_words_are_read(tmp_path):
    table = pd.DataFrame({"symbol": ["NA"], "from": [pd.Timestamp("2024-01-02")], "to": [pd.NaT]})
    table.to_parquet(tmp_path / "u.parquet")
    found = read_universe(str(tmp_path / "u.parquet"))
    assert found["NA"][0].first == np.datetime64("2024-01-02")
    assert read_universe(universe(tmp_path, "Symbol, From, To\nNA,2024-01-02,\n")) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("symbol,from\nA,2024-01-01\n", "lacks to"),
        ("symbol,from,to\n", "holds no row"),
        ("symbol,from,to\nA,01/02/2024,\n", "row 1 has '01/02/2024' as 'from'"),
        ("symbol,from,to\nA,,2024-01-05\n", "row 1 has '' as 'from'"),
        ("symbol,from,to\nA,2024-01-05,2024-01-04\n", "which is earlier"),
        (
            "symbol,from,to\nA,2024-01-01,\nA,2024-01-05,2024-01-06\n",
            "A is in the universe .* again from 2024-01-05",
        ),
        ("symbol,from,to\n,2024-01-01,\n", "row 1 names no symbol"),
        ("symbol,from,to\nX,2024-01-01,\n", "no symbol of the data is in the universe"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, text, told):
    with pytest.raises(DataError, match=told):
        read(stocks(tmp_path, "A"), universe(tmp_path, text))


def test_a_symbol_that_is_asked_for_must_be_in_it(tmp_path):
    path = universe(tmp_path, "symbol,from,to\nA,2024-01-01,\n")
    with pytest.raises(DataError, match="B is not in the universe"):
        read(stocks(tmp_path, "A", "B"), path, symbols=("A", "B"))
    with pytest.raises(DataError, match="cannot be read"):
        read(stocks(tmp_path, "A"), str(tmp_path / "none.csv"))
