"""Scores one fold: the policy, the baselines and, if asked, both under multiplied costs, on the same test window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recording
from evaluation.scoring.allocations import plan_window
from evaluation.scoring.charged_costs import dearer
from evaluation.scoring.delayed_inputs import delayed_tracks, promising
from evaluation.scoring.exposures import Exposure
from evaluation.scoring.inside_fills import REACH, fills_inside, without_reach
from evaluation.scoring.known_volume import OWN_VOLUME, by_known_volume, reads_own_volume
from evaluation.scoring.placebo_strategies import placebo_returns, random_targets
from evaluation.scoring.rollout import (
    AS_CONFIGURED,
    Scenario,
    Track,
    evaluation_config,
    planned_policy,
    record_rows,
    run_schedules,
    scenario_env,
)
from evaluation.scoring.short_dividends import short_dividends, with_assumed_dividends
from evaluation.scoring.stop_fills import STOPS, stops_at_the_close
from evaluation.scoring.stress import cost_name, stress_scenarios
from evaluation.scoring.supervised import MODELS, SupervisedConfig, fit_schedules, require_packages
from evaluation.scoring.walk_forward import ORACLE, FoldResult
from evaluation.windows.splits import Fold
from policies.baselines import Schedule, standard_baselines
from policies.protocol import Policy

FloatArray = NDArray[np.float64]


LEAST = {"placebo_strategies": 0, "placebo_runs": 0, "placebo_block_bars": 1, "placebo_env_steps": 1}


@dataclass(frozen=True, kw_only=True)
class ScoringConfig:
    """What is measured beside the policy.

    Attributes
    ----------
    momentum_bars, hold_bars : lookback and holding period of the momentum and mean-reversion baselines, bars.
    rebalance_sessions : sessions between two rebalancings of the allocations (such as equal weight).
    target_volatility : annual, of the baseline that holds it, fraction.
    stress_cost_factor : multiple of all costs for the stressed comparison; 1.0 leaves it out.
    in_sample : score the policy on its own training window too.
    cost_factor : multiple of all costs at which policy and baselines are scored; the gate refuses less than 1.
    placebo_strategies : random strategies with the policy's turnover that pad the matrix of CSCV; 0 leaves them out.
    supervised : models that are fitted on each training window as further baselines, each on the policy's features and
        on price features that are always the same, see `scoring.supervised`.
    supervised_fit : how.
    placebo_runs : markets of shuffled bars on which the policy class is trained again, see `gate.placebo_markets`.
    placebo_block_bars : bars that stay together. placebo_env_steps : of each such training, per fold.
    """

    momentum_bars: int
    hold_bars: int
    rebalance_sessions: int
    target_volatility: float
    stress_cost_factor: float
    in_sample: bool
    cost_factor: float
    placebo_strategies: int
    supervised: tuple[str, ...]
    supervised_fit: SupervisedConfig
    placebo_runs: int
    placebo_block_bars: int
    placebo_env_steps: int

    def __post_init__(self) -> None:
        if self.momentum_bars < 1 or self.hold_bars < 1:
            raise ValueError("scoring.momentum_bars and scoring.hold_bars must be at least 1 bar")
        if self.rebalance_sessions < 1:
            raise ValueError(
                f"scoring.rebalance_sessions is {self.rebalance_sessions}; it must be 1 session or more"
            )
        if not self.target_volatility > 0.0:
            raise ValueError(
                f"scoring.target_volatility is {self.target_volatility}; it must be above 0 (0.1 = 10 % a year)"
            )
        if self.stress_cost_factor < 1.0:
            raise ValueError(
                f"scoring.stress_cost_factor is {self.stress_cost_factor}; it must be at least 1"
            )
        if not self.cost_factor >= 0.0:
            raise ValueError(f"scoring.cost_factor is {self.cost_factor}; it must be 0 or more")
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"scoring.{name} is {getattr(self, name)}; it must be {least} or more")
        object.__setattr__(self, "supervised", tuple(self.supervised))
        for model in self.supervised:
            if model not in MODELS:
                raise ValueError(f"scoring.supervised names {model!r}; known models are {', '.join(MODELS)}")
        require_packages(self.supervised)


def scored_window(fold: Fold) -> Window:
    """The fold's test bars as an episode window: the first decision is taken at the close before them."""
    return Window(start_bar=fold.test.start, stop_bar=fold.test.stop)


def in_sample_windows(fold: Fold, market: Market, config: PortfolioEnvConfig) -> list[Window]:
    """The training bars cut into windows as long as the test one, so that all run as one batch.

    Bars before the features' lookback and the warm-up are left out; the remainder is dropped from the start. Where a
    split trains on several stretches, each is cut.
    """
    tested = fold.test.stop - fold.test.start
    first_known = market.first_bar + config.episode.warmup_bars + 1
    reach = [(max(part.start, first_known), part.stop) for part in fold.training]
    longest = max(stop - first for first, stop in reach)
    length = min(tested, longest)
    if length < 1:
        return []
    return [
        Window(start_bar=stop - length * number, stop_bar=stop - length * (number - 1))
        for first, stop in reach
        for number in range((stop - first) // length, 0, -1)
    ]


def score_fold(
    fold: Fold,
    policy: Policy | Schedule,
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
    least_cost_bps: Mapping[str, float] | None = None,
    assumed_yields: Mapping[str, float] | None = None,
    find_exposures: Callable[[], Sequence[Exposure]] | None = None,
    alone: bool = True,
) -> FoldResult:
    """Run everything that the fold's row and the gate need.

    Parameters
    ----------
    policy : trained on ``fold.train`` alone, or a schedule (a scripted policy) to run in its place.
    panel, market : of the whole data; the market's features standardised on ``fold.train`` alone.
    config : the training config; `evaluation_config` turns it into the one that is scored.
    seed : of the training run; the random baseline draws from it and the fold's index.
    oracle_direction : (T, A) best direction of a synthetic market; adds the reference `oracle`.
    more_baselines : further schedules to be beaten.
    least_cost_bps : symbol -> least trading cost per unit of turnover that the stressed comparison multiplies.
    assumed_yields : symbol whose dividends are not known -> yield a year that shorts of it are charged in the stressed
        comparison, if the policy was short there.
    find_exposures : inputs to hold back by a bar, one at a time, where the score is promising; None measures no delay.
    alone : the fold is the whole record; of several each is asked what it hangs on (`delayed_inputs.promising`).
    """
    test = scored_window(fold)
    if isinstance(policy, Schedule):
        scored, recording, stress, in_sample = _run_script(fold, policy, market, config, scoring)
    else:
        scored = evaluation_config(config)
        inside = in_sample_windows(fold, market, scored) if scoring.in_sample else []
        recording, stress, in_sample = _run_scenarios(policy, market, scored, scoring, test, inside)
    schedules = _schedules(fold, recording, panel, market, scored, scoring, seed) | dict(more_baselines or {})
    if oracle_direction is not None:
        schedules[ORACLE] = Schedule(target_TA=np.asarray(oracle_direction, dtype=np.float64))
    runs = _schedule_tracks(schedules, market, config, test, scoring)
    stressed: Track | None = None
    stressed_runs: dict[str, list[Track]] = {}
    if scoring.stress_cost_factor > 1.0:
        raised = dearer(market, scored, recording, least_cost_bps or {}, cost_factor=scoring.cost_factor)
        charged = (market, config) if raised is None else (raised[0], replace(config, costs=raised[1].costs))
        factor = scoring.cost_factor * scoring.stress_cost_factor
        owing = bool(assumed_yields) and short_dividends([recording], panel, assumed_yields or {}) is not None
        if owing and factor > 0.0:
            charged = with_assumed_dividends(*charged, assumed_yields or {}, cost_factor=factor)
        stressed = (
            stress[cost_name(scoring.stress_cost_factor)]
            if charged[0] is market
            else _lone_track(policy, *charged, test, scoring, scoring.stress_cost_factor)
        )
        stressed_runs = _schedule_tracks(schedules, *charged, test, scoring, scoring.stress_cost_factor)
    return FoldResult(
        fold=fold,
        recording=recording,
        baselines={name: rows[0] for name, rows in runs.items()},
        stressed=stressed,
        stressed_baselines={name: rows[0] for name, rows in stressed_runs.items()},
        stress=stress,
        in_sample_return=np.concatenate([r.net_return for r in in_sample]) if in_sample else None,
        parameters=dict(parameters or {}),
        policy_hash=policy_hash,
        seed=seed,
        cost_factor=scoring.cost_factor,
        placebo_return=_placebos(fold, recording, market, scored, scoring, seed),
        delayed=_delayed(policy, recording, market, config, test, scoring, find_exposures, alone=alone),
    )


def _placebos(
    fold: Fold,
    recording: Recording,
    market: Market,
    scored: PortfolioEnvConfig,
    scoring: ScoringConfig,
    seed: int,
) -> FloatArray | None:
    """(N, K) returns of random strategies with the policy's turnover; None where none are asked for."""
    if not scoring.placebo_strategies:
        return None
    return placebo_returns(
        recording,
        market,
        scored,
        scored_window(fold),
        count=scoring.placebo_strategies,
        seed=[seed % 2**63, fold.index, 1],
        cost_factor=scoring.cost_factor,
    )


def _delayed(
    policy: Policy | Schedule,
    recording: Recording,
    market: Market,
    config: PortfolioEnvConfig,
    test: Window,
    scoring: ScoringConfig,
    find_exposures: Callable[[], Sequence[Exposure]] | None,
    *,
    alone: bool,
) -> dict[tuple[str, ...], Track] | None:
    """The policy with inputs a bar late, by their names; where orders fill inside of bars, without their reach; where
    stops did, with these at the close; and where fills read the volume of their bar, by the volume known before.

    Empty where its score promises nothing, None if not asked.
    """
    if find_exposures is None:
        return None
    if not promising(np.asarray(recording.net_return), alone=alone):
        return {}
    tracks = delayed_tracks(
        policy,
        market,
        config,
        test,
        find_exposures,
        cost_factor=scoring.cost_factor,
        rebalance_sessions=scoring.rebalance_sessions,
    )
    if fills_inside(config):
        tracks[REACH] = _lone_track(policy, without_reach(market), config, test, scoring)
    stopped = stops_at_the_close(recording, market)
    if stopped is not None:
        tracks[STOPS] = stopped
    if reads_own_volume(recording, market, config):
        tracks[OWN_VOLUME] = _lone_track(policy, by_known_volume(market), config, test, scoring)
    return tracks


def _schedule_tracks(
    schedules: Mapping[str, Schedule],
    market: Market,
    config: PortfolioEnvConfig,
    test: Window,
    scoring: ScoringConfig,
    stress_factor: float = 1.0,
) -> dict[str, list[Track]]:
    """Schedules on the test window, at a multiple of the costs that are scored."""
    return run_schedules(
        schedules,
        market,
        config,
        [test],
        cost_factor=scoring.cost_factor * stress_factor,
        rebalance_sessions=scoring.rebalance_sessions,
    )


def scored_batch(
    market: Market,
    scored: PortfolioEnvConfig,
    scoring: ScoringConfig,
    test: Window,
    inside: Sequence[Window],
) -> tuple[PortfolioVectorEnv, list[Scenario]]:
    """The rows that a policy is scored on together, and the conditions of each; what is recorded is the first row."""
    scenarios = _scenarios(scoring, scored.action.scheme)
    conditions = scenarios + scenarios[:1] * len(inside)
    return scenario_env(market, scored, [test] * len(scenarios) + list(inside), conditions), conditions


def _run_scenarios(
    policy: Policy,
    market: Market,
    scored: PortfolioEnvConfig,
    scoring: ScoringConfig,
    test: Window,
    inside: Sequence[Window],
) -> tuple[Recording, dict[str, Track], list[Track]]:
    """One batch: the test window recorded, the same under each scenario of stress by name, and windows in sample."""
    scenarios = _scenarios(scoring, scored.action.scheme)
    env, conditions = scored_batch(market, scored, scoring, test, inside)
    (recording,), tracks = record_rows(policy, env, [0], conditions)
    stress = {s.name: track for s, track in zip(scenarios[1:], tracks[1:])}
    return recording, stress, tracks[len(scenarios) :]


def _run_script(
    fold: Fold, script: Schedule, market: Market, config: PortfolioEnvConfig, scoring: ScoringConfig
) -> tuple[PortfolioEnvConfig, Recording, dict[str, Track], list[Track]]:
    """A scripted policy: the config that it is scored under, and the same. An allocation's depends on the window."""
    test = scored_window(fold)
    plan = plan_window(script, market, config, test, scoring.rebalance_sessions)
    if plan.config.initial_equity != config.initial_equity:
        raise ValueError(
            f"env.initial_equity is {config.initial_equity:,.0f}, which does not pay for one lot of every asset that "
            f"the scripted policy holds in fold {fold.index}; give {plan.config.initial_equity:,.0f}"
        )
    scored = evaluation_config(plan.config)
    policy = planned_policy([plan], scored, len(_scenarios(scoring, scored.action.scheme)))
    recording, stress, _ = _run_scenarios(policy, market, scored, scoring, test, [])
    inside = in_sample_windows(fold, market, scored) if scoring.in_sample else []
    in_sample = run_schedules(
        {"script": script},
        market,
        config,
        inside,
        cost_factor=scoring.cost_factor,
        rebalance_sessions=scoring.rebalance_sessions,
    )
    return scored, recording, stress, in_sample["script"]


def _lone_track(
    policy: Policy | Schedule,
    market: Market,
    config: PortfolioEnvConfig,
    test: Window,
    scoring: ScoringConfig,
    stress_factor: float = 1.0,
) -> Track:
    """The policy on the test window of a market, at a multiple of the costs that are scored."""
    if isinstance(policy, Schedule):
        return _schedule_tracks({"script": policy}, market, config, test, scoring, stress_factor)["script"][0]
    factor = scoring.cost_factor * stress_factor
    scenario = [Scenario(name=cost_name(factor), cost_factor=factor)]
    env = scenario_env(market, evaluation_config(config), [test], scenario)
    return record_rows(policy, env, (), scenario)[1][0]


def _scenarios(scoring: ScoringConfig, scheme: str) -> list[Scenario]:
    """As configured first, then the stress; all of them at the multiple of costs that is scored."""
    scenarios: Sequence[Scenario] = [AS_CONFIGURED, *stress_scenarios(scoring.stress_cost_factor, scheme)]
    return [replace(s, cost_factor=s.cost_factor * scoring.cost_factor) for s in scenarios]


def _schedules(
    fold: Fold,
    recording: Recording,
    panel: Panel,
    market: Market,
    scored: PortfolioEnvConfig,
    scoring: ScoringConfig,
    seed: int,
) -> dict[str, Schedule]:
    """The baselines to be beaten: rules, a random one with the policy's turnover, and fitted models."""
    schedules = standard_baselines(
        panel,
        momentum_bars=scoring.momentum_bars,
        hold_bars=scoring.hold_bars,
        rebalance_sessions=scoring.rebalance_sessions,
        target_volatility=scoring.target_volatility,
    )
    random = np.random.default_rng([seed % 2**63, fold.index])
    target = random_targets(recording, panel.num_bars, scored.action.scheme, random)
    schedules["random"] = Schedule(target_TA=target, scheme=scored.action.scheme)
    decided = slice(max(fold.test.start - 1 - scored.episode.warmup_bars, 0), fold.test.stop)
    fitted = fit_schedules(
        scoring.supervised, panel, market, fold.training, scoring.supervised_fit, wanted=decided
    )
    return schedules | fitted
