"""What happens inside bar t + 1 before its close: financing, delisting, fills at the open, barriers.

Of one block of rows. A phase is worked out for all of them; what happens in it is booked in the rows where it happens.
"""

from __future__ import annotations

from envs.kernel.barriers import check_barriers
from envs.kernel.branches import rarely
from envs.kernel.columns import (
    BARRIERS_ON,
    BORROW_ON,
    BORROW_PAID,
    BORROW_RATE,
    CASH,
    DELIST_BAR,
    DIVIDEND,
    DIVIDEND_PAID,
    FUNDING,
    FUNDING_PAID,
    HERE,
    LAST_MARK,
    LOG_BORROW,
    LOG_DIVIDEND,
    LOG_FUNDING,
    MULTIPLIER,
    NUM_DECISION_COLUMNS,
    ORDER_ENTRY,
    SCHEME,
    TRADABLE,
    TRADE_PNL,
    TRADE_STATS,
    UNITS,
)
from envs.kernel.exits import recover_asset
from envs.kernel.jit import hot, inner
from envs.kernel.lane_arrays import block, rows_at
from envs.kernel.lane_entries import lane_numbers
from envs.kernel.lanes import everywhere, first_lanes, lane_bits, where
from envs.kernel.open_fills import fill_at_open
from envs.kernel.parts import (
    bar_of,
    cost_multiple,
    decisions,
    has_dividends,
    has_funding,
    has_rolls,
    instrument_of,
    is_logged,
)
from envs.kernel.resting import cancel_rolled, fill_entries
from envs.kernel.rolls import roll_over


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


@inner
def trade_entries(rule, market, state, scratch, live):
    """`trade` where orders may rest: fills by the bar's range."""
    after = lane_numbers(scratch.places[HERE])
    for a in range(state.position.shape[0]):
        trades = tradable_rows(rule, market, state, scratch, live, a, after)
        if lane_bits(trades) != 0:
            if has_rolls(market):
                roll_over(rule, market, state, scratch, trades, a)
                cancel_rolled(rule, state, scratch, trades, a)
            entered = fill_entries(rule, market, state, scratch, trades, a)
            if rule[BARRIERS_ON] > 0.0:
                check_barriers(rule, market, state, scratch, trades, a, after, entered)


@hot
def tradable_rows(rule, market, state, scratch, live, a, after):
    """Rows that can trade an asset in bar t + 1 = `after`; what is held of one that is gone is closed."""
    delisted = live & (after >= instrument_of(scratch, a)[DELIST_BAR])
    if lane_bits(delisted) != 0:
        recover_asset(rule, market, state, scratch, delisted, a)
    return live & ~delisted & (bar_of(scratch, a)[TRADABLE] > 0.0)


@hot
def trade(rule, market, state, scratch, live):
    """Everything that can trade inside bar t + 1 before its close, all assets of the live rows."""
    if rarely(rule[SCHEME] == ORDER_ENTRY):
        trade_entries(rule, market, state, scratch, live)
        return
    after = lane_numbers(scratch.places[HERE])
    for a in range(state.position.shape[0]):
        trades = tradable_rows(rule, market, state, scratch, live, a, after)
        if lane_bits(trades) != 0:
            if rarely(has_rolls(market)):
                roll_over(rule, market, state, scratch, trades, a)
            fill_at_open(rule, market, state, scratch, trades, a)
            if rule[BARRIERS_ON] > 0.0:
                check_barriers(rule, market, state, scratch, trades, a, after, first_lanes(0))
