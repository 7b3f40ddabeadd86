"""The same policy on the same bars, with one of its inputs a bar late: what a score hangs on shows in what it loses.

An input that is known when it is said to be still says most of what it said a bar later; one that was written after the
fact loses all. A trained policy is run again with one column or feature of its observation taken from the bar before; a
schedule, which has no features, with all of its decisions a bar late. What comes from outside and stands for an hour, a
session or a week is late by as long: of a day's figure a bar would take the first bar alone. Axes: N bars, E row, A
asset, F feature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.known_columns import CLOSE
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.market import Market
from envs.observations import ACCOUNT_NAMES, ObservationLayout
from evaluation.scoring.exposures import Exposure
from evaluation.scoring.rollout import (
    Scenario,
    Track,
    evaluation_config,
    record_rows,
    run_schedules,
    scenario_env,
)
from evaluation.scoring.standing_values import late_by, period_starts, standing_for
from policies.baselines import Schedule
from policies.protocol import Policy

Names = tuple[str, ...]
ROWS_AT_ONCE = 32
PROMISING_T = 1.0
"""Least t statistic of a lone fold's mean return; below it there is no score that anything could take away."""
FEW_BARS = 20
"""Bars of a lone fold up to which it is asked whatever it earned: so few say nothing of what it promises."""


@dataclass(frozen=True, kw_only=True)
class LateTrack(Track):
    """A track with inputs late. late_by : periods by which inputs that stand so long were late in place of a bar."""

    late_by: tuple[str, ...] = ()


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
        starts = period_starts(market.session, market.bar_utc)
        by_period = np.array([[exposure.by_session] for exposure in exposures])
        periods_F = _periods(market.features, self._late_EF & by_period, starts)
        periods_C = _periods(market.clock, self._late_EC & by_period, starts)
        before = {period: late_by(starts[period]) for period in {*periods_F.values(), *periods_C.values()}}
        self._slow_F = {place: before[period] for place, period in periods_F.items()}
        self._slow_C = {place: before[period] for place, period in periods_C.items()}
        self._by_period = by_period[:, 0]
        self.late_by = [
            tuple(
                dict.fromkeys(
                    [
                        *exposure.periods,
                        *(periods_F[at] for at in exposure.asset if exposure.by_session and at in periods_F),
                        *(periods_C[at] for at in exposure.clock if exposure.by_session and at in periods_C),
                    ]
                )
            )
            for exposure in exposures
        ]
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
        seen, before_E = observation.copy(), np.maximum(bar_E - 1, 0)
        market = seen[:, self._slices["market"]].reshape(len(seen), self._market.num_symbols, -1)
        features, clocks = self._market.features, self._market.clock
        earlier, earlier_clock = features[before_E], clocks[before_E]
        rows = np.flatnonzero(self._by_period)
        for place, before_T in self._slow_F.items():
            earlier[rows, :, place] = features[before_T[bar_E[rows]], :, place]
        for place, before_T in self._slow_C.items():
            earlier_clock[rows, place] = clocks[before_T[bar_E[rows]], place]
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
        seen[:, self._slices["clock"]] = np.where(self._late_EC, earlier_clock, clock)
        return seen


def _periods(
    values: NDArray[np.float32], late_EF: NDArray[np.bool_], starts: dict[str, NDArray[np.bool_]]
) -> dict[int, str]:
    """Place on the last axis -> period for which its values stand, of the places that are late in some row."""
    asked = np.flatnonzero(late_EF.any(axis=0)).tolist()
    found = {place: standing_for(values[..., place], starts) for place in asked}
    return {place: period for place, period in found.items() if period is not None}


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
        found_tracks = record_rows(delayed, env, (), scenarios)[1]
        for exposure, track, periods in zip(rows, found_tracks, delayed.late_by, strict=True):
            tracks[exposure.names] = LateTrack(
                bar=track.bar, net_return=track.net_return, turnover=track.turnover, late_by=periods
            )
    return tracks
