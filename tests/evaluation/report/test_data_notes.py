"""What should be known of the bars is told a line per symbol, loudly where it is much or where a symbol stops."""

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from data.alignment import align
from envs.instruments import US_STOCK, instrument_of_kind
from evaluation.report.data_notes import data_notes, tell
from evaluation.report.lot_reach import largest_units
from evaluation.windows.splits import Fold
from rayjobs.config.compose import compose
from rayjobs.study.config_groups import build_env

FOLDS = (
    Fold(index=0, train=slice(0, 480), test=slice(480, 720)),
    Fold(index=1, train=slice(240, 720), test=slice(720, 960)),
)
NUM_BARS = 960  # 20 days of half hours
TIMES = np.datetime64("2024-01-01", "ns") + np.arange(NUM_BARS) * np.timedelta64(1800, "s")
COINS = instrument_of_kind("crypto_spot")


def env_of(*overrides):
    return build_env(compose("train", list(overrides)))


ENV = env_of()


def rows_of(times=TIMES, price=100.0, seed=0):
    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(0.002 * rng.standard_normal(len(times))))
    opened = np.concatenate([[price], close[:-1]])
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": 1e4,
        },
        index=pd.DatetimeIndex(times),
    )


def notes_of(rows, *, env=ENV, instrument=COINS, folds=FOLDS):
    bars = {"XYZ": rows, "REST": rows_of(seed=1)}
    aligned = align(bars, calendar="24/7", bar_seconds=1800)
    return data_notes(aligned.panel, aligned.hygiene, folds, env, {"XYZ": instrument, "REST": COINS})


def test_clean_bars_leave_nothing_to_tell():
    assert notes_of(rows_of()) == ()


@pytest.mark.parametrize(("absent", "loud"), [(90, False), (100, True)])
def test_missing_bars_are_told_and_loudly_above_a_tenth(absent, loud):
    rows = rows_of()
    (note,) = notes_of(rows.drop(rows.index[100 : 100 + absent]))
    assert note.loud is loud
    assert note.text.startswith(f"XYZ: {absent} of 960 bars (")
    assert note.text.endswith("missing, in 1 gap")


def test_a_symbol_that_stops_is_told_with_the_fold_it_stops_in():
    # Bar 799 is the 32nd of 17 January 2024 (16 * 48 = 768) and lies 160 bars before the end of fold 1.
    (note,) = notes_of(rows_of(TIMES[:800]))
    assert note.loud
    assert note.text.startswith(
        "XYZ: ends on 17 January 2024 inside fold 1 (its test window goes on for 160 bars)"
    )
    assert "160 of 960 bars (17 %) before the end" in note.text


def test_a_symbol_that_stops_in_a_training_window_is_absent_from_later_folds():
    (note,) = notes_of(rows_of(TIMES[:400]))
    assert "ends on 9 January 2024 inside the training window of fold 0" in note.text
    assert "has no tradable bar in the test window of folds 0, 1" in note.text


def test_a_late_listing_is_told_with_the_window_that_it_misses():
    (note,) = notes_of(rows_of(TIMES[500:]))
    assert "begins on 11 January 2024, 500 of 960 bars (52 %) after the data do" in note.text
    assert "has no tradable bar in the training window of fold 0" in note.text


def test_a_split_is_told_loudly_with_date_and_ratio():
    rows = rows_of()
    rows.iloc[300:, :4] /= 4.0
    (note,) = notes_of(rows)
    assert note.loud
    assert "jumps on 7 January 2024 (2024-01-07 06:00 UTC) x0.25 from the last close" in note.text
    assert "as where a 4:1 split is not adjusted for" in note.text


def test_bars_without_volume_and_rows_dropped_are_told():
    rows = rows_of()
    rows.iloc[:200, 4] = 0.0
    rows.iloc[300:310, 1] = 1.0
    (note,) = notes_of(rows)
    assert note.loud
    assert "200 of 950 bars (21 %) without volume, in which no order can be filled" in note.text
    assert "10 rows dropped because high and low do not bound open and close (1 % of 960)" in note.text


def test_two_names_of_one_series_are_told():
    (note,) = notes_of(rows_of(seed=1))
    assert (note.text, note.loud) == ("REST: has the prices of XYZ in every bar: is it one instrument?", True)


def test_a_symbol_one_bar_behind_the_others_is_told():
    late = rows_of(seed=1)
    late = late.iloc[:-1].set_axis(late.index[1:])
    told = [note for note in notes_of(late) if "its clock seems" in note.text]
    assert any("XYZ: its clock seems 1 bar late against REST" in note.text for note in told)
    assert all(note.loud for note in told)


def test_a_calendar_without_weekends_is_doubted_where_no_bar_lies_on_one():
    weekdays = (TIMES.astype("datetime64[D]").astype(int) + 3) % 7 < 5
    (note,) = notes_of(rows_of(TIMES[weekdays]))
    assert "(none lies on a weekend: is data.calendar that of an exchange?)" in note.text


def test_an_asset_too_dear_for_one_lot_is_told_loudly():
    # A fifth of 100,000 buys 20,000 / 600,000 = 0.033 of a share.
    (note,) = notes_of(rows_of(price=600_000.0), instrument=US_STOCK)
    assert note.loud
    assert (
        "XYZ: no order ever reaches one lot: env.sizing.rule=fixed_fraction with env.initial_equity=100,000"
        in note.text
    )
    assert notes_of(rows_of(price=600_000.0)) == ()  # coins trade in any size
    rich = env_of("env.initial_equity=10_000_000")
    assert notes_of(rows_of(price=600_000.0), instrument=US_STOCK, env=rich) == ()


def test_volume_below_one_lot_is_told():
    # A tenth of 5 shares is no share.
    (note,) = notes_of(rows_of().assign(volume=5.0), instrument=US_STOCK)
    assert note.loud
    assert (
        "no order can ever be filled: costs.max_participation=0.1 of the bar's volume (at most 5)"
        in note.text
    )


@pytest.mark.parametrize(
    ("overrides", "units"),
    [
        ([], 200.0),  # 0.2 * 100,000 / 100
        (["env.sizing.fraction=3.0"], 1000.0),  # the gross limit of 1
        (["env.sizing.rule=fixed_units"], 1.0),
        (["env.sizing.rule=volatility_target"], 500.0),  # at most half of equity
        (["env.sizing.rule=equity_schedule"], 20.0),  # 2 % of equity, 2,000 at most
        (["env=weights", "risk.max_position_exposure=0.25"], 250.0),
        (["env=weights", "risk.max_gross_exposure=4.0"], 1000.0),  # a weight is 1 at most
    ],
)
def test_the_largest_order_follows_the_size_rule_and_the_limits(overrides, units):
    assert largest_units(np.array([100.0]), env_of(*overrides), 1.0) == pytest.approx([units])
    assert largest_units(np.array([100.0]), env_of(*overrides), 50.0)[0] == pytest.approx(
        units if "env.sizing.rule=fixed_units" in overrides else units / 50.0
    )


def test_remarks_on_the_reading_are_told_and_files_not_read_loudly(caplog):
    aligned = align({"XYZ": rows_of()}, calendar="24/7", bar_seconds=1800)
    hygiene = replace(aligned.hygiene, remarks=("XYZ: joined from 2 files (a, b)", "c.zip in x was not read"))
    notes = data_notes(aligned.panel, hygiene, FOLDS, ENV, {"XYZ": COINS})
    assert [note.loud for note in notes] == [True, False]
    with caplog.at_level(logging.INFO):
        tell(notes, logging.getLogger("rayjobs.study.report"))
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "data: c.zip in x was not read"),
        ("INFO", "data: XYZ: joined from 2 files (a, b)"),
    ]
