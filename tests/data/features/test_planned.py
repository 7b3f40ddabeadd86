"""Plans give the bits of the features' own functions, whatever the bars are like and however many come at once."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from library_specs import PARAMS, SPECS, rough_panel, splice

from data.features import ClosedBar, FeatureStream, compute_features
from data.features.compute import SingleFeature
from data.features.library import FEATURES
from data.features.plan.graph import Graph, TracedPanel, UntraceableError
from data.features.planned import PlannedFeatures
from data.schema import BAR_COLUMNS

ASSET_SPECS = tuple(spec for spec in SPECS if FEATURES[spec.name].kind == "asset")
MISSING = st.sampled_from([0.0, 0.02, 0.3, 0.9])


def requests(specs):
    return [(FEATURES[spec.name], spec.params) for spec in specs]


def by_function(panel, specs):
    """(T, A, F) float32 of every feature's own function, on the whole panel."""
    with np.errstate(all="ignore"):
        return np.concatenate([SingleFeature.of(spec, panel).values(panel) for spec in specs], axis=2)


def differing(left, right, names):
    wrong = ~((left == right) | (np.isnan(left) & np.isnan(right)))
    return [names[k] for k in np.flatnonzero(wrong.any(axis=(0, 1)))]


def test_every_built_in_feature_that_reads_bars_can_be_planned():
    plan = PlannedFeatures(requests(ASSET_SPECS), rough_panel(0), 1)
    found = [spec.name for number, spec in enumerate(ASSET_SPECS) if number not in plan.planned]
    assert found == [s.name for s in ASSET_SPECS if not FEATURES[s.name].reads_bars]


def test_dividends_of_data_without_such_a_column_are_planned_as_not_known():
    panel = replace(rough_panel(0), exogenous={})
    specs = [spec for spec in SPECS if spec.name == "time_since_dividend"]
    assert PlannedFeatures(requests(specs), panel, 8).planned == (0,)
    assert np.isnan(compute_features(panel, specs).asset).all()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), missing=MISSING, still=st.sampled_from([0.0, 0.2, 1.0]))
def test_a_plan_gives_the_bits_of_the_functions(seed, missing, still):
    panel = rough_panel(seed, 130, missing=missing, still=still)
    planned = compute_features(panel, ASSET_SPECS)
    assert differing(planned.asset, by_function(panel, ASSET_SPECS), planned.asset_names) == []


def test_a_plan_of_many_assets_gives_the_bits_of_the_functions():
    # Beyond 32 assets the functions have ranks from a sort, and plans from comparisons.
    specs = [
        s
        for s in ASSET_SPECS
        if s.name.startswith(("cross", "breadth", "rolling", "swing", "higher", "sector"))
    ]
    panel = rough_panel(3, 60, ("SPY", "QQQ", "AMD", *(f"S{n}" for n in range(40))))
    planned = compute_features(panel, specs)
    assert differing(planned.asset, by_function(panel, specs), planned.asset_names) == []


def with_bars_left_out(panel, seed):
    """The panel without some of its bars, whole sessions among them: times that jump."""
    random = np.random.default_rng(seed)
    kept = random.random(panel.num_bars) < 0.8
    kept[panel.session == panel.session[panel.num_bars // 2]] = False
    part = {name: getattr(panel, name)[kept] for name in ("bar_utc", *BAR_COLUMNS, "tradable", "session")}
    return replace(panel, **part, exogenous={n: values[kept] for n, values in panel.exogenous.items()})


@pytest.mark.parametrize("seed", [1, 2])
def test_times_that_jump_give_the_bits_of_the_functions_in_one_go_and_bar_by_bar(seed):
    panel = with_bars_left_out(rough_panel(seed, 190, missing=0.05), seed)
    batch = compute_features(panel, ASSET_SPECS)
    assert differing(batch.asset, by_function(panel, ASSET_SPECS), batch.asset_names) == []
    stream = FeatureStream.after(ASSET_SPECS, panel.slice_bars(0, 20))
    for row in range(20, panel.num_bars):
        found = stream.push(ClosedBar.of(panel, row)).asset
        assert differing(found[None], batch.asset[row][None], batch.asset_names) == []


@pytest.mark.parametrize("cells", [3, 21, 600])
def test_how_many_bars_come_at_once_changes_no_bit(monkeypatch, cells):
    panel = rough_panel(4, 260, missing=0.05)
    whole = compute_features(panel, SPECS)
    monkeypatch.setattr("data.features.planned.CELLS", cells)
    parts = compute_features(panel, SPECS)
    assert differing(parts.asset, whole.asset, whole.asset_names) == []


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**31), at=st.integers(30, 129), missing=MISSING)
def test_another_future_moves_no_planned_feature_at_or_before_t(seed, at, missing):
    panel = rough_panel(seed, 130, missing=missing)
    other = splice(panel, rough_panel(seed + 1, 130, missing=missing), at)
    here, there = (compute_features(p, SPECS) for p in (panel, other))
    assert differing(here.asset[:at], there.asset[:at], here.asset_names) == []


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**31), at=st.integers(1, 60), missing=MISSING)
def test_another_past_before_the_lookback_moves_no_planned_feature(seed, at, missing):
    panel = rough_panel(seed, 130, missing=missing)
    other = splice(rough_panel(seed + 1, 130, missing=missing), panel, at)
    here, there = (compute_features(p, SPECS) for p in (panel, other))
    column = 0
    for spec in ASSET_SPECS:
        single = SingleFeature.of(spec, panel)
        part = slice(column, column + len(single.names))
        first = at + single.lookback_bars
        found = differing(here.asset[first:, :, part], there.asset[first:, :, part], single.names)
        assert found == []
        column = part.stop


def test_what_two_features_are_made_of_is_noted_once():
    graph = Graph()
    panel = TracedPanel(graph, rough_panel(0))
    for name in ("roll_spread", "autocorrelation"):
        params = PARAMS["roll_spread"][0] | ({"lag_bars": 1} if name == "autocorrelation" else {})
        FEATURES[name].function(panel, **params)
    moments = [step for step in graph.steps if step.outputs == 6]
    assert len(moments) == 1


def peeking(panel):
    return np.flip(panel.close, axis=0)


@pytest.mark.parametrize(
    "function",
    [
        peeking,
        lambda panel: panel.close[::-1],
        lambda panel: np.cumsum(panel.close, axis=0),
        lambda panel: panel.close if panel.close > 1.0 else panel.open,
        lambda panel: np.asarray(panel.close) * 2.0,
        lambda panel: np.add.accumulate(panel.close),
        lambda panel: panel.close**3,
        lambda panel: ~panel.close,
        lambda panel: panel.close.astype(np.float32),
        lambda panel: panel.close + np.arange(3.0),
    ],
)
def test_what_a_plan_does_not_know_is_refused_and_never_guessed(function):
    form = SimpleNamespace(symbols=("A", "B", "C"), calendar="24/7", bar_seconds=60, exogenous={})
    with pytest.raises(UntraceableError):
        function(TracedPanel(Graph(), form))


def test_a_feature_of_the_users_own_is_called_and_not_planned():
    own = SimpleNamespace(**vars(FEATURES["roc"]))
    plan = PlannedFeatures([(own, {"horizon_bars": 2})], rough_panel(0), 8)
    assert plan.planned == ()
    assert plan.of == ()
