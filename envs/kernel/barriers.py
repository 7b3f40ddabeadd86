"""Barriers inside bar t + 1: where profit target, stop and trailing stop stand, which is touched first, at what price.

Of one asset slot, in the rows of a block.
"""

from __future__ import annotations

import math

from envs.kernel.columns import (
    ATR_MULTIPLES,
    BARRIER_UNIT,
    BY_STOP,
    BY_TARGET,
    BY_TRAILING,
    ENTRY_ATR,
    ENTRY_BAR,
    ENTRY_PRICE,
    EXTREME,
    HIGH,
    INSIDE,
    LOW,
    MAKER_BPS,
    OPEN,
    PERCENT,
    PROFIT_TARGET,
    SPLIT,
    STOP_LOSS,
    TAKER_BPS,
    TICK_SIZE,
    TRAILING_STOP,
    UNITS,
)
from envs.kernel.exits import exit_fill
from envs.kernel.jit import hot, inner
from envs.kernel.lane_arrays import block
from envs.kernel.lanes import everywhere, first_lanes, lane_bits, where
from envs.kernel.parts import bar_of, has_context, instrument_of


@hot
def barrier_distances(rule, instrument, position):
    """Distance in price that one barrier unit means for the open position."""
    if rule[BARRIER_UNIT] == PERCENT:
        return position[ENTRY_PRICE] * 0.01
    if rule[BARRIER_UNIT] == ATR_MULTIPLES:
        return position[ENTRY_ATR]
    return instrument[TICK_SIZE]


@hot
def stop_level(rule, position, distance, side):
    """Binding stop (fixed or trailing, whichever is nearer) and its reason; reason -1 when there is none."""
    level, reason = everywhere(0.0), everywhere(-1.0)
    if rule[STOP_LOSS] > 0.0:
        level = position[ENTRY_PRICE] - side * rule[STOP_LOSS] * distance
        reason = everywhere(BY_STOP)
    if rule[TRAILING_STOP] > 0.0:
        trail = position[EXTREME] - side * rule[TRAILING_STOP] * distance
        nearer = (reason < 0.0) | (side * (trail - level) > 0.0)
        level = where(nearer, trail, level)
        reason = where(nearer, BY_TRAILING, reason)
    return level, reason


@hot
def barrier_exit(rule, instrument, bar, position, slot, after, held, context):
    """Price and reason of the barrier that bar t + 1 = `after` touches first, of the rows `held`; reason -1 when none.

    context : the bar has a split factor.
    """
    side = math.copysign(1.0, position[UNITS])
    distance = barrier_distances(rule, instrument, position)
    worst = where(side > 0.0, bar[LOW], bar[HIGH])
    best = where(side > 0.0, bar[HIGH], bar[LOW])
    target = stop = everywhere(0.0)
    stop_reason, near = everywhere(-1.0), first_lanes(0)
    if rule[PROFIT_TARGET] > 0.0:
        target = position[ENTRY_PRICE] + side * rule[PROFIT_TARGET] * distance
        near = near | (side * (best - target) >= 0.0)
    if (rule[STOP_LOSS] > 0.0) | (rule[TRAILING_STOP] > 0.0):
        stop, stop_reason = stop_level(rule, position, distance, side)
        near = near | (side * (worst - stop) <= 0.0)
    near = near & held & (distance > 0.0)
    price, reason = everywhere(0.0), everywhere(-1.0)
    if lane_bits(near) != 0:
        tick = instrument[TICK_SIZE] / (bar[SPLIT] if context else everywhere(1.0))
        held_into = slot[ENTRY_BAR] < after
        price, touched = exit_on_ticks(
            rule,
            tick,
            side * target,
            side * stop,
            stop_reason,
            side * bar[OPEN],
            side * worst,
            side * best,
            held_into,
        )
        price, reason = side * price, where(near, touched, -1.0)
    return price, reason


@inner
def exit_on_ticks(rule, tick, target, stop, stop_reason, opened, worst, best, held_into):
    """Price and reason of an exit of which levels and prices are given times the position's side; reason -1 for none.

    Orders rest on ticks: a stop on the one beyond its level, where it is filled. A target needs the tick beyond its
    level to be reached and pays the tick before it (or, where that is outside the bar, the tick reached). Stop before
    target when both are touched; what the open has already passed fills at the open. A millionth of a tick is forgiven.
    """
    slack = 1e-6 * tick
    price, reason, jumped = everywhere(0.0), everywhere(-1.0), first_lanes(0)
    if rule[PROFIT_TARGET] > 0.0:
        ticks = target / tick
        reached, paid = -math.floor(1e-6 - ticks) * tick, math.floor(ticks + 1e-6) * tick
        jumped = held_into & (opened >= reached - slack)
        price = where(jumped, opened, where(paid >= worst - slack, paid, reached))
        reason = where(best >= reached - slack, BY_TARGET, -1.0)
    if (rule[STOP_LOSS] > 0.0) | (rule[TRAILING_STOP] > 0.0):
        resting = math.floor(stop / tick + 1e-6) * tick
        gapped = held_into & (opened <= resting + slack)
        stopped = gapped | (~jumped & (worst <= resting + slack))
        price = where(stopped, where(gapped, opened, resting), price)
        reason = where(stopped, stop_reason, reason)
    return min(max(price, worst), best), reason


@hot
def check_barriers(rule, market, state, scratch, live, a, after, entered):
    """Leave what an asset's barriers close in bar t + 1 = `after`, of the live rows, which can trade it.

    entered : an order was filled at a level inside the bar, so that its best price may have been before: no target
        counts, and it moves no trailing stop.
    """
    bar, instrument, position = bar_of(scratch, a), instrument_of(scratch, a), block(state.position[a], live)
    held = live & (position[UNITS] != 0.0)
    if lane_bits(held) == 0:
        return
    slot, context = block(state.slot[a], live), has_context(market)
    price, reason = barrier_exit(rule, instrument, bar, position, slot, after, held, context)
    hit = held & (reason >= 0.0) & ~(entered & (reason == BY_TARGET))
    extreme = where(
        position[UNITS] > 0.0, max(position[EXTREME], bar[HIGH]), min(position[EXTREME], bar[LOW])
    )
    position[EXTREME] = where(held & ~hit & ~entered, extreme, position[EXTREME])
    if lane_bits(hit) != 0:
        fee_bps = where(reason == BY_TARGET, instrument[MAKER_BPS], instrument[TAKER_BPS])
        exit_fill(rule, market, state, scratch, hit, a, price, fee_bps, INSIDE, reason)
