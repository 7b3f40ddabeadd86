"""What a policy thought and where its exits stood, bar by bar: a finished run's export run again on its test windows.

Nothing of this is written while a policy is trained or scored. It is computed when somebody asks, by the functions
that scored the run, and held against what the run recorded: decisions that are not the recorded ones are refused.

Axes: N decisions of a window, A asset, K parameter of the policy's distribution.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.features import Standardiser, compute_features
from data.sources import load
from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.live.barrier_levels import exit_prices
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recording
from evaluation.scoring.allocations import plan_window
from evaluation.scoring.fold_scoring import in_sample_windows, scored_batch, scored_window
from evaluation.scoring.rollout import (
    Scenario,
    evaluation_config,
    planned_policy,
    record_rows,
    scenario_env,
)
from evaluation.windows.splits import Fold
from policies.baselines import SCRIPTED
from policies.contract import CONTRACT_FILE, contract_hash, read_contract
from policies.exported_policy import TrainedPolicy
from policies.outlook import Outlook
from policies.protocol import Policy, State
from rayjobs.config.typed_config import ConfigError
from rayjobs.replay.audit import evaluation_of
from rayjobs.replay.finished_run import FinishedRun, first_path, open_run
from rayjobs.replay.rescoring import load_policy, plan_rescoring
from rayjobs.study.config import build_train_config
from rayjobs.study.fold_market import fold_market
from rayjobs.study.held_out import parted
from rayjobs.study.study import Study

LOG = logging.getLogger(__name__)
TOLERANCE = 1e-9
"""Share by which recorded numbers may be missed: last digits, as another processor adds in another order."""


@dataclass(frozen=True, kw_only=True)
class Thoughts:
    """One test window, decision by decision.

    Attributes
    ----------
    fold : index. symbols : (A,) names.
    decided_utc : (N,) label of the bar at whose close was decided; what stands here stood then, for the next bar.
    names, parameters, value : (N, A, K) and (N,), see `policies.outlook.Outlook`; no name for a script.
    stop, profit : (N, A) price at which the exit of what was held rested; nan where there was none.
    trails : (N, A) the stop is the trailing one.
    closes_utc : (N, A) label of the bar at whose open the time limit ends what was held; NaT where there is none.
    exact : every decision and return is the recorded one bit for bit, and not up to last digits only.
    """

    fold: int
    symbols: tuple[str, ...]
    decided_utc: NDArray[np.datetime64]
    names: tuple[str, ...]
    parameters: NDArray[np.float32]
    value: NDArray[np.float32]
    stop: NDArray[np.float64]
    profit: NDArray[np.float64]
    trails: NDArray[np.bool_]
    closes_utc: NDArray[np.datetime64]
    exact: bool


def decided_again(run: FinishedRun, windows: Sequence[int]) -> list[Thoughts]:
    """Run the policies of some test windows again.

    Parameters
    ----------
    windows : rows of `finished_run.first_path`.

    Raises
    ------
    ValueError
        If the bars are no longer those of the run, an export is missing or is not the one that was scored, or what it
        decides is not what was recorded.
    """
    source, study = _scored_study(run)
    if study.panel.fingerprint != run.provenance.get("data_fingerprint"):
        raise ConfigError(
            "the bars that the configuration names today are not those of the run; what its policy thought of the "
            "latter cannot be told from the former"
        )
    rows = first_path(run.folds_table)
    folds = replace(run, folds_table=rows).folds(study.panel)
    return [_thoughts(run, source, study, folds[number], rows.iloc[number]) for number in windows]


def _scored_study(run: FinishedRun) -> tuple[FinishedRun, Study]:
    """The run whose exports were scored, and bars, features and configuration that they were scored under."""
    scoring = evaluation_of(run)
    if scoring is not None:
        source = open_run(scoring.run)
        return source, plan_rescoring(source, run.values, scoring, as_recorded=False).study
    config = build_train_config(run.values)
    dataset = load(config.data)
    panel = parted(dataset, config.test_symbols)[0].panel
    return run, Study(
        config=config.without_symbols(config.test_symbols),
        panel=panel,
        features=compute_features(panel, config.features.enabled),
        oracle_direction=None,
        context=dataset.context,
    )


def _thoughts(run: FinishedRun, source: FinishedRun, study: Study, fold: Fold, row: pd.Series) -> Thoughts:
    policy, market, config = _policy_and_market(source, study, fold, row)
    window, scoring = scored_window(fold), study.config.scoring
    alone = [Scenario(name="as scored", cost_factor=scoring.cost_factor)]
    try:
        return _run_again(run, study, fold, policy, scenario_env(market, config, [window], alone), alone)
    except _OtherwiseError as error:
        if study.config.script is not None:
            raise
        # Where a network is torch's own, the last bits of a row depend on the rows beside it.
        inside = in_sample_windows(fold, market, config) if scoring.in_sample else []
        LOG.info("%s; trying in the batch that it was scored in", error)
        return _run_again(run, study, fold, policy, *scored_batch(market, config, scoring, window, inside))


def _run_again(
    run: FinishedRun,
    study: Study,
    fold: Fold,
    policy: Policy,
    env: PortfolioVectorEnv,
    scenarios: Sequence[Scenario],
) -> Thoughts:
    """The first row of an env run to its end, held against the record."""
    watched = _Watched(policy, env)
    (recording,), _ = record_rows(watched, env, [0], scenarios)
    exact = _held_against(run, study, fold, recording)
    first = watched.bar.index(
        int(recording.bar[0]) - 1
    )  # behind warm-up bars, in which nothing may be traded
    decided = slice(first, first + len(recording.bar))
    assert watched.bar[decided] == (recording.bar - 1).tolist()
    labels = study.panel.bar_utc
    return Thoughts(
        fold=fold.index,
        symbols=tuple(study.panel.symbols[a] for a in recording.symbols),
        decided_utc=labels[recording.bar - 1],
        names=watched.outlooks[0].names if watched.outlooks else (),
        exact=exact,
        **_outlooks(watched, decided, len(recording.symbols)),
        **_exits(watched, decided, env, recording, labels),
    )


def _policy_and_market(
    source: FinishedRun, study: Study, fold: Fold, row: pd.Series
) -> tuple[Policy, Market, PortfolioEnvConfig]:
    """The policy that a window was scored with, its market, and the configuration of the env."""
    config = study.config
    if config.script is not None:
        market, _ = fold_market(study, fold)
        schedule = SCRIPTED[config.script](study.panel)
        plan = plan_window(
            schedule, market, config.env, scored_window(fold), config.scoring.rebalance_sessions
        )
        scored = evaluation_config(plan.config)
        return planned_policy([plan], scored), market, scored
    policy, place = load_policy(source, fold.index, study), source.policy(fold.index)
    # The contract as it was written: an earlier release's has keys less than the object that is made of it today.
    found = {
        "policy_hash": policy.policy_hash,
        "contract_hash": contract_hash(read_contract(place / CONTRACT_FILE)),
    }
    for name, value in found.items():
        if name in row and row[name] != value:
            raise ConfigError(
                f"{place} does not hold what was scored: folds.csv records another {name.replace('_', ' ')}"
            )
    market, _ = fold_market(study, fold, Standardiser.from_dict(policy.contract.standardiser or {}))
    acting = policy.for_assets(market.num_symbols) if isinstance(policy, TrainedPolicy) else policy
    return acting, market, evaluation_config(config.env)


class _OtherwiseError(ConfigError):
    """What is decided again is not what was recorded."""


class _Watched:
    """A policy of whose first env row is written down, before each decision, what it thinks and what is held."""

    def __init__(self, policy: Policy, env: PortfolioVectorEnv) -> None:
        self._policy, self._env = policy, env
        self._outlook = getattr(policy, "outlook", None)
        self.masks_actions = bool(getattr(policy, "masks_actions", False))
        self.bar: list[int] = []
        self.position: list[NDArray[np.float64]] = []
        self.entry_bar: list[NDArray[np.int32]] = []
        self.outlooks: list[Outlook] = []

    def initial_state(self, num_envs: int) -> State:
        return self._policy.initial_state(num_envs)

    def act(
        self, observation: NDArray[np.float32], state: State, **masks: NDArray[np.bool_]
    ) -> tuple[NDArray[Any], State]:
        rows = self._env.rows
        self.bar.append(int(self._env.current_bar[0]))
        self.position.append(rows.position[0])
        self.entry_bar.append(rows.slot[0, :, c.ENTRY_BAR])
        if self._outlook is not None:
            told = self._outlook(observation, state, **masks)
            self.outlooks.append(replace(told, parameters=told.parameters[:1], value=told.value[:1]))
        return self._policy.act(observation, state, **masks)


def _outlooks(watched: _Watched, decided: slice, num_assets: int) -> dict[str, Any]:
    told = watched.outlooks[decided]
    if not told:
        steps = decided.stop - decided.start
        return {
            "parameters": np.zeros((steps, num_assets, 0), np.float32),
            "value": np.full(steps, np.nan, np.float32),
        }
    return {
        "parameters": np.concatenate([one.parameters for one in told]),
        "value": np.concatenate([one.value for one in told]),
    }


def _exits(
    watched: _Watched,
    decided: slice,
    env: PortfolioVectorEnv,
    recording: Recording,
    labels: NDArray[np.datetime64],
) -> dict[str, Any]:
    """Where the exits of what is held rest, of each decision; see `Thoughts`."""
    position = np.stack(watched.position[decided])
    entry = np.stack(watched.entry_bar[decided]).astype(np.int64)
    steps, assets = position.shape[:2]
    stop, profit = np.full((steps, assets), np.nan), np.full((steps, assets), np.nan)
    trails = np.zeros((steps, assets), dtype=bool)
    closes = np.full((steps, assets), np.datetime64("NaT"), dtype="datetime64[ns]")
    barriers = env.config.barriers
    if barriers is None:
        return {"stop": stop, "profit": profit, "trails": trails, "closes_utc": closes}
    held = position[:, :, c.UNITS] != 0.0
    for step, a in zip(*np.nonzero(held)):
        found = exit_prices(barriers, position[step, a], _tick(env, recording, int(step), int(a)))
        if found is not None:
            stop[step, a] = np.nan if found.stop is None else found.stop
            profit[step, a] = np.nan if found.profit is None else found.profit
            trails[step, a] = found.trails and found.stop is not None
    if barriers.time_limit_bars is not None:
        ends = entry + barriers.time_limit_bars
        known = held & (ends < len(labels))
        closes[known] = labels[ends[known]]
    return {"stop": stop, "profit": profit, "trails": trails, "closes_utc": closes}


def _tick(env: PortfolioVectorEnv, recording: Recording, step: int, a: int) -> float:
    """Tick of the bar that follows a decision, in its prices, which a later split divides."""
    symbol, bar = int(recording.symbols[a]), int(recording.bar[step])
    tick, bars = float(env.instrument[symbol, c.TICK_SIZE]), env.market.bars
    return tick / float(bars[bar, symbol, c.SPLIT]) if bars.shape[2] > c.SPLIT else tick


def _held_against(run: FinishedRun, study: Study, fold: Fold, recording: Recording) -> bool:
    """Whether a window run again is the recorded one bit for bit; False where it is up to last digits.

    Raises
    ------
    ConfigError
        If it is another one.
    """
    labels = study.panel.bar_utc
    symbols = [study.panel.symbols[a] for a in recording.symbols]
    decisions = _of_window(run, "decisions", "decided_utc", labels, fold.index, recording.bar - 1)
    wanted = decisions.pivot(index="decided_utc", columns="symbol", values="target")
    wanted = wanted.reindex(index=labels[recording.bar - 1], columns=symbols)
    earned = _of_window(run, "returns", "bar_utc", labels, fold.index, recording.bar).set_index("bar_utc")
    earned = earned["net_return"].reindex(labels[recording.bar])
    found = {
        "decisions": (wanted.to_numpy(np.float64), np.asarray(recording.target_units, np.float64)),
        "returns": (earned.to_numpy(np.float64), np.asarray(recording.net_return, np.float64)),
    }
    for name, (recorded, again) in found.items():
        apart = ~np.isclose(again, recorded, rtol=TOLERANCE, atol=1e-15, equal_nan=True)
        if apart.any():
            bar = labels[recording.bar[int(np.argmax(apart.reshape(len(apart), -1).any(axis=1)))]]
            raise _OtherwiseError(
                f"the policy of fold {fold.index}, run again, does not do what the run recorded: "
                f"{int(apart.sum()):,} of {apart.size:,} {name} differ, the first about the bar "
                f"{bar.astype('datetime64[s]')}Z; what it thought is not shown (python -m rayjobs.audit looks closer)"
            )
    return all(np.array_equal(recorded, again, equal_nan=True) for recorded, again in found.values())


def _of_window(
    run: FinishedRun,
    name: str,
    column: str,
    labels: NDArray[np.datetime64],
    fold: int,
    bars: NDArray[np.int64],
) -> pd.DataFrame:
    """The rows of one of the run's tables that lie in a window, times without a zone."""
    table = pd.read_parquet(run.path / "walk_forward" / f"{name}.parquet")
    at = pd.to_datetime(table[column], utc=True).dt.tz_localize(None)
    inside = (table["fold"] == fold) & (at >= labels[bars[0]]) & (at <= labels[bars[-1]])
    return table[inside].assign(**{column: at[inside]})
