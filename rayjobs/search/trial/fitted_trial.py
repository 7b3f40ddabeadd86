"""One fold of a trial whose policy is fitted at once, without env steps: it is whole at every rung."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from envs.market import Market
from evaluation.scoring.fold_scoring import scored_window
from evaluation.scoring.rollout import evaluation_config
from evaluation.windows.splits import Fold
from policies.exports import ExportedPolicy
from policies.supervised.policy import SupervisedContract
from rayjobs.search.plan.objective import FoldScore, measure
from rayjobs.search.plan.settings import TrialScoringConfig
from rayjobs.search.trial.chunked_scoring import score_window
from rayjobs.study.fitted_fold import fit_policy
from rayjobs.study.fold_origin import with_origin
from rayjobs.study.study import Study


def out_of_sample(
    policy: ExportedPolicy, study: Study, fold: Fold, market: Market, scoring: TrialScoringConfig
) -> tuple[np.ndarray, dict[str, float]]:
    """Returns and metrics of a policy on the fold's test window, under full costs."""
    found = score_window(
        policy,
        market,
        evaluation_config(study.config.env),
        scored_window(fold),
        rows=scoring.rows,
        overlap_bars=scoring.overlap_bars,
    )
    periods = study.panel.bars_a_year(fold.test)
    return found.net_return, measure(found.net_return, float(found.turnover.sum()), periods)


class FoldFit:
    """A fold of a supervised policy: fitted and scored when it is first asked for, the same score ever after."""

    def __init__(
        self,
        study: Study,
        fold: Fold,
        market: Market,
        contract: SupervisedContract,
        directory: Path,
        scoring: TrialScoringConfig,
    ) -> None:
        self._study, self._fold, self._market, self._scoring = study, fold, market, scoring
        self._contract = with_origin(contract, study, fold, market.first_bar, directory)
        self._score: FoldScore | None = None

    def advance(self, fraction: float, *, checkpoint: bool) -> FoldScore:
        """The score; the fraction of the training is of no account."""
        if self._score is None:
            self._score = self._fit_and_score()
        return self._score

    def _fit_and_score(self) -> FoldScore:
        started, seed = time.perf_counter(), self._study.config.seed
        policy = fit_policy(self._study.config, self._study.panel, self._market, self._fold, self._contract)
        fitted = time.perf_counter()
        net_return, metrics = out_of_sample(policy, self._study, self._fold, self._market, self._scoring)
        return FoldScore(
            fold=self._fold.index,
            seed=seed,
            env_steps=0,
            net_return=net_return,
            metrics=metrics,
            seconds=(fitted - started, time.perf_counter() - fitted),
            policy_hash=policy.policy_hash,
        )

    def close(self) -> None:
        """Nothing runs."""
