"""Positions that are closed whatever was ordered: liquidation, names that end, closing at a close.

Of one block of rows; what happens is booked in the rows where it happens.
"""

from __future__ import annotations

from envs.kernel.columns import (
    AT_CLOSE,
    BREACHES,
    BY_DELISTING,
    BY_LIQUIDATION,
    BY_SESSION_END,
    CASH,
    HERE,
    HIGH,
    INSIDE,
    LAST_BAR,
    LIQUIDATION_BPS,
    LOW,
    MAINTENANCE_FRACTION,
    MAINTENANCE_PER_UNIT,
    MARK,
    MULTIPLIER,
    OPEN,
    RECOVERY,
    TAKER_BPS,
    TRADABLE,
    UNITS,
)
from envs.kernel.fills import book_fill
from envs.kernel.jit import hot, inner
from envs.kernel.lane_arrays import block
from envs.kernel.lane_entries import lane_numbers
from envs.kernel.lanes import everywhere, lane_bits, where
from envs.kernel.order_queue import cancel_orders, queue_length
from envs.kernel.parts import bar_of, instrument_of


@hot
def liquidation_path(state, scratch, live):
    """Share of the way from the open to every position's worst price at which equity meets maintenance.

    Equity and maintenance are linear along the path (cross margin, all assets move together: the cautious
    reading of a bar). Returns 0 when the open is already below, 2 when the worst price is still above.
    """
    equity_open = equity_worst = block(state.account, live)[CASH]
    need_open = need_worst = everywhere(0.0)
    for a in range(state.position.shape[0]):
        units = block(state.position[a], live)[UNITS]
        instrument, bar = instrument_of(scratch, a), bar_of(scratch, a)
        point = instrument[MULTIPLIER]
        frozen = bar[TRADABLE] <= 0.0
        opened = where(frozen, bar[MARK], bar[OPEN])
        worst = where(frozen, bar[MARK], where(units > 0.0, bar[LOW], bar[HIGH]))
        equity_open += units * opened * point
        equity_worst += units * worst * point
        fixed = abs(units) * instrument[MAINTENANCE_PER_UNIT]
        share = abs(units) * point * instrument[MAINTENANCE_FRACTION]
        need_open += fixed + share * abs(opened)
        need_worst += fixed + share * abs(worst)
    spare_open = equity_open - need_open
    spare_worst = equity_worst - need_worst
    safe = (need_open <= 0.0) | (spare_worst > 0.0)
    return where(safe, 2.0, where(spare_open <= 0.0, 0.0, spare_open / (spare_open - spare_worst)))


@inner
def exit_fill(rule, market, state, scratch, who, a, price, fee_bps, place, reason):
    """Close what the rows `who` hold of an asset and cancel its orders. Rare, and so a call of its own."""
    units = block(state.position[a], who)[UNITS]
    book_fill(rule, market, state, scratch, who & (units != 0.0), a, -units, price, fee_bps, place, reason)
    cancel_orders(block(state.position[a], who), queue_length(rule, state.position.shape[1]))


@hot
def call_margin(rule, market, state, scratch, live):
    """Liquidate the rows whose equity meets their maintenance margin inside bar t + 1, and count the breach."""
    path = liquidation_path(state, scratch, live)
    called = live & (path <= 1.0)
    if lane_bits(called) != 0:
        flow = block(state.flow, live)
        flow[BREACHES] = flow[BREACHES] + where(called, 1.0, 0.0)
        liquidate(rule, market, state, scratch, called, path)


@hot
def liquidate(rule, market, state, scratch, called, path):
    """Close every tradable position of the `called` rows, its price `path` of the way from the open to its worst."""
    for a in range(state.position.shape[0]):
        bar, instrument = bar_of(scratch, a), instrument_of(scratch, a)
        units = block(state.position[a], called)[UNITS]
        who = called & (units != 0.0) & (bar[TRADABLE] > 0.0)
        price = bar[OPEN] + path * (where(units > 0.0, bar[LOW], bar[HIGH]) - bar[OPEN])
        fee_bps = instrument[TAKER_BPS] + instrument[LIQUIDATION_BPS]
        exit_fill(rule, market, state, scratch, who, a, price, fee_bps, INSIDE, everywhere(BY_LIQUIDATION))


@hot
def close_asset(rule, market, state, scratch, who, a, reason):
    """Close what the rows `who` hold of an asset at the mark of bar t + 1 and cancel its orders."""
    price, fee_bps = bar_of(scratch, a)[MARK], instrument_of(scratch, a)[TAKER_BPS]
    exit_fill(rule, market, state, scratch, who, a, price, fee_bps, AT_CLOSE, reason)


@hot
def recover_asset(rule, market, state, scratch, who, a):
    """Close what the rows `who` hold of an asset that is gone at what is recovered of its last price."""
    price, fee_bps = bar_of(scratch, a)[MARK] * rule[RECOVERY], instrument_of(scratch, a)[TAKER_BPS]
    exit_fill(rule, market, state, scratch, who, a, price, fee_bps, AT_CLOSE, everywhere(BY_DELISTING))


@hot
def close_ended(rule, market, state, scratch, live):
    """Close what is held of assets of which bar t + 1 was the last bar."""
    after = lane_numbers(scratch.places[HERE])
    for a in range(state.position.shape[0]):
        ends = live & (after == instrument_of(scratch, a)[LAST_BAR])
        if lane_bits(ends) != 0:
            recover_asset(rule, market, state, scratch, ends, a)


@hot
def close_all(rule, market, state, scratch, who, reason):
    """Close every position of the rows `who` at its last known price. `session_end` leaves untradable ones alone."""
    for a in range(state.position.shape[0]):
        closes = who & ((reason != BY_SESSION_END) | (bar_of(scratch, a)[TRADABLE] > 0.0))
        close_asset(rule, market, state, scratch, closes, a, reason)
