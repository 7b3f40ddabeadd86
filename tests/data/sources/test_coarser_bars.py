"""Coarser bars of finer ones: by hand, by session, on half-days, and never of a part of their time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.errors import DataError
from data.lake import Span
from data.schema import Panel
from data.sources.coarser_bars import coarser
from envs.context import funding_rates
from envs.instruments import CATALOGUE

ALL = (Span.between(pd.Timestamp("1990-01-01"), pd.Timestamp("2100-01-01")),)


def minutes(start: str, count: int, seconds: int = 60) -> pd.DataFrame:
    """Bars whose open is their number, which close half a unit above it."""
    labels = pd.date_range(start, periods=count, freq=f"{seconds}s").as_unit("ns")
    number = np.arange(count, dtype=float) + 10.0
    rows = pd.DataFrame({"open": number, "high": number + 1.0, "low": number - 1.0}, index=labels)
    return rows.assign(close=number + 0.5, volume=number)


def made(rows, calendar="24/7", finer=60, to=300, spans=ALL):
    return coarser(rows, calendar=calendar, finer_seconds=finer, coarser_seconds=to, spans=spans)


def test_a_bar_opens_with_its_first_and_closes_with_its_last_minute():
    found = made(minutes("2024-03-01 00:00", 7))
    # Minutes 0 to 4 have the numbers 10 to 14; minutes 5 and 6 have 15 and 16.
    assert found.rows.index.tolist() == [pd.Timestamp("2024-03-01 00:00"), pd.Timestamp("2024-03-01 00:05")]
    assert found.rows.iloc[0].to_dict() == {
        "open": 10.0, "high": 15.0, "low": 9.0, "close": 14.5, "volume": 10.0 + 11 + 12 + 13 + 14
    }  # fmt: skip
    assert found.rows.iloc[1]["close"] == 16.5
    assert (found.used, found.outside, found.partial) == (7, 0, 0)


def test_other_columns_are_summed_averaged_weighted_or_the_last_known():
    rows = minutes("2024-03-01 00:00", 3).assign(
        trades=[1.0, np.nan, 2.0],
        vwap=[10.0, 11.0, np.nan],
        split_factor=[1.0, 0.25, np.nan],
        funding_rate=[np.nan, 1e-4, 3e-4],
        dividend=[0.5, 0.0, 0.25],
        score=[5.0, 6.0, np.nan],
    )
    found = made(rows).rows.iloc[0]
    assert found["trades"] == 3.0
    assert found["vwap"] == pytest.approx((10.0 * 10.0 + 11.0 * 11.0) / 21.0)
    assert found["split_factor"] == 0.25
    assert found["funding_rate"] == pytest.approx(2e-4)
    assert found["dividend"] == 0.75
    assert found["score"] == 6.0
    assert np.isnan(made(rows.assign(score=np.nan)).rows.iloc[0]["score"])


def test_days_made_of_hours_are_charged_the_funding_that_was_paid_in_them():
    # Three payments a day, each in the hour at whose end it is made (07:00, 15:00, 23:00).
    paid = np.arange(1, 10) * 1e-5
    rows = minutes("2024-03-01 00:00", 72, 3600).assign(funding_rate=np.nan)
    rows.loc[rows.index.hour % 8 == 7, "funding_rate"] = paid
    days = made(rows, finer=3600, to=86_400).rows
    prices = {name: days[[name]].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    label = days.index.to_numpy("datetime64[ns]")
    panel = Panel(
        symbols=("BTC",), bar_utc=label, tradable=np.ones((3, 1), dtype=bool),
        session=label.astype("datetime64[D]").astype(np.int32), calendar="24/7", bar_seconds=86_400,
        exogenous={"funding_rate": days[["funding_rate"]].to_numpy()}, **prices,
    )  # fmt: skip
    charged = funding_rates(panel, {"BTC": CATALOGUE["crypto_perpetual"]})[:, 0]
    # Into the bar that opens at a midnight: what was paid on the day before it.
    np.testing.assert_allclose(charged, [0.0, paid[:3].sum(), paid[3:6].sum()], rtol=1e-12)


def test_bars_are_counted_from_the_open_of_the_session_in_summer_and_in_winter():
    for opened in ("2024-03-08 14:30", "2024-03-11 13:30"):  # the clocks of New York moved on March 10
        found = made(minutes(opened, 390), "NYSE", to=3600)
        assert found.rows.index[0] == pd.Timestamp(opened)
        assert len(found.rows) == 7  # six hours and a half
        assert found.rows["close"].iloc[-1] == 10.0 + 389 + 0.5


def test_a_half_day_ends_at_its_own_close():
    # On 2024-11-29 the NYSE closed at 13:00 New York, 18:00 UTC; minutes after it are outside of the session.
    found = made(minutes("2024-11-29 14:30", 390), "NYSE", to=3600)
    assert len(found.rows) == 4  # 9:30, 10:30, 11:30, and half an hour from 12:30
    assert (found.used, found.outside) == (210, 180)
    assert found.rows["close"].iloc[-1] == 10.0 + 209 + 0.5


def test_a_bar_of_a_day_is_one_session_without_its_break_and_what_lies_around_it():
    # The session of 2024-03-05 opens on March 4 at 17:00 Chicago, 23:00 UTC, and closes at 22:00 UTC.
    rows = minutes("2024-03-04 21:30", 24 * 60 + 60)
    found = made(rows, "CME Globex Equity", to=86_400)
    inside = (rows.index >= "2024-03-04 23:00") & (rows.index < "2024-03-05 22:00")
    day = found.rows.loc[pd.Timestamp("2024-03-04 23:00")]
    assert day["open"] == rows["open"][inside].iloc[0]
    assert day["close"] == rows["close"][inside].iloc[-1]
    assert day["volume"] == rows["volume"][inside].sum()


def test_a_bar_of_which_a_part_was_never_fetched_is_left_out():
    rows = minutes("2024-03-01 00:00", 13)  # the bar of 00:10 has three of its minutes so far
    known = (Span.between(pd.Timestamp("2024-03-01 00:01"), pd.Timestamp("2024-03-01 00:13")),)
    found = made(rows, spans=known)
    assert found.rows.index.tolist() == [pd.Timestamp("2024-03-01 00:05")]
    assert (found.partial, found.used) == (2, 5)


def test_an_inconsistent_minute_is_left_out_and_counted():
    rows = minutes("2024-03-01 00:00", 5)
    rows.iloc[4, rows.columns.get_loc("high")] = 1.0
    found = made(rows)
    assert (found.inconsistent, found.rows["close"].iloc[0]) == (1, 13.5)


@pytest.mark.parametrize("bar", [300, 900, 1800, 3600, 14_400, 86_400])
def test_no_bar_reads_a_minute_that_is_not_over_at_its_close(bar):
    rows = minutes("2024-03-05 14:30", 390)
    full = made(rows, "NYSE", to=bar).rows
    for cut in (61, 200, 389):
        poisoned = rows.copy()
        poisoned.iloc[cut:] *= 3.0
        changed = made(poisoned, "NYSE", to=bar).rows
        over = full.index + pd.Timedelta(seconds=min(bar, 390 * 60)) <= rows.index[cut]
        pd.testing.assert_frame_equal(full[over], changed[over])


def test_coarser_bars_of_coarser_bars_are_those_of_the_finest():
    rows = minutes("2024-03-05 14:30", 390)
    hours = made(rows, "NYSE", to=1800)
    twice = made(hours.rows, "NYSE", finer=1800, to=3600)
    pd.testing.assert_frame_equal(twice.rows, made(rows, "NYSE", to=3600).rows)


@pytest.mark.parametrize(("finer", "to"), [(60, 90), (300, 60), (60, 60), (3600, 5400)])
def test_lengths_that_do_not_divide_are_refused(finer, to):
    with pytest.raises(DataError):
        made(minutes("2024-03-01", 10), finer=finer, to=to)
