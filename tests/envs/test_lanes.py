"""Lanes do with each of their numbers what compiled code does with one, to the bit, and reach no other row."""

from __future__ import annotations

import hashlib
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_markets import BARRIERS, PLAIN, build_market, random_panel, with_parts

from envs.episodes import Window
from envs.kernel.jit import compiled
from envs.kernel.lane_arrays import beside, block, from_column, neighbours, rows_at
from envs.kernel.lane_columns import put_columns, take_columns
from envs.kernel.lane_entries import copy_entries, lane_numbers, put_numbers
from envs.kernel.lanes import LANES, everywhere, first_lanes, is_finite, lane_bits, sign, where
from envs.kernel.reward import log_growth
from envs.portfolio import PortfolioVectorEnv

NUM_RESULTS, FLOOR = 24, 6
SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 5e-324, 1e300, -1e300]


@compiled
def all_operations(x, y, out):
    """Every operation, of the two columns of `x` and `y`; truth as 1 and 0."""
    a, b = x[0], y[0]
    out[0], out[1], out[2], out[3] = a + b, a - b, a * b, a / b
    out[4], out[5], out[6], out[7] = abs(a), math.sqrt(a), math.floor(a), math.copysign(a, b)
    out[8], out[9], out[10], out[11] = min(a, b), max(a, b), math.log(a), -a
    out[12], out[13], out[14] = where(a < b, 1.0, 0.0), where(a <= b, 1.0, 0.0), where(a > b, 1.0, 0.0)
    out[15], out[16], out[17] = where(a >= b, 1.0, 0.0), where(a == b, 1.0, 0.0), where(a != b, 1.0, 0.0)
    out[18] = where((a < b) & (b > 0.0), a, 0.25)
    out[19] = where((a < 0.0) | (b < 0.0), 3, b)
    out[20], out[21] = sign(a), where(is_finite(a), 1.0, 0.0)
    c = a
    c += 0.5
    c *= b
    out[22], out[23] = c, 2.0 * a - b / 3


@numba.njit(error_model="numpy")
def by_lanes(x, y, out):
    everyone = first_lanes(LANES)
    all_operations(block(x, everyone), block(y, everyone), block(out, everyone))


@pytest.fixture(scope="module")
def operations():
    def both(x, y):
        lanes, single = np.zeros((NUM_RESULTS, LANES)), np.zeros((NUM_RESULTS, LANES))
        by_lanes(x, y, lanes)
        for i in range(LANES):
            column = np.zeros(NUM_RESULTS)
            all_operations(x[:, i].copy(), y[:, i].copy(), column)
            single[:, i] = column
        return lanes, single

    return both


numbers = st.one_of(st.sampled_from(SPECIAL), st.floats(-1e6, 1e6), st.floats())


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, min_size=2 * LANES, max_size=2 * LANES))
def test_each_lane_is_treated_as_one_number_is(operations, values):
    x, y = np.array(values).reshape(2, 1, LANES)
    lanes, single = operations(x, y)
    single[FLOOR] = np.floor(x[0])  # of one number, Numba's floor is an int
    known = ~np.isnan(single)
    np.testing.assert_array_equal(np.isnan(lanes), np.isnan(single))
    assert (lanes.view(np.uint64)[known] == single.view(np.uint64)[known]).all()


@numba.njit
def store_live(array, bits, values):
    live = first_lanes(0)
    for i in range(LANES):
        if (bits >> i) & 1:
            live = live | (first_lanes(i + 1) & ~first_lanes(i))
    columns = from_column(block(array, live), 1)
    columns[1] = block(values, live)[0]
    columns[0] = 7.0
    return lane_bits(live)


@pytest.mark.parametrize("dtype", [np.float64, np.int32])
@pytest.mark.parametrize("bits", [0, 1, 0b10100101, 2**LANES - 1])
def test_a_store_reaches_the_live_lanes_of_its_column_only(dtype, bits):
    array = np.arange(4 * LANES).reshape(4, LANES).astype(dtype)
    values = (100.0 + np.arange(LANES)).reshape(1, LANES)
    expected, live = array.copy(), [bool(bits >> i & 1) for i in range(LANES)]
    expected[2, live], expected[1, live] = values[0, live], 7
    assert store_live(array, bits, values) == bits
    np.testing.assert_array_equal(array, expected)


@numba.njit
def gather_and_scatter(table, index, shift, places, out, spare, count, found):
    rows = beside(rows_at(table, index), shift)
    found_columns = block(found, first_lanes(LANES))
    found_columns[0] = rows[1]
    found_columns[1] = lane_numbers(index)
    put_numbers(places, rows[0])
    target = neighbours(out, 1, first_lanes(count), spare)
    target[2] = rows[0] + everywhere(0.5)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.uint8])
@pytest.mark.parametrize("count", [0, 3, LANES])
def test_rows_are_found_wherever_they_stand_and_those_not_live_are_left_alone(dtype, count):
    rng = np.random.default_rng(count)
    table = rng.integers(0, 200, (12, 6)).astype(dtype)
    index, shift = rng.integers(0, 12, LANES), rng.integers(0, 5, LANES)
    places, found = np.zeros(LANES, np.int64), np.zeros((2, LANES))
    out, spare = np.zeros((LANES + 2, 3), dtype), np.zeros((1, 3), dtype)
    gather_and_scatter(table, index, shift, places, out, spare, count, found)
    np.testing.assert_array_equal(found, [table[index, shift + 1], index])
    np.testing.assert_array_equal(places, table[index, shift])
    expected = np.zeros_like(out)
    expected[1 : 1 + count, 2] = (table[index, shift] + 0.5)[:count].astype(dtype)
    np.testing.assert_array_equal(out, expected)


@numba.njit
def copy_part(target, first, source, start, count):
    copy_entries(target, first, source, start, count)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 61])
def test_entries_are_copied_and_no_more_than_these(count):
    source, target = np.arange(80, dtype=np.float32), np.full(80, -1, np.float32)
    copy_part(target, 3, source, 11, count)
    expected = np.full(80, -1, np.float32)
    expected[3 : 3 + count] = source[11 : 11 + count]
    np.testing.assert_array_equal(target, expected)


@numba.njit
def move_columns(table, index, shift, taken, out, first, spare, count, live, where_live):
    columns = block(taken, first_lanes(LANES))
    take_columns(columns, beside(rows_at(table, index), shift), count)
    put_columns(neighbours(out, where_live, first_lanes(live), spare), first, columns, count)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("count", "live"), [(4, LANES), (5, 3), (8, 0), (11, LANES), (13, 5)])
def test_many_columns_of_a_row_are_moved_as_one_by_one(dtype, count, live):
    rng = np.random.default_rng(count)
    table = rng.normal(size=(9, 20)).astype(dtype)
    index, shift = rng.integers(0, 9, LANES), rng.integers(0, 21 - count, LANES)
    taken, out, spare = (
        np.full((15, LANES), 7, dtype),
        np.zeros((LANES + 3, 18), dtype),
        np.zeros((1, 18), dtype),
    )
    move_columns(table, index, shift, taken, out, 2, spare, count, live, 1)
    entries = np.stack([table[i, s : s + count] for i, s in zip(index, shift, strict=True)])
    np.testing.assert_array_equal(taken[:count], entries.T)
    assert (taken[count:] == 7).all()
    expected = np.zeros_like(out)
    expected[1 : 1 + live, 2 : 2 + count] = entries[:live]
    np.testing.assert_array_equal(out, expected)


@numba.njit
def log_growth_of(growth, least, out):
    result = log_growth(block(growth, first_lanes(LANES))[0], everywhere(least))
    block(out, first_lanes(LANES))[0] = result


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(-0.07, 0.07), st.floats(-2.0, 3.0), st.just(0.0)), min_size=LANES, max_size=LANES
    ),
    st.sampled_from([1e-12, 0.9, 1.0, 1.5]),
)
def test_the_logarithm_of_growth_is_exact_in_every_lane_whatever_its_neighbours(growth, least):
    numbers, out, alone = np.array([growth]), np.zeros((1, LANES)), np.zeros((1, LANES))
    log_growth_of(numbers, least, out)
    expected = [math.log1p(x) if 1.0 + x >= least else math.log(least) for x in growth]
    np.testing.assert_allclose(out[0], expected, rtol=4e-16, atol=2e-16)
    log_growth_of(np.full((1, LANES), growth[0]), least, alone)
    assert alone[0, 0] == out[0, 0]


def digest_of_a_run() -> str:
    """Of every number that a run with all kinds of events leaves."""
    market = build_market(random_panel(4, num_bars=200, num_assets=3))
    windows = [Window(start_bar=20, stop_bar=200)]
    config = with_parts(PLAIN, barriers=BARRIERS, risk={"max_var": 0.02, "var_bars": 20})
    env = PortfolioVectorEnv(market, config, num_envs=2 * LANES + 3, windows=windows, seed=1)
    rng, digest = np.random.default_rng(2), hashlib.sha256()
    digest.update(env.reset()[0].tobytes())
    for _ in range(150):
        observation, reward, *_ = env.step(rng.integers(0, 3, (env.num_envs, env.num_assets)))
        for array in (observation, reward, *env.rows.arrays().values()):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="the other way is for processors with AVX"
)
def test_a_processor_without_avx_gives_the_same_bits(tmp_path):
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
    }
    script = "import test_lanes as t; from envs.kernel.lanes import _has_avx; print(_has_avx(), t.digest_of_a_run())"
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=800,
    )
    assert result.stdout.split() == ["False", digest_of_a_run()]
