"""The table of features that moved since trading began."""

from types import SimpleNamespace

import numpy as np

from rayjobs.trading.feature_drift import feature_drift_table


def test_the_feature_that_moved_is_the_one_that_is_named():
    random = np.random.default_rng(0)
    features = random.standard_normal((600, 2, 2)).astype(np.float32)
    features[400:, :, 1] += 1.5
    features[:50] = np.nan  # before the first bar that is known
    market = SimpleNamespace(features=features, asset_names=("still", "moved"), first_bar=50)
    table = feature_drift_table(market, 400, 600).set_index("feature")
    assert table.loc["still", "psi"] < 0.1
    assert table.loc["moved", "psi"] > 0.5
    assert table.loc["moved", "num_live"] == 400  # 200 bars of two symbols
    assert table.loc["moved", "missing_reference"] == 0.0


def test_too_few_bars_are_not_judged():
    market = SimpleNamespace(features=np.zeros((30, 1, 1), np.float32), asset_names=("a",), first_bar=0)
    assert feature_drift_table(market, 28, 30)["psi"].isna().all()
