"""Rows that are no bars because of what they hold are kept beside the panel; those that labels tell are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
from made_rows import START, STEP, half_hours, rows_at

from data.alignment import align
from data.repair_decisions import Repairs


def taken_out(rows, **decisions):
    found = align({"X": rows}, calendar="24/7", bar_seconds=1800, repairs=Repairs(**decisions))
    return found.panel, {one.symbol: one for one in found.hygiene.taken_out}


def test_nothing_is_noted_where_nothing_is_taken_out():
    rows = rows_at(half_hours(300)).drop(pd.DatetimeIndex(half_hours(300)[[50, 51]]))
    assert taken_out(rows)[1] == {}
    assert taken_out(rows, fill_bars=3, duplicates="keep_first")[1] == {}


def test_an_outlier_is_noted_with_its_prices():
    rows = rows_at(half_hours(400))
    rows.iloc[300, [rows.columns.get_loc(name) for name in ("low", "close")]] = 60.0
    panel, found = taken_out(rows, outlier_score=20.0)
    assert np.isnan(panel.close[300, 0])
    one = found["X"]
    assert one.bar_utc.tolist() == [(START + 300 * STEP).astype("datetime64[ns]").item()]
    assert one.open.tolist() == [rows["open"].iloc[300]]
    assert one.close.tolist() == [60.0]
    assert one.by_repair.tolist() == [True]


def test_islands_are_noted_and_a_gap_that_is_filled_is_not():
    labels = half_hours(300)
    rows = rows_at(labels).drop(pd.DatetimeIndex(labels[[100, 101, 104, 105]]))
    panel, found = taken_out(rows, island_bars=3, fill_bars=10)
    assert found["X"].bar_utc.tolist() == labels[[102, 103]].tolist()
    assert found["X"].by_repair.all()
    assert not panel.tradable[100:106, 0].any()


def test_an_inconsistent_bar_is_noted_as_what_was_sent():
    rows = rows_at(half_hours(300))
    rows.iloc[40, rows.columns.get_loc("high")] = 1.0
    panel, found = taken_out(rows)
    assert np.isnan(panel.close[40, 0])
    assert found["X"].by_repair.tolist() == [False]
    assert found["X"].close.tolist() == [rows["close"].iloc[40]]


def test_rows_off_the_grid_and_copies_of_a_time_are_not_noted():
    rows = rows_at(half_hours(300))
    beside = rows.iloc[[10]].set_axis(rows.index[[10]] + pd.Timedelta(minutes=7))
    doubled = pd.concat([rows, rows.iloc[[20]], beside]).sort_index(kind="stable")
    assert taken_out(doubled, duplicates="keep_first")[1] == {}
