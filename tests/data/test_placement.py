"""Rows on a grid, against Python's own sets and a column written cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.placement import BLOCK_BARS, COMPARED, GROUP, laid_out, place_rows

MOMENTS = st.sets(st.integers(0, 40))


def instants(values) -> np.ndarray:
    return np.array(sorted(values), "datetime64[ns]")


def rows_by_bar(labels, grid) -> np.ndarray:
    """The row of each bar, one by one."""
    row_of = {moment: row for row, moment in enumerate(sorted(labels))}
    return np.array([row_of.get(moment, -1) for moment in sorted(grid)], np.int64)


@settings(max_examples=150, deadline=None)
@given(MOMENTS, MOMENTS)
def test_each_label_is_found_at_its_place_and_what_is_missing_lies_between(labels, grid):
    placed = place_rows(instants(labels), instants(grid))
    expected = rows_by_bar(labels, grid)
    np.testing.assert_array_equal(placed.row_of_bar(), expected)
    assert placed.on_grid == len(labels & grid)
    np.testing.assert_array_equal(
        placed.row_is_on_grid(len(labels)), np.isin(instants(labels), instants(grid))
    )
    gaps = [bar for start, stop in zip(*placed.missing()) for bar in range(start, stop)]
    assert gaps == list(np.flatnonzero(expected < 0))
    starts, stops = placed.missing()
    assert (starts[1:] > stops[:-1]).all()  # runs, and not pieces of them


@settings(max_examples=150, deadline=None)
@given(MOMENTS, MOMENTS, st.integers(0, 12), st.integers(0, 45), st.data())
def test_a_part_of_the_grid_and_rejected_rows_are_as_cell_by_cell(labels, grid, start, stop, data):
    placed = place_rows(instants(labels), instants(grid))
    expected = rows_by_bar(labels, grid)
    part = placed.bars(slice(start, stop))
    np.testing.assert_array_equal(part.row_of_bar(), expected[start:stop])
    assert part.num_bars == len(expected[start:stop])
    count = len(labels)
    rejected = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    left = placed.without(rejected).row_of_bar()
    np.testing.assert_array_equal(left, [row if row >= 0 and not rejected[row] else -1 for row in expected])


@pytest.mark.parametrize("num_assets", [1, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP + 3])
def test_columns_are_laid_out_over_blocks_and_groups_with_gaps_and_assets_that_lack_them(num_assets):
    generator = np.random.default_rng(num_assets)
    num_bars = 3 * BLOCK_BARS + 17
    grid = np.arange(num_bars).view("datetime64[ns]")
    columns, placed, expected = [], [], np.full((num_bars, num_assets), -7.0)
    for asset in range(num_assets):
        # From an asset without any bar to one with all, some in single bars and some in long runs.
        there = generator.random(num_bars) < asset / max(num_assets - 1, 1)
        there[BLOCK_BARS - 3 : BLOCK_BARS + 3] |= asset > 0
        values = generator.random(int(there.sum()))
        placed.append(place_rows(grid[there], grid))
        columns.append(None if asset == 2 else values)
        if asset != 2:
            expected[there, asset] = values
    np.testing.assert_array_equal(laid_out(columns, placed, -7.0), expected)


def test_a_long_series_of_single_bars_is_placed():
    grid = np.arange(5000).view("datetime64[ns]")
    placed = place_rows(grid[::2], grid)  # more runs than there is room for at first
    assert len(placed.length) == 2500
    np.testing.assert_array_equal(placed.row_of_bar()[::2], np.arange(2500))
    assert (placed.row_of_bar()[1::2] == -1).all()


def test_nothing_on_an_empty_grid():
    nothing = np.array([], "datetime64[ns]")
    placed = place_rows(nothing, nothing)
    assert (placed.on_grid, placed.num_bars) == (0, 0)
    assert laid_out([np.array([])], [placed], np.nan).shape == (0, 1)


@pytest.mark.parametrize("lacking", [0, 1, 254, 255, 256, 257, 258, 511, 512, 513, 700])
@pytest.mark.parametrize("where", ["labels", "grid"])
def test_runs_longer_than_what_is_compared_at_once_end_where_the_first_label_differs(lacking, where):
    whole = np.arange(3 * COMPARED) * 60
    cut = np.delete(whole, lacking)
    labels, grid = (cut, whole) if where == "labels" else (whole, cut)
    placed = place_rows(labels.view("datetime64[ns]"), grid.view("datetime64[ns]"))
    parts = [
        (0, 0, lacking),
        (lacking + (where == "labels"), lacking + (where == "grid"), len(cut) - lacking),
    ]
    expected = [part for part in parts if part[2]]
    assert list(zip(placed.first_bar, placed.first_row, placed.length)) == expected
