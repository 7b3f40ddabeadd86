"""Allocations: baselines that buy when a window begins and then hold, or are rebalanced at stated instants.

They run through the one simulator, in an env of their own: the same market, fills, costs, latency and share of a bar's
volume as the policy's, but none of the limits, exits and sizes that would sell for another reason than theirs. Axes:
T bars of the market, N bars of a window, A asset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from envs.actions import ActionConfig
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.market import Market
from policies.baselines import Schedule

FloatArray = NDArray[np.float64]
UNLIMITED_EXPOSURE = 1e9
SURE_LOTS = 10
"""Lots of each asset that an account pays for once it was too small for one."""


@dataclass(frozen=True, kw_only=True)
class WindowPlan:
    """A schedule in one window: what it decides there, and under which configuration.

    Attributes
    ----------
    target_NA : (N, A) targets of the decisions from the window's first (warm-up included) on; NaN keeps what is held.
    config : the env that it runs in, not yet turned into an evaluation's.
    """

    target_NA: FloatArray
    config: PortfolioEnvConfig


def plan_window(
    schedule: Schedule,
    market: Market,
    config: PortfolioEnvConfig,
    window: Window,
    rebalance_sessions: int | None = None,
) -> WindowPlan:
    """What a schedule decides in a window, and the env config that it is run under.

    Parameters
    ----------
    config : the policy's. A schedule of timing "each_bar" keeps it, but for its action scheme.
    rebalance_sessions : sessions from one rebalancing of a "periodic" schedule to the next.
    """
    decisions = slice(window.start_bar - 1 - config.episode.warmup_bars, window.stop_bar - 1)
    if decisions.start < 0 or decisions.stop > len(schedule.target_TA):
        raise ValueError(
            f"decisions at bars {decisions.start} to {decisions.stop - 1} lie outside the schedule's "
            f"{len(schedule.target_TA)} bars"
        )
    if schedule.timing == "each_bar":
        action = config.action if schedule.scheme is None else replace(config.action, scheme=schedule.scheme)
        return WindowPlan(
            target_NA=np.nan_to_num(schedule.target_TA[decisions]), config=replace(config, action=action)
        )
    first = window.start_bar - 1
    wanted = np.nan_to_num(np.asarray(schedule.target_TA[first : window.stop_bar - 1], dtype=np.float64))
    positive = np.flatnonzero((wanted > 0.0).any(axis=1))
    begins = int(positive[0]) if len(positive) else 0
    target = np.full((decisions.stop - decisions.start, wanted.shape[1]), np.nan)
    own = target[config.episode.warmup_bars :]
    if schedule.timing == "once":
        bought = wanted[begins] > 0.0
        own[begins:] = np.where(bought, 1.0, 0.0)
        weight = bought / max(int(bought.sum()), 1)
        share: float | None = float(weight.max())
    else:
        if rebalance_sessions is None or rebalance_sessions < 1:
            raise ValueError(
                f"rebalance_sessions is {rebalance_sessions}; a schedule that is rebalanced needs 1 or more"
            )
        session = market.session[first : window.stop_bar - 1]
        _put_rebalancings(
            own, wanted, market.tradable[first : window.stop_bar - 1], session, begins, rebalance_sessions
        )
        weight, share = wanted[begins], None
    plain = allocation_config(config, share=share)
    account = config.initial_equity * account_multiple(
        weight, lot_values(market, first + begins), config.initial_equity
    )
    return WindowPlan(target_NA=target, config=replace(plain, initial_equity=account))


def _put_rebalancings(
    out_NA: FloatArray,
    weight_NA: FloatArray,
    tradable_NA: NDArray[np.bool_],
    session_N: NDArray[np.int32],
    begins: int,
    every_sessions: int,
) -> None:
    """Write the weights at the first bar and at the first bar of every `every_sessions`-th session after it.

    An asset that has no bar there follows at its next one. Everything else stays NaN: what is held is kept.
    """
    period = (session_N - session_N[begins]) // every_sessions
    due = [begins, *(np.flatnonzero(np.diff(period[begins:]) > 0) + begins + 1).tolist()]
    for start, stop in zip(due, [*due[1:], len(session_N)]):
        trades = tradable_NA[start:stop]
        assets = np.flatnonzero(trades.any(axis=0))
        out_NA[start + trades[:, assets].argmax(axis=0), assets] = weight_NA[start, assets]


def allocation_config(config: PortfolioEnvConfig, *, share: float | None) -> PortfolioEnvConfig:
    """The policy's config without what would sell a holding: exits, halts, caps, margin calls, session ends, ruin.

    Costs, latency and the share of a bar's volume that a fill may take stay; what did not fit is always carried on.

    Parameters
    ----------
    share : fraction of equity that a purchase is given (scheme `direction`, units then kept); None for `weights`.
    """
    fraction = config.sizing.fraction if share is None else share
    sizing = replace(config.sizing, rule="fixed_fraction", fraction=fraction, max_units=None)
    return replace(
        config,
        action=ActionConfig(
            scheme="weights" if share is None else "direction", allow_short=False, rebalance_band=0.0
        ),
        sizing=sizing,
        costs=replace(config.costs, remainder="carry"),
        barriers=None,
        risk=replace(
            config.risk,
            max_gross_exposure=UNLIMITED_EXPOSURE,
            max_position_exposure=None,
            margin=False,
            max_daily_loss=None,
            max_drawdown=None,
            max_var=None,
            max_entries_per_session=None,
            min_holding_bars=0,
            no_trade_open_bars=0,
            no_trade_close_bars=0,
            flat_at_session_end="never",
            ruin_equity=0.0,
            max_position_units=None,
            max_position_notional=None,
            max_gross_notional=None,
            max_daily_loss_amount=None,
            max_drawdown_amount=None,
            max_entries_per_symbol=None,
            max_sector_exposure=None,
            max_sector_net_exposure=None,
            max_concentration=None,
            target_volatility=None,
        ),
    )


def lot_values(market: Market, bar: int) -> FloatArray:
    """(A,) account currency that one lot of each asset costs at the mark of a bar; 0 for any size."""
    return market.instrument[:, c.LOT_STEP] * market.instrument[:, c.MULTIPLIER] * market.mark[bar]


def account_multiple(weight_A: FloatArray, lot_value_A: FloatArray, equity: float) -> int:
    """How many times larger an account must be to hold these weights in whole lots: 1 where it pays for one of each.

    An account of 100,000 cannot hold one contract of 250,000, and a baseline that is flat for want of money would be
    beaten by anything. Returns are relative, so it is given the smallest multiple that pays for `SURE_LOTS` of each
    asset (of those that get at least half of the largest weight).
    """
    held = weight_A >= max(0.5 * float(weight_A.max(initial=0.0)), 1e-12)
    lots = equity * weight_A[held] / np.maximum(lot_value_A[held], 1e-12)
    fewest = float(lots.min(initial=math.inf))
    return 1 if fewest >= 1.0 else math.ceil(SURE_LOTS / fewest)
