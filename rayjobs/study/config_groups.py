"""Groups of ``conf/`` that are more than one dataclass by its fields: source, env, windows, models, screening."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from data.labelling import LabelConfig
from data.sources import RecordedBars, SourceConfig, config_class
from envs.config import PortfolioEnvConfig
from envs.costs import CostConfig
from envs.rewards import RewardConfig
from envs.risk import RiskConfig
from evaluation.windows.calendar_windows import DatedWindows, PeriodWalkForward
from evaluation.windows.combinatorial_windows import CombinatorialWindows
from evaluation.windows.splits import FoldPlan, WalkForward
from policies.supervised.settings import MODELS, PARAMETERS, SupervisedSettings
from rayjobs.config.typed_config import ConfigError, build_dataclass, convert, did_you_mean
from rayjobs.study.context_symbols import split_context
from rayjobs.study.instruments_config import InstrumentsConfig

if TYPE_CHECKING:
    from evaluation.screening.screen import ScreeningConfig

Values = Mapping[str, Any]

ENV_GROUPS = {"costs": CostConfig, "reward": RewardConfig, "risk": RiskConfig}
"""Groups that are part of `PortfolioEnvConfig` but chosen on their own."""

WINDOW_KINDS: Mapping[str, tuple[type[FoldPlan], str]] = {
    "bars": (WalkForward, "rolling or anchored"),
    "sessions": (PeriodWalkForward, "calendar"),
    "weeks": (PeriodWalkForward, "calendar"),
    "months": (PeriodWalkForward, "calendar"),
    "dates": (DatedWindows, "dates"),
    "cpcv": (CombinatorialWindows, "cpcv"),
}
"""`walk_forward.unit` -> what cuts the windows, and the group that has its keys; runs of old have none: bars."""


def build_windows(group: Values) -> FoldPlan:
    """The ``walk_forward`` group: ``unit`` names how windows are cut, the rest are its fields."""
    values = dict(group)
    unit = convert(str, values.pop("unit", "bars"), "walk_forward.unit")
    if unit not in WINDOW_KINDS:
        raise ConfigError(f"walk_forward.unit is {unit!r}; it must be one of {', '.join(WINDOW_KINDS)}")
    kind, file = WINDOW_KINDS[unit]
    fields: dict[type, set[str]] = {
        known: {field.name for field in dataclasses.fields(known)}  # type: ignore[arg-type]
        for known, _ in WINDOW_KINDS.values()
    }
    strange = set(values) - fields[kind]
    if strange and strange <= set().union(*fields.values()):
        raise ConfigError(
            f"walk_forward.unit is {unit}, whose windows have no {', '.join(sorted(strange))}; choose the group "
            f"walk_forward={file}"
        )
    if "unit" in fields[kind]:
        values["unit"] = unit
    return build_dataclass(kind, values, "walk_forward")


def build_source(values: Values) -> SourceConfig:
    """The ``data`` group: ``source`` names the kind of source, the rest are its fields, and what is read beside it."""
    split = split_context(group_of(values, "data"))
    group = split.traded
    kind = convert(str, group.pop("source", None), "data.source")
    group.pop("test_symbols", None)
    try:
        config = config_class(kind)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    built = build_dataclass(config, group, "data")
    if isinstance(built, RecordedBars):
        allowed = (*built.allow_nonpositive_prices, *_nonpositive(values))
        built = dataclasses.replace(built, allow_nonpositive_prices=tuple(dict.fromkeys(allowed)))
    return dataclasses.replace(built, context_symbols=split.context) if split.context else built  # type: ignore[arg-type]


def _nonpositive(values: Values) -> tuple[str, ...]:
    """Symbols whose instrument allows prices of zero and below; all, where that of unnamed symbols does."""
    if "instruments" not in values:
        return ()
    instruments = build_dataclass(InstrumentsConfig, values["instruments"], "instruments")
    return instruments.allowing_nonpositive_prices


def build_env(values: Values) -> PortfolioEnvConfig:
    """The ``env`` group together with ``costs``, ``reward`` and ``risk``."""
    group = group_of(values, "env")
    for name in ENV_GROUPS:
        if name in group:
            raise ConfigError(f"env.{name}: {name} is a group of its own; write {name}.KEY=VALUE")
    parts: dict[str, Any] = {
        name: build_dataclass(kind, group_of(values, name), name) for name, kind in ENV_GROUPS.items()
    }
    return build_dataclass(PortfolioEnvConfig, {**group, **parts}, "env")


def build_supervised(policy: dict[str, Any]) -> SupervisedSettings | None:
    """The supervised model of the ``policy`` group, whose keys are taken out of it; None where it names none."""
    model = convert(str | None, policy.pop("model", None), "policy.model")
    names = [field.name for field in dataclasses.fields(SupervisedSettings) if field.name != "model"]
    if model is None:
        for name in set(names) & set(policy):
            raise ConfigError(
                f"policy.{name}: only a supervised policy has it; choose policy={'|'.join(MODELS)}"
            )
        return None
    if model not in MODELS:
        raise ConfigError(f"policy.model is {model!r}; there is no such model; {did_you_mean(model, MODELS)}")
    given = {name: policy.pop(name) for name in names if name in policy}
    if "parameters" in given:
        given["parameters"] = build_dataclass(PARAMETERS[model], given["parameters"], "policy.parameters")
    return build_dataclass(SupervisedSettings, {"model": model, **given}, "policy")


def build_screening(values: Values) -> tuple[ScreeningConfig, LabelConfig]:
    """The ``screening`` and ``labels`` groups, which have one horizon: that of the labels, or the screening's if it has
    one.
    """
    from evaluation.screening.screen import ScreeningConfig

    screening, labels = dict(group_of(values, "screening")), dict(group_of(values, "labels"))
    if screening.get("horizon_bars") is None:
        screening["horizon_bars"] = labels.get("horizon_bars")
    labels["horizon_bars"] = screening["horizon_bars"]
    return build_dataclass(ScreeningConfig, screening, "screening"), build_dataclass(
        LabelConfig, labels, "labels"
    )


def group_of(values: Values, name: str) -> Values:
    """The group of a name, a mapping of its keys."""
    if name not in values:
        raise ConfigError(f"{name}: missing from the configuration")
    if not isinstance(values[name], Mapping):
        raise ConfigError(f"{name} is {values[name]!r}; it must be a group of keys")
    return values[name]
