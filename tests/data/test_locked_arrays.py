"""Nobody who is handed a panel can write into its bars; what finds a way all the same leaves another fingerprint."""

from __future__ import annotations

import ctypes
import pickle
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from made_bars import market, walk

from data.locked_arrays import is_locked, locked
from data.schema import BAR_COLUMNS, Panel

PANEL = market(walk(0, 40), score=walk(1, 40))


def arrays_of(panel: Panel) -> dict[str, np.ndarray]:
    own = {name: getattr(panel, name) for name in (*BAR_COLUMNS, "bar_utc", "tradable", "session")}
    return {**own, **panel.exogenous}


def every_owner(array: np.ndarray) -> Iterator[np.ndarray]:
    """The array, and whatever arrays it is a view of."""
    while isinstance(array, np.ndarray):
        yield array
        array = array.base


@pytest.mark.parametrize(
    "panel",
    [
        PANEL,
        PANEL.slice_bars(5, 30),
        PANEL.select(["S1"]),
        replace(PANEL, volume=PANEL.volume * 2.0),
        pickle.loads(pickle.dumps(PANEL)),
        pickle.loads(pickle.dumps(PANEL.slice_bars(3, 9))),
    ],
    ids=["made", "slice", "selection", "replaced", "pickled", "pickled slice"],
)
def test_no_array_of_a_panel_can_be_made_writeable_again(panel):
    for name, array in arrays_of(panel).items():
        assert is_locked(array), name
        for owner in every_owner(array):
            with pytest.raises(ValueError, match="WRITEABLE"):
                owner.setflags(write=True)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]


def test_what_is_locked_already_is_taken_as_it_is():
    assert locked(PANEL.close, np.float64) is PANEL.close
    again = replace(PANEL, symbols=("A", "B"))
    assert np.shares_memory(again.close, PANEL.close)


def test_a_flag_alone_is_no_lock():
    mine = np.arange(6.0)
    mine.setflags(write=False)
    assert not is_locked(mine)
    assert not is_locked(mine[2:])
    kept = locked(mine[2:], np.float64)
    mine.setflags(write=True)
    mine[:] = 0.0
    np.testing.assert_array_equal(kept, [2.0, 3.0, 4.0, 5.0])


def test_an_empty_array_is_no_trouble():
    assert locked(np.zeros((0, 2)), np.float64).shape == (0, 2)


def test_memory_that_was_written_to_shows_in_the_fingerprint_of_now():
    panel = market(walk(2, 40))
    before = panel.fingerprint
    assert panel.fingerprint_now() == before
    changed = np.float64(panel.close[7, 1] * 1.5)
    place = panel.close.__array_interface__["data"][0] + 8 * (7 * panel.num_assets + 1)
    ctypes.memmove(place, changed.tobytes(), 8)
    assert panel.fingerprint == before  # as it was loaded
    assert panel.fingerprint_now() != before
