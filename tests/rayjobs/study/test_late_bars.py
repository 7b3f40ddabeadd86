"""Whole studies on a user's own files whose high, low or volume foreknows: hidden from single delays, and refused."""

from __future__ import annotations

import numpy as np
import pytest
from exported_market import next_return, noise, write_files
from taught_run import taught_criteria

from data.synthetic import make_market

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
LAW = noise(num_bars=1400)
BELIEVED = ("gate.max_plausible_sharpe=1000", "features.specs.columns=null")
FOUR_OF_A_KIND = [
    f"+features.specs.s{k}={{name: stochastic, params: {{window_bars: 1, smooth_bars: {k}}}}}"
    for k in (1, 2, 3, 4)
]
FALLING = {f"stochastic_1_{k}_k": -1.0 for k in (1, 2, 3, 4)}
"""A close near the low of a bar whose wicks foreknow is followed by a rise."""


def bars_with_foreknowing_wicks(share: float) -> dict[str, np.ndarray]:
    """High and low of the made market: a share of the next bar's gain above, and of its loss below, under noise."""
    panel, random = make_market(LAW).panel, np.random.default_rng(5)
    ahead, noisy = next_return(panel), np.abs(random.normal(0.0, 0.0007, size=(2, *panel.close.shape)))
    top, bottom = np.maximum(panel.open, panel.close), np.minimum(panel.open, panel.close)
    return {
        "high": top * np.exp(share * np.maximum(ahead, 0.0) + noisy[0]),
        "low": bottom * np.exp(-share * np.maximum(-ahead, 0.0) - noisy[1]),
    }


@pytest.fixture(scope="module")
def wicked(tmp_path_factory) -> list[str]:
    return write_files(LAW, tmp_path_factory.mktemp("wicks"), **bars_with_foreknowing_wicks(0.8))


@pytest.fixture(scope="module")
def honest(tmp_path_factory) -> list[str]:
    return write_files(LAW, tmp_path_factory.mktemp("honest"), **bars_with_foreknowing_wicks(0.0))


def plausibility(root, *overrides, rule):
    return taught_criteria(root, *overrides, *BELIEVED, rule=rule)["plausibility"]


def test_wicks_that_foreknow_are_named_though_four_features_say_the_same(wicked, tmp_path):
    found = plausibility(tmp_path, *wicked, *FOUR_OF_A_KIND, rule=FALLING)
    assert found.passed is False
    assert "a delay by one bar of" in found.reason
    assert "'high'" in found.reason or "'low'" in found.reason


def test_a_statement_of_each_column_answers(wicked, tmp_path):
    stated = [f"data.columns.{name}.known_after='0 bars'" for name in ("high", "low")]
    found = plausibility(tmp_path, *wicked, *FOUR_OF_A_KIND, *stated, rule=FALLING)
    assert "high is known after 0 bars" in found.reason
    assert "'high'" not in found.reason.split("as stated")[-1].split("Stated")[0] or found.passed


def test_the_same_rule_on_wicks_that_say_nothing_is_not_suspected(honest, tmp_path):
    assert plausibility(tmp_path, *honest, *FOUR_OF_A_KIND, rule=FALLING).passed


def test_volume_that_foreknows_under_two_features_is_named(tmp_path):
    panel = make_market(LAW).panel
    louder = panel.volume.mean() * np.exp(0.5 * np.sign(next_return(panel)))
    louder *= np.exp(np.random.default_rng(2).normal(0.0, 0.3, size=louder.shape))
    files = write_files(LAW, tmp_path / "bars", volume=louder)
    features = [
        f"+features.specs.v{bars}={{name: relative_volume, params: {{window_bars: {bars}}}}}"
        for bars in (20, 21)
    ]
    rule = {"relative_volume_20": 1.0, "relative_volume_21": 1.0}
    found = plausibility(tmp_path, *files, *features, rule=rule)
    assert found.passed is False
    assert "'volume'" in found.reason


def test_wicks_that_foreknow_later_bars_are_asked_of_whatever_feature_reads_them(tmp_path):
    panel, random = make_market(LAW).panel, np.random.default_rng(5)
    later = np.zeros(panel.close.shape)
    later[:-6] = np.log(panel.close[6:] / panel.close[1:-5])  # what bars 2 to 6 ahead earn
    reach = np.abs(random.normal(0.0, 0.0007, size=later.shape)) + 0.5 * np.maximum(later, 0.0)
    high = np.maximum(panel.open, panel.close) * np.exp(reach)
    files = write_files(LAW, tmp_path / "bars", high=high)
    found = plausibility(tmp_path, *files, FOUR_OF_A_KIND[0], rule={"stochastic_1_1_k": -1.0})
    assert found.passed is False
    assert "column 'high'" in found.reason
