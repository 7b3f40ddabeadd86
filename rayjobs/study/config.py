"""From the composed configuration, plain nested dicts, to the dataclasses that the packages below take.

Each group of ``conf/`` is one key here. torch and RLlib, which take seconds to import, are imported only once the keys
are known to be right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data.features import resolve_feature
from data.sources import SourceConfig
from envs.actions import maskable_schemes
from envs.config import PortfolioEnvConfig
from envs.context import ContextConfig
from evaluation.gate.config import GateConfig
from evaluation.gate.verdict import refuse_unknown
from evaluation.scoring.fold_scoring import ScoringConfig
from evaluation.windows.calendar_windows import DatedWindows
from evaluation.windows.splits import FoldPlan
from policies.actor_groups import SHARED
from policies.baselines import SCRIPTED
from policies.supervised.settings import SupervisedSettings, require_driven
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.config.typed_config import ConfigError, build_dataclass, convert, did_you_mean
from rayjobs.monitoring.tracking import TrackingConfig
from rayjobs.storage.run_directory import RunConfig
from rayjobs.study.config_groups import (
    ENV_GROUPS,
    Values,
    build_env,
    build_source,
    build_supervised,
    build_windows,
    group_of,
)
from rayjobs.study.features_config import FeaturesConfig
from rayjobs.study.instruments_config import InstrumentsConfig
from rayjobs.training.settings import TrainerConfig

if TYPE_CHECKING:
    from policies.networks import NetworkConfig
    from policies.settings import PPOSettings


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

    gate, policy, windows = (dict(group_of(values, name)) for name in ("gate", "policy", "walk_forward"))
    return _checked(
        seed=_whole_number(values, "seed"),
        run=build_dataclass(RunConfig, values["run"], "run"),
        trainer=build_dataclass(TrainerConfig, values["trainer"], "trainer"),
        data=build_source(values),
        test_symbols=convert(
            tuple[str, ...], group_of(values, "data").get("test_symbols") or (), "data.test_symbols"
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
