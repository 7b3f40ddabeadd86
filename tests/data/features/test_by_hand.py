"""Price structure, sessions, spreads, longer bars and cross-sections against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from data.features import FeatureSpec, compute_features
from data.features.library import FEATURES
from data.schema import Panel


def bars(close, *, high=None, low=None, opened=None, volume=None, per_session=6, symbols=None):
    """A panel of bars of a day / per_session, 24/7; one column or (T, A)."""
    close = np.array(close, dtype=float)
    close = close[:, None] if close.ndim == 1 else close

    def of(values, default):
        if values is None:
            return default
        values = np.array(values, dtype=float)
        return values[:, None] if values.ndim == 1 else values

    opened = of(opened, close)
    known = np.isfinite(close)
    seconds = 86_400 // per_session
    times = np.datetime64("2020-01-01", "ns") + np.arange(len(close)) * np.timedelta64(seconds, "s")
    volume = of(volume, np.where(known, 1.0, 0.0))
    return Panel(
        symbols=symbols or tuple("ABCDEFGH"[: close.shape[1]]),
        bar_utc=times,
        open=opened,
        high=of(high, np.fmax(opened, close)),
        low=of(low, np.fmin(opened, close)),
        close=close,
        volume=volume,
        tradable=known & (volume > 0.0),
        session=times.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=seconds,
    )


def values(panel, name, **params):
    """(T, A, K) before rounding to float32, rows before the lookback as the function gives them."""
    with np.errstate(all="ignore"):
        found = np.asarray(FEATURES[name].function(panel, **params), dtype=float)
    return found if found.ndim == 3 else found[..., None]


def test_a_swing_high_is_known_two_bars_later_and_not_before():
    high = [10, 11, 15, 12, 11, 10, 10]
    panel = bars([9] * 7, opened=[9] * 7, high=high, low=[8] * 7)
    found = values(panel, "swing", strength_bars=2, window_bars=4)[:, 0]
    # The bar of 15 is a swing once the two bars after it have closed: at bar 4, for four bars.
    assert np.isnan(found[:4, 0]).all()
    np.testing.assert_allclose(found[4:, 0], np.log(9 / 15))
    np.testing.assert_allclose(found[4:, 2], [0.0, 0.25, 0.5])


def test_a_break_of_structure_is_a_close_beyond_the_last_swing():
    panel = bars([9, 9, 9, 9, 16, 9], opened=[9] * 6, high=[10, 15, 10, 10, 17, 10], low=[8] * 6)
    found = values(panel, "break_of_structure", strength_bars=1, window_bars=10)[:, 0, 0]
    np.testing.assert_array_equal(found[2:], [0.0, 0.0, 1.0, 0.0])


def test_a_gap_up_is_open_until_a_low_reaches_its_far_edge():
    # Bar 2 opens a gap: its low 12 is above bar 0's high 10. Bar 3 enters it (11), bar 4 fills it (10).
    panel = bars([9.5, 11, 13, 12, 11, 11], high=[10, 12, 14, 13, 12, 12], low=[9, 10, 12, 11, 10, 10])
    found = values(panel, "fair_value_gap", window_bars=4)[:, 0]
    np.testing.assert_allclose(found[:, 0], [0, 0, np.log(13 / 10), np.log(12 / 10), 0, 0])
    # Of bars 2 to 5 one opened a gap up, and it is filled from bar 4 on.
    np.testing.assert_allclose(found[5, 2:], [0.25, 0.0, 1.0])
    assert found[3, 4] == 0.0


def test_a_gap_down_is_the_same_upside_down():
    panel = bars([19, 17, 15, 16, 18, 18], high=[20, 18, 16, 17, 19, 19], low=[18, 16, 14, 15, 17, 17])
    # Bar 2's high 16 is below bar 0's low 18; bar 4's high 19 fills it.
    found = values(panel, "fair_value_gap", window_bars=4)[:, 0]
    np.testing.assert_allclose(found[:, 1], [0, 0, np.log(15 / 18), np.log(16 / 18), 0, 0])


def test_an_order_block_is_the_last_fall_before_a_large_rise():
    opened, close = [10, 10, 10, 10.0, 9.8], [10.1, 9.9, 10.1, 9.8, 12.8]
    panel = bars(close, opened=opened)
    found = values(panel, "order_block", window_bars=4, multiple=2.0)[:, 0]
    # Bodies before bar 4: 0.1, 0.1, 0.1, 0.2, mean 0.125; 3.0 is a displacement; bar 3 fell from 10 to 9.8.
    np.testing.assert_allclose(found[4, 0], np.log(12.8 / 9.9))
    assert np.isnan(found[4, 1])


def test_a_displacement_counts_where_the_body_exceeds_its_mean_before():
    panel = bars([11, 9, 11, 15, 14], opened=[10] * 4 + [15])
    found = values(panel, "displacement", window_bars=2, multiple=2.0)[:, 0]
    np.testing.assert_array_equal(found[2:, 0], [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(found[4, 1], 0.5)


def test_levels_of_the_prior_session_and_of_the_opening_range():
    # Sessions of three bars: highs 12, 15, 11 | 13, 14, 20 | ...
    panel = bars(
        [10, 11, 10.5, 12, 13, 19, 18], high=[12, 15, 11, 13, 14, 20, 21], low=[9, 10, 8, 11, 12, 13, 17],
        opened=[10, 11, 10.5, 12, 13, 19, 18], per_session=3,
    )  # fmt: skip
    prior = values(panel, "prior_session", session_bars=3)[:, 0]
    assert np.isnan(prior[:6]).all()  # of the first session the first bar was not seen to be the first
    np.testing.assert_allclose(prior[6], np.log(18 / np.array([20, 11, 15.5, 19])))
    opening = values(panel, "opening_range", session_bars=3, opening_bars=2)[:, 0]
    assert np.isnan(opening[3]).all()
    np.testing.assert_allclose(opening[4], np.log(13 / np.array([14, 11])))
    np.testing.assert_allclose(opening[5], np.log(19 / np.array([14, 11])))
    position = values(panel, "session_position", session_bars=3)[:, 0]
    np.testing.assert_allclose(position[5], [(19 - 11) / (20 - 11), np.log(19 / 12)])


def test_a_session_longer_than_it_may_be_is_unknown_and_not_summed_in_part():
    panel = bars(np.arange(10.0, 22.0), per_session=6)
    found = values(panel, "session_vwap_distance", session_bars=4)[:, 0, 0]
    np.testing.assert_array_equal(np.isfinite(found), [False] * 6 + [True] * 4 + [False] * 2)


def test_vwap_begins_anew_with_the_session():
    panel = bars([10, 10, 10, 20, 30, 30], volume=[1, 1, 1, 1, 3, 0], per_session=3)
    found = values(panel, "session_vwap_distance", session_bars=3)[:, 0, 0]
    # 20; (20 + 3 * 30) / 4 = 27.5; a bar without volume changes nothing.
    np.testing.assert_allclose(found[3:], [0.0, np.log(30 / 27.5), np.log(30 / 27.5)])


def test_a_longer_bar_is_known_once_it_is_complete():
    panel = bars([1, 2, 3, 4, 5, 6, 7, 8.0, 9, 10, 11, 12], per_session=6)
    found = values(panel, "higher_time_frame", feature="log_return", factor=4, params={"horizon_bars": 1})
    # A session of six bars makes one of four and one of two, cut short by the close: closes 4, 6, 10, 12.
    expected = [np.log(6 / 4)] * 4 + [np.log(10 / 6)] * 2 + [np.log(12 / 10)]
    np.testing.assert_allclose(found[5:, 0, 0], expected)
    assert np.isnan(found[:5]).all()


def test_a_longer_bar_of_missing_bars_is_missing_and_one_of_some_takes_what_is_there():
    close = [1, np.nan, 3, np.nan, np.nan, np.nan, 7, 8, 9.0]
    panel = bars(close, opened=[0.5, np.nan, 3, np.nan, np.nan, np.nan, 7, 8, 9.0], per_session=3)
    found = values(panel, "higher_time_frame", feature="candle", factor=3, params={})[:, 0, 0]
    # From 0.5 to 3 with a low of 0.5 and a high of 3: body 1 of the range; then none; then 7 to 9.
    np.testing.assert_allclose(found, [np.nan, np.nan, 1, 1, 1, np.nan, np.nan, np.nan, 1])


def test_rank_z_score_and_breadth_are_among_the_tradable_assets():
    close = np.array([[100.0, 100, 100, 100], [101, 102, 99, 150]])
    panel = bars(close, volume=[[1.0, 1, 1, 1], [1, 1, 1, 0]])
    moved = np.log([1.01, 1.02, 0.99])
    np.testing.assert_allclose(values(panel, "cross_rank", horizon_bars=1)[1, :, 0], [0, 1, -1, np.nan])
    np.testing.assert_allclose(values(panel, "breadth", horizon_bars=1)[1, :, 0], 2 / 3)
    np.testing.assert_allclose(
        values(panel, "cross_demeaned", horizon_bars=1)[1, :3, 0], moved - moved.mean()
    )
    zscore = values(panel, "cross_zscore", horizon_bars=1)[1, :, 0]
    np.testing.assert_allclose(zscore[:3], (moved - moved.mean()) / moved.std())
    assert np.isnan(zscore[3])


def test_the_volatility_index_is_a_bar_late():
    panel = bars(np.array([[1.0, 20.0], [1, 22], [1, 11], [1, 44]]), symbols=("A", "VIX"))
    found = values(panel, "volatility_index", reference="VIX", window_bars=2)[3, 0]
    # At bar 3 the level is that of bar 2, 11, after 22: one deviation below the mean of both.
    np.testing.assert_allclose(found, [np.log(11), -1.0, np.log(0.5)])


def test_spreads_of_highs_and_lows():
    # Two equal bars, high 102 and low 100, close in the middle: beta = 2 h^2, gamma = h^2 with h = log(1.02), so
    # alpha = h (2 - sqrt 2) / (3 - 2 sqrt 2) - h / sqrt(3 - 2 sqrt 2) = h (2 + sqrt 2 - 1 - sqrt 2) = h.
    panel = bars([101, 101, 101], opened=[101] * 3, high=[102] * 3, low=[100] * 3)
    alpha = np.log(1.02)
    spread = 2 * (np.exp(alpha) - 1) / (1 + np.exp(alpha))
    np.testing.assert_allclose(values(panel, "corwin_schultz", window_bars=2)[2, 0, 0], spread, rtol=1e-9)
    # Closes at the high, middles equal: each product is (log 102 - m)^2, m = (log 102 + log 100) / 2.
    panel = bars([102] * 3, opened=[101] * 3, high=[102] * 3, low=[100] * 3)
    np.testing.assert_allclose(values(panel, "abdi_ranaldo", window_bars=2)[2, 0, 0], np.log(1.02), rtol=1e-9)


def test_order_flow_by_the_tick_rule_carries_the_last_side_on():
    panel = bars([10, 11, 11, 10, 10], volume=[9, 1, 2, 4, 8])
    # Sides up, up (carried), down, down (carried): (1 + 2 - 4 - 8) / 15.
    np.testing.assert_allclose(values(panel, "tick_imbalance", window_bars=4)[4, 0, 0], -9 / 15)


def test_impact_is_the_return_that_goes_with_the_usual_volume():
    # Returns are 1e-3 per unit of signed volume.
    flow = np.array([0.0, 1, -2, 3, -1, 2])
    panel = bars(100 * np.exp(np.cumsum(1e-3 * flow)), volume=np.abs(flow) + (flow == 0.0))
    found = values(panel, "kyle_lambda", window_bars=5)[5, 0, 0]
    np.testing.assert_allclose(found, 1e-3 * np.mean([1, 2, 3, 1, 2]), rtol=1e-9)


def test_a_missing_window_half_known_is_enough_and_less_is_not():
    panel = bars([10, np.nan, np.nan, 12, 14.0, np.nan])
    found = values(panel, "sma_distance", window_bars=4)[:, 0, 0]
    np.testing.assert_allclose(found[3:5], [np.log(12 / 11), np.log(14 / 13)])
    assert np.isnan(found[5])  # the bar itself is missing
    assert np.isnan(values(panel, "sma_distance", window_bars=3)[3, 0, 0])


@pytest.mark.parametrize(
    ("name", "params", "row", "expected"),
    [
        # 17 January 2020 was the third Friday; its week is Monday the 13th to Sunday the 19th.
        ("expiry_week", {}, 11, [0.0]),
        ("expiry_week", {}, 12, [1.0]),
        ("expiry_week", {}, 18, [1.0]),
        ("expiry_week", {}, 19, [0.0]),
        ("time_to_event", {"dates": ["2020-01-12"], "hours": 48.0}, 9, [0.5, 0.0]),
        ("time_to_event", {"dates": ["2020-01-12"], "hours": 48.0}, 11, [0.0, 0.5]),
    ],
)
def test_dates(name, params, row, expected):
    # One bar a session: row 9 is 10 January, and closes on the 11th at 0:00, a day before the event.
    panel = bars(np.full(25, 5.0), per_session=1)
    found = compute_features(panel, [FeatureSpec(name=name, params=params)]).clock
    np.testing.assert_allclose(found[row], expected)


def test_the_sessions_beside_a_holiday_of_new_york():
    from data.calendars import bar_grid

    grid = bar_grid("NYSE", 86_400, np.datetime64("2019-07-01"), np.datetime64("2019-07-13"))
    close = np.full((len(grid.bar_utc), 1), 5.0)
    panel = Panel(
        symbols=("A",), bar_utc=grid.bar_utc, open=close, high=close, low=close, close=close, volume=close,
        tradable=close > 0, session=grid.session, calendar="NYSE", bar_seconds=86_400,
    )  # fmt: skip
    # Sessions of July 2019: 1, 2, 3, 5, 8, ...: the 4th was a Thursday.
    found = compute_features(panel, [FeatureSpec(name="holiday", params={})]).clock
    np.testing.assert_array_equal(found[:5], [[0, 0], [0, 0], [1, 0], [0, 1], [0, 0]])
