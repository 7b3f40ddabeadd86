"""Labels: half-open windows, fills as in the simulator, costs, and what each label read."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.labels import horizon_returns, triple_barrier_labels
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


def first_label(
    bars, *, horizon_bars=2, direction=1, cost_bps=0.0, profit_target=0.1, stop_loss=0.1, tradable=None
):
    """Return label, net return and end bar of bar 0, after which `bars` come, and quiet bars after them."""
    given_ = {
        "profit_target": profit_target,
        "stop_loss": stop_loss,
        "direction": direction,
        "cost_bps": cost_bps,
    }
    panel = panel_of([FLAT, *bars, FLAT, FLAT, FLAT], tradable)
    result = triple_barrier_labels(panel, horizon_bars=horizon_bars, **given_)
    return result.label[0, 0], result.net_return[0, 0], result.end_bar[0, 0]


def test_a_target_touched_inside_a_bar_fills_at_its_level():
    assert first_label([(100, 111, 99, 105)]) == (1, pytest.approx(0.1), 1)


def test_a_stop_touched_inside_a_bar_fills_at_its_level():
    assert first_label([(100, 101, 89, 95)]) == (-1, pytest.approx(-0.1), 1)


def test_when_both_are_touched_the_stop_counts():
    assert first_label([(100, 111, 89, 105)]) == (-1, pytest.approx(-0.1), 1)


def test_a_gap_through_the_stop_fills_at_the_open():
    assert first_label([FLAT, (85, 86, 80, 84)]) == (-1, pytest.approx(-0.15), 2)


def test_a_gap_through_the_target_fills_at_the_open_even_if_the_stop_is_touched_later():
    assert first_label([FLAT, (115, 116, 80, 84)]) == (1, pytest.approx(0.15), 2)


def test_the_time_limit_closes_at_the_last_close_of_the_window():
    assert first_label([FLAT, (100, 104, 100, 103), (100, 200, 100, 200)]) == (0, pytest.approx(0.03), 2)


def test_a_short_position_gains_when_the_price_falls():
    assert first_label([(100, 101, 89, 95)], direction=-1) == (1, pytest.approx(0.1), 1)
    assert first_label([(100, 111, 99, 105)], direction=-1) == (-1, pytest.approx(-0.1), 1)
    assert first_label([FLAT, (115, 116, 80, 84)], direction=-1) == (-1, pytest.approx(-0.15), 2)


def test_costs_are_paid_on_what_is_traded_on_each_side():
    # 10 bps of 1.00 going in and of 1.10 going out.
    assert first_label([(100, 111, 99, 105)], cost_bps=10.0)[1] == pytest.approx(0.1 - 0.001 * 2.1)


def test_entry_is_at_the_open_of_the_next_bar():
    # Opened at 110: the target stands at 121 and the high of 115 does not reach it.
    label, net, end = first_label([(110, 115, 109, 112)], horizon_bars=1)
    assert (label, net, end) == (0, pytest.approx(112 / 110 - 1), 1)


def test_a_missing_bar_is_passed_over():
    assert first_label([FLAT, None, (100, 111, 99, 105)], horizon_bars=3) == (1, pytest.approx(0.1), 3)
    assert first_label([(100, 102, 99, 102), None], horizon_bars=2) == (0, pytest.approx(0.02), 2)


def test_there_is_no_label_where_the_entry_cannot_be_traded():
    label, net, end = first_label([None, (100, 111, 99, 105)])
    assert (label, end) == (2, 2)
    assert np.isnan(net)


def test_a_barrier_at_infinity_is_off():
    assert first_label([(100, 111, 1, 105)], stop_loss=np.inf)[0] == 1
    assert first_label([(100, 111, 1, 105)], stop_loss=np.inf, profit_target=np.inf, horizon_bars=1)[0] == 0


def test_a_distance_that_is_not_known_gives_no_label():
    assert first_label([(100, 111, 99, 105)], profit_target=np.nan)[0] == 2


def test_a_window_that_ends_after_the_data_gives_no_label_even_if_a_barrier_was_touched():
    panel = panel_of([FLAT, FLAT, FLAT, (100, 150, 100, 150)])
    result = triple_barrier_labels(panel, horizon_bars=2, profit_target=0.1, stop_loss=0.1)
    assert result.known[:, 0].tolist() == [True, True, False, False]
    assert result.end_bar[:, 0].tolist() == [2, 3, 3, 3]


def test_horizon_returns_run_from_the_next_open_to_the_close_at_the_horizon():
    panel = panel_of([FLAT, (101, 103, 100, 102), (102, 110, 102, 110), (110, 110, 108, 109)])
    result = horizon_returns(panel, horizon_bars=2)
    np.testing.assert_allclose(result.net_return[:2, 0], [110 / 101 - 1, 109 / 102 - 1])
    assert np.isnan(result.net_return[2:]).all()
    assert result.end_bar.tolist() == [2, 3, 3, 3]


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
    barriers = {"horizon_bars": horizon, "profit_target": 0.02, "stop_loss": 0.015, "cost_bps": 2.0}
    labels, returns = triple_barrier_labels(panel, **barriers), horizon_returns(panel, horizon_bars=horizon)
    for a in range(2):
        outside = np.ones(50, dtype=bool)
        outside[t + 1 : labels.end_bar[t, a] + 1] = False
        again = triple_barrier_labels(replaced(panel, other, outside), **barriers)
        assert again.label[t, a] == labels.label[t, a]
        np.testing.assert_array_equal(again.net_return[t, a], labels.net_return[t, a])
    outside = np.ones(50, dtype=bool)
    outside[t + 1 : returns.end_bar[t] + 1] = False
    again = horizon_returns(replaced(panel, other, outside), horizon_bars=horizon)
    np.testing.assert_array_equal(again.net_return[t], returns.net_return[t])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"horizon_bars": 0}, "horizon_bars is 0"),
        ({"horizon_bars": 50}, "horizon_bars is 50"),
        ({"stop_loss": 0.0}, "stop_loss"),
        ({"cost_bps": -1.0}, "cost_bps"),
        ({"direction": 2}, "direction"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused(random_panel, changes, said):
    with pytest.raises(ValueError, match=said):
        triple_barrier_labels(
            random_panel(0, 50), **{"horizon_bars": 5, "profit_target": 0.1, "stop_loss": 0.1, **changes}
        )
