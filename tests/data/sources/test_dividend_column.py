"""Dividends in users' files: paid where the prices do not hold them, left out where they do, and said either way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.calendars import bar_grid
from data.errors import DataError
from data.sources import FilesConfig, load

DAYS = pd.DatetimeIndex(
    bar_grid("NYSE", 86_400, np.datetime64("2019-01-07"), np.datetime64("2020-12-31")).bar_utc
)
PAID = {60: 0.8, 125: 0.8, 190: 0.9, 250: 0.9, 315: 1.0, 380: 1.0, 440: 1.1}


def yfinance(
    *, adjusted: bool, adj_close: bool, decimals: int | None = 2, paid=PAID, volatility: float = 0.01
):
    """A stock of 80 as traded, which falls by its dividend on the ex-date; adjusted: as auto_adjust=True gives it."""
    drawn = np.random.default_rng(5)
    close = np.empty(len(DAYS))
    opened = np.empty(len(DAYS))
    last, dividend = 80.0, np.zeros(len(DAYS))
    for t in range(len(DAYS)):
        dividend[t] = paid.get(t, 0.0)
        opened[t] = (last - dividend[t]) * np.exp(0.5 * volatility * drawn.standard_normal())
        last = close[t] = opened[t] * np.exp(volatility * drawn.standard_normal())
    if decimals is not None:
        opened, close = opened.round(decimals), close.round(decimals)
    factor = np.ones(len(DAYS))
    for t, cash in paid.items():
        factor[:t] *= 1.0 - cash / close[t - 1]
    prices = factor if adjusted else np.ones(len(DAYS))
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    columns = {"Open": opened, "High": high, "Low": low, "Close": close}
    frame = pd.DataFrame({"Date": DAYS.strftime("%Y-%m-%d")})
    frame = frame.assign(**{name: values * prices for name, values in columns.items()})
    if adj_close:
        frame["Adj Close"] = close * factor
    return frame.assign(Volume=1_000_000, Dividends=dividend, **{"Stock Splits": 0.0})


def read(folder, frame: pd.DataFrame, **changes):
    frame.to_csv(folder / "AAPL.csv", index=False)
    plain = {"calendar": "NYSE", "bar_seconds": 86_400, "timezone": None, "labels": None}
    window = {"symbols": (), "start_utc": None, "stop_utc": None}
    dataset = load(FilesConfig(path=str(folder), **(plain | window | changes)))
    return dataset.panel, " ".join(dataset.hygiene.remarks)


def test_dividends_beside_prices_as_traded_are_the_column_and_are_said(tmp_path):
    panel, told = read(tmp_path, yfinance(adjusted=False, adj_close=True))
    days = panel.exogenous["dividend"][:, 0]
    found = {str(panel.bar_utc[t])[:10]: float(days[t]) for t in np.flatnonzero(days)}
    assert found == {str(DAYS[t].date()): cash for t, cash in PAID.items()}
    assert "dividends" not in panel.exogenous
    assert "AAPL: the column 'dividends' is paid in cash on ex-dates, 7 times, 6.5 in all" in told


def test_dividends_that_the_prices_hold_are_left_out_and_that_is_said(tmp_path):
    panel, told = read(tmp_path, yfinance(adjusted=True, adj_close=False))
    assert not {"dividend", "dividends"} & set(panel.exogenous)
    assert "AAPL: the column 'dividends' is left out, for" in told
    assert "auto_adjust=False" in told or "hold it already" in told


def test_an_adjusted_close_that_is_the_close_says_that_prices_hold_them(tmp_path):
    frame = yfinance(adjusted=True, adj_close=False)
    frame.insert(5, "Adj Close", frame["Close"])
    panel, told = read(tmp_path, frame)
    assert "dividend" not in panel.exogenous
    assert "the adjusted close is the close" in told


def test_prices_on_cents_were_traded_at_without_an_adjusted_close(tmp_path):
    panel, _ = read(tmp_path, yfinance(adjusted=False, adj_close=False))
    assert panel.exogenous["dividend"].sum() == pytest.approx(6.5)


@pytest.mark.parametrize("adjusted", [False, True])
def test_large_dividends_show_in_what_prices_do_on_ex_dates_whatever_their_decimals(tmp_path, adjusted):
    paid = dict.fromkeys(PAID, 4.0)
    panel, told = read(tmp_path, yfinance(adjusted=adjusted, adj_close=False, decimals=None, paid=paid))
    assert ("dividend" in panel.exogenous) is not adjusted
    assert ("prices fall by" in told) is adjusted


def test_splits_after_which_prices_were_divided_leave_them_on_cents(tmp_path):
    frame = yfinance(adjusted=False, adj_close=False)
    prices = ["Open", "High", "Low", "Close"]
    frame.loc[:299, prices] /= 7.0  # as Yahoo writes prices and dividends from before a split of 7 for 1
    frame.loc[:299, "Dividends"] /= 7.0
    frame.loc[300:, prices] = frame.loc[300:, prices]
    frame.loc[300, "Stock Splits"] = 7.0
    frame[prices] = frame[prices].astype(np.float32).astype(float)
    panel, _ = read(tmp_path, frame)
    assert panel.exogenous["dividend"].sum() == pytest.approx(3.4 / 7.0 + 3.1, rel=1e-6)


@pytest.mark.parametrize("name", ["dividend_amount", "divCash", "dividend"])
def test_names_of_makers_whose_prices_are_as_traded_are_taken_at_their_word(tmp_path, name):
    frame = yfinance(adjusted=False, adj_close=False, decimals=None).drop(columns="Stock Splits")
    panel, _ = read(tmp_path, frame.rename(columns={"Dividends": name}))
    assert panel.exogenous["dividend"].sum() == pytest.approx(6.5)


def test_prices_of_total_return_do_not_count_them_twice(tmp_path):
    panel, told = read(tmp_path, yfinance(adjusted=False, adj_close=True), prices="total_return")
    assert "dividend" not in panel.exogenous
    assert "data.prices=total_return has them in the prices" in told


def test_two_columns_of_dividends_are_refused(tmp_path):
    frame = yfinance(adjusted=False, adj_close=True)
    with pytest.raises(DataError, match="'dividend' and 'dividends'; keep one"):
        read(tmp_path, frame.assign(dividend=0.0))


def test_one_symbol_without_the_column_is_refused(tmp_path):
    plain = yfinance(adjusted=False, adj_close=True).drop(columns=["Dividends", "Stock Splits"])
    plain.to_csv(tmp_path / "MSFT.csv", index=False)
    with pytest.raises(DataError, match="MSFT: the column dividend is unknown at"):
        read(tmp_path, yfinance(adjusted=False, adj_close=True))
