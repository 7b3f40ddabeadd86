"""Scores one fold: the policy, the baselines and, if asked, both under multiplied costs, on the same test window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.market import Market
from envs.recording import Recording
from evaluation.rollout import (
    AS_CONFIGURED,
    Track,
    evaluation_config,
    record_rows,
    run_schedules,
    scenario_env,
)
from evaluation.splits import Fold
from evaluation.stress import cost_name, stress_scenarios
from evaluation.walk_forward import ORACLE, FoldResult
from policies.baselines import Schedule, random_matched_turnover, standard_baselines
from policies.protocol import Policy

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """What is measured beside the policy.

    Attributes
    ----------
    momentum_bars, hold_bars : lookback and holding period of the momentum and mean-reversion baselines, bars.
    stress_cost_factor : multiple of all costs for the stressed comparison; 1.0 leaves it out.
    in_sample : score the policy on its own training window too.
    """

    momentum_bars: int
    hold_bars: int
    stress_cost_factor: float
    in_sample: bool

    def __post_init__(self) -> None:
        if self.momentum_bars < 1 or self.hold_bars < 1:
            raise ValueError("scoring.momentum_bars and scoring.hold_bars must be at least 1 bar")
        if self.stress_cost_factor < 1.0:
            raise ValueError(
                f"scoring.stress_cost_factor is {self.stress_cost_factor}; it must be at least 1"
            )


def scored_window(fold: Fold) -> Window:
    """The fold's test bars as an episode window: the first decision is taken at the close before them."""
    return Window(start_bar=fold.test.start, stop_bar=fold.test.stop)


def training_windows(fold: Fold, market: Market, config: PortfolioEnvConfig) -> list[Window]:
    """The training bars cut into windows as long as the test one, so that all run as one batch.

    Bars before the features' lookback and the warm-up are left out; the remainder is dropped from the start.
    """
    first = max(fold.train.start, market.first_bar + config.episode.warmup_bars + 1)
    length = min(fold.test.stop - fold.test.start, fold.train.stop - first)
    if length < 1:
        return []
    count = (fold.train.stop - first) // length
    starts = [fold.train.stop - length * (count - index) for index in range(count)]
    return [Window(start_bar=start, stop_bar=start + length) for start in starts]


def score_fold(
    fold: Fold,
    policy: Policy,
    panel: Panel,
    market: Market,
    config: PortfolioEnvConfig,
    scoring: ScoringConfig,
    *,
    seed: int,
    parameters: Mapping[str, Any] | None = None,
    policy_hash: str = "",
    oracle_direction: NDArray[np.int8] | None = None,
    more_baselines: Mapping[str, Schedule] | None = None,
    cost_factor: float = 1.0,
) -> FoldResult:
    """Run everything that the fold's row and the gate need.

    Parameters
    ----------
    policy : trained on ``fold.train`` alone.
    panel, market : of the whole data; the market's features standardised on ``fold.train`` alone.
    config : the training config; `evaluation_config` turns it into the one that is scored.
    seed : of the training run; the random baseline draws from it and the fold's index.
    oracle_direction : (T, A) best direction of a synthetic market; adds the reference `oracle`.
    more_baselines : further schedules to be beaten, such as those of `evaluation.supervised`.
    cost_factor : multiple of every cost, in the stress scenarios on top of theirs.
    """
    scored, test = evaluation_config(config), scored_window(fold)
    scenarios = [
        replace(scenario, cost_factor=scenario.cost_factor * cost_factor)
        for scenario in (AS_CONFIGURED, *stress_scenarios(scoring.stress_cost_factor))
    ]
    inside = training_windows(fold, market, scored) if scoring.in_sample else []
    windows = [test] * len(scenarios) + inside
    conditions = scenarios + scenarios[:1] * len(inside)
    env = scenario_env(market, scored, windows, conditions)
    (recording,), tracks = record_rows(policy, env, [0], conditions)
    stress = {s.name: track for s, track in zip(scenarios[1:], tracks[1:])}
    in_sample = tracks[len(scenarios) :]
    schedules = standard_baselines(panel, momentum_bars=scoring.momentum_bars, hold_bars=scoring.hold_bars)
    schedules["random"] = _random_schedule(fold, recording, panel, scored.action.scheme, seed)
    schedules |= more_baselines or {}
    if oracle_direction is not None:
        schedules[ORACLE] = Schedule(target_TA=np.asarray(oracle_direction, dtype=np.float64))
    runs = run_schedules(schedules, market, config, [test], cost_factor=cost_factor)
    stressed_runs: dict[str, list[Track]] = {}
    if scoring.stress_cost_factor > 1.0:
        stressed_runs = run_schedules(
            schedules, market, config, [test], cost_factor=scoring.stress_cost_factor * cost_factor
        )
    return FoldResult(
        fold=fold,
        recording=recording,
        baselines={name: rows[0] for name, rows in runs.items()},
        stressed=stress.get(cost_name(scoring.stress_cost_factor)),
        stressed_baselines={name: rows[0] for name, rows in stressed_runs.items()},
        stress=stress,
        in_sample_return=np.concatenate([r.net_return for r in in_sample]) if in_sample else None,
        parameters=dict(parameters or {}),
        policy_hash=policy_hash,
        seed=seed,
    )


def _random_schedule(fold: Fold, recording: Recording, panel: Panel, scheme: str, seed: int) -> Schedule:
    """Random directions with the frequencies and the turnover of what the policy held."""
    random = np.random.default_rng([seed % 2**63, fold.index])
    held = recording.exposure if scheme == "weights" else recording.units
    target = random_matched_turnover(held, panel.num_bars, random)
    if scheme == "weights":  # a weight says how much as well: take the policy's mean size
        size = np.abs(recording.exposure).sum(axis=0) / np.maximum((recording.exposure != 0).sum(axis=0), 1)
        target = target * np.minimum(size, 1.0)
    return Schedule(target_TA=target)
