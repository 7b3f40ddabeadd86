"""The same policy on the same bars, with one of its inputs a bar late: what a score hangs on shows in what it loses.

An input that is known when it is said to be still says most of what it said a bar later; one that was written after the
fact loses all. A trained policy is run again with one column or feature of its observation taken from the bar before; a
schedule, which has no features, with all of its decisions a bar late. What comes from outside and changes once a
session is late by a session: of a day's figure a bar would take the first bar alone. Axes: N bars, E row, A asset, F
feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.equal_runs import begins_run
from data.known_columns import CLOSE
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.market import Market
from envs.observations import ACCOUNT_NAMES, ObservationLayout
from evaluation.scoring.columns_read import changes_by_session, session_before
from evaluation.scoring.exposures import Exposure
from evaluation.scoring.rollout import (
    Scenario,
    Track,
    evaluation_config,
    record_rows,
    run_schedules,
    scenario_env,
)
from policies.baselines import Schedule
from policies.protocol import Policy

Names = tuple[str, ...]
ROWS_AT_ONCE = 32
PROMISING_T = 1.0
"""Least t statistic of a lone fold's mean return; below it there is no score that anything could take away."""
FEW_BARS = 20
"""Bars of a lone fold up to which it is asked whatever it earned: so few say nothing of what it promises."""


class DelayedInputs:
    """A policy whose row e sees what exposure e holds back one bar late.

    Parameters
    ----------
    policy : acts on the portfolio env's observations.
    market : whose features the observations hold. exposures : one per row. first_bar : of every row's first decision.
    account_names : columns of the observation's account block.
    """

    def __init__(
        self,
        policy: Policy,
        market: Market,
        exposures: Sequence[Exposure],
        first_bar: int,
        account_names: tuple[str, ...] = ACCOUNT_NAMES,
    ) -> None:
        self._policy, self._market, self._first = policy, market, first_bar
        self._late_EF = np.zeros((len(exposures), market.features.shape[2]), dtype=bool)
        self._late_EC = np.zeros((len(exposures), market.clock.shape[1]), dtype=bool)
        for row, exposure in enumerate(exposures):
            self._late_EF[row, list(exposure.asset)] = True
            self._late_EC[row, list(exposure.clock)] = True
        starts = begins_run(market.session)
        self._session_before = session_before(starts)
        by_session = np.array([[exposure.by_session] for exposure in exposures])
        self._daily_EF = _daily(market.features, self._late_EF & by_session, starts)
        self._daily_EC = _daily(market.clock, self._late_EC & by_session, starts)
        self._recomputed = {row: e for row, e in enumerate(exposures) if e.recomputed is not None}
        layout = ObservationLayout.portfolio(
            market.num_symbols, market.asset_names, market.clock_names, account_names
        )
        self._slices = layout.slices

    @property
    def masks_actions(self) -> bool:
        """Whether the policy must be told what is allowed."""
        return bool(getattr(self._policy, "masks_actions", False))

    def initial_state(self, num_envs: int) -> dict[str, Any]:
        """The policy's own state, and the bar that each row decides at."""
        return {"policy": self._policy.initial_state(num_envs), "bar": np.full(num_envs, self._first)}

    def act(
        self, observation: NDArray[np.float32], state: dict[str, Any], **masks: Any
    ) -> tuple[NDArray[Any], dict[str, Any]]:
        """Decide on what is seen with the delay."""
        bar_E = np.minimum(state["bar"], self._market.num_bars - 1)
        actions, after = self._policy.act(self._held_back(observation, bar_E), state["policy"], **masks)
        return actions, {"policy": after, "bar": state["bar"] + 1}

    def _held_back(self, observation: NDArray[np.float32], bar_E: NDArray[np.int64]) -> NDArray[np.float32]:
        seen, before_E, session_E = observation.copy(), np.maximum(bar_E - 1, 0), self._session_before[bar_E]
        market = seen[:, self._slices["market"]].reshape(len(seen), self._market.num_symbols, -1)
        features, clocks = self._market.features, self._market.clock
        earlier = np.where(self._daily_EF[:, None, :], features[session_E], features[before_E])
        late = np.where(self._late_EF[:, None, :], earlier, market)
        for row, exposure in self._recomputed.items():
            assert exposure.recomputed is not None
            values = exposure.recomputed[min(bar_E[row] - exposure.first_bar, len(exposure.recomputed) - 1)]
            if exposure.replaced is None:
                late[row] = values
                continue
            # A feature that is late itself says all that it said a bar before, of the bars too.
            for k, place in enumerate(exposure.replaced):
                if not self._late_EF[row, place]:
                    late[row, :, place] = values[:, k]
        seen[:, self._slices["market"]] = late.reshape(len(seen), -1)
        clock = seen[:, self._slices["clock"]]
        earlier_clock = np.where(self._daily_EC, clocks[session_E], clocks[before_E])
        seen[:, self._slices["clock"]] = np.where(self._late_EC, earlier_clock, clock)
        return seen


def _daily(
    values: NDArray[np.float32], late_EF: NDArray[np.bool_], starts_T: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(E, F) which of the late places on the last axis have values that change once a session."""
    daily = late_EF.copy()
    for place in np.flatnonzero(late_EF.any(axis=0)):
        daily[:, place] &= changes_by_session(values[..., place], starts_T)
    return daily


def promising(net_return: NDArray[np.float64], *, alone: bool = True) -> bool:
    """Whether a fold earned enough, for its spread, to ask what it hangs on, or cannot tell by itself.

    Parameters
    ----------
    alone : the fold is all there is. Of several each is asked, whatever it earned: only chained they promise something,
        and what the others lose must not be left out of what a delay takes.
    """
    if not alone or len(net_return) <= FEW_BARS:
        return True
    spread = net_return.std(ddof=1)
    return bool(spread > 0.0 and net_return.mean() / spread * np.sqrt(len(net_return)) >= PROMISING_T)


def delayed_tracks(
    policy: Policy | Schedule,
    market: Market,
    config: PortfolioEnvConfig,
    test: Window,
    find_exposures: Callable[[], Sequence[Exposure]],
    *,
    cost_factor: float,
    rebalance_sessions: int,
) -> dict[Names, Track]:
    """Names of the late inputs -> the policy on the test window without them.

    Parameters
    ----------
    config : the training config; `evaluation_config` turns it into the one that is scored.
    find_exposures : inputs of a trained policy; not called for a schedule.
    """
    if isinstance(policy, Schedule):
        late = np.concatenate([policy.target_TA[:1], policy.target_TA[:-1]])
        schedules: Mapping[str, Schedule] = {CLOSE: replace(policy, target_TA=late)}
        runs = run_schedules(
            schedules, market, config, [test], cost_factor=cost_factor, rebalance_sessions=rebalance_sessions
        )
        return {(CLOSE,): runs[CLOSE][0]}
    config = evaluation_config(config)
    found = list(find_exposures())
    tracks: dict[Names, Track] = {}
    for start in range(0, len(found), ROWS_AT_ONCE):
        rows = found[start : start + ROWS_AT_ONCE]
        scenarios = [Scenario(name="late", cost_factor=cost_factor)] * len(rows)
        env = scenario_env(market, config, [test] * len(rows), scenarios)
        first_bar = test.start_bar - 1 - config.episode.warmup_bars
        delayed = DelayedInputs(policy, market, rows, first_bar, config.observation.account_names)
        tracks |= dict(zip((e.names for e in rows), record_rows(delayed, env, (), scenarios)[1]))
    return tracks
