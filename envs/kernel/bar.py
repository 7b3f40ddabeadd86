"""What happens inside bar t + 1: financing, delisting, fills at the open, barriers, liquidation, fills at the close.

Arrays of one env row: `bars` and `last_bars` (S, K) are bars t + 1 and t, `positions` and `slots` (A, K), `fill_log`
(A, place, K). Their parts for one asset slot are `bar`, `last_bar`, `instrument`, `position`, `slot` (K,) and `fills`
(place, K).
"""

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
    rule, instruments, last_bars, bars, years, account, positions, flow, decision_log, symbols
):
    """Charge borrow and funding on the units held from close t into bar t + 1, at the mark of close t.

    years : length of bar t + 1.
    """
    borrows, funds = rule[BORROW_ON] > 0.0, rule[FUNDING_ON] > 0.0 and bars.shape[1] > FUNDING
    if not (borrows or funds):
        return
    scale = rule[COST_SCALE] * account[COST_FACTOR]
    cash, borrow_paid, funding_paid = account[CASH], flow[BORROW_PAID], flow[FUNDING_PAID]
    for a in range(positions.shape[0]):
        s = symbols[a]
        position, instrument = positions[a], instruments[s]
        units = position[UNITS]
        notional = units * last_bars[s, MARK] * instrument[MULTIPLIER]
        borrow = funding = 0.0
        if borrows:
            charge = -notional * instrument[BORROW_RATE] * years * scale
            borrow = charge if units < 0.0 else 0.0
        if funds:
            funding = notional * bars[s, FUNDING] * scale
        cash -= borrow + funding
        borrow_paid += borrow
        funding_paid += funding
        if rule[TRADE_STATS] > 0.0:
            position[TRADE_PNL] -= borrow + funding
        if decision_log.shape[0] > 0:
            decision_log[a, LOG_BORROW] = borrow
            decision_log[a, LOG_FUNDING] = funding
    account[CASH], flow[BORROW_PAID], flow[FUNDING_PAID] = cash, borrow_paid, funding_paid


@hot
def open_quantity(rule, instrument, bar, position):
    """Signed units that the working order fills at the open of bar t + 1 (participation cap applied)."""
    target, held = position[TARGET], position[UNITS]
    quantity = target - held
    if abs(quantity) <= DUST * max(abs(target), abs(held)):
        return 0.0
    if rule[PARTICIPATION] <= 0.0:
        return quantity
    room = rule[PARTICIPATION] * bar[VOLUME]
    if abs(quantity) <= room:
        return quantity
    return math.copysign(round_to_lot(room, instrument[LOT_STEP]), quantity)


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
    level = 0.0
    reason = -1
    if rule[STOP_LOSS] > 0.0:
        level = position[ENTRY_PRICE] - side * rule[STOP_LOSS] * distance
        reason = BY_STOP
    if rule[TRAILING_STOP] > 0.0:
        trail = position[EXTREME] - side * rule[TRAILING_STOP] * distance
        nearer = (reason < 0) | (side * (trail - level) > 0.0)
        level = trail if nearer else level
        reason = BY_TRAILING if nearer else reason
    return level, reason


@hot
def barrier_exit(rule, instrument, bar, position, slot, t):
    """Price and reason of the barrier that bar t + 1 touches first; reason -1 when none is touched.

    Stop before target when both are touched; a level that the open has already passed fills at the open.
    """
    side = math.copysign(1.0, position[UNITS])
    distance = barrier_distances(rule, instrument, position)
    if distance <= 0.0:
        return 0.0, -1
    opened, high, low = bar[OPEN], bar[HIGH], bar[LOW]
    worst = low if side > 0.0 else high
    best = high if side > 0.0 else low
    stop, stop_reason = stop_level(rule, position, distance, side)
    target = position[ENTRY_PRICE] + side * rule[PROFIT_TARGET] * distance
    has_target = rule[PROFIT_TARGET] > 0.0
    if slot[ENTRY_BAR] <= t:
        if stop_reason >= 0 and side * (opened - stop) <= 0.0:
            return opened, stop_reason
        if has_target and side * (opened - target) >= 0.0:
            return opened, BY_TARGET
    if stop_reason >= 0 and side * (worst - stop) <= 0.0:
        return stop, stop_reason
    if has_target and side * (best - target) >= 0.0:
        return target, BY_TARGET
    return 0.0, -1


@hot
def liquidation_path(instruments, bars, account, positions, symbols):
    """Share of the way from the open to every position's worst price at which equity meets maintenance.

    Equity and maintenance are linear along the path (cross margin, all assets move together: the cautious
    reading of a bar). Returns 0 when the open is already below, 2 when the worst price is still above.
    """
    equity_open = equity_worst = account[CASH]
    need_open = need_worst = 0.0
    for a in range(positions.shape[0]):
        units = positions[a, UNITS]
        instrument, bar = instruments[symbols[a]], bars[symbols[a]]
        point, opened, high, low = instrument[MULTIPLIER], bar[OPEN], bar[HIGH], bar[LOW]
        worst = low if units > 0.0 else high
        if bar[TRADABLE] <= 0.0:
            opened = worst = bar[MARK]
        equity_open += units * opened * point
        equity_worst += units * worst * point
        fixed = abs(units) * instrument[MAINTENANCE_PER_UNIT]
        share = abs(units) * point * instrument[MAINTENANCE_FRACTION]
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
    rule, instruments, last_bars, bars, account, counter, positions, slots, flow, fill_log, symbols, t, path
):  # fmt: skip
    """Close every tradable position at its price `path` of the way from the open to the worst price."""
    for a in range(positions.shape[0]):
        s = symbols[a]
        instrument, bar, position = instruments[s], bars[s], positions[a]
        units = position[UNITS]
        if units == 0.0 or bar[TRADABLE] <= 0.0:
            continue
        worst = bar[LOW] if units > 0.0 else bar[HIGH]
        price = bar[OPEN] + path * (worst - bar[OPEN])
        fee_bps = instrument[TAKER_BPS] + instrument[LIQUIDATION_BPS]
        book_fill(
            rule, instrument, last_bars[s], bar, account, counter, position, slots[a], flow, fill_log[a],
            t, -units, price, fee_bps, np.int64(INSIDE), np.int64(BY_LIQUIDATION),
        )  # fmt: skip
        cancel_orders(position, counter[LATENCY])


@hot
def trade_asset(rule, instrument, last_bar, bar, account, counter, position, slot, flow, fills, t):
    """Fill at the open and check the barriers of one tradable asset in bar t + 1."""
    quantity = open_quantity(rule, instrument, bar, position)
    if quantity != 0.0:
        book_fill(
            rule, instrument, last_bar, bar, account, counter, position, slot, flow, fills,
            t, quantity, bar[OPEN], instrument[TAKER_BPS], np.int64(AT_OPEN), np.int64(BY_SIGNAL),
        )  # fmt: skip
    if rule[CARRY] <= 0.0:
        position[TARGET] = position[UNITS]
    if rule[BARRIERS_ON] > 0.0 and position[UNITS] != 0.0:
        price, reason = barrier_exit(rule, instrument, bar, position, slot, t)
        if reason >= 0:
            fee_bps = instrument[MAKER_BPS] if reason == BY_TARGET else instrument[TAKER_BPS]
            book_fill(
                rule, instrument, last_bar, bar, account, counter, position, slot, flow, fills,
                t, -position[UNITS], price, fee_bps, np.int64(INSIDE), np.int64(reason),
            )  # fmt: skip
            cancel_orders(position, counter[LATENCY])
        else:
            highest, lowest = max(position[EXTREME], bar[HIGH]), min(position[EXTREME], bar[LOW])
            position[EXTREME] = highest if position[UNITS] > 0.0 else lowest


@inner
def close_position(
    rule, instrument, last_bar, bar, account, counter, position, slot, flow, fills, t, reason
):  # fmt: skip
    """Close what is held at the mark of bar t + 1 and cancel its orders."""
    units = position[UNITS]
    if units != 0.0:
        book_fill(
            rule, instrument, last_bar, bar, account, counter, position, slot, flow, fills,
            t, -units, bar[MARK], instrument[TAKER_BPS], np.int64(AT_CLOSE), np.int64(reason),
        )  # fmt: skip
    cancel_orders(position, counter[LATENCY])


@hot
def trade_bar(
    rule, instruments, last_bars, bars, account, counter, positions, slots, flow, fill_log, symbols, t
):
    """Everything that can trade inside bar t + 1 before its close, all assets of an env row."""
    for a in range(positions.shape[0]):
        s = symbols[a]
        instrument, bar, position, slot = instruments[s], bars[s], positions[a], slots[a]
        if t + 1 >= instrument[DELIST_BAR]:
            close_position(
                rule, instrument, last_bars[s], bar, account, counter, position, slot, flow, fill_log[a],
                t, np.int64(BY_DELISTING),
            )  # fmt: skip
        elif bar[TRADABLE] > 0.0:
            trade_asset(
                rule, instrument, last_bars[s], bar, account, counter, position, slot, flow, fill_log[a], t
            )
