"""Labels: half-open windows, entry at the next open, costs, and what each label read."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.labels import horizon_returns
from data.schema import BAR_COLUMNS, Panel


def panel_of(bars, tradable=None):
    """Return a panel of one asset from rows (open, high, low, close); None is a missing bar."""
    rows = np.array([bar if bar is not None else (np.nan,) * 4 for bar in bars], dtype=float)
    times = np.datetime64("2020-01-01", "ns") + np.arange(len(rows)) * np.timedelta64(60, "s")
    known = np.isfinite(rows[:, :1])
    tradable = known if tradable is None else known & np.array(tradable)[:, None]
    return Panel(
        symbols=("X",),
        bar_utc=times,
        open=rows[:, :1],
        high=rows[:, 1:2],
        low=rows[:, 2:3],
        close=rows[:, 3:],
        volume=np.where(tradable, 1.0, 0.0),
        tradable=tradable,
        session=times.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=60,
    )


FLAT = (100.0, 100.0, 100.0, 100.0)


def test_horizon_returns_run_from_the_next_open_to_the_close_at_the_horizon():
    panel = panel_of([FLAT, (101, 103, 100, 102), (102, 110, 102, 110), (110, 110, 108, 109)])
    result = horizon_returns(panel, horizon_bars=2)
    np.testing.assert_allclose(result.net_return[:2, 0], [110 / 101 - 1, 109 / 102 - 1])
    assert np.isnan(result.net_return[2:]).all()
    assert result.end_bar.tolist() == [2, 3, 3, 3]


def test_there_is_no_return_where_the_entry_cannot_be_traded():
    result = horizon_returns(panel_of([FLAT, FLAT, None, FLAT], [True, False, False, True]), horizon_bars=1)
    assert np.isnan(result.net_return[:2, 0]).all()


def test_horizon_returns_of_a_short_position_are_net_of_both_sides():
    panel = panel_of([FLAT, (100, 100, 90, 90)])
    result = horizon_returns(panel, horizon_bars=1, cost_bps=10.0, direction=-1)
    assert result.net_return[0, 0] == pytest.approx(0.1 - 0.001 * 1.9)


def replaced(panel, other, rows):
    arrays = {f.name: getattr(panel, f.name) for f in fields(Panel)}
    for name in (*BAR_COLUMNS, "tradable"):
        arrays[name] = np.array(arrays[name])
        arrays[name][rows] = getattr(other, name)[rows]
    return replace(panel, **{name: arrays[name] for name in (*BAR_COLUMNS, "tradable")})


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    t=st.integers(0, 39),
    horizon=st.integers(1, 9),
    missing=st.sampled_from([0.0, 0.2]),
)
def test_a_label_reads_its_half_open_window_and_no_further_than_it_says(
    random_panel, seed, t, horizon, missing
):
    panel, other = random_panel(seed, 50, missing=missing), random_panel(seed + 1, 50, missing=missing)
    returns = horizon_returns(panel, horizon_bars=horizon)
    outside = np.ones(50, dtype=bool)
    outside[t + 1 : returns.end_bar[t] + 1] = False
    again = horizon_returns(replaced(panel, other, outside), horizon_bars=horizon)
    np.testing.assert_array_equal(again.net_return[t], returns.net_return[t])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"horizon_bars": 0}, "horizon_bars is 0"),
        ({"horizon_bars": 50}, "horizon_bars is 50"),
        ({"cost_bps": -1.0}, "cost_bps"),
        ({"direction": 2}, "direction"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(random_panel, changes, said):
    with pytest.raises(ValueError, match=said):
        horizon_returns(random_panel(0, 50), **{"horizon_bars": 5, **changes})
