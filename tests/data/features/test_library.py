"""The whole library: causal, with an honest lookback, finite, inside its bounds, and described."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library_specs import PARAMS, SPECS, SYMBOLS, rough_panel, splice

from data.errors import DataError
from data.features import FeatureSpec, compute_features
from data.features.compute import SingleFeature
from data.features.library import FEATURES

SEEDS = st.integers(0, 2**31)


def in_double(spec, panel):
    """What a feature computes, before it is rounded to float32; rows before its lookback are NaN."""
    feature, lookback = FEATURES[spec.name], SingleFeature.of(spec, panel).lookback_bars
    with np.errstate(all="ignore"):
        values = np.array(feature.function(panel, **spec.params), dtype=np.float64)
    if feature.kind == "asset":
        values[:lookback] = np.nan
    return values.reshape(len(values), -1), lookback


def moved(left, right):
    return not np.array_equal(left.view(np.int64), right.view(np.int64)) and not np.array_equal(
        left, right, equal_nan=True
    )


def test_every_built_in_feature_has_specs_here_and_is_described():
    assert set(PARAMS) == set(FEATURES)
    for feature in FEATURES.values():
        for fact in ("summary", "subject", "unit", "unknown", "source"):
            assert getattr(feature, fact), f"{feature.name} does not say its {fact}"
        assert feature.bounds[0] < feature.bounds[1]


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, at=st.integers(30, 89), missing=st.sampled_from([0.0, 0.1, 0.3]))
def test_another_future_moves_no_feature_at_or_before_t(seed, at, missing):
    panel = rough_panel(seed, missing=missing)
    other = splice(panel, rough_panel(seed + 1, missing=missing), at)
    found = [s for s in SPECS if moved(in_double(s, panel)[0][:at], in_double(s, other)[0][:at])]
    assert found == []


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, at=st.integers(1, 40), missing=st.sampled_from([0.0, 0.1, 0.3]))
def test_another_past_before_the_lookback_moves_no_feature(seed, at, missing):
    panel = rough_panel(seed, missing=missing)
    other = splice(rough_panel(seed + 1, missing=missing), panel, at)
    found = []
    for spec in SPECS:
        here, lookback = in_double(spec, panel)
        there, _ = in_double(spec, other)
        if moved(here[at + lookback :], there[at + lookback :]):
            found.append(spec)
    assert found == []


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, at=st.integers(0, 89), missing=st.sampled_from([0.0, 0.1, 0.3]))
def test_a_feature_is_the_same_on_the_bars_that_it_reads_alone(seed, at, missing):
    panel, found = rough_panel(seed, missing=missing), []
    for spec in SPECS:
        whole, lookback = in_double(spec, panel)
        if at >= lookback:
            alone = in_double(spec, panel.slice_bars(at - lookback, at + 1))[0]
            if moved(whole[at], alone[-1]):
                found.append(spec)
    assert found == []


BY_SESSIONS = (
    "session_vwap_distance",
    "session_position",
    "opening_range",
    "prior_session",
    "higher_time_frame",
)
"""Read of their first bar only which session it is of, or have longer bars that the session's end may cut short."""


@pytest.mark.parametrize(
    "spec",
    [
        s
        for s in SPECS
        # What a hidden Markov model observes is a return; that it filters its window is tested with the model.
        if FEATURES[s.name].kind == "asset"
        and FEATURES[s.name].reads_bars
        and s.name not in BY_SESSIONS
        and not FEATURES[s.name].filter_bars
    ],
    ids=str,
)
def test_the_lookback_is_not_longer_than_what_is_read(spec):
    lookback = in_double(spec, rough_panel(0))[1]
    # With the first bar redrawn, row `lookback` reads it, so it moves in some of the draws.
    for seed in range(300):
        panel, other = (rough_panel(s, lookback + 2, missing=0.02) for s in (seed, seed + 1000))
        rows = [in_double(spec, p)[0][lookback] for p in (panel, splice(other, panel, 1))]
        if moved(*rows):
            return
    pytest.fail(f"bar 0 is not read at row {lookback}")


@settings(max_examples=8, deadline=None)
@given(
    seed=SEEDS,
    missing=st.sampled_from([0.0, 0.05, 0.3, 0.9]),
    still=st.sampled_from([0.0, 0.2, 1.0]),
    assets=st.sampled_from([1, 3, 40]),
)
def test_no_value_is_infinite_or_out_of_bounds_and_all_are_known_where_all_bars_are(
    seed, missing, still, assets
):
    symbols = (*SYMBOLS, *(f"X{n}" for n in range(37)))[:assets]
    panel = rough_panel(seed, symbols=symbols, missing=missing, still=still)
    for spec in SPECS:
        if assets == 1 and {"QQQ", "AMD"} & set(map(str, spec.params.values())):
            continue
        values, lookback = in_double(spec, panel)
        assert not np.isinf(values).any(), spec
        low, high = FEATURES[spec.name].bounds
        assert np.nanmin(values, initial=low) >= low - 1e-9, spec
        assert np.nanmax(values, initial=high) <= high + 1e-9, spec
        sometimes = {
            "swing", "break_of_structure", "equal_levels", "order_block", "opening_range", "session_vwap_distance",
            "prior_session", "amihud", "cross_rank", "cross_zscore", "cross_demeaned", "breadth", "relative_volume",
            "session_position", "sector_demeaned", "sector_rank", "time_since_event", "time_until_event",
            "time_since_earnings", "time_until_earnings",
        }  # fmt: skip
        if missing == 0.0 and spec.name not in sometimes:
            assert not np.isnan(values[lookback:]).any(), spec


@pytest.mark.parametrize("spec", [s for s in SPECS if not FEATURES[s.name].across_assets], ids=str)
def test_a_feature_of_an_asset_reads_that_asset_alone(spec):
    panel = rough_panel(5)
    whole = compute_features(panel, [spec])
    alone = compute_features(panel.select(["QQQ"]), [spec])
    assert np.array_equal(alone.asset[:, 0], whole.asset[:, 1], equal_nan=True)
    assert np.array_equal(alone.clock, whole.clock)


def test_blocks_of_a_large_panel_give_the_same_bits_as_one(monkeypatch):
    panel = rough_panel(3, 700)
    whole = compute_features(panel, SPECS)
    monkeypatch.setattr("data.features.compute.BLOCK_CELLS", 100)
    blocks = compute_features(panel, SPECS)
    assert np.array_equal(whole.asset, blocks.asset, equal_nan=True)


def test_a_reference_that_is_not_there_is_named_with_the_nearest():
    spec = next(s for s in SPECS if s.name == "rolling_beta")
    with pytest.raises(DataError, match="reference 'SPY' is no symbol and no column"):
        compute_features(rough_panel(1, symbols=("SPX", "QQQ")), [spec])


@pytest.mark.parametrize(
    ("name", "params", "sentence"),
    [
        (
            "bollinger",
            {"window_bars": 5, "width": 0.0},
            "'bollinger': width is 0.0; it must be a number above 0",
        ),
        ("climax", {"window_bars": 5, "multiple": "big"}, "'climax': multiple is 'big'"),
        (
            "opening_range",
            {"session_bars": 5, "opening_bars": 6},
            "opening_bars is 6; it must be at most session_bars",
        ),
        (
            "higher_time_frame",
            {"feature": "rsi", "factor": 1, "params": {}},
            "factor is 1; it must be a whole number",
        ),
        (
            "higher_time_frame",
            {"feature": "rsi", "factor": 2, "params": {}},
            "'rsi' needs the parameter 'window_bars'",
        ),
        ("higher_time_frame", {"feature": "holiday", "factor": 2, "params": {}}, "cannot wrap 'holiday'"),
        ("higher_time_frame", {"feature": "rsj", "factor": 2, "params": {}}, "did you mean 'rsi'"),
        ("time_to_event", {"dates": [], "hours": 1.0}, "give a list of dates"),
        ("time_to_event", {"dates": ["soon"], "hours": 1.0}, "'soon' is not a date or time"),
        ("higher_time_frame", {"feature": "symbol_identity", "factor": 2, "params": {}}, "cannot wrap"),
        ("time_since_earnings", {"events": {}, "days": 9}, "give the dates of each symbol"),
        ("time_since_earnings", {"events": {"A": "2020-01-01"}, "days": 0}, "days is 0; it must be"),
        (
            "time_since_earnings",
            {"events": {"A": "30/01/2020"}, "days": 9},
            "events.A: '30/01/2020' is not a date",
        ),
        (
            "time_since_earnings",
            {"events": {"A": 20200130}, "days": 9},
            "events.A is 20200130; write it as text",
        ),
        ("time_since_earnings", {"events": {True: "2020-01-01"}, "days": 9}, "True, which is no text"),
        (
            "time_until_event",
            {"event": " ", "events": {"A": "2020-01-01"}, "days": 9},
            "give the kind of event",
        ),
        ("sector", {"sectors": "file.csv"}, "give the sector of each symbol"),
        ("sector", {"sectors": {"A": None}}, "both must be text"),
        ("sector_rank", {"horizon_bars": 2, "sectors": {"A": "unknown"}}, "leave the symbol out"),
        (
            "hidden_volatility_state",
            {"window_bars": 5, "scale_bars": 5, "calm": 2.0, "wild": 1.0, "stay": 0.9},
            "calm below wild",
        ),
    ],
)
def test_parameters_that_cannot_be_meant_are_refused_when_they_are_asked_for(name, params, sentence):
    with pytest.raises(ValueError, match=sentence):
        FeatureSpec(name=name, params=params)
