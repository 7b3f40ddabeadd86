"""Contracts that lie in a lake are joined as those in files are; crude oil below zero passes through."""

import numpy as np
import pandas as pd
import pytest
from contract_files import contract, futures, march_and_june, read, written

from data.errors import DataError
from data.lake import Lake, Series
from data.schema import PRICE_COLUMNS
from data.sources import load
from data.sources.lake import LakeConfig
from data.traded_prices import traded_prices
from data.vendors.definition import BarRequest, Delivery


def stored(place, folder, symbol):
    """Rows of a file as a vendor's delivery of one symbol."""
    rows = pd.read_csv(folder / f"{symbol}.csv").set_index("timestamp").astype(float)
    rows.index = pd.DatetimeIndex(rows.index, tz="UTC").as_unit("ns")
    rows.index.name = "timestamp_utc"
    name = {"bar_seconds": 86_400, "adjustment": "raw", "symbol": symbol}
    piece = BarRequest(start_utc=rows.index[0], stop_utc=rows.index[-1] + pd.Timedelta("1D"), **name)
    series = Series(source="made", **name)
    lake = Lake(str(place))
    delivery = Delivery(rows=rows, source_uri=f"made:/{symbol}", calls=1)
    now = pd.Timestamp("2025-01-01", tz="UTC")
    lake.store(series, piece, delivery, now_utc=now, settle_seconds=0, calendar="24/7")
    lake.curate(series)


def from_lake(place, how, symbols=("ES",), **changes):
    plain = {
        "lake": str(place), "source_name": "made", "bar": "1d", "made_from": None, "adjustment": "raw",
        "calendar": None, "as_of": None, "symbols": symbols, "start_utc": None, "stop_utc": None, "futures": how,
    }  # fmt: skip
    return load(LakeConfig(**{**plain, **changes}))


def test_contracts_of_a_lake_are_the_series_that_their_files_are(tmp_path):
    folder = march_and_june(tmp_path / "files")
    for symbol in ("ESH4", "ESM4"):
        stored(tmp_path / "lake", folder, symbol)
    for how in (futures(), futures("days_before_expiry", adjust="ratio")):
        files, lake = read(folder, how).panel, from_lake(tmp_path / "lake", how)
        assert lake.panel.fingerprint == files.fingerprint
        assert any("ESH4 to ESM4" in remark for remark in lake.hygiene.remarks)
    # Wherever the window begins, the series stands on its first contract.
    part = from_lake(tmp_path / "lake", futures(), start_utc="2024-03-12").panel
    np.testing.assert_array_equal(part.close, read(folder, futures(), start_utc="2024-03-12").panel.close)
    assert from_lake(tmp_path / "lake", None, symbols=()).panel.symbols == ("ESH4", "ESM4")


def may_and_june(folder):
    """WTI: CLK20 ends on 2020-04-21, the day after it closed at -37.63."""
    may = contract("2020-04-16", [19.9, 19.9, 18.3, 18.3, 17.73, -14.0], 900.0)
    may.loc[4, ["open", "high", "low", "close"]] = [17.73, 17.85, -40.32, -37.63]
    may.loc[5, ["open", "high", "low", "close"]] = [-14.0, 13.86, -16.74, 10.01]
    june = contract("2020-04-16", [26.0, 25.2, 25.0, 25.0, 24.7, 21.3, 12.0, 15.0], 100.0)
    return written(folder, CLK20=may, CLM20=june)


@pytest.mark.parametrize("through", ["files", "lake"])
def test_prices_below_zero_pass_where_the_contract_allows_them(tmp_path, through):
    folder = may_and_june(tmp_path / "files")
    how = futures("days_before_expiry", days=0)
    if through == "lake":
        for symbol in ("CLK20", "CLM20"):
            stored(tmp_path / "lake", folder, symbol)
        panel = from_lake(tmp_path / "lake", how, symbols=("CL",)).panel
    else:
        panel = read(folder, how, symbols=("CL",)).panel
    traded = traded_prices(panel)
    np.testing.assert_array_equal(traded["close"][:, 0], [20.9, 20.9, 19.3, 19.3, -37.63, 22.3, 13.0, 16.0])
    # Rolled on the 21st at the opens -14.00 and 21.30: June lies 35.30 below what was traded.
    assert panel.close[5, 0] == pytest.approx(22.3 - 35.3)
    assert panel.exogenous["roll_close"][5, 0] == -14.0
    assert panel.tradable.all()
    assert np.isnan(panel.positive().close[4:, 0]).all()


def test_prices_below_zero_are_refused_where_nothing_allows_them(tmp_path):
    folder = may_and_june(tmp_path)
    (folder / "CLK20.csv").rename(folder / "OIL.csv")
    with pytest.raises(DataError, match="OIL: open is -14.0 .*allow_nonpositive_prices=true"):
        read(folder, futures(None), symbols=("OIL",))
    panel = read(folder, futures(None), symbols=("OIL",), allow_nonpositive_prices=("OIL",)).panel
    assert panel.nonpositive == ("OIL",)
    assert panel.close[4, 0] == -37.63


@pytest.mark.parametrize("name", PRICE_COLUMNS)
def test_a_gold_contract_below_zero_is_refused(tmp_path, name):
    rows = contract("2024-02-01", [2000.0] * 10, 9.0)
    rows.loc[4, list(PRICE_COLUMNS)] = -1.0
    folder = written(tmp_path, GCJ4=rows)
    with pytest.raises(DataError, match="GCJ4: open is -1.0"):
        read(folder, futures(), symbols=("GC",))
