"""What happens inside bar t + 1 before its close: financing, delisting, fills at the open, barriers.

Of one block of rows. A phase is worked out for all of them; what happens in it is booked in the rows where it happens.
"""

from __future__ import annotations

import math

from envs.kernel.barriers import check_barriers
from envs.kernel.columns import (
    AT_OPEN,
    BARRIERS_ON,
    BORROW_ON,
    BORROW_PAID,
    BORROW_RATE,
    BY_SIGNAL,
    CARRY,
    CASH,
    DELIST_BAR,
    DIVIDEND,
    DIVIDEND_PAID,
    DUST,
    FUNDING,
    FUNDING_PAID,
    HERE,
    LAST_MARK,
    LOG_BORROW,
    LOG_DIVIDEND,
    LOG_FUNDING,
    LOT_STEP,
    MULTIPLIER,
    NO_ROLL,
    NUM_DECISION_COLUMNS,
    OPEN,
    PARTICIPATION,
    ROLL,
    TAKER_BPS,
    TARGET,
    TRADABLE,
    TRADE_PNL,
    TRADE_STATS,
    UNITS,
    VOLUME,
)
from envs.kernel.exits import recover_asset
from envs.kernel.fills import book_fill, book_roll
from envs.kernel.jit import hot, inner
from envs.kernel.lane_arrays import block, rows_at
from envs.kernel.lane_entries import lane_numbers
from envs.kernel.lanes import everywhere, lane_bits, where
from envs.kernel.parts import (
    bar_of,
    cost_multiple,
    decisions,
    has_context,
    has_dividends,
    has_funding,
    instrument_of,
    is_logged,
)
from envs.kernel.sizes import round_to_lot


@hot
def charge_financing(rule, market, state, scratch, live):
    """Charge borrow and funding on the units held from close t into bar t + 1, at the mark of close t."""
    borrows, funds = rule[BORROW_ON] > 0.0, has_funding(rule, market)
    if not (borrows or funds):
        return
    account, flow = block(state.account, live), block(state.flow, live)
    scale = cost_multiple(account)
    cash, borrow_paid, funding_paid = account[CASH], flow[BORROW_PAID], flow[FUNDING_PAID]
    for a in range(state.position.shape[0]):
        position, instrument = block(state.position[a], live), instrument_of(scratch, a)
        units = position[UNITS]
        notional = units * bar_of(scratch, a)[LAST_MARK] * instrument[MULTIPLIER]
        borrow = funding = everywhere(0.0)
        if borrows:
            years = rows_at(market.years, scratch.places[HERE])[0]
            borrow = where(units < 0.0, abs(notional) * instrument[BORROW_RATE] * years * scale, 0.0)
        if funds:
            funding = notional * bar_of(scratch, a)[FUNDING] * scale
        cash -= borrow + funding
        borrow_paid += borrow
        funding_paid += funding
        if rule[TRADE_STATS] > 0.0:
            last = state.position.shape[1] + TRADE_PNL
            position[last] = position[last] - (borrow + funding)
        if is_logged(state):
            log, k = decisions(state, scratch, live), NUM_DECISION_COLUMNS * a
            log[k + LOG_BORROW] = borrow
            log[k + LOG_FUNDING] = funding
    account[CASH] = cash
    flow[BORROW_PAID], flow[FUNDING_PAID] = borrow_paid, funding_paid


@inner
def pay_dividends(rule, market, state, scratch, live):
    """Pay what a unit that was held from close t into bar t + 1 is due, and charge it to shorts.

    It is no cost that a venue sets: a multiple of all costs leaves it as it is.
    """
    account, flow = block(state.account, live), block(state.flow, live)
    cash, paid = account[CASH], flow[DIVIDEND_PAID]
    for a in range(state.position.shape[0]):
        position = block(state.position[a], live)
        dividend = -position[UNITS] * bar_of(scratch, a)[DIVIDEND] * instrument_of(scratch, a)[MULTIPLIER]
        cash -= dividend
        paid += dividend
        if rule[TRADE_STATS] > 0.0:
            last = state.position.shape[1] + TRADE_PNL
            position[last] = position[last] - dividend
        if is_logged(state):
            decisions(state, scratch, live)[NUM_DECISION_COLUMNS * a + LOG_DIVIDEND] = dividend
    account[CASH] = cash
    flow[DIVIDEND_PAID] = paid


@hot
def charge_holding(rule, market, state, scratch, live):
    """Charge and pay what is due on what was held from close t into bar t + 1."""
    charge_financing(rule, market, state, scratch, live)
    if has_dividends(market):
        pay_dividends(rule, market, state, scratch, live)


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
def fill_at_open(rule, market, state, scratch, live, a):
    """Fill what is working of one asset at the open of bar t + 1, as far as its volume goes."""
    bar, instrument = bar_of(scratch, a), instrument_of(scratch, a)
    position = block(state.position[a], live)
    quantity = working_quantity(position)
    who = live & (quantity != 0.0)
    if lane_bits(who) != 0:
        quantity = capped_quantity(rule, instrument, bar[VOLUME], quantity)
        who = who & (quantity != 0.0)
        fee_bps = instrument[TAKER_BPS]
        book_fill(rule, market, state, scratch, who, a, quantity, bar[OPEN], fee_bps, AT_OPEN, BY_SIGNAL)
    if rule[CARRY] <= 0.0:
        position[TARGET] = position[UNITS]


@hot
def roll_over(rule, market, state, scratch, live, a):
    """Move what is held of an asset into its next contract, where bar t + 1 is the first of that."""
    position, left_at = block(state.position[a], live), bar_of(scratch, a)[ROLL]
    who = live & (position[UNITS] != 0.0) & (left_at != NO_ROLL)
    if lane_bits(who) != 0:
        book_roll(rule, market, state, scratch, who, a, left_at)


@hot
def trade(rule, market, state, scratch, live):
    """Everything that can trade inside bar t + 1 before its close, all assets of the live rows."""
    after = lane_numbers(scratch.places[HERE])
    for a in range(state.position.shape[0]):
        delisted = live & (after >= instrument_of(scratch, a)[DELIST_BAR])
        if lane_bits(delisted) != 0:
            recover_asset(rule, market, state, scratch, delisted, a)
        trades = live & ~delisted & (bar_of(scratch, a)[TRADABLE] > 0.0)
        if lane_bits(trades) != 0:
            if has_context(market):
                roll_over(rule, market, state, scratch, trades, a)
            fill_at_open(rule, market, state, scratch, trades, a)
            if rule[BARRIERS_ON] > 0.0:
                check_barriers(rule, market, state, scratch, trades, a, after)
