"""A stream gives the bits of the batch: through gaps and halts, after a restart, and when its buffer is full."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from library_specs import SPECS, rough_panel

from data.errors import DataError
from data.features import FeatureSpec, compute_features
from data.features.stream import ClosedBar, FeatureStream


def assert_same(streamed, batch, row):
    asset, clock = batch.asset[row], batch.clock[row]
    wrong = ~((streamed.asset == asset) | (np.isnan(streamed.asset) & np.isnan(asset)))
    assert [batch.asset_names[k] for k in np.flatnonzero(wrong.any(axis=0))] == []
    assert np.array_equal(streamed.clock, clock)


@pytest.mark.parametrize(("seed", "missing"), [(1, 0.0), (2, 0.1), (3, 0.4)])
def test_every_feature_is_the_same_bar_by_bar_as_in_one_go(seed, missing):
    panel = rough_panel(seed, 150, missing=missing)
    batch = compute_features(panel, SPECS)
    stream = FeatureStream(SPECS, panel)
    assert stream.num_bars == 0
    for row in range(panel.num_bars):
        assert_same(stream.push(ClosedBar.of(panel, row)), batch, row)


def test_a_stream_goes_on_through_a_full_buffer_and_through_a_restart():
    # Lookbacks of at most 9 bars: the buffer of 40 bars is full, and moved, several times.
    specs = [spec for spec in SPECS if spec.name in ("rsi", "har", "day_of_week", "vpin")][:3]
    panel = rough_panel(4, 200)
    batch = compute_features(panel, specs)
    stream = FeatureStream.after(specs, panel.slice_bars(0, 30))
    for row in range(30, 200):
        if row == 111:
            stored = io.BytesIO()
            np.savez(stored, **stream.state())
            stored.seek(0)
            stream = FeatureStream(specs, panel)
            stream.restore(np.load(stored))
        assert_same(stream.push(ClosedBar.of(panel, row)), batch, row)
    assert stream.num_bars == 200


@pytest.mark.parametrize(("cut", "missing"), [(1, 0.0), (50, 0.1), (97, 0.3)])
def test_every_feature_goes_on_after_a_panel_and_after_a_restart(cut, missing):
    panel = rough_panel(9, 180, missing=missing)
    batch = compute_features(panel, SPECS)
    stream = FeatureStream.after(SPECS, panel.slice_bars(0, cut))
    for row in range(cut, 180):
        if row == 130:
            kept = stream.state()
            stream = FeatureStream(SPECS, panel)
            stream.restore(kept)
        assert_same(stream.push(ClosedBar.of(panel, row)), batch, row)


def test_a_restored_stream_that_is_still_cold_says_nothing_before_its_lookback():
    specs = [FeatureSpec(name="roc", params={"horizon_bars": 5})]
    panel = rough_panel(5, 20, missing=0.0)
    first = FeatureStream(specs, panel)
    for row in range(3):
        first.push(ClosedBar.of(panel, row))
    second = FeatureStream(specs, panel)
    second.restore(first.state())
    batch = compute_features(panel, specs)
    for row in range(3, 20):
        assert_same(second.push(ClosedBar.of(panel, row)), batch, row)


def test_a_bar_out_of_order_of_another_form_or_in_part_is_refused():
    panel = rough_panel(6, 20)
    stream = FeatureStream.after(SPECS[:3], panel.slice_bars(0, 10))
    with pytest.raises(DataError, match="not after the last one"):
        stream.push(ClosedBar.of(panel, 9))
    bar = ClosedBar.of(panel, 10)
    with pytest.raises(DataError, match="one number for each of the 3 symbols"):
        stream.push(replace(bar, close=bar.close[:2]))
    with pytest.raises(DataError, match="lacks the column 'signal'"):
        stream.push(replace(bar, exogenous={}))
    with pytest.raises(DataError, match="all known or all NaN"):
        stream.push(
            replace(bar, close=np.array([1.0, np.nan, 1.0]), open=np.ones(3), high=np.ones(3), low=np.ones(3))
        )
    assert stream.num_bars == 10


def test_a_state_of_other_features_is_refused():
    panel = rough_panel(7, 40)
    long = FeatureStream.after([FeatureSpec(name="roc", params={"horizon_bars": 20})], panel)
    short = FeatureStream.after([FeatureSpec(name="roc", params={"horizon_bars": 3})], panel)
    with pytest.raises(DataError, match="restore it into a stream of the same features"):
        long.restore(short.state())
