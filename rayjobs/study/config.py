"""From the composed configuration, plain nested dicts, to the dataclasses that the packages below take.

Each group of ``conf/`` is one key here. torch and RLlib, which take seconds to import, are imported only once the keys
are known to be right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data.features import FeatureSpec, resolve_feature
from data.features.standardiser import check_method
from data.futures.chains import EVERY
from data.labelling import LabelConfig
from data.sources import RecordedBars, SourceConfig, config_class
from envs.actions import maskable_schemes
from envs.config import PortfolioEnvConfig
from envs.context import ContextConfig
from envs.costs import CostConfig
from envs.instruments import Instrument, instrument_of_kind
from envs.rewards import RewardConfig
from envs.risk import RiskConfig
from evaluation.gate.config import GateConfig
from evaluation.gate.verdict import refuse_unknown
from evaluation.scoring.fold_scoring import ScoringConfig
from evaluation.screening.consensus_pruning import FeaturePruning
from evaluation.windows.calendar_windows import DatedWindows, PeriodWalkForward
from evaluation.windows.combinatorial_windows import CombinatorialWindows
from evaluation.windows.splits import FoldPlan, WalkForward
from policies.actor_groups import SHARED
from policies.baselines import SCRIPTED
from policies.supervised.settings import MODELS, PARAMETERS, SupervisedSettings, require_driven
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.config.typed_config import ConfigError, build_dataclass, convert, did_you_mean
from rayjobs.monitoring.tracking import TrackingConfig
from rayjobs.storage.run_directory import RunConfig
from rayjobs.study.context_symbols import split_context
from rayjobs.training.settings import TrainerConfig

if TYPE_CHECKING:
    from evaluation.screening.screen import ScreeningConfig
    from policies.networks import NetworkConfig
    from policies.settings import PPOSettings

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Which features, and how far standardised values may go.

    Parameters
    ----------
    specs : label -> feature, in the order of the feature axis; None switches one off.
    clip : limit of standardised values, standard deviations of the training window.
    prune : which features are left out on each training window; None leaves out none, as in configurations that are
        older than it.
    standardise : by what values are standardised, `data.features.standardiser.METHODS`; each symbol by its own training
        window in configurations that do not say.
    """

    specs: Mapping[str, FeatureSpec | None]
    clip: float
    prune: FeaturePruning | None = None
    standardise: str = "by_symbol"

    def __post_init__(self) -> None:
        if not self.clip > 0.0:
            raise ValueError(f"features.clip is {self.clip}; it must be above 0 standard deviations")
        check_method(self.standardise)
        if not self.enabled:
            raise ValueError("features.specs switches every feature off; leave at least one on")

    @property
    def enabled(self) -> tuple[FeatureSpec, ...]:
        """The features that are on, in order."""
        return tuple(spec for spec in self.specs.values() if spec is not None)


@dataclass(frozen=True, kw_only=True)
class InstrumentsConfig:
    """What each symbol is.

    Parameters
    ----------
    kind : catalogue entry of every symbol that is not in ``symbols``.
    symbols : symbol -> facts that differ, ``kind`` among them.
    """

    kind: str
    symbols: Mapping[str, Mapping[str, Any]]

    def __post_init__(self) -> None:
        instrument_of_kind(self.kind)
        for symbol in self.symbols:
            self._of(symbol)

    def for_symbols(self, symbols: Sequence[str]) -> dict[str, Instrument]:
        """The instrument of each symbol of a panel.

        Raises
        ------
        ConfigError
            If ``instruments.symbols`` names a symbol that the panel does not have.
        """
        for symbol in self.symbols:
            if symbol not in symbols:
                hint = did_you_mean(symbol, list(symbols))
                raise ConfigError(f"instruments.symbols.{symbol}: the data have no such symbol; {hint}")
        return {symbol: self._of(symbol) for symbol in symbols}

    def kind_of(self, symbol: str) -> str:
        """Catalogue entry that the symbol's facts start from."""
        return str(self.symbols.get(symbol, {}).get("kind", self.kind))

    @property
    def allowing_nonpositive_prices(self) -> tuple[str, ...]:
        """Named symbols whose instrument allows prices of zero and below; "*" where that of all others does."""
        named = tuple(symbol for symbol in self.symbols if self._of(symbol).allow_nonpositive_prices)
        return (*named, EVERY) if instrument_of_kind(self.kind).allow_nonpositive_prices else named

    def _of(self, symbol: str) -> Instrument:
        facts = {key: value for key, value in self.symbols.get(symbol, {}).items() if key != "kind"}
        base = instrument_of_kind(self.kind_of(symbol))
        return build_dataclass(
            Instrument, {**dataclasses.asdict(base), **facts}, f"instruments.symbols.{symbol}"
        )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that ``conf/train.yaml`` says.

    Parameters
    ----------
    script : ``policy.script``: a scripted policy that is scored in place of a trained one; None trains.
    supervised : of ``policy``: a supervised model that is fitted in place of training a network; None trains one.
    only_fold, fold_order : of ``walk_forward``: which folds are run, and in which order.
    enforce_gate : ``gate.enforce``.
    ledger : file in which trials are counted.
    test_symbols : ``data.test_symbols``: symbols that no policy is trained on; each is scored on them as well.
    """

    seed: int
    run: RunConfig
    trainer: TrainerConfig
    data: SourceConfig
    features: FeaturesConfig
    instruments: InstrumentsConfig
    env: PortfolioEnvConfig
    context: ContextConfig
    policy: NetworkConfig
    script: str | None
    supervised: SupervisedSettings | None
    algo: PPOSettings
    walk_forward: FoldPlan
    only_fold: int | None
    fold_order: tuple[int, ...] | None
    scoring: ScoringConfig
    gate: GateConfig
    enforce_gate: bool
    ledger: str
    cluster: ClusterConfig
    tracking: TrackingConfig
    test_symbols: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must be 0 or more")
        self._check_symbols()
        if self.script is not None and self.script not in SCRIPTED:
            hint = did_you_mean(self.script, list(SCRIPTED))
            raise ValueError(f"policy.script is {self.script!r}; there is no such script; {hint}")
        if self.supervised is not None:
            require_driven(self.env.action.scheme)
        if self.policy.action_masks and self.env.action.scheme not in maskable_schemes():
            raise ValueError(
                f"policy.action_masks is true, but the actions of env.action.scheme={self.env.action.scheme} are no "
                "choices; set policy.action_masks=false, or env.action.scheme to direction or orders"
            )

    def without_symbols(self, held_out: Sequence[str]) -> TrainConfig:
        """The configuration without the instruments and limits of symbols that are held out of training."""
        kept = {name: facts for name, facts in self.instruments.symbols.items() if name not in held_out}
        risk = self.env.risk
        left = [symbol for symbol in risk.named_symbols if symbol not in held_out]
        return dataclasses.replace(
            self,
            instruments=dataclasses.replace(self.instruments, symbols=kept),
            env=dataclasses.replace(self.env, risk=risk.for_symbols(left)),
        )

    def _check_symbols(self) -> None:
        """A policy that is scored on other symbols, or on more, than an episode trains on must not tell them apart."""
        episode = self.env.episode
        drawn = episode.num_assets is not None
        if len(set(self.test_symbols)) != len(self.test_symbols):
            raise ValueError(f"data.test_symbols names a symbol twice: {', '.join(self.test_symbols)}")
        if self.trainer.start_from is not None and self.supervised is not None:
            raise ValueError(
                "trainer.start_from hands weights of a network on, and a supervised policy is fitted anew: leave it out"
            )
        if self.test_symbols and self.supervised is not None:
            raise ValueError(
                "data.test_symbols holds symbols out of training, and a supervised policy is for the symbols that it "
                "was fitted on; choose a trained policy or a script"
            )
        if (self.test_symbols or drawn) and self.policy.symbol_embedding:
            raise ValueError(
                "policy.symbol_embedding tells the symbols of the training apart, and others have no such vector: "
                "set it to false with data.test_symbols and env.episode.num_assets"
            )
        apart = [one.name for one in self.features.enabled if resolve_feature(one.name).tells_symbols_apart]
        if self.test_symbols and apart:
            raise ValueError(
                f"the feature {apart[0]} tells the symbols of the training apart, and data.test_symbols holds others "
                "out of it: switch it off (features.specs.NAME=null), or hold none out"
            )
        if (self.test_symbols or drawn) and self.policy.actors != SHARED:
            raise ValueError(
                "policy.actors gives symbols policies of their own, and a symbol that is held out of training, or not "
                "drawn for an episode, would have none: set it to shared with data.test_symbols and "
                "env.episode.num_assets"
            )
        if self.test_symbols and self.script is None and self.features.standardise == "by_symbol":
            raise ValueError(
                "data.test_symbols holds symbols out of training, so that they have no statistics of their own: "
                "set features.standardise=pooled (those of all training symbols) or own_past (each symbol's own past)"
            )

    @property
    def validates(self) -> bool:
        """Whether a trained policy's checkpoint is chosen on bars of its own; a fitted model has one only."""
        named = isinstance(self.walk_forward, DatedWindows) and self.walk_forward.validation is not None
        trains = self.script is None and self.supervised is None
        return trains and (named or self.trainer.validation_fraction > 0.0)


ENV_GROUPS = {"costs": CostConfig, "reward": RewardConfig, "risk": RiskConfig}
"""Groups that are part of `PortfolioEnvConfig` but chosen on their own."""

TRAIN_KEYS = {f.name for f in dataclasses.fields(TrainConfig)} - {
    "enforce_gate",
    "script",
    "supervised",
    "only_fold",
    "fold_order",
    "test_symbols",
} | {*ENV_GROUPS, "resume"}


def build_train_config(values: Values) -> TrainConfig:
    """Check and build the whole configuration of a training job.

    Raises
    ------
    ConfigError
        The first thing found that a user must fix, with its key.
    """
    _require_keys(values, TRAIN_KEYS)
    from policies.networks import NetworkConfig
    from policies.settings import PPOSettings

    gate, policy, windows = (dict(_group(values, name)) for name in ("gate", "policy", "walk_forward"))
    return _checked(
        seed=_whole_number(values, "seed"),
        run=build_dataclass(RunConfig, values["run"], "run"),
        trainer=build_dataclass(TrainerConfig, values["trainer"], "trainer"),
        data=build_source(values),
        test_symbols=convert(
            tuple[str, ...], _group(values, "data").get("test_symbols") or (), "data.test_symbols"
        ),
        features=build_dataclass(FeaturesConfig, values["features"], "features"),
        instruments=build_dataclass(InstrumentsConfig, values["instruments"], "instruments"),
        env=build_env(values),
        context=build_dataclass(ContextConfig, values["context"], "context"),
        script=convert(str | None, policy.pop("script", None), "policy.script"),
        supervised=build_supervised(policy),
        policy=build_dataclass(NetworkConfig, policy, "policy"),
        algo=build_dataclass(PPOSettings, values["algo"], "algo"),
        only_fold=convert(int | None, windows.pop("only_fold", None), "walk_forward.only_fold"),
        fold_order=convert(
            tuple[int, ...] | None, windows.pop("fold_order", None), "walk_forward.fold_order"
        ),
        walk_forward=build_windows(windows),
        scoring=build_dataclass(ScoringConfig, values["scoring"], "scoring"),
        enforce_gate=_flag(gate, "enforce", "gate"),
        gate=build_dataclass(GateConfig, gate, "gate"),
        ledger=convert(str, values["ledger"], "ledger"),
        cluster=build_dataclass(ClusterConfig, values["cluster"], "cluster"),
        tracking=build_dataclass(TrackingConfig, values["tracking"], "tracking"),
    )


def build_screening(values: Values) -> tuple[ScreeningConfig, LabelConfig]:
    """The ``screening`` and ``labels`` groups, which have one horizon: that of the labels, or the screening's if it has
    one.
    """
    from evaluation.screening.screen import ScreeningConfig

    screening, labels = dict(_group(values, "screening")), dict(_group(values, "labels"))
    if screening.get("horizon_bars") is None:
        screening["horizon_bars"] = labels.get("horizon_bars")
    labels["horizon_bars"] = screening["horizon_bars"]
    return build_dataclass(ScreeningConfig, screening, "screening"), build_dataclass(
        LabelConfig, labels, "labels"
    )


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
    split = split_context(_group(values, "data"))
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
    group = _group(values, "env")
    for name in ENV_GROUPS:
        if name in group:
            raise ConfigError(f"env.{name}: {name} is a group of its own; write {name}.KEY=VALUE")
    parts: dict[str, Any] = {
        name: build_dataclass(kind, _group(values, name), name) for name, kind in ENV_GROUPS.items()
    }
    return build_dataclass(PortfolioEnvConfig, {**group, **parts}, "env")


def _checked(**fields: Any) -> TrainConfig:
    try:
        refuse_unknown(fields["gate"])
        return TrainConfig(**fields)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _require_keys(values: Values, known: set[str]) -> None:
    for key in values:
        if key not in known:
            raise ConfigError(f"{key}: unknown key; {did_you_mean(str(key), sorted(known))}")
    for key in sorted(known):
        if key not in values:
            raise ConfigError(f"{key}: missing from the configuration")


def _group(values: Values, name: str) -> Values:
    if name not in values:
        raise ConfigError(f"{name}: missing from the configuration")
    if not isinstance(values[name], Mapping):
        raise ConfigError(f"{name} is {values[name]!r}; it must be a group of keys")
    return values[name]


def _whole_number(values: Values, key: str) -> int:
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{key} is {value!r}; it must be a whole number")
    return value


def _flag(group: dict[str, Any], key: str, path: str) -> bool:
    value = group.pop(key, None)
    if not isinstance(value, bool):
        raise ConfigError(f"{path}.{key} is {value!r}; it must be true or false")
    return value
