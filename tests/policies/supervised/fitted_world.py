"""A small market whose features are the exogenous columns, and supervised policies fitted on its first bars."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from data.features.compute import FeatureSet
from data.labelling import LabelConfig
from data.schema import Panel
from data.synthetic import PlantedSignalConfig, make_market
from envs.instruments import CRYPTO_SPOT
from envs.market import Market
from envs.observations import ACCOUNT_NAMES, POSITION_NAMES, ObservationLayout
from policies.supervised.fitting import fit_models
from policies.supervised.policy import SupervisedContract, SupervisedPolicy
from policies.supervised.settings import (
    LightGBMParameters,
    LinearParameters,
    PositionConfig,
    RankParameters,
    SupervisedSettings,
    XGBoostParameters,
)

TRAIN = slice(0, 700)
TREES: dict[str, Any] = {
    "rounds": 12, "learning_rate": 0.2, "feature_share": 0.7, "row_share": 0.7, "l2": 1.0
}  # fmt: skip
PARAMETERS = {
    "ridge": LinearParameters(penalty=1e-3),
    "logistic": LinearParameters(penalty=1e-3),
    "lightgbm": LightGBMParameters(**TREES, leaves=7, min_leaf_rows=20),
    "lightgbm_rank": RankParameters(**TREES, leaves=7, min_leaf_rows=20, grades=3),
    "xgboost": XGBoostParameters(**TREES, depth=3, min_child_weight=5.0),
}
RULES = {"ridge": "edge", "lightgbm_rank": "rank"}
HORIZON = LabelConfig(
    kind="horizon", horizon_bars=1, profit_target=None, stop_loss=None, volatility_bars=None, weights="uniqueness",
    primary=None, oppose=False,
)  # fmt: skip
BARRIERS = replace(
    HORIZON, kind="triple_barrier", horizon_bars=8, profit_target=1.0, stop_loss=0.5, volatility_bars=20
)


def positions(**changes: Any) -> PositionConfig:
    known: dict[str, Any] = {
        "rule": "threshold", "sides": "both", "threshold": 0.56, "share": 0.3, "fraction": 0.25, "max_fraction": 0.5,
        "round_trip_cost": 4e-4, "hold_bars": 1,
    }  # fmt: skip
    return PositionConfig(**known | changes)


def settings(
    model: str,
    labels: LabelConfig = HORIZON,
    scope: str = "pooled",
    net_labels: bool = False,
    **position: Any,
) -> SupervisedSettings:
    position.setdefault("rule", RULES.get(model, "threshold"))
    return SupervisedSettings(
        model=model,
        labels=labels,
        scope=scope,
        parameters=PARAMETERS[model],
        position=positions(**position),
        net_labels=net_labels,
    )


@dataclass(frozen=True, kw_only=True)
class World:
    panel: Panel
    market: Market
    layout: ObservationLayout


def world(seed: int = 5, **facts: Any) -> World:
    law = PlantedSignalConfig(
        seed=seed, drift=5e-4, flip_probability=0.05, bar_seconds=1800, start_utc="2024-01-01", volatility=0.002,
        noise_features=2, cost_bps=2.0, **{"num_bars": 1000, "num_assets": 3} | facts,
    )  # fmt: skip
    panel = make_market(law).panel
    return world_of(panel)


def world_of(panel: Panel) -> World:
    columns = sorted(panel.exogenous)
    features = FeatureSet(
        asset=np.stack([panel.exogenous[name] for name in columns], axis=-1).astype(np.float32),
        clock=np.sin(np.arange(panel.num_bars))[:, None].astype(np.float32),
        asset_names=tuple(columns),
        clock_names=("hour",),
        lookback_bars=0,
        feature_hash="test",
    )
    market = Market.build(panel, features, dict.fromkeys(panel.symbols, CRYPTO_SPOT))
    layout = ObservationLayout.portfolio(panel.num_assets, market.asset_names, market.clock_names)
    return World(panel=panel, market=market, layout=layout)


def fitted(
    of: World,
    chosen: SupervisedSettings,
    scheme: str = "weights",
    seed: int = 0,
    cost_bps: float = 0.0,
    **contract: Any,
) -> SupervisedPolicy:
    known: dict[str, Any] = {"allow_short": True, "standardiser": None}
    made = SupervisedContract(
        layout=of.layout, feature_hash="test", action_scheme=scheme, settings=chosen, **known | contract
    )
    models = fit_models(of.panel, of.market, (TRAIN,), chosen, seed, cost_bps=cost_bps, primary=made.primary)
    return SupervisedPolicy(made, models)


def observations(of: World, bars: slice) -> np.ndarray:
    """(N, D) what an env that holds nothing shows at the close of each bar."""
    features, clock = of.market.features[bars], of.market.clock[bars]
    rows = len(features)
    position = np.zeros((rows, of.panel.num_assets, len(POSITION_NAMES)), dtype=np.float32)
    position[:, :, POSITION_NAMES.index("tradable")] = of.panel.tradable[bars]
    account = np.zeros((rows, len(ACCOUNT_NAMES)), dtype=np.float32)
    return np.concatenate([features.reshape(rows, -1), position.reshape(rows, -1), account, clock], axis=1)
