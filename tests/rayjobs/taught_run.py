"""A finished run whose policy was taught a rule in a second: it holds the sign of one column or feature.

What a training on real files would find, without the training: the network imitates a rule on the training window, by
gradient descent, and is exported, scored and reported like any trained policy.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from data.checks.hygiene import HygieneReport
from envs.checks.leaks import LeakReport
from evaluation.gate.evidence import GateEvidence, SupportingEvidence
from evaluation.gate.verdict import Criterion, judge
from policies.exported_policy import TrainedPolicy
from rayjobs.config.compose import compose
from rayjobs.monitoring.tracking import tracker
from rayjobs.storage.run_directory import RunConfig, RunDirectory
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.evidence import chained, completed
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import with_origin
from rayjobs.study.load import load_study
from rayjobs.study.report import report_study
from rayjobs.study.scored_fold import score_policy
from rayjobs.study.study import Study

SETTINGS = (
    "features=exogenous", "policy=mlp", "policy.encoder_units=8", "policy.core_units=8", "costs=flat_2bps",
    "env.sizing.fraction=0.5", "env.episode.bars=48", "walk_forward.train_bars=500", "walk_forward.test_bars=300",
    "walk_forward.embargo_bars=0", "scoring.supervised=[]", "scoring.placebo_strategies=0", "scoring.in_sample=false",
    "gate.min_trades=5", "instruments=us_stock", "gate.min_cost_bps=1",
)  # fmt: skip


def taught(study: Study, fold, run: Path, weights: dict[str, float]) -> FoldOutcome:
    """Teach the sign of a weighted sum of standardised features, asset by asset."""
    market, contract = fold_market(study, fold)
    with torch.random.fork_rng():  # what was drawn before must not decide what is learnt
        torch.manual_seed(fold.index)
        network = contract.actions.network(contract.layout, contract.network)
    generator = torch.Generator().manual_seed(fold.index)
    random = np.random.default_rng(fold.index)
    bars = random.integers(market.first_bar, fold.train.stop, size=512)
    weight = np.array([weights.get(name, 0.0) for name in market.asset_names])
    side = np.sign(market.features[bars] @ weight)  # (N, A)
    seen = np.zeros((len(bars), contract.layout.size), dtype=np.float32)
    seen[:, contract.layout.slices["market"]] = market.features[bars].reshape(len(bars), -1)
    place = contract.layout.slices["position"]
    seen[:, place] = random.uniform(-1, 1, size=(len(bars), place.stop - place.start))  # whatever it holds
    wanted = torch.from_numpy(side.astype(np.int64) + 1)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(150):
        rows = torch.randint(len(bars), (256,), generator=generator)
        scores = network.step(torch.from_numpy(seen)[rows], network.initial_state(256)).scores
        loss = torch.nn.functional.cross_entropy(scores.reshape(-1, 3), wanted[rows].reshape(-1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    place_of = run / "checkpoints" / f"fold_{fold.index:02d}" / "best"
    contract = with_origin(contract, study, fold, market.first_bar, place_of)
    policy = TrainedPolicy(contract, network.state_dict())
    policy.save(place_of)
    result = score_policy(study, fold, policy, market, policy_hash=policy.policy_hash)
    return FoldOutcome(result=result, iterations=(), policy=place_of, standardiser=contract.standardiser)


def taught_study(*overrides: str) -> tuple[dict, Study, HygieneReport, list]:
    """Values, study, hygiene and folds."""
    values = {k: v for k, v in compose("train", [*SETTINGS, *overrides]).items() if k in TRAIN_KEYS}
    return values, *load_study(build_train_config(values))


def taught_criteria(root: Path, *overrides: str, rule: dict[str, float]) -> dict[str, Criterion]:
    """What the gate finds on the first fold of a policy that follows a rule; nothing is written but the policy."""
    _, study, _, folds = taught_study("walk_forward.only_fold=0", *overrides)
    outcomes = [taught(study, fold, root, rule) for fold in folds]
    result = chained(study, outcomes)
    known = SupportingEvidence(leak_check=LeakReport(cut_bars=(1,), bars_compared=1, findings=()))
    verdict = judge(study.config.gate, GateEvidence.of(result, completed(study, result, known)))
    return {criterion.name: criterion for criterion in verdict.criteria}


def taught_run(root: Path, *overrides: str, rule: dict[str, float]) -> Path:
    """Write a run below ``root`` whose policy follows a rule, and return its directory."""
    values, study, hygiene, folds = taught_study(*overrides)
    directory = RunDirectory.create(
        RunConfig(experiment="taught", directory=str(root)),
        values,
        seed=study.config.seed,
        data_fingerprint=study.panel.fingerprint,
    )
    with (
        directory as run,
        tracker(study.config.tracking, run_directory=run.path, experiment="taught", values={}) as log,
    ):
        outcomes = [taught(study, fold, run.path, rule) for fold in folds]
        report_study(study, hygiene, outcomes, run.path, log, SupportingEvidence(num_trials=1))
    return directory.path
