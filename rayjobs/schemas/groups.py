"""What the groups of ``conf/`` and the files at its top take, as schemas: which dataclass reads each key.

The same table as `rayjobs.study.config` and the settings of each command have in code. A test holds both together:
every file of ``conf/`` meets its schema, and what a schema refuses the command refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.features.compute import FeatureSpec
from data.features.library import FEATURES
from data.features.standardiser import METHODS
from data.labelling import LabelConfig
from data.sources import CONFIGS
from envs.config import PortfolioEnvConfig
from envs.context import ContextConfig
from envs.costs import CostConfig
from envs.instruments import Instrument
from envs.live.desk import DeskRules
from envs.live.guard_limits import GuardLimits
from envs.live.ibkr_config import IbkrBrokerConfig
from envs.rewards import RewardConfig
from envs.risk import RiskConfig
from evaluation.gate.config import GateConfig
from evaluation.gate.criteria import CRITERIA
from evaluation.scoring.fold_scoring import ScoringConfig
from evaluation.screening.screen import ScreeningConfig
from policies.cores import CORES
from policies.networks import NetworkConfig
from policies.settings import PPOSettings
from policies.supervised.settings import MODELS, SupervisedSettings
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.dashboard import DashboardConfig
from rayjobs.ingest.settings import IngestSettings, SourceSettings
from rayjobs.monitoring.alerts import AlertSettings
from rayjobs.monitoring.tracking import TrackingConfig
from rayjobs.registry.settings import DeploySettings
from rayjobs.replay.rescoring import EvaluateConfig
from rayjobs.schemas.json_types import (
    OWN_OBJECT,
    Schema,
    any_of,
    choice_schema,
    dataclass_schema,
    fields_of,
    object_schema,
    schema_by_kind,
    type_schema,
)
from rayjobs.search.comparison.comparison import CompareConfig
from rayjobs.search.plan.settings import SearchConfig
from rayjobs.storage.run_directory import RunConfig
from rayjobs.study.config_groups import WINDOW_KINDS
from rayjobs.study.features_config import FeaturesConfig
from rayjobs.submission.settings import SubmitConfig
from rayjobs.trading.settings import BROKERS, TradeSettings
from rayjobs.training.settings import TrainerConfig

PLACES: Mapping[str, tuple[str, ...]] = {
    "positions": ("policy", "position"),
    "labels": ("labels",),
    "data/repair": ("data", "repair"),
    "search/space": ("search", "space"),
}
"""Group -> where its keys stand in a configuration, where that is not the group's own name."""
WHOLE = ("experiment", "debug")
"""Groups whose files hold keys of all others (``# @package _global_``)."""


def command_schemas() -> dict[str, dict[str, Schema]]:
    """Command -> key -> schema, for each file at the top of ``conf/`` whose keys are dataclasses."""
    train = _training()
    source = type_schema(Mapping[str, SourceSettings] | None)
    return {
        "train": train,
        "sweep": train | {"search": dataclass_schema(SearchConfig)},
        "screen": train | {"screening": _screening(), "labels": dataclass_schema(LabelConfig)},
        "audit": train | _keys(checks=str | tuple[str, ...], leak_cuts=int),
        "features": train
        | _keys(
            subject=str | None, find=str | None, name=str | None, params=Mapping[str, Any] | None,
            symbol=str | None, bars=int, directory=str,
        ),
        "evaluate": fields_of(EvaluateConfig),
        "compare": fields_of(CompareConfig),
        "dashboard": fields_of(DashboardConfig),
        "deploy": fields_of(DeploySettings),
        "nudge": _keys(run=str, lr=str | float, fold=int | None),
        "submit": _keys(job=str, submit=SubmitConfig, cluster=ClusterConfig),
        "trade": _without(fields_of(TradeSettings), "broker_settings") | {"broker": _broker(), "source": source},
        "ingest": _ingest() | {"source": source},
    }  # fmt: skip


def _keys(**kinds: Any) -> dict[str, Schema]:
    return {name: type_schema(kind) for name, kind in kinds.items()}


def _training() -> dict[str, Schema]:
    return {
        **_keys(seed=int, resume=str | None, run=RunConfig, ledger=str, trainer=TrainerConfig),
        "scoring": dataclass_schema(ScoringConfig),
        "data": _data(),
        "features": dataclass_schema(
            FeaturesConfig, specs=_feature_specs(), standardise=choice_schema(METHODS)
        ),
        "instruments": object_schema(
            {
                "kind": type_schema(str),
                "symbols": {
                    "type": "object",
                    "additionalProperties": dataclass_schema(Instrument, kind=str),
                },
            }
        ),
        "env": object_schema(_without(fields_of(PortfolioEnvConfig), "costs", "reward", "risk")),
        **_keys(costs=CostConfig, reward=RewardConfig, risk=RiskConfig, context=ContextConfig),
        "policy": object_schema(
            fields_of(NetworkConfig)
            | _without(fields_of(SupervisedSettings), "model")
            | {"core": choice_schema(CORES), "model": _named(MODELS), "script": type_schema(str | None)}
        ),
        "algo": dataclass_schema(PPOSettings),
        "walk_forward": _windows(),
        "gate": dataclass_schema(
            GateConfig, enforce=bool, enforced={"type": "array", "items": choice_schema(CRITERIA)}
        ),
        **_keys(cluster=ClusterConfig, tracking=TrackingConfig),
    }


def _data() -> Schema:
    """Fields of each source, and of the bars that are read beside."""
    beside = {
        "context_symbols": type_schema(tuple[str, ...] | Mapping[str, Mapping[str, Any] | None] | None),
        "context_max_age_seconds": type_schema(int),
    }
    kinds = {name: _without(fields_of(cls), "context_symbols") for name, cls in CONFIGS.items()}
    common = beside | {"test_symbols": type_schema(tuple[str, ...] | None)}
    return schema_by_kind("source", kinds, common, own=True)


def _feature_specs() -> Schema:
    """Label -> a feature by its name or ``package.module:NAME``, or null, which switches it off."""
    name = {"anyOf": [{"enum": sorted(FEATURES)}, {"type": "string", "pattern": OWN_OBJECT}]}
    spec = dataclass_schema(FeatureSpec, name=name)
    return {"type": "object", "additionalProperties": any_of([spec, type_schema(type(None))])}


def _windows() -> Schema:
    kinds = {
        unit: {name: schema for name, schema in fields_of(cls).items() if name != "unit"}
        for unit, (cls, _) in WINDOW_KINDS.items()
    }
    return schema_by_kind("unit", kinds, _keys(only_fold=int | None, fold_order=tuple[int, ...] | None))


def _broker() -> Schema:
    ibkr = fields_of(IbkrBrokerConfig) | {"desk": dataclass_schema(DeskRules)}
    kinds = {name: ibkr if name == "ibkr" else fields_of(cls) for name, cls in BROKERS.items()}
    return schema_by_kind("kind", kinds, {})


def _screening() -> Schema:
    """Its horizon is that of the labels where it has none."""
    return dataclass_schema(ScreeningConfig, horizon_bars=int | None)


def _ingest() -> dict[str, Schema]:
    read = _without(fields_of(IngestSettings), "sources", "start_utc", "stop_utc", "bar_seconds")
    return read | _keys(start=str | None, end=str | None, bar=str, verify=bool)


def _named(names: tuple[str, ...]) -> Schema:
    return {"anyOf": [{"enum": list(names)}, {"type": "null"}]}


def _without(fields: Mapping[str, Schema], *names: str) -> dict[str, Schema]:
    return {name: schema for name, schema in fields.items() if name not in names}


def others() -> dict[str, Schema]:
    """Groups that no key of the same name at the top of a configuration takes, and one that several commands share."""
    return {"alerts": dataclass_schema(AlertSettings), "guard": dataclass_schema(GuardLimits)}
