"""Reward terms: the reward of a bar is `scale` times the weighted sum of these. Of LANES rows at a time.

`TERMS` is the one list of them. A term is a compiled function of what has happened in a bar (`Marked`); its docstring
is its definition. With equity W before and W' after the bar, W0 initially, peak M, traded notional Q, gross notional G.
Penalties carry their minus sign, so that a positive weight always punishes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from envs.kernel.columns import (
    BAR_IN_SESSION,
    BARS_LEFT,
    BREACHES,
    EDGE_BARS,
    EDGE_FACTOR,
    EQUITY,
    GROSS,
    INITIAL_EQUITY,
    MOMENT_1,
    MOMENT_2,
    NET_RETURN,
    NUM_FILLS,
    REALISED,
    REWARD_DSR_RATE,
    REWARD_SCALE,
    STEPS,
    TURNOVER,
)
from envs.kernel.jit import hot, inner, non_negative
from envs.kernel.lanes import everywhere, lane_bits, where
from envs.kernel.valuation import booked_costs

# Floor of the variance in the differential Sharpe ratio (a standard deviation of 1e-6 a bar), and its clip.
DSR_VARIANCE_FLOOR = 1e-12
DSR_CLIP = 10.0


class Marked(NamedTuple):
    """A bar that has been marked at its close, as the terms read it.

    Attributes
    ----------
    rule, account, counter, day, flow : of the rows, see `envs.kernel.columns`; `day` is the bar's calendar.
    before, after : W and W', account currency. drawdown : 1 - W' / M'.
    per_before, per_initial : 1 / W and 1 / W0.
    floor : 1e-12 of W0, below which no equity is reckoned with.
    """

    rule: Any
    account: Any
    counter: Any
    day: Any
    flow: Any
    before: Any
    after: Any
    drawdown: Any
    per_before: Any
    per_initial: Any
    floor: Any


@hot
def net_return(bar):
    """W' / W - 1."""
    return bar.flow[NET_RETURN]


@hot
def pnl(bar):
    """(W' - W) / W0."""
    return (bar.after - bar.before) * bar.per_initial


@hot
def log_growth(growth, least):
    """log(max(1 + growth, least)), 0 < least.

    Of small growth by 2 artanh(s) = 2 (s + s^3 / 3 + ...), s = growth / (2 + growth): exact to 1e-16, without a call.
    """
    s = growth / (2.0 + growth)
    q = s * s
    result = 2.0 * s * (1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11))))))
    small = (abs(growth) <= 1 / 16) & (least <= 15 / 16)
    if lane_bits(~small) != 0:
        result = where(small, result, math.log(max(1.0 + growth, least)))
    return result


@hot
def log_equity(bar):
    """ln(W' / W), with W' at least 1e-12 of W0."""
    return log_growth(bar.flow[NET_RETURN], bar.floor * bar.per_before)


@inner
def differential_sharpe(bar):
    """D_t of Moody and Saffell (1998), eq. 8, on net returns; 0 on an episode's first bar, clipped to +-10."""
    account, gained = bar.account, bar.flow[NET_RETURN]
    first, second = account[MOMENT_1], account[MOMENT_2]
    step_1 = gained - first
    step_2 = gained * gained - second
    rate = bar.rule[REWARD_DSR_RATE]
    account[MOMENT_1] = first + rate * step_1
    account[MOMENT_2] = second + rate * step_2
    variance = max(second - first * first, DSR_VARIANCE_FLOOR)
    value = (second * step_1 - 0.5 * first * step_2) / (variance * math.sqrt(variance))
    return where(bar.counter[STEPS] <= 1.0, 0.0, min(max(value, -DSR_CLIP), DSR_CLIP))


@hot
def realised(bar):
    """Profit realised by closing trades less all costs of the bar, over W0."""
    return (bar.flow[REALISED] - booked_costs(bar.flow)) * bar.per_initial


@hot
def drawdown(bar):
    """-(1 - W' / M')."""
    return -bar.drawdown


@hot
def downside(bar):
    """-min(W' / W - 1, 0)^2."""
    loss = min(bar.flow[NET_RETURN], 0.0)
    return -(loss * loss)


@hot
def turnover(bar):
    """-Q / W."""
    return -bar.flow[TURNOVER] * bar.per_before


@hot
def holding(bar):
    """-G / W', with W' at least 1e-12 of W0."""
    return -bar.flow[GROSS] / max(bar.after, bar.floor)


@hot
def micro(bar):
    """Minus the fills of the bar, times `edge_factor` in the first and last `edge_minutes` of a session."""
    edge_bars = bar.rule[EDGE_BARS]
    edge = (bar.day[BAR_IN_SESSION] < edge_bars) | (bar.day[BARS_LEFT] < edge_bars)
    return -bar.flow[NUM_FILLS] * where(edge, bar.rule[EDGE_FACTOR], 1.0)


@hot
def breach(bar):
    """Minus the limits that are breached at the close of the bar."""
    return -bar.flow[BREACHES]


TERMS: Mapping[str, Callable[..., Any]] = {
    "net_return": net_return,
    "pnl": pnl,
    "log_equity": log_equity,
    "differential_sharpe": differential_sharpe,
    "realised": realised,
    "drawdown": drawdown,
    "downside": downside,
    "turnover": turnover,
    "holding": holding,
    "micro": micro,
    "breach": breach,
}
"""Name of each term -> its function. Weights are the last columns of the rule vector, in this order."""

NUM_TERMS = len(TERMS)


def _weighted_sum(terms: tuple[Callable[..., Any], ...]) -> Callable[..., Any]:
    """Compile the sum of `terms`, each times its weight; a term whose weight is zero is not worked out.

    Numba cannot loop over functions, so that each sum is that of the terms before, and one more.
    """
    if not terms:

        @hot
        def nothing(bar, weights):
            return everywhere(0.0)

        return nothing
    place, term, terms_before = len(terms) - 1, terms[-1], _weighted_sum(terms[:-1])

    @hot
    def weighted_sum(bar, weights):
        total = terms_before(bar, weights)
        weight = bar.rule[non_negative(weights + place)]
        if weight > 0.0:
            total += weight * term(bar)
        return total

    return weighted_sum


_sum_of_terms = _weighted_sum(tuple(TERMS.values()))


@hot
def reward_of(rule, account, counter, day, flow, before, drawdown):
    """Reward of the bar whose calendar columns are `day`; `before` is equity one close earlier."""
    bar = Marked(
        rule=rule,
        account=account,
        counter=counter,
        day=day,
        flow=flow,
        before=before,
        after=account[EQUITY],
        drawdown=drawdown,
        per_before=1.0 / before,
        per_initial=1.0 / rule[INITIAL_EQUITY],
        floor=1e-12 * rule[INITIAL_EQUITY],
    )
    return rule[REWARD_SCALE] * _sum_of_terms(bar, rule.shape[0] - NUM_TERMS)
