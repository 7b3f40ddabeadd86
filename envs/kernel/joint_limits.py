"""Limits on several symbols together: sectors, concentration, the volatility that the portfolio would have had.

Each is one factor in [0, 1] on the new targets of all symbols or of a sector, those that are kept counted first. They
act before gross exposure and margin, which only shrink targets further. Off in most configurations, and so a call.
"""

from __future__ import annotations

import math

from envs.kernel.columns import (
    COVARIANCE_BARS,
    DECIDED,
    DUST,
    EQUITY,
    HERE,
    KEEP,
    LAST_MARK,
    MAX_CONCENTRATION,
    MAX_SECTOR,
    MAX_SECTOR_NET,
    MULTIPLIER,
    NO_ROLL,
    NUM_SECTORS,
    OPEN,
    PORTFOLIO_VOLATILITY,
    ROLL,
    SECTOR,
    WISH,
    YEAR_ROOT,
)
from envs.kernel.jit import hot, inner
from envs.kernel.lane_arrays import beside, block, rows_at
from envs.kernel.lane_entries import lane_numbers, put_numbers
from envs.kernel.lanes import everywhere, where
from envs.kernel.order_queue import decided_target, reduce_only
from envs.kernel.parts import bar_of, facts_of, has_rolls, instrument_of

ALL_SECTORS = -2


@hot
def target_notional(state, scratch, live, a, queued):
    """Notional that an asset's new target has, 0 without one, and that its kept one has, 0 with a new one.

    Above 0 of a long and below of a short, also at prices below zero.
    """
    wish, mark = facts_of(scratch, a)[WISH], bar_of(scratch, a)[LAST_MARK]
    unit = abs(mark) * instrument_of(scratch, a)[MULTIPLIER]
    new = wish != KEEP
    decided = decided_target(block(state.position[a], live), queued)
    return where(new, wish, 0.0) * unit, where(new, 0.0, decided) * unit


@inner
def scale_wishes(state, scratch, sector, factor):
    """Multiply the new targets of a sector's symbols, or of all, by a factor; one below a billionth counts as none."""
    factor = where(factor > DUST, factor, 0.0)
    for a in range(state.position.shape[0]):
        facts = facts_of(scratch, a)
        member = facts[WISH] != KEEP
        if sector != ALL_SECTORS:
            member = member & (instrument_of(scratch, a)[SECTOR] == sector)
        facts[WISH] = where(member, facts[WISH] * factor, facts[WISH])


@inner
def sector_factor(rule, state, scratch, live, queued, sector):
    """Factor that fits the new targets of one sector under its gross and its net cap."""
    gross = new_gross = net = new_net = everywhere(0.0)
    for a in range(state.position.shape[0]):
        member = instrument_of(scratch, a)[SECTOR] == sector
        new, kept = target_notional(state, scratch, live, a, queued)
        new, kept = where(member, new, 0.0), where(member, kept, 0.0)
        gross, new_gross = gross + abs(kept), new_gross + abs(new)
        net, new_net = net + kept, new_net + new
    equity, factor = max(block(state.account, live)[EQUITY], 0.0), everywhere(1.0)
    if rule[MAX_SECTOR] > 0.0:
        room = rule[MAX_SECTOR] * equity - gross
        factor = where(new_gross > room, max(room, 0.0) / new_gross, factor)
    if rule[MAX_SECTOR_NET] > 0.0:
        # Only what pushes the sum further out is scaled; what brings it back is let through.
        outward = math.copysign(1.0, net + new_net)
        room = rule[MAX_SECTOR_NET] * equity - outward * net
        over = outward * new_net > max(room, 0.0)
        factor = where(over, min(factor, max(room, 0.0) / (outward * new_net)), factor)
    return factor


@inner
def concentration_factor(rule, state, scratch, live, queued):
    """Factor that fits the sum of squared weights under its cap (Herfindahl's index, weights over equity)."""
    kept_squares = new_squares = everywhere(0.0)
    for a in range(state.position.shape[0]):
        new, kept = target_notional(state, scratch, live, a, queued)
        new_squares, kept_squares = new_squares + new * new, kept_squares + kept * kept
    equity = max(block(state.account, live)[EQUITY], 0.0)
    most = rule[MAX_CONCENTRATION] * equity * equity
    room = most - kept_squares
    room = where(
        room > DUST * most, room, 0.0
    )  # of what rounding leaves the root would be a share to be traded
    return where(new_squares > room, math.sqrt(room / new_squares), 1.0)


@inner
def keep_unknown(rule, market, state, scratch, live, queued):
    """Let symbols whose window of returns is not full only be reduced."""
    begins = lane_numbers(scratch.places[HERE]) - rule[COVARIANCE_BARS]
    put_numbers(scratch.places[DECIDED], max(begins, 0.0))
    oldest = rows_at(market.bars, scratch.places[DECIDED])
    for a in range(state.position.shape[0]):
        known = (begins >= 0.0) & (beside(oldest, scratch.shifts[a])[LAST_MARK] != 0.0)
        facts = facts_of(scratch, a)
        wish, decided = facts[WISH], decided_target(block(state.position[a], live), queued)
        facts[WISH] = where((wish == KEEP) | known, wish, reduce_only(wish, decided))


@inner
def volatility_factor(rule, market, state, scratch, live, queued):
    """Factor at which the portfolio, held through the last bars as it would be now, has had the target's volatility.

    Its profit in each bar of the window is kept + f new; the variance is a quadratic in f, solved for the target's. So
    every correlation is in it, and no matrix.
    """
    bars, now, rolls = int(rule[COVARIANCE_BARS]), lane_numbers(scratch.places[HERE]), has_rolls(market)
    kept_sum = new_sum = kept_square = new_square = cross = everywhere(0.0)
    for k in range(bars):
        put_numbers(scratch.places[DECIDED], max(now - k, 0.0))
        later = rows_at(market.bars, scratch.places[DECIDED])
        put_numbers(scratch.places[DECIDED], max(now - (k + 1), 0.0))
        earlier = rows_at(market.bars, scratch.places[DECIDED])
        kept_profit = new_profit = everywhere(0.0)
        for a in range(state.position.shape[0]):
            shift = scratch.shifts[a]
            bar, after = beside(earlier, shift), beside(later, shift)[LAST_MARK]
            before = bar[LAST_MARK]
            known = before != 0.0
            if rolls:  # the close before, as it would have been in the contract of the bar
                before = before + where(bar[ROLL] != NO_ROLL, bar[OPEN] - bar[ROLL], 0.0)
            change = where(known & (before != 0.0), (after - before) / abs(before), 0.0)
            new, kept = target_notional(state, scratch, live, a, queued)
            new_profit += new * change
            kept_profit += kept * change
        new_sum, kept_sum = new_sum + new_profit, kept_sum + kept_profit
        new_square = new_square + new_profit * new_profit
        kept_square = kept_square + kept_profit * kept_profit
        cross = cross + new_profit * kept_profit
    per_bar = 1.0 / bars
    new_mean, kept_mean = new_sum * per_bar, kept_sum * per_bar
    new_variance = new_square * per_bar - new_mean * new_mean
    kept_variance = kept_square * per_bar - kept_mean * kept_mean
    covariance = cross * per_bar - new_mean * kept_mean
    target = rule[PORTFOLIO_VOLATILITY] / rule[YEAR_ROOT] * max(block(state.account, live)[EQUITY], 0.0)
    spare = covariance * covariance - new_variance * (kept_variance - target * target)
    factor = (math.sqrt(max(spare, 0.0)) - covariance) / new_variance
    return where(new_variance > 0.0, min(max(factor, 0.0), 1.0), 1.0)


@inner
def fit_jointly(rule, market, state, scratch, live, queued):
    """Scale the new targets of the rows under every limit on several symbols."""
    if rule[PORTFOLIO_VOLATILITY] > 0.0:
        keep_unknown(rule, market, state, scratch, live, queued)
        scale_wishes(
            state, scratch, ALL_SECTORS, volatility_factor(rule, market, state, scratch, live, queued)
        )
    for sector in range(int(rule[NUM_SECTORS])):
        scale_wishes(state, scratch, sector, sector_factor(rule, state, scratch, live, queued, sector))
    if rule[MAX_CONCENTRATION] > 0.0:
        scale_wishes(state, scratch, ALL_SECTORS, concentration_factor(rule, state, scratch, live, queued))
