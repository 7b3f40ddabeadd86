"""What happens inside bar t + 1: financing, delisting, fills at the open, barriers, liquidation, fills at the close."""

from __future__ import annotations

import math

import numpy as np

from envs.kernel.columns import (
    AT_CLOSE,
    AT_OPEN,
    ATR_MULTIPLES,
    BARRIER_UNIT,
    BARRIERS_ON,
    BORROW_ON,
    BORROW_PAID,
    BORROW_RATE,
    BY_DELISTING,
    BY_LIQUIDATION,
    BY_SIGNAL,
    BY_STOP,
    BY_TARGET,
    BY_TRAILING,
    CARRY,
    CASH,
    COST_FACTOR,
    COST_SCALE,
    DELIST_BAR,
    DUST,
    ENTRY_ATR,
    ENTRY_BAR,
    ENTRY_PRICE,
    EXTREME,
    FUNDING,
    FUNDING_ON,
    FUNDING_PAID,
    HIGH,
    INSIDE,
    LATENCY,
    LIQUIDATION_BPS,
    LOG_BORROW,
    LOG_FUNDING,
    LOT_STEP,
    LOW,
    MAINTENANCE_FRACTION,
    MAINTENANCE_PER_UNIT,
    MAKER_BPS,
    MARK,
    MULTIPLIER,
    OPEN,
    PARTICIPATION,
    PERCENT,
    PROFIT_TARGET,
    STOP_LOSS,
    TAKER_BPS,
    TARGET,
    TICK_SIZE,
    TRADABLE,
    TRADE_PNL,
    TRADE_STATS,
    TRAILING_STOP,
    UNITS,
    VOLUME,
)
from envs.kernel.fills import book_fill
from envs.kernel.jit import hot, inner
from envs.kernel.orders import cancel_orders
from envs.kernel.sizes import round_to_lot


@hot
def charge_financing(
    rule, instrument, context, bars, years, account, position, flow, decision_log, symbols, e, t
):
    """Charge borrow and funding on the units held from close t into bar t + 1, at the mark of close t."""
    if rule[BORROW_ON] <= 0.0 and rule[FUNDING_ON] <= 0.0:
        return
    scale = rule[COST_SCALE] * account[e, COST_FACTOR]
    for a in range(position.shape[1]):
        s = symbols[a]
        units = position[e, a, UNITS]
        notional = units * bars[t, s, MARK] * instrument[s, MULTIPLIER]
        borrow = funding = 0.0
        if rule[BORROW_ON] > 0.0 and units < 0.0:
            borrow = -notional * instrument[s, BORROW_RATE] * years[t + 1] * scale
        if rule[FUNDING_ON] > 0.0 and context.shape[0] > 0:
            funding = notional * context[t + 1, s, FUNDING] * scale
        account[e, CASH] -= borrow + funding
        flow[e, BORROW_PAID] += borrow
        flow[e, FUNDING_PAID] += funding
        if rule[TRADE_STATS] > 0.0:
            position[e, a, TRADE_PNL] -= borrow + funding
        if decision_log.shape[0] > 0:
            decision_log[e, a, LOG_BORROW] = borrow
            decision_log[e, a, LOG_FUNDING] = funding


@hot
def open_quantity(rule, instrument, bars, position, e, a, s, t):
    """Signed units that the working order of slot a fills at the open of bar t + 1 (participation cap applied)."""
    target, held = position[e, a, TARGET], position[e, a, UNITS]
    quantity = target - held
    if abs(quantity) <= DUST * max(abs(target), abs(held)):
        return 0.0
    if rule[PARTICIPATION] <= 0.0:
        return quantity
    room = rule[PARTICIPATION] * bars[t + 1, s, VOLUME]
    if abs(quantity) <= room:
        return quantity
    return math.copysign(round_to_lot(room, instrument[s, LOT_STEP]), quantity)


@hot
def barrier_distances(rule, instrument, position, e, a, s):
    """Distance in price that one barrier unit means for the open position."""
    if rule[BARRIER_UNIT] == PERCENT:
        return position[e, a, ENTRY_PRICE] * 0.01
    if rule[BARRIER_UNIT] == ATR_MULTIPLES:
        return position[e, a, ENTRY_ATR]
    return instrument[s, TICK_SIZE]


@hot
def stop_level(rule, position, e, a, distance, side):
    """Binding stop (fixed or trailing, whichever is nearer) and its reason; reason -1 when there is none."""
    level = 0.0
    reason = -1
    if rule[STOP_LOSS] > 0.0:
        level = position[e, a, ENTRY_PRICE] - side * rule[STOP_LOSS] * distance
        reason = BY_STOP
    if rule[TRAILING_STOP] > 0.0:
        trail = position[e, a, EXTREME] - side * rule[TRAILING_STOP] * distance
        if reason < 0 or side * (trail - level) > 0.0:
            level = trail
            reason = BY_TRAILING
    return level, reason


@hot
def barrier_exit(rule, instrument, bars, position, slot, e, a, s, t):
    """Price and reason of the barrier that bar t + 1 touches first; reason -1 when none is touched.

    Stop before target when both are touched; a level that the open has already passed fills at the open.
    """
    units = position[e, a, UNITS]
    side = 1.0 if units > 0.0 else -1.0
    distance = barrier_distances(rule, instrument, position, e, a, s)
    if distance <= 0.0:
        return 0.0, -1
    opened = bars[t + 1, s, OPEN]
    worst = bars[t + 1, s, LOW] if side > 0.0 else bars[t + 1, s, HIGH]
    best = bars[t + 1, s, HIGH] if side > 0.0 else bars[t + 1, s, LOW]
    stop, stop_reason = stop_level(rule, position, e, a, distance, side)
    target = position[e, a, ENTRY_PRICE] + side * rule[PROFIT_TARGET] * distance
    has_target = rule[PROFIT_TARGET] > 0.0
    if slot[e, a, ENTRY_BAR] <= t:
        if stop_reason >= 0 and side * (opened - stop) <= 0.0:
            return opened, stop_reason
        if has_target and side * (opened - target) >= 0.0:
            return opened, BY_TARGET
    if stop_reason >= 0 and side * (worst - stop) <= 0.0:
        return stop, stop_reason
    if has_target and side * (best - target) >= 0.0:
        return target, BY_TARGET
    return 0.0, -1


@inner
def liquidation_path(instrument, bars, account, position, symbols, e, t):
    """Share of the way from the open to every position's worst price at which equity meets maintenance.

    Equity and maintenance are linear along the path (cross margin, all assets move together: the cautious
    reading of a bar). Returns 0 when the open is already below, 2 when the worst price is still above.
    """
    equity_open = equity_worst = account[e, CASH]
    need_open = need_worst = 0.0
    for a in range(position.shape[1]):
        units = position[e, a, UNITS]
        if units == 0.0:
            continue
        s = symbols[a]
        point = instrument[s, MULTIPLIER]
        if bars[t + 1, s, TRADABLE] > 0.0:
            opened = bars[t + 1, s, OPEN]
            worst = bars[t + 1, s, LOW] if units > 0.0 else bars[t + 1, s, HIGH]
        else:
            opened = worst = bars[t + 1, s, MARK]
        equity_open += units * opened * point
        equity_worst += units * worst * point
        fixed = abs(units) * instrument[s, MAINTENANCE_PER_UNIT]
        share = abs(units) * point * instrument[s, MAINTENANCE_FRACTION]
        need_open += fixed + share * opened
        need_worst += fixed + share * worst
    spare_open = equity_open - need_open
    spare_worst = equity_worst - need_worst
    if need_open <= 0.0 or spare_worst > 0.0:
        return 2.0
    if spare_open <= 0.0:
        return 0.0
    return spare_open / (spare_open - spare_worst)


@inner
def liquidate(
    rule, instrument, context, bars, account, counter, position, slot, flow, fill_log, symbols, e, t, path
):  # fmt: skip
    """Close every tradable position at its price `path` of the way from the open to the worst price."""
    for a in range(position.shape[1]):
        s = symbols[a]
        units = position[e, a, UNITS]
        if units == 0.0 or bars[t + 1, s, TRADABLE] <= 0.0:
            continue
        opened = bars[t + 1, s, OPEN]
        worst = bars[t + 1, s, LOW] if units > 0.0 else bars[t + 1, s, HIGH]
        price = opened + path * (worst - opened)
        fee_bps = instrument[s, TAKER_BPS] + instrument[s, LIQUIDATION_BPS]
        book_fill(
            rule, instrument, context, bars, account, counter, position, slot, flow, fill_log,
            e, a, s, t, -units, price, fee_bps, np.int64(INSIDE), np.int64(BY_LIQUIDATION),
        )  # fmt: skip
        cancel_orders(position, counter[e, LATENCY], e, a)


@hot
def trade_asset(
    rule, instrument, context, bars, account, counter, position, slot, flow, fill_log, e, a, s, t
):  # fmt: skip
    """Fill at the open and check the barriers of one tradable asset in bar t + 1."""
    quantity = open_quantity(rule, instrument, bars, position, e, a, s, t)
    if quantity != 0.0:
        opened = bars[t + 1, s, OPEN]
        book_fill(
            rule, instrument, context, bars, account, counter, position, slot, flow, fill_log,
            e, a, s, t, quantity, opened, instrument[s, TAKER_BPS], np.int64(AT_OPEN), np.int64(BY_SIGNAL),
        )  # fmt: skip
    if rule[CARRY] <= 0.0:
        position[e, a, TARGET] = position[e, a, UNITS]
    if rule[BARRIERS_ON] > 0.0 and position[e, a, UNITS] != 0.0:
        price, reason = barrier_exit(rule, instrument, bars, position, slot, e, a, s, t)
        if reason >= 0:
            fee_bps = instrument[s, MAKER_BPS] if reason == BY_TARGET else instrument[s, TAKER_BPS]
            book_fill(
                rule, instrument, context, bars, account, counter, position, slot, flow, fill_log,
                e, a, s, t, -position[e, a, UNITS], price, fee_bps, np.int64(INSIDE), np.int64(reason),
            )  # fmt: skip
            cancel_orders(position, counter[e, LATENCY], e, a)
        elif position[e, a, UNITS] > 0.0:
            position[e, a, EXTREME] = max(position[e, a, EXTREME], bars[t + 1, s, HIGH])
        else:
            position[e, a, EXTREME] = min(position[e, a, EXTREME], bars[t + 1, s, LOW])


@inner
def close_position(
    rule, instrument, context, bars, account, counter, position, slot, flow, fill_log, e, a, s, t, reason
):  # fmt: skip
    """Close what is held in slot a at the mark of bar t + 1 and cancel its orders."""
    units = position[e, a, UNITS]
    if units != 0.0:
        price = bars[t + 1, s, MARK]
        book_fill(
            rule, instrument, context, bars, account, counter, position, slot, flow, fill_log,
            e, a, s, t, -units, price, instrument[s, TAKER_BPS], np.int64(AT_CLOSE), np.int64(reason),
        )  # fmt: skip
    cancel_orders(position, counter[e, LATENCY], e, a)


@hot
def trade_bar(
    rule, instrument, context, bars, account, counter, position, slot, flow, fill_log, symbols, e, t
):
    """Everything that can trade inside bar t + 1 before its close, all assets of env row e."""
    for a in range(position.shape[1]):
        s = symbols[a]
        if t + 1 >= instrument[s, DELIST_BAR]:
            close_position(
                rule, instrument, context, bars, account, counter, position, slot, flow, fill_log,
                e, a, s, t, np.int64(BY_DELISTING),
            )  # fmt: skip
        elif bars[t + 1, s, TRADABLE] > 0.0:
            trade_asset(
                rule, instrument, context, bars, account, counter, position, slot, flow, fill_log, e, a, s, t
            )
