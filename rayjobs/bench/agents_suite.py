"""Suite `agents`: one policy for all symbols beside an actor for each, on one rule and on rules of their own.

    python -m rayjobs.bench suite=agents

`+experiment=planted_rules`: four symbols, each shows its signs; they are paid by the same of them, or each by another.
Held out bars count: the share of the best possible policy's net return. Stock RLlib's multi-agent stack is trained on a
part of the env steps, ours beside it on as many with the same batches.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import ray

from data.sources import load
from envs.market import Market
from evaluation.scoring.fold_scoring import scored_window
from evaluation.scoring.rollout import evaluation_config, run_policy, run_schedules
from evaluation.windows.splits import Fold
from policies.baselines import Schedule
from policies.exported_policy import PolicyContract, TrainedPolicy
from policies.protocol import Policy
from rayjobs.bench.agents_stock import StockAgents
from rayjobs.cluster.session import ray_session
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.config.compose import compose
from rayjobs.study.config import TrainConfig, build_train_config
from rayjobs.study.fold import training_spec
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_windows import windows_to_train
from rayjobs.study.study import Study
from rayjobs.training.policy_training import train_policy

Row = dict[str, Any]
MARKETS: Mapping[str, tuple[str, ...]] = {
    "one rule": ("data.rules=1",),
    "a rule of each": ("data.rules=4",),
}
OWN, TOLD_APART, ALIKE = "an actor per symbol", "shared, a vector per symbol", "shared, symbols alike"
OURS: Mapping[str, tuple[str, ...]] = {
    OWN: ("policy=multi_agent",),
    TOLD_APART: ("policy=lstm", "policy.symbol_embedding=true"),
    ALIKE: ("policy=lstm", "policy.symbol_embedding=false"),
}
STOCK: Mapping[str, bool] = {
    "stock RLlib, multi-agent, a module per symbol": True,
    "stock RLlib, multi-agent, one module": False,
}
SMALL_BATCHES = ("algo.num_envs=32", "algo.fragment_bars=64", "algo.minibatch_steps=512")
"""2,048 env steps an iteration, so that few env steps are many updates."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Of one training: its share of the oracle's net return on the test window, and env steps a CPU second."""

    share: float
    rate: float


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a training and its score need: everything but the policy."""

    config: TrainConfig
    study: Study
    fold: Fold
    market: Market
    contract: PolicyContract

    @classmethod
    def of(cls, overrides: Sequence[str]) -> Ground:
        """Of overrides of `rayjobs.train` on `planted_rules`."""
        config = build_train_config(compose("train", ["+experiment=planted_rules", *overrides]))
        study = Study.of(config, load(config.data))
        fold = config.walk_forward.folds_in(study.panel)[0]
        market, contract = fold_market(study, fold)
        assert isinstance(contract, PolicyContract)
        return cls(config=config, study=study, fold=fold, market=market, contract=contract)

    def share(self, policy: Policy) -> float:
        """Sum of the net returns on the test window over the sum of the oracle's."""
        window, config = scored_window(self.fold), self.config.env
        (recording,) = run_policy(policy, self.market, evaluation_config(config), [window])
        best = Schedule(target_TA=np.asarray(self.study.oracle_direction, dtype=np.float64))
        (oracle,) = run_schedules({"oracle": best}, self.market, config, [window])["oracle"]
        return float(recording.net_return.sum() / oracle.net_return.sum())


def run(settings: Mapping[str, Any]) -> list[Row]:
    """All rows; ``settings`` is the group ``agents`` of ``conf/bench.yaml``."""
    sizes = [f"{key}={value}" for key, value in settings["overrides"].items()]
    rows: list[Row] = []
    with ray_session(ClusterConfig.here(num_cpus=2, num_gpus=0, object_store_mb=200)):
        for market, law in MARKETS.items():
            base = [*law, *sizes, f"trainer.total_env_steps={settings['env_steps']}"]
            found = {name: _seeds(_ours, [*base, *more], settings) for name, more in OURS.items()}
            rows += _rows(found, market, int(settings["env_steps"]))
            if settings["peers"]:
                base = [*law, *sizes, *SMALL_BATCHES, f"trainer.total_env_steps={settings['peer_env_steps']}"]
                found = {name: _seeds(_ours, [*base, *more], settings) for name, more in OURS.items()}
                found |= {name: _seeds(_stock(own), base, settings) for name, own in STOCK.items()}
                rows += _rows(found, market, int(settings["peer_env_steps"]))
    return rows


def _seeds(train: Any, overrides: Sequence[str], settings: Mapping[str, Any]) -> list[Outcome]:
    return [train(Ground.of([*overrides, f"seed={seed}"])) for seed in settings["seeds"]]


def _ours(ground: Ground) -> Outcome:
    marks = [time.process_time()]
    with tempfile.TemporaryDirectory(prefix="rayfold_agents_") as place:
        reference = ray.put(ground.market)
        spec = training_spec(ground.config, ground.fold, reference, ground.contract, Path(place) / "fold_00")
        outcome = train_policy(spec, lambda row: marks.append(time.process_time()))
        policy = TrainedPolicy.load(outcome.policy)
    spent = np.diff(marks).tolist()
    rate = ground.config.algo.batch_steps / median(spent[1:] or spent)
    return Outcome(share=ground.share(policy), rate=rate)


def _stock(own: bool) -> Any:
    def train(ground: Ground) -> Outcome:
        windows, _ = windows_to_train(ground.config, ground.fold, ground.market.first_bar)
        trainer = StockAgents(ground.config, ground.market, tuple(windows), ground.contract.layout, own)
        try:
            rate = trainer.train()
            return Outcome(share=ground.share(trainer.policy()), rate=rate)
        finally:
            trainer.close()

    return train


def _rows(found: Mapping[str, Sequence[Outcome]], market: str, env_steps: int) -> list[Row]:
    """What each earned and how fast it was, beside an actor per symbol of ours."""
    means = {
        name: (fmean(o.share for o in all_), median(o.rate for o in all_)) for name, all_ in found.items()
    }
    rows = []
    for name, outcomes in found.items():
        share, rate = means[name]
        facts = {"market": market, "env_steps": env_steps, "shares": [round(o.share, 4) for o in outcomes]}
        for what, value, unit, own in (
            ("", share, "of the oracle", means[OWN][0]),
            (", speed", rate, "env steps/CPU s", means[OWN][1]),
        ):
            ratio = None if name == OWN else {"name": OWN, "ratio": value / own}
            title = f"{market}, {env_steps:,} env steps: {name}{what}"
            rows.append({"name": title, "value": value, "unit": unit, "ratio_to": ratio, "settings": facts})
    return rows
