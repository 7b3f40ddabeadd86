"""Columns of the bars that are late: what moves, what stays, which features read it, and what a policy then sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.features import FeatureSpec, Standardiser, compute_features
from data.features.outputs import feature_outputs
from data.schema import Panel
from data.synthetic import NoiseConfig, make_market
from envs.instruments import CRYPTO_SPOT
from envs.market import Market
from evaluation.scoring.columns_read import ColumnsRead, columns_read
from evaluation.scoring.exposures import exposures
from evaluation.scoring.late_bars import late_bar_features, late_bars

SPECS = (
    FeatureSpec(name="log_return", params={"horizon_bars": 4}),
    FeatureSpec(name="stochastic", params={"window_bars": 1, "smooth_bars": 2}),
    FeatureSpec(name="atr", params={"window_bars": 14}),
    FeatureSpec(name="relative_volume", params={"window_bars": 20}),
    FeatureSpec(name="column", params={"name": "*"}),
)
BARS = slice(900, 1300)


@pytest.fixture(scope="module")
def panel() -> Panel:
    law = NoiseConfig(
        seed=3, num_bars=1500, num_assets=2, noise_features=1, bar_seconds=1800, start_utc="2024-01-01",
        volatility=0.002, cost_bps=2.0,
    )  # fmt: skip
    return make_market(law).panel


def by_hand(rows, session=None) -> Panel:
    """One asset of daily bars (open, high, low, close, volume), a session each unless told otherwise."""
    bars = np.array(rows, dtype=float)[:, :, None]
    known = np.isfinite(bars[:, 3])
    days = np.arange(len(rows))
    return Panel(
        symbols=("X",),
        bar_utc=np.datetime64("2024-01-01", "ns") + days * np.timedelta64(1, "D"),
        **dict(zip(("open", "high", "low", "close"), np.moveaxis(bars, 1, 0))),
        volume=np.nan_to_num(bars[:, 4]),
        tradable=known,
        session=19723 + (days if session is None else np.array(session)),
        calendar="24/7",
        bar_seconds=86_400,
    )


ROWS = [(100, 110, 95, 100, 7), (102, 104, 100, 104, 8), (104, 130, 103, 104, 9)]


def test_a_late_high_reaches_beyond_the_body_as_far_as_the_bar_before_did():
    late = late_bars(by_hand(ROWS), ("high",))
    # The first bar keeps its own; the second takes its 10 %; the second reached 0 % above 104, so the third does.
    np.testing.assert_allclose(late.high[:, 0], [110.0, 104.0 * 1.1, 104.0])
    for name in ("open", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(late, name), getattr(by_hand(ROWS), name))


def test_late_lows_opens_and_volumes_are_those_of_the_bar_before_beside_the_closes_of_their_own():
    np.testing.assert_allclose(
        late_bars(by_hand(ROWS), ("low",)).low[:, 0], [95.0, 102.0 * 0.95, 104.0 * 100 / 102]
    )
    late = late_bars(by_hand(ROWS), ("open",))
    # Gaps from the close before: unknown, 2 %, 0 %. The second has none before it and stays.
    np.testing.assert_allclose(late.open[:, 0], [100.0, 102.0, 104.0 * 1.02])
    np.testing.assert_array_equal(late_bars(by_hand(ROWS), ("volume",)).volume[:, 0], [7.0, 7.0, 8.0])


def test_a_bar_stays_a_bar_whichever_of_its_columns_are_late(panel):
    for names in (("open",), ("high",), ("low",), ("open", "high"), ("open", "high", "low", "volume")):
        late = late_bars(panel, names)  # a panel refuses bars whose high and low do not bound open and close
        np.testing.assert_array_equal(late.close, panel.close)
        for name in {"high", "low", "volume"} - set(names):
            changed = getattr(late, name) != getattr(panel, name)
            assert not changed.any() or "open" in names


def test_the_first_bar_of_a_session_takes_what_the_first_of_the_session_before_had():
    rows = [(100, 100, 100, 100, volume) for volume in (50, 5, 6, 60, 7, 8)]
    late = late_bars(by_hand(rows, session=[0, 0, 0, 1, 1, 1]), ("volume",))
    np.testing.assert_array_equal(late.volume[:, 0], [50, 5, 5, 50, 6, 7])


def test_a_volume_that_stands_for_its_session_is_late_by_a_session(panel):
    session = np.repeat([0, 1, 2], 3)
    rows = [(100, 100, 100, 100, volume) for volume in np.repeat([50.0, 80.0, 20.0], 3)]
    late = late_bars(by_hand(rows, session=session.tolist()), ("volume",), "session")
    np.testing.assert_array_equal(late.volume[:, 0], [50, 50, 50, 50, 50, 50, 80, 80, 80])
    drawn = np.random.default_rng(5).lognormal(0.0, 0.4, (int(np.ptp(panel.session)) + 1, panel.num_assets))
    of_day = replace(panel, volume=drawn[panel.session - panel.session[0]])
    features = compute_features(of_day, SPECS)
    standardiser = Standardiser.fit(features, slice(0, 900))
    found = late_bar_features(of_day, SPECS, {"volume": (3,)}, standardiser, BARS)
    assert [one.periods for one in found] == [("session",)]
    assert [one.periods for one in late_bar_features(panel, SPECS, {"volume": (3,)}, standardiser, BARS)] == [
        ()
    ]


def test_missing_bars_stay_missing_and_are_passed_over():
    nothing = (np.nan,) * 5
    late = late_bars(by_hand([ROWS[0], nothing, ROWS[1]]), ("high", "volume"))
    assert np.isnan(late.high[1, 0])
    assert late.volume[:, 0].tolist() == [7.0, 0.0, 7.0]
    np.testing.assert_allclose(late.high[2, 0], 104.0 * 1.1)


def test_the_columns_that_features_read_are_found_by_what_moves_them(panel):
    assert columns_read(panel, SPECS) == {"high": (1, 2), "low": (1, 2), "volume": (3,)}
    assert columns_read(panel, SPECS[:1]) == {}
    assert columns_read(panel, SPECS[4:]) == {}


def standardised(panel):
    features = compute_features(panel, SPECS)
    standardiser = Standardiser.fit(features, slice(0, 800), clip=10.0)
    kinds = dict.fromkeys(panel.symbols, CRYPTO_SPOT)
    return standardiser, Market.build(panel, standardiser.transform(features), kinds)


def test_features_are_those_of_the_bars_whose_column_is_late_to_the_bit(panel):
    standardiser, market = standardised(panel)
    read = columns_read(panel, SPECS)
    found = {late.names: late for late in late_bar_features(panel, SPECS, read, standardiser, BARS)}
    assert list(found) == [("high",), ("low",), ("volume",), ("high", "low", "volume")]
    groups = feature_outputs(panel, SPECS)
    for names, late in found.items():
        whole = standardiser.transform(compute_features(late_bars(panel, names), SPECS)).asset[BARS]
        np.testing.assert_array_equal(late.values, whole[..., list(late.places)])
        others = [place for place in range(whole.shape[2]) if place not in late.places]
        np.testing.assert_array_equal(whole[..., others], market.features[BARS][..., others])
    assert found["volume",].places == groups[3].places


def test_a_policy_is_asked_of_each_column_all_of_them_and_them_with_all_from_outside(panel):
    standardiser, market = standardised(panel)
    of_bars = [("high",), ("low",), ("volume",), ("high", "low", "volume")]
    asked = [one.names for one in exposures(panel, SPECS, standardiser, market, BARS)]
    assert asked[-5:] == [*of_bars, ("noise_00", "high", "low", "volume")]
    read = ColumnsRead.of(panel, SPECS)
    known = exposures(panel, SPECS, standardiser, market, BARS, stated=["high"], read=read)
    stated = [one.names for one in known]
    assert stated[-5:] == [("high",), ("low",), ("volume",), ("low", "volume"), ("noise_00", "low", "volume")]


def test_prices_at_zero_and_below_stay_a_bar_and_do_not_spoil_those_beside_them(panel):
    far_below = {name: getattr(panel, name).copy() for name in ("open", "high", "low", "close")}
    for prices in far_below.values():
        prices[700:720, 0] -= 2.0 * panel.close[700:720, 0].max()
    lowered = replace(panel, **far_below, nonpositive=(panel.symbols[0],))
    late, plain = (late_bars(one, ("open", "high", "low", "volume")) for one in (lowered, panel))
    assert (late.low <= np.minimum(late.open, late.close)).all()
    assert (late.high >= np.maximum(late.open, late.close)).all()
    for name in ("open", "high", "low", "volume"):
        assert np.array_equal(getattr(late, name)[730:], getattr(plain, name)[730:])
