"""What happens inside bar t + 1: financing, delisting, fills at the open, barriers, liquidation, fills at the close.

Of one block of rows. A phase is worked out for all of them; what happens in it is booked in the rows where it happens.
"""

from __future__ import annotations

import math

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
    BY_SESSION_END,
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
    FUNDING_PAID,
    HERE,
    HIGH,
    INSIDE,
    LAST_BAR,
    LAST_MARK,
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
    NUM_DECISION_COLUMNS,
    OPEN,
    PARTICIPATION,
    PERCENT,
    PROFIT_TARGET,
    RECOVERY,
    SPLIT,
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
from envs.kernel.lane_arrays import block, lane_numbers, rows_at
from envs.kernel.lanes import everywhere, first_lanes, lane_bits, where
from envs.kernel.orders import cancel_orders, queue_length
from envs.kernel.parts import bar_of, decisions, has_context, has_funding, instrument_of, is_logged
from envs.kernel.sizes import round_to_lot


@hot
def charge_financing(rule, market, book, desk, live):
    """Charge borrow and funding on the units held from close t into bar t + 1, at the mark of close t."""
    borrows, funds = rule[BORROW_ON] > 0.0, has_funding(rule, market)
    if not (borrows or funds):
        return
    account, flow = block(book.account, live), block(book.flow, live)
    scale = rule[COST_SCALE] * account[COST_FACTOR]
    cash, borrow_paid, funding_paid = account[CASH], flow[BORROW_PAID], flow[FUNDING_PAID]
    for a in range(book.position.shape[0]):
        position, instrument = block(book.position[a], live), instrument_of(desk, a)
        units = position[UNITS]
        notional = units * bar_of(desk, a)[LAST_MARK] * instrument[MULTIPLIER]
        borrow = funding = everywhere(0.0)
        if borrows:
            years = rows_at(market.years, desk.places[HERE])[0]
            borrow = where(units < 0.0, -notional * instrument[BORROW_RATE] * years * scale, 0.0)
        if funds:
            funding = notional * bar_of(desk, a)[FUNDING] * scale
        cash -= borrow + funding
        borrow_paid += borrow
        funding_paid += funding
        if rule[TRADE_STATS] > 0.0:
            last = book.position.shape[1] + TRADE_PNL
            position[last] = position[last] - (borrow + funding)
        if is_logged(book):
            log, k = decisions(book, desk, live), NUM_DECISION_COLUMNS * a
            log[k + LOG_BORROW] = borrow
            log[k + LOG_FUNDING] = funding
    account[CASH] = cash
    flow[BORROW_PAID], flow[FUNDING_PAID] = borrow_paid, funding_paid


@hot
def working_quantity(position):
    """Signed units between what is held and the working target."""
    target, held = position[TARGET], position[UNITS]
    quantity = target - held
    return where(abs(quantity) <= DUST * max(abs(target), abs(held)), 0.0, quantity)


@hot
def capped_quantity(rule, instrument, volume, quantity):
    """What the participation cap leaves of an order for `quantity` units in a bar of that volume."""
    if rule[PARTICIPATION] <= 0.0:
        return quantity
    room = rule[PARTICIPATION] * volume
    part = math.copysign(round_to_lot(room, instrument[LOT_STEP]), quantity)
    return where(abs(quantity) <= room, quantity, part)


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
def liquidation_path(book, desk, live):
    """Share of the way from the open to every position's worst price at which equity meets maintenance.

    Equity and maintenance are linear along the path (cross margin, all assets move together: the cautious
    reading of a bar). Returns 0 when the open is already below, 2 when the worst price is still above.
    """
    equity_open = equity_worst = block(book.account, live)[CASH]
    need_open = need_worst = everywhere(0.0)
    for a in range(book.position.shape[0]):
        units = block(book.position[a], live)[UNITS]
        instrument, bar = instrument_of(desk, a), bar_of(desk, a)
        point = instrument[MULTIPLIER]
        frozen = bar[TRADABLE] <= 0.0
        opened = where(frozen, bar[MARK], bar[OPEN])
        worst = where(frozen, bar[MARK], where(units > 0.0, bar[LOW], bar[HIGH]))
        equity_open += units * opened * point
        equity_worst += units * worst * point
        fixed = abs(units) * instrument[MAINTENANCE_PER_UNIT]
        share = abs(units) * point * instrument[MAINTENANCE_FRACTION]
        need_open += fixed + share * opened
        need_worst += fixed + share * worst
    spare_open = equity_open - need_open
    spare_worst = equity_worst - need_worst
    safe = (need_open <= 0.0) | (spare_worst > 0.0)
    return where(safe, 2.0, where(spare_open <= 0.0, 0.0, spare_open / (spare_open - spare_worst)))


@inner
def exit_fill(rule, market, book, desk, who, a, price, fee_bps, place, reason):
    """Close what the rows `who` hold of an asset and cancel its orders. Rare, and so a call of its own."""
    units = block(book.position[a], who)[UNITS]
    book_fill(rule, market, book, desk, who & (units != 0.0), a, -units, price, fee_bps, place, reason)
    cancel_orders(block(book.position[a], who), queue_length(rule, book.position.shape[1]))


@hot
def liquidate(rule, market, book, desk, called, path):
    """Close every tradable position of the `called` rows, its price `path` of the way from the open to its worst."""
    for a in range(book.position.shape[0]):
        bar, instrument = bar_of(desk, a), instrument_of(desk, a)
        units = block(book.position[a], called)[UNITS]
        who = called & (units != 0.0) & (bar[TRADABLE] > 0.0)
        price = bar[OPEN] + path * (where(units > 0.0, bar[LOW], bar[HIGH]) - bar[OPEN])
        fee_bps = instrument[TAKER_BPS] + instrument[LIQUIDATION_BPS]
        exit_fill(rule, market, book, desk, who, a, price, fee_bps, INSIDE, everywhere(BY_LIQUIDATION))


@hot
def close_asset(rule, market, book, desk, who, a, reason):
    """Close what the rows `who` hold of an asset at the mark of bar t + 1 and cancel its orders."""
    price, fee_bps = bar_of(desk, a)[MARK], instrument_of(desk, a)[TAKER_BPS]
    exit_fill(rule, market, book, desk, who, a, price, fee_bps, AT_CLOSE, reason)


@hot
def recover_asset(rule, market, book, desk, who, a):
    """Close what the rows `who` hold of an asset that is gone at what is recovered of its last price."""
    price, fee_bps = bar_of(desk, a)[MARK] * rule[RECOVERY], instrument_of(desk, a)[TAKER_BPS]
    exit_fill(rule, market, book, desk, who, a, price, fee_bps, AT_CLOSE, everywhere(BY_DELISTING))


@hot
def close_ended(rule, market, book, desk, live):
    """Close what is held of assets of which bar t + 1 was the last bar."""
    after = lane_numbers(desk.places[HERE])
    for a in range(book.position.shape[0]):
        ends = live & (after == instrument_of(desk, a)[LAST_BAR])
        if lane_bits(ends) != 0:
            recover_asset(rule, market, book, desk, ends, a)


@hot
def close_all(rule, market, book, desk, who, reason):
    """Close every position of the rows `who` at its last known price. `session_end` leaves untradable ones alone."""
    for a in range(book.position.shape[0]):
        closes = who & ((reason != BY_SESSION_END) | (bar_of(desk, a)[TRADABLE] > 0.0))
        close_asset(rule, market, book, desk, closes, a, reason)


@hot
def trade_asset(rule, market, book, desk, live, a, after):
    """Fill one asset at the open and check its barriers in bar t + 1 = `after`, in the live rows that can trade it."""
    bar, instrument = bar_of(desk, a), instrument_of(desk, a)
    position = block(book.position[a], live)
    quantity = working_quantity(position)
    who = live & (quantity != 0.0)
    if lane_bits(who) != 0:
        quantity = capped_quantity(rule, instrument, bar[VOLUME], quantity)
        who = who & (quantity != 0.0)
        fee_bps = instrument[TAKER_BPS]
        book_fill(rule, market, book, desk, who, a, quantity, bar[OPEN], fee_bps, AT_OPEN, BY_SIGNAL)
    if rule[CARRY] <= 0.0:
        position[TARGET] = position[UNITS]
    if rule[BARRIERS_ON] <= 0.0:
        return
    held = live & (position[UNITS] != 0.0)
    if lane_bits(held) == 0:
        return
    slot, context = block(book.slot[a], live), has_context(market)
    price, reason = barrier_exit(rule, instrument, bar, position, slot, after, held, context)
    hit = held & (reason >= 0.0)
    extreme = where(
        position[UNITS] > 0.0, max(position[EXTREME], bar[HIGH]), min(position[EXTREME], bar[LOW])
    )
    position[EXTREME] = where(held & ~hit, extreme, position[EXTREME])
    if lane_bits(hit) != 0:
        fee_bps = where(reason == BY_TARGET, instrument[MAKER_BPS], instrument[TAKER_BPS])
        exit_fill(rule, market, book, desk, hit, a, price, fee_bps, INSIDE, reason)


@hot
def trade(rule, market, book, desk, live):
    """Everything that can trade inside bar t + 1 before its close, all assets of the live rows."""
    after = lane_numbers(desk.places[HERE])
    for a in range(book.position.shape[0]):
        delisted = live & (after >= instrument_of(desk, a)[DELIST_BAR])
        if lane_bits(delisted) != 0:
            recover_asset(rule, market, book, desk, delisted, a)
        trades = live & ~delisted & (bar_of(desk, a)[TRADABLE] > 0.0)
        if lane_bits(trades) != 0:
            trade_asset(rule, market, book, desk, trades, a, after)
