"""The one pass over bars suspects whatever the exact rules find, and what it lets pass a panel would let pass."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.alignment import align
from data.checks.hygiene import inconsistent_rows, jumping_rows, require_usable
from data.checks.jumps import find_jumps
from data.checks.scan import ascends, scan_rows, sound_bars
from data.errors import DataError
from data.repair_decisions import NO_REPAIRS
from data.schema import BAR_COLUMNS, LARGEST_PRICE, LEAST_PRICE

PRICES = st.sampled_from([-1.0, 0.0, np.nan, np.inf, 1e-13, 1e13, 1.0, 1.2, 1.201, 1.5, 1.51, 2.0, 3.0, 4.0])
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
    columns = [rows[name].to_numpy() for name in BAR_COLUMNS]
    held = sound_bars(*columns, np.ones(len(rows), dtype=bool), LEAST_PRICE, LARGEST_PRICE)
    assert seen.sound == (held and not seen.order)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-3, 3), max_size=8), st.integers(0, 1))
def test_numbers_ascend_where_each_is_larger_by_the_least_step(values, least):
    assert ascends(np.array(values, np.int64), least) == (np.diff(values) >= least).all()


def test_a_small_gap_that_is_like_a_split_is_suspected():
    count = 200
    close = np.where(np.arange(count) < 100, 100.0, 80.0)  # 5:4
    opened = close.copy()
    rows = frame(np.stack([opened, close, close, close, np.full(count, 9.0)], axis=1), [1] * (count - 1))
    assert len(find_jumps("X", rows.index.to_numpy("datetime64[ns]"), rows)) == 1
    assert scan_rows(rows).jumps


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


@pytest.mark.parametrize("price", [1e-13, 1e13])
def test_what_is_no_quote_is_refused_although_it_is_positive_and_bounded(price):
    rows = frame([[1.0, 1.0, 1.0, 1.0, 1.0], [price] * 4 + [1.0], [1.0, 1.0, 1.0, 1.0, 1.0]], [1, 1])
    with pytest.raises(DataError, match="is no price"):
        align({"X": rows}, calendar="24/7", bar_seconds=60)
