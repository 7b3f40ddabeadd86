"""Baselines: causal schedules of targets that run through the same simulator as a trained policy.

A schedule is an array (T, A) of targets in [-1, 1]: row t is decided at the close of bar t from bars up to t. In the
action schemes with directions only the sign counts and the env's size rule sizes it; in the scheme `weights` the
number is the target weight. An allocation (`Schedule.timing`) trades at a window's start alone, or at stated instants
(`evaluation.scoring.allocations`). Axes: T time, E env row, A asset.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data.last_known import last_known_row
from data.schema import Panel
from data.universe import MEMBER
from envs.actions import ACTION_SCHEMES

FloatArray = NDArray[np.float64]
LISTED_SESSIONS = 5
"""An asset counts as listed while it has traded in this session or in one of the four before it."""
LEAST_VOLATILITY_BARS = 20
"""Fewer bars do not make a volatility."""


@dataclass(frozen=True, kw_only=True)
class ScheduledPolicy:
    """Follows a schedule; its state is the bar each row decides at.

    Attributes
    ----------
    target_TA : (T, A) targets in [-1, 1].
    first_bar_E : (E,) bar index of each row's first decision (`Window.start_bar - 1`, less the warm-up bars).
    scheme : action scheme of the env, a key of `envs.actions.ACTION_SCHEMES`.
    unknown : what a NaN among the targets stands for: 0 (nothing known yet), or keeping what is held.
    """

    target_TA: FloatArray
    first_bar_E: NDArray[np.int64]
    scheme: str = "direction"
    unknown: Literal["flat", "keep"] = "flat"

    def __post_init__(self) -> None:
        first = np.atleast_1d(np.asarray(self.first_bar_E, dtype=np.int64))
        if (first < 0).any() or (first >= len(self.target_TA)).any():
            raise ValueError(
                f"first decisions at bars {first.tolist()} lie outside the schedule's {len(self.target_TA)} bars"
            )
        object.__setattr__(self, "first_bar_E", first)
        actions = encode_targets(self.target_TA, self.scheme)
        if self.unknown == "keep":  # to the env, an action that is not finite means "keep"
            actions = actions.astype(np.float32)
            actions[np.isnan(self.target_TA)] = np.nan
        object.__setattr__(self, "action_TA", actions)

    def initial_state(self, num_envs: int) -> NDArray[np.int64]:
        if num_envs != len(self.first_bar_E):
            raise ValueError(
                f"the schedule starts {len(self.first_bar_E)} rows but the env has {num_envs}; give a start bar per row"
            )
        return self.first_bar_E.copy()

    def act(self, observation: NDArray[np.float32], state: Any) -> tuple[NDArray[Any], Any]:
        actions: NDArray[Any] = self.action_TA  # type: ignore[attr-defined]
        # A row that waits for the longest one to end runs past the schedule; its actions are not used any more.
        return actions[np.minimum(state, len(actions) - 1)], state + 1


def encode_targets(target_TA: FloatArray, scheme: str) -> NDArray[Any]:
    """Targets in [-1, 1] as actions of a scheme: (T, A), or (T, A, 2) for `direction_size`.

    Raises
    ------
    ValueError
        For an unknown scheme or targets outside [-1, 1].
    """
    target = np.nan_to_num(np.asarray(target_TA, dtype=np.float64), nan=0.0)
    if target.ndim != 2 or (np.abs(target) > 1.0 + 1e-9).any():
        raise ValueError(
            f"targets have shape {target.shape} or leave [-1, 1]; give (T, A) numbers in [-1, 1]"
        )
    if scheme not in ACTION_SCHEMES:
        raise ValueError(f"unknown action scheme {scheme!r}; known are {', '.join(ACTION_SCHEMES)}")
    return ACTION_SCHEMES[scheme].encode(np.sign(target).astype(np.int64), target)


def flat(panel: Panel) -> FloatArray:
    """Never trade."""
    return np.zeros(panel.close.shape)


def listed(panel: Panel) -> NDArray[np.bool_]:
    """(T, A) True where an asset has traded in the last `LISTED_SESSIONS` sessions: listed, and not ended.

    Of a universe by date only its members in the next bar.
    """
    session = np.unique(panel.session, return_inverse=True)[1].reshape(-1, 1)
    traded = panel.tradable & np.isfinite(panel.close)
    last = np.maximum.accumulate(np.where(traded, session, -LISTED_SESSIONS), axis=0)
    found: NDArray[np.bool_] = session - last < LISTED_SESSIONS
    member = panel.exogenous.get(MEMBER)
    return found if member is None else found & (member >= 0.5)


def buy_and_hold(panel: Panel) -> FloatArray:
    """Long every listed asset; its `Schedule` buys those listed when a window begins, once."""
    return np.where(listed(panel), 1.0, 0.0)


def equal_weight(panel: Panel) -> FloatArray:
    """The listed assets at equal weights that sum to one."""
    known = listed(panel)
    return known / np.maximum(known.sum(axis=1, keepdims=True), 1)


def volatility_targeted(panel: Panel, *, target_volatility: float, window_sessions: int) -> FloatArray:
    """Equal weights, all scaled by one factor so that their volatility is the wanted one; cash before it is known.

    The factor is `target_volatility` over the annual volatility that the last `window_sessions` sessions show (root
    mean square of the mean return of the listed assets, at least `LEAST_VOLATILITY_BARS` bars), and at most 1: nothing
    is borrowed. After Moreira and Muir (2017), who take the volatility of the last month for the next.
    """
    if not target_volatility > 0.0 or window_sessions < 1:
        raise ValueError(
            f"target_volatility {target_volatility} must be positive and window_sessions {window_sessions} at least 1"
        )
    close, known = panel.positive().last_close(), listed(panel)
    bars_per_session = float(np.median(np.unique(panel.session, return_counts=True)[1]))
    window = max(round(window_sessions * bars_per_session), LEAST_VOLATILITY_BARS)
    square = np.zeros(len(close))
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.where(known[1:], np.nan_to_num(close[1:] / close[:-1] - 1.0, posinf=0.0), 0.0)
    square[1:] = (change.sum(axis=1) / np.maximum(known[1:].sum(axis=1), 1)) ** 2
    total = np.cumsum(square)
    factor = np.zeros((len(close), 1))
    annual = np.sqrt(np.maximum(total[window:] - total[:-window], 0.0) * panel.periods_per_year / window)
    factor[window:, 0] = np.minimum(target_volatility / np.maximum(annual, 1e-9), 1.0)
    return factor * equal_weight(panel)


def momentum(panel: Panel, *, lookback_bars: int, hold_bars: int = 1) -> FloatArray:
    """Sign of the return over the last `lookback_bars`, looked at anew every `hold_bars`."""
    if lookback_bars < 1 or hold_bars < 1:
        raise ValueError(f"lookback_bars {lookback_bars} and hold_bars {hold_bars} must be at least 1")
    close = panel.last_close()
    target = np.zeros(close.shape)
    if len(close) > lookback_bars:
        change = close[lookback_bars:] - close[:-lookback_bars]
        target[lookback_bars:] = np.sign(np.nan_to_num(change))
    seen_at = np.arange(len(close)) // hold_bars * hold_bars
    return target[seen_at]


def momentum_sign(panel: Panel) -> FloatArray:
    """Sign of the last bar's return: a scripted policy whose trades anyone can derive."""
    return momentum(panel, lookback_bars=1)


def mean_reversion(panel: Panel, *, lookback_bars: int, hold_bars: int = 1) -> FloatArray:
    """Against the sign of the return over the last `lookback_bars`."""
    return -momentum(panel, lookback_bars=lookback_bars, hold_bars=hold_bars)


def minimum_variance(panel: Panel, *, lookback_bars: int, hold_bars: int) -> FloatArray:
    """Long-only weights of least variance by the covariance of the last `lookback_bars` returns; cash before that.

    The unconstrained solution, negative weights cut to zero and the rest scaled to one, is renewed every `hold_bars`.
    An asset that did not trade on half of these bars is left out: a price that stands still would seem without risk.
    """
    if lookback_bars < 2 or hold_bars < 1:
        raise ValueError(
            f"lookback_bars {lookback_bars} must be at least 2 and hold_bars {hold_bars} at least 1"
        )
    close = panel.positive().last_close()
    with np.errstate(invalid="ignore"):
        change = np.nan_to_num(np.diff(np.log(close), axis=0, prepend=np.log(close[:1])))
    weights = np.zeros(close.shape)
    for t in range(lookback_bars, len(close), hold_bars):
        seen = slice(t - lookback_bars + 1, t + 1)
        known = np.isfinite(close[t - lookback_bars]) & (panel.tradable[seen].mean(axis=0) >= 0.5)
        if known.any():
            recent = change[seen, known]
            covariance = np.atleast_2d(np.cov(recent, rowvar=False))
            floor = 1e-6 * np.trace(covariance) / len(covariance) + 1e-18
            raw = np.linalg.solve(covariance + floor * np.eye(len(covariance)), np.ones(len(covariance)))
            kept = np.maximum(raw, 0.0)
            weights[t : t + hold_bars, known] = kept / kept.sum() if kept.sum() > 0.0 else 0.0
    return weights


def flip(panel: Panel) -> FloatArray:
    """Long after even bars and short after odd ones: no policy costs more."""
    sides = np.where(np.arange(panel.num_bars) % 2 == 0, 1.0, -1.0)
    return np.repeat(sides[:, None], panel.num_assets, axis=1)


def random_matched_turnover(like_NA: NDArray[Any], num_bars: int, random: np.random.Generator) -> FloatArray:
    """Random directions that are short, flat and long as often as `like_NA`, and trade as much.

    Each asset redraws its side from those frequencies with the probability that makes the mean absolute change of
    side a bar equal to the one of `like_NA`; only these few numbers of `like_NA` are used.

    Parameters
    ----------
    like_NA : (N, A) any numbers whose sign is the side held, in time order (a recording's target units).
    num_bars : T, length of the schedule.

    Returns
    -------
    (T, A) in {-1, 0, 1}.
    """
    side = np.sign(np.nan_to_num(np.asarray(like_NA, dtype=np.float64)))
    num_assets = side.shape[1]
    schedule = np.empty((num_bars, num_assets))
    sides = np.array([-1.0, 0.0, 1.0])
    for asset in range(num_assets):
        frequency = np.array([np.mean(side[:, asset] == value) for value in sides])
        wanted = float(np.mean(np.abs(np.diff(side[:, asset], prepend=0.0))))
        per_draw = float(frequency @ np.abs(sides[:, None] - sides[None, :]) @ frequency)
        redraw = min(wanted / per_draw, 1.0) if per_draw > 0.0 else 1.0
        drawn = random.choice(sides, size=num_bars, p=frequency / frequency.sum())
        changes = random.random(num_bars) < redraw
        changes[0] = True
        schedule[:, asset] = drawn[last_known_row(changes)]
    return schedule


Timing = Literal["each_bar", "once", "periodic"]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A named baseline: its targets, the action scheme it needs (None: that of the env at hand), and when it trades.

    Attributes
    ----------
    timing : "each_bar": the targets are a policy's wishes, under the env's own sizes, exits and limits. The others are
        allocations, which `scoring.allocations` runs free of limits that would sell: "once" buys equal shares of
        equity of what is positive when a window begins, and holds; "periodic" holds the targets as weights,
        rebalanced every so many sessions.
    """

    target_TA: FloatArray
    scheme: str | None = None
    timing: Timing = "each_bar"


Script = Callable[[Panel], Schedule]

SCRIPTED: Mapping[str, Script] = {
    "flat": lambda panel: Schedule(target_TA=flat(panel)),
    "buy_and_hold": lambda panel: Schedule(target_TA=buy_and_hold(panel), scheme="direction", timing="once"),
    "equal_weight": lambda panel: _periodic(equal_weight(panel)),
    "flip": lambda panel: Schedule(target_TA=flip(panel)),
    "momentum_sign": lambda panel: Schedule(target_TA=momentum_sign(panel)),
}
"""Policies without parameters that can be run in place of a trained one."""


def _periodic(weight_TA: FloatArray) -> Schedule:
    return Schedule(target_TA=weight_TA, scheme="weights", timing="periodic")


def standard_baselines(
    panel: Panel, *, momentum_bars: int, hold_bars: int, rebalance_sessions: int, target_volatility: float
) -> dict[str, Schedule]:
    """The baselines that every trained policy is compared with (the random one needs the policy's own turnover)."""
    return {
        "flat": SCRIPTED["flat"](panel),
        "buy_and_hold": SCRIPTED["buy_and_hold"](panel),
        "equal_weight": SCRIPTED["equal_weight"](panel),
        "volatility_targeted": _periodic(
            volatility_targeted(
                panel, target_volatility=target_volatility, window_sessions=rebalance_sessions
            )
        ),
        "minimum_variance": _periodic(
            minimum_variance(panel, lookback_bars=5 * momentum_bars + 2, hold_bars=momentum_bars)
        ),
        "momentum": Schedule(target_TA=momentum(panel, lookback_bars=momentum_bars, hold_bars=hold_bars)),
        "mean_reversion": Schedule(
            target_TA=mean_reversion(panel, lookback_bars=momentum_bars, hold_bars=hold_bars)
        ),
    }
