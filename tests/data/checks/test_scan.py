"""The one pass over bars suspects whatever the exact rules find, and the merge is a search in a sorted list."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.alignment import align
from data.checks.hygiene import inconsistent_rows, jumping_rows, require_usable
from data.checks.jumps import find_jumps
from data.checks.scan import laid_out, place_rows, scan_rows
from data.errors import DataError
from data.repair_decisions import NO_REPAIRS

PRICES = st.sampled_from([-1.0, 0.0, np.nan, np.inf, 1.0, 1.2, 1.201, 1.5, 1.51, 2.0, 3.0, 4.0])
ROW = st.tuples(PRICES, PRICES, PRICES, PRICES, st.sampled_from([-1.0, 0.0, np.nan, np.inf, 5.0]))
STEP = st.sampled_from([-1, 0, 1, 2])


def frame(values, steps):
    labels = np.datetime64("2024-01-01", "ns") + np.cumsum([0, *steps])[: len(values)] * np.timedelta64(
        1, "m"
    )
    columns = ["open", "high", "low", "close", "volume"]
    return pd.DataFrame(values, columns=columns, index=pd.DatetimeIndex(labels), dtype=np.float64)


def usable(rows) -> bool:
    try:
        require_usable("X", rows)
    except DataError:
        return False
    return True


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=6), st.lists(STEP, min_size=5, max_size=5))
def test_nothing_that_the_exact_rules_find_goes_unsuspected(values, steps):
    rows = frame(values, steps)
    seen = scan_rows(rows)
    assert usable(rows) == (not (seen.order or seen.values))
    if usable(rows):
        assert seen.bounds == inconsistent_rows(rows).any()
        assert seen.silent == (rows["volume"] == 0.0).any()
        assert seen.jumps or not jumping_rows(rows).any()


def test_a_small_gap_that_is_like_a_split_is_suspected():
    count = 200
    close = np.where(np.arange(count) < 100, 100.0, 80.0)  # 5:4
    opened = close.copy()
    rows = frame(np.stack([opened, close, close, close, np.full(count, 9.0)], axis=1), [1] * (count - 1))
    assert len(find_jumps("X", rows.index.to_numpy("datetime64[ns]"), rows)) == 1
    assert scan_rows(rows).jumps


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_merging_finds_each_label_at_its_place(labels, grid):
    some, every = (np.array(sorted(chosen), "datetime64[ns]") for chosen in (labels, grid))
    placed = place_rows(some, every)
    assert placed.on_grid == len(labels & grid)
    assert [some[row] if row >= 0 else None for row in placed.row_of_bar] == [
        moment if moment in some else None for moment in every
    ]
    np.testing.assert_array_equal(placed.row_is_on_grid(len(some)), np.isin(some, every))


def test_columns_are_laid_out_over_more_bars_than_a_block_with_gaps_and_columns_that_one_asset_lacks():
    bars = 5000
    row_of_bar = np.where(np.arange(bars) % 7 == 3, -1, np.arange(bars) // 2)
    values = np.arange(bars, dtype=np.float64)
    out = laid_out([values, None], [row_of_bar, row_of_bar], bars, np.nan)
    np.testing.assert_array_equal(out[:, 0], np.where(row_of_bar < 0, np.nan, values[row_of_bar]))
    assert np.isnan(out[:, 1]).all()


def test_a_jump_between_bars_that_a_repair_made_neighbours_is_told():
    # A price that climbs by 15 % a bar over an island of three bars between gaps, which is dropped.
    close = np.concatenate([np.full(50, 100.0), 100.0 * 1.15 ** np.arange(1, 6), np.full(50, 201.0)])
    minutes = np.concatenate([np.arange(50), 60 + np.arange(5), 80 + np.arange(50)])
    labels = np.datetime64("2024-01-01", "ns") + minutes * np.timedelta64(1, "m")
    rows = frame(np.stack([close, close, close, close, np.full(105, 9.0)], axis=1), [1] * 104)
    rows.index = pd.DatetimeIndex(labels)
    assert not scan_rows(rows).jumps
    plain = align({"X": rows}, calendar="24/7", bar_seconds=60)
    assert plain.hygiene.bars("jump") == 0
    repairs = type(NO_REPAIRS)(**{**vars(NO_REPAIRS), "island_bars": 6})
    found = align({"X": rows}, calendar="24/7", bar_seconds=60, repairs=repairs)
    assert found.hygiene.bars("island") == 5
    assert found.hygiene.bars("jump") == 1


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "volume"])
def test_an_infinite_or_unknown_value_in_any_column_is_refused(name):
    for value in (np.inf, -np.inf, np.nan):
        rows = frame([[1.0, 1.0, 1.0, 1.0, 1.0]] * 3, [1, 1])
        rows.loc[rows.index[1], name] = value
        with pytest.raises(DataError, match=name):
            align({"X": rows}, calendar="24/7", bar_seconds=60)
