"""Splits and dividends of a lake become prices of total return: by hand, by an account of shares, and as of then."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from lake_actions import (
    account,
    bars,
    half_hours,
    paid,
    prices_as_traded,
    put,
    read,
    split,
    tell,
)

from data.errors import DataError
from data.lake import Lake
from data.lake.actions import read_actions


@pytest.mark.parametrize("early_hours", [False, True])
def test_grown_closes_are_the_account_of_a_holder_over_a_split_and_dividends(tmp_path, early_hours):
    labels = half_hours()
    close = prices_as_traded(labels, {"2024-07-05": 4.0})
    splits, dividends = [split("2024-07-05", 4.0)], [paid("2024-07-01", 3.0), paid("2024-07-08", 0.5)]
    rows = bars(labels, close)
    if early_hours:  # bars from before the open are no closes, and are left out
        all_day = half_hours(early_hours=True)
        rows = bars(all_day, np.full(len(all_day), 77.0)).assign(volume=1.0)
        rows.loc[labels.tz_localize("UTC")] = bars(labels, close)
    put(tmp_path, rows)
    tell(tmp_path, splits, dividends)
    panel = read(tmp_path).panel
    growth = account(labels, close, [*splits, *dividends])
    np.testing.assert_allclose(panel.close[:, 0] / panel.close[0, 0], growth, rtol=1e-12)
    np.testing.assert_array_equal(panel.close[:13, 0], close[:13])  # before the first ex-date as traded
    np.testing.assert_allclose(panel.exogenous["vwap"], panel.close, rtol=1e-12)
    # Units of the panel per share as traded, as the next bar has them; the volume is in the same units.
    ahead = np.append((close / panel.close[:, 0])[1:], (close / panel.close[:, 0])[-1])
    np.testing.assert_allclose(panel.exogenous["split_factor"][:, 0], ahead, rtol=1e-12)
    np.testing.assert_allclose(panel.volume * panel.close, 1000.0 * close[:, None], rtol=1e-12)


def test_a_split_and_a_dividend_by_hand(tmp_path):
    # 4 for 1 at a close of 400 and 1.00 a share at a close of 101: 4, then 4 * 101 / 100 shares.
    labels = half_hours()
    day = np.repeat(np.arange(6), [13, 13, 13, 7, 13, 13])
    close = np.array([400.0, 400.0, 100.0, 101.0, 100.0, 100.0])[day]
    put(tmp_path, bars(labels, close))
    tell(tmp_path, [split("2024-07-02", 4.0)], [paid("2024-07-05", 1.0)])
    found = read(tmp_path)
    np.testing.assert_allclose(found.panel.close[[0, 12, 26, 39, 46, 71], 0], [400, 400, 400, 404, 404, 404])
    assert any(
        "2024-07-02 4 for 1 after a close of 400 on 2024-07-01" in said for said in found.hygiene.remarks
    )
    assert found.hygiene.bars("jump") == 0  # what is known is no defect


def test_daily_bars_made_of_half_hours_grow_as_the_half_hours_do(tmp_path):
    labels = half_hours()
    close = prices_as_traded(labels, {"2024-07-02": 0.1})  # 1 for 10
    put(tmp_path, bars(labels, close))
    tell(tmp_path, [split("2024-07-02", 1.0, 10.0)], [paid("2024-07-08", 20.0)])
    days, fine = read(tmp_path, bar="1d").panel, read(tmp_path).panel
    last = np.cumsum([13, 13, 13, 7, 13, 13]) - 1
    np.testing.assert_allclose(days.close, fine.close[last], rtol=1e-12)


def test_what_happens_later_changes_nothing_before(tmp_path):
    labels = half_hours()
    close = prices_as_traded(labels, {"2024-07-05": 4.0})
    put(tmp_path, bars(labels, close))
    tell(tmp_path, [split("2024-07-05", 4.0)], [paid("2024-07-08", 9.0)])
    whole = read(tmp_path).panel
    part = read(tmp_path, stop_utc="2024-07-03").panel
    for name in ("open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(whole, name)[: part.num_bars], getattr(part, name))


def test_the_newest_answer_counts_and_an_earlier_instant_sees_the_earlier_one(tmp_path, monkeypatch):
    labels = half_hours()
    put(tmp_path, bars(labels, np.full(len(labels), 100.0)))
    moments = iter(["2024-08-02", "2024-08-05"])
    monkeypatch.setattr(
        "data.lake.reference.pd.Timestamp.now", lambda zone=None: pd.Timestamp(next(moments), tz="UTC")
    )
    tell(tmp_path, dividends=[paid("2024-07-05", 10.0)])
    tell(tmp_path, first=dt.date(2024, 7, 1))  # taken back
    assert read(tmp_path).panel.close[-1, 0] == 100.0
    then = read(tmp_path, as_of="2024-08-03").panel
    assert then.close[-1, 0] == pytest.approx(100.0 * 100.0 / 90.0, rel=1e-12)


def test_dividends_per_share_of_today_are_brought_back_to_the_shares_of_then(tmp_path):
    labels = half_hours()
    close = np.where(np.arange(len(labels)) < 46, 100.0, 25.0)
    put(tmp_path, bars(labels, close))
    # 4.00 a share before a split of 4 for 1 is 1.00 a share of today.
    tell(tmp_path, [split("2024-07-05", 4.0)], [paid("2024-07-02", 1.0, split_adjusted=True)])
    assert read(tmp_path).panel.close[-1, 0] == pytest.approx(100.0 * 100.0 / 96.0, rel=1e-12)


@pytest.mark.parametrize(
    ("splits", "dividends", "changes", "message"),
    [
        ([], [], {"first": dt.date(2024, 7, 2)}, "run from 2024-06-28 to 2024-07-08, and made was asked for splits"),
        ([split("2024-07-02", 4.0)], [], {}, "as if they were adjusted for it already"),
        ([], [paid("2024-07-02", 1.0, currency="TWD")], {}, "in TWD, and prices are in USD"),
        ([], [paid("2024-07-02", 100.0)], {}, "is 100 a share, and the close before it is 100"),
        (
            [split("2024-07-20", 4.0)],
            [paid("2024-07-02", 1.0, split_adjusted=None)],
            {},
            r"per share of then \(1\) or of today \(4 of then",
        ),
    ],
)  # fmt: skip
def test_what_contradicts_the_bars_or_can_mean_two_things_is_refused(
    tmp_path, splits, dividends, changes, message
):
    labels = half_hours()
    put(tmp_path, bars(labels, np.full(len(labels), 100.0)))
    tell(tmp_path, splits, dividends, **changes)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_without_answers_or_with_prices_that_are_adjusted_it_is_refused_in_a_sentence(tmp_path):
    labels = half_hours()
    put(tmp_path, bars(labels, np.full(len(labels), 100.0)))
    with pytest.raises(
        DataError, match=r"has none of X from made; bring them: .* start=2024-06-28 actions=true"
    ):
        read(tmp_path)
    with pytest.raises(DataError, match="splits would be counted twice"):
        read(tmp_path, adjustment="splits")
    tell(tmp_path, source="other")
    assert read(tmp_path, actions_from="other").panel.close[-1, 0] == 100.0


def test_prices_as_written_say_what_they_do_not_book(tmp_path):
    labels = half_hours()
    put(tmp_path, bars(labels, prices_as_traded(labels, {"2024-07-05": 4.0})))
    tell(tmp_path, [split("2024-07-05", 4.0), split("2024-06-10", 2.0)], [paid("2024-07-08", 0.5)])
    said = " ".join(read(tmp_path, prices="as_written").hygiene.remarks)
    assert "X: 1 split of made between its first and last bar" in said


def test_an_answer_that_was_changed_on_disk_is_refused(tmp_path):
    tell(tmp_path, [split("2024-07-05", 4.0)])
    tell(tmp_path / "other", [split("2024-07-05", 5.0)])
    (path,) = (tmp_path / "reference").rglob("*.parquet")
    (other,) = (tmp_path / "other").rglob("*.parquet")
    path.write_bytes(other.read_bytes())
    with pytest.raises(DataError, match="not what was written"):
        read_actions(Lake(str(tmp_path)).files, "made", "X")
