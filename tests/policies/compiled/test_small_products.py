"""Products of a few rows are right whatever their sizes, and their bits are those of a row and a column alone."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from policies.compiled.small_products import COLUMNS, NARROW, WIDE, on_a_line, pack_row, panels, product_by

ROWS = (1, 2, 5, 6, 8, 23)


def callable_from_python(add):
    return numba.njit(lambda rows, weights, out: add(rows, weights, out))


@pytest.fixture(scope="module")
def products():
    """Block sizes of every processor, not only of this one."""
    return {
        (block, turned): callable_from_python(product_by(*block, turned=turned))
        for block in (NARROW, WIDE)
        for turned in (False, True)
    }


def draws(*shape):
    return np.random.default_rng(list(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("depth", [1, 7, 40])
@pytest.mark.parametrize("outputs", [3, 16, 48, 70])
@pytest.mark.parametrize("block", [NARROW, WIDE])
def test_a_product_is_added_for_any_numbers_of_rows_inputs_and_outputs(products, block, outputs, depth):
    weights = draws(depth, outputs)
    packed = panels(weights)
    for num_rows in ROWS:
        rows, out = draws(num_rows, depth), draws(num_rows, len(packed) * COLUMNS)
        expected = out[:, :outputs] + rows.astype(np.float64) @ weights
        products[block, False](rows, packed, out)
        np.testing.assert_allclose(out[:, :outputs], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 7, 40])
@pytest.mark.parametrize("outputs", [3, 16, 48, 70])
@pytest.mark.parametrize("block", [NARROW, WIDE])
def test_a_turned_product_is_that_of_the_transpose(products, block, outputs, depth):
    weights = draws(depth, outputs)
    packed = panels(weights)
    for num_rows in ROWS:
        rows, out = draws(depth, num_rows), draws(num_rows, len(packed) * COLUMNS)
        expected = out[:, :outputs] + rows.T.astype(np.float64) @ weights
        products[block, True](rows, packed, out)
        np.testing.assert_allclose(out[:, :outputs], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("turned", [False, True])
def test_bits_depend_neither_on_the_size_of_a_block_nor_on_the_rows_beside(products, turned):
    rows, packed = draws(23, 40), panels(draws(40, 80))
    rows = rows.T.copy() if turned else rows
    found = []
    for block in (NARROW, WIDE):
        out = np.zeros((23, 80), np.float32)
        products[block, turned](rows, packed, out)
        found.append(out)
        for row in (0, 7, 22):
            one = rows[:, row : row + 1] if turned else rows[row : row + 1]
            alone = np.zeros((1, 80), np.float32)
            products[block, turned](one.copy(), packed, alone)
            np.testing.assert_array_equal(alone[0], out[row])
    np.testing.assert_array_equal(*found)


def test_a_long_turned_product_loses_less_than_a_sum_one_by_one(products):
    # 400 pieces of 128 ones and 0.1: a running sum in float32 is off by 1e-4, pieces by 1e-6.
    rows, packed = np.full((128, 1), 0.1, np.float32), panels(np.ones((128, 16), np.float32))
    out = np.zeros((1, 16), np.float32)
    for _ in range(400):
        products[WIDE, True](rows, packed, out)
    assert out[0, 0] == pytest.approx(0.1 * 128 * 400, rel=1e-5)


@pytest.mark.parametrize("width", [5, 16, 35])
def test_rows_that_are_packed_one_by_one_are_panels_of_all(width):
    rows = draws(9, width)
    factors = draws(9)
    packed = np.full((-(-width // COLUMNS), 9, COLUMNS), np.nan, np.float32)
    pack = numba.njit(lambda row, factor, k, out: pack_row(row, factor, k, out))
    for k in range(9):
        pack(rows[k], factors[k], k, packed)
    np.testing.assert_array_equal(packed, panels(rows * factors[:, None]))


def test_panels_begin_with_a_line_of_the_cache():
    for size in range(1, 40):
        assert on_a_line(size, 3).ctypes.data % 64 == 0
        assert panels(np.ones((size, 5), np.float32)).ctypes.data % 64 == 0
