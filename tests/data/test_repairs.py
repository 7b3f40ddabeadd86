"""Each repair does what was decided and no more, counts every bar, and judges a bar by those before it."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_rows import STEP, half_hours, rows_at

from data.alignment import align
from data.calendars import bar_grid
from data.errors import DataError
from data.repair_decisions import Repairs
from data.sources import load
from data.sources.recorded import RecordedBars


def aligned(rows, calendar="24/7", bar_seconds=1800, **decisions):
    tables = rows if isinstance(rows, dict) else {"X": rows}
    return align(tables, calendar=calendar, bar_seconds=bar_seconds, repairs=Repairs(**decisions))


def with_bar(rows, at, price):
    table = rows.copy()
    table.iloc[at, :4] = price
    return table


def test_by_default_nothing_is_repaired():
    rows = rows_at(half_hours(300)).drop(pd.DatetimeIndex(half_hours(300)[[50, 51, 53]]))
    one, other = (
        aligned(with_bar(rows, 200, 500.0)),
        align({"X": with_bar(rows, 200, 500.0)}, calendar="24/7", bar_seconds=1800),
    )
    assert one.panel.fingerprint == other.panel.fingerprint
    assert np.isnan(one.panel.close[[50, 51, 53], 0]).all()
    assert not {f.kind for f in one.hygiene.findings} & {"duplicate", "outlier", "island", "filled"}


def test_the_first_of_several_rows_of_one_time_is_kept_and_the_others_are_counted():
    rows = rows_at(half_hours(100))
    doubled = rows.iloc[np.sort([*range(100), 10, 10, 60])].copy()
    doubled.iloc[12, :4] = 77.0  # the third row of that time differs
    panel, report = aligned(doubled, duplicates="keep_first")
    np.testing.assert_array_equal(panel.close[:, 0], rows["close"])
    assert report.bars("duplicate") == 3
    assert dict(report.rows) == {"X": 103}  # rows in and out reconcile
    assert next(f for f in report.findings if f.kind == "duplicate").note == (
        "3 in all, of which 1 differ from the row that was kept"
    )
    with pytest.raises(DataError, match=r"occurs more than once.*data.repair.duplicates=keep_first"):
        aligned(doubled)


def test_an_outlier_of_one_bar_is_taken_out_and_its_neighbours_stay():
    rows = rows_at(half_hours(400))
    panel, report = aligned(with_bar(rows, 300, 1000.0), outlier_score=20.0)
    assert np.flatnonzero(np.isnan(panel.close[:, 0])).tolist() == [300]
    assert (report.bars("outlier"), report.bars("missing"), report.bars("jump")) == (1, 1, 0)
    assert not panel.tradable[300, 0]


def test_a_new_level_loses_its_first_bar_only():
    rows = rows_at(half_hours(400))
    rows.iloc[300:, :4] *= 2.0
    panel, report = aligned(rows, outlier_score=20.0)
    assert np.flatnonzero(np.isnan(panel.close[:, 0])).tolist() == [300]
    np.testing.assert_allclose(panel.close[301:, 0], rows["close"].iloc[301:])
    assert report.bars("outlier") == 1


def test_a_wick_is_an_outlier_too():
    rows = rows_at(half_hours(400))
    rows.iloc[250, rows.columns.get_loc("low")] = 1.0
    assert aligned(rows, outlier_score=20.0).hygiene.bars("outlier") == 1


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), cut=st.integers(150, 399))
def test_what_follows_never_decides_whether_a_bar_is_an_outlier(seed, cut):
    rng = np.random.default_rng(seed)
    rows = rows_at(half_hours(400), seed)
    rows = with_bar(rows, int(rng.integers(120, 400)), 100.0 * float(rng.uniform(0.2, 5.0)))
    whole = aligned(rows, outlier_score=8.0).panel.close[:cut, 0]
    part = aligned(rows.iloc[:cut], outlier_score=8.0).panel.close[:, 0]
    np.testing.assert_array_equal(whole[: len(part)], part)


def test_a_night_is_no_outlier_and_a_jump_within_the_session_is():
    grid = bar_grid("NYSE", 300, np.datetime64("2024-01-02", "ns"), np.datetime64("2024-01-12", "ns"))
    rows = rows_at(grid.bar_utc, sigma=0.0005)
    later = grid.session > grid.session[400]
    rows.loc[later, ["open", "high", "low", "close"]] *= 1.5
    assert aligned(rows, "NYSE", 300, outlier_score=20.0).hygiene.bars("outlier") == 0
    rows = with_bar(rows, 400, 50.0)
    assert aligned(rows, "NYSE", 300, outlier_score=20.0).hygiene.bars("outlier") == 1


def test_islands_shorter_than_asked_are_taken_out():
    rows = rows_at(half_hours(100))
    gone = [20, 23, 60, 64]  # islands of 2 (21, 22) and 3 (61, 62, 63)
    rows = rows.drop(rows.index[gone])
    panel, report = aligned(rows, island_bars=3)
    assert np.flatnonzero(np.isnan(panel.close[:, 0])).tolist() == [20, 21, 22, 23, 60, 64]
    assert (report.bars("island"), report.runs("island")) == (2, 1)
    with pytest.raises(DataError, match="nothing would be left"):
        aligned(rows.iloc[::2], island_bars=3)


def test_gaps_are_filled_for_so_many_bars_marked_and_never_tradable():
    rows = rows_at(half_hours(100))
    rows = rows.drop(rows.index[[10, 40, 41, 42, 43, 99]])
    panel, report = aligned({"X": rows, "Y": rows_at(half_hours(100), 2)}, fill_bars=2)
    filled = np.flatnonzero(panel.exogenous["filled"][:, 0] == 1.0)
    assert filled.tolist() == [10, 40, 41]  # bar 99 is after the last one of X
    for t in filled:
        last = rows.loc[rows.index < panel.bar_utc[t], "close"].iloc[-1]
        assert [getattr(panel, name)[t, 0] for name in ("open", "high", "low", "close")] == [last] * 4
    assert not panel.tradable[filled, 0].any()
    assert (panel.volume[filled, 0] == 0.0).all()
    assert np.isnan(panel.close[[42, 43, 99], 0]).all()
    assert not panel.exogenous["filled"][:, 1].any()
    assert (report.bars("filled"), report.bars("missing", "X")) == (3, 6)


def test_a_gap_is_not_filled_across_a_night():
    grid = bar_grid("NYSE", 1800, np.datetime64("2024-01-02", "ns"), np.datetime64("2024-01-05", "ns"))
    rows = rows_at(grid.bar_utc)
    rows = rows.drop(rows.index[[12, 13, 14]])  # the last bar of the first session, two of the second
    panel, _ = aligned(rows, "NYSE", fill_bars=5)
    assert np.flatnonzero(panel.exogenous["filled"][:, 0]).tolist() == [12]


def globex_half_hours():
    """All half hours of Globex in the week of 2019-11-25: Thanksgiving closes New York, and the 29th is a half-day."""
    grid = bar_grid(
        "CME Globex Equity", 1800, np.datetime64("2019-11-24", "ns"), np.datetime64("2019-11-30", "ns")
    )
    return rows_at(grid.bar_utc)


def test_globex_bars_are_cut_to_new_yorks_regular_hours_half_days_included():
    rows = globex_half_hours()
    panel, report = aligned(rows, "NYSE", outside_sessions="cut")
    # 25th to 27th: 13 half hours from 14:30 UTC; 28th closed; 29th until 13:00 New York: 7 half hours.
    expected = [
        np.datetime64(f"2019-11-{day}T14:30", "ns") + i * STEP
        for day, count in ((25, 13), (26, 13), (27, 13), (29, 7))
        for i in range(count)
    ]
    np.testing.assert_array_equal(panel.bar_utc, expected)
    assert panel.tradable.all()
    assert report.bars("outside_session") == len(rows) - len(expected)
    assert dict(report.rows) == {"X": len(rows)}
    with pytest.raises(DataError, match="are not bars of calendar 'NYSE'"):
        aligned(rows, "NYSE")


@pytest.mark.parametrize(
    ("decisions", "said"),
    [
        ({"duplicates": "drop"}, "must be refuse or keep_first"),
        ({"outside_sessions": "keep"}, "must be report or cut"),
        ({"outlier_score": 2.0}, "give 5 or more"),
        ({"island_bars": -1}, "give a number of bars"),
        ({"fill_bars": -1}, "give a number of bars"),
    ],
)
def test_decisions_that_cannot_be_meant_are_refused(decisions, said):
    with pytest.raises(DataError, match=said):
        Repairs(**decisions)


@dataclass(frozen=True, kw_only=True)
class Forgetful(RecordedBars):
    def read(self):
        return align({"X": rows_at(half_hours(60))}, calendar="24/7", bar_seconds=1800)

    @property
    def place(self):
        return "memory"


def test_a_source_that_does_not_do_what_was_decided_is_refused():
    config = Forgetful(symbols=(), start_utc=None, stop_utc=None)
    assert load(config).panel.num_bars == 60
    with pytest.raises(DataError, match="hand repairs=self.repair to data.alignment.align"):
        load(replace(config, repair=Repairs(fill_bars=1)))
