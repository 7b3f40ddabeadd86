"""Booking a fill: costs, cash, average entry price, realised PnL. One function for every fill in the simulator.

Of one asset slot, in the rows `who` of a block: `terms`, `position` and `slot` are its columns, `bar` is bar t + 1
with what was known before it opened.
"""

from __future__ import annotations

import math

from envs.kernel.columns import (
    ADV,
    ATR,
    BAR,
    BARRIERS_ON,
    BY_VOLUME,
    CASH,
    COMMISSION,
    COMMISSION_PER_UNIT,
    DAY_ROOT,
    DECIDED,
    DUST,
    ENTRY_ATR,
    ENTRY_BAR,
    ENTRY_PRICE,
    EXTREME,
    FILL_COMMISSION,
    FILL_IMPACT,
    FILL_PRICE,
    FILL_REASON,
    FILL_SLIPPAGE,
    FILL_SPREAD,
    FILL_UNITS,
    FIXED_BPS,
    FIXED_TICKS,
    HALF_SPREAD_BPS,
    HALF_SPREAD_TICKS,
    IMPACT,
    IMPACT_COEFFICIENT,
    LINEAR_IMPACT,
    LOSS_SUM,
    LOSSES,
    MULTIPLIER,
    NUM_FILL_COLUMNS,
    NUM_FILLS,
    NUM_PLACES,
    REALISED,
    SLIPPAGE,
    SLIPPAGE_KIND,
    SLIPPAGE_VALUE,
    SPLIT,
    SPREAD,
    TICK_SIZE,
    TRADE_NOTIONAL,
    TRADE_PNL,
    TRADE_STATS,
    TURNOVER,
    UNITS,
    VOLATILITY,
    VOLUME,
    WIN_SUM,
    WINS,
)
from envs.kernel.jit import hot, inner
from envs.kernel.lane_arrays import beside, block, neighbours, rows_at
from envs.kernel.lane_entries import put_numbers
from envs.kernel.lanes import everywhere, lane_bits, where
from envs.kernel.order_queue import decided_column, has_atr_levels
from envs.kernel.parts import bar_of, cost_multiple, has_context, instrument_of, is_logged


@hot
def fill_costs(rule, terms, bar, quantity, price, fee_bps, scale, context):
    """Commission, spread, slippage and impact of a fill in bar t + 1, decided with what is known at close t."""
    size = abs(quantity)
    point = terms[MULTIPLIER]
    notional = size * abs(price) * point
    shares = size / bar[SPLIT] if context else size
    tick = shares * point * terms[TICK_SIZE]
    commission = shares * terms[COMMISSION_PER_UNIT] + notional * fee_bps * 1e-4
    spread = tick * terms[HALF_SPREAD_TICKS] + notional * terms[HALF_SPREAD_BPS] * 1e-4
    slippage = impact = everywhere(0.0)
    kind = rule[SLIPPAGE_KIND]
    if kind == FIXED_BPS:
        slippage = notional * rule[SLIPPAGE_VALUE] * 1e-4
    elif kind == FIXED_TICKS:
        slippage = tick * rule[SLIPPAGE_VALUE]
    elif kind == BY_VOLUME:
        slippage = where(bar[VOLUME] > 0.0, notional * rule[SLIPPAGE_VALUE] / math.sqrt(bar[VOLUME]), 0.0)
    if rule[IMPACT_COEFFICIENT] > 0.0 and context:
        adv, sigma_day = bar[ADV], bar[VOLATILITY] * rule[DAY_ROOT]
        impact = notional * rule[IMPACT_COEFFICIENT] * sigma_day * math.sqrt(size / adv)
        impact = where((adv > 0.0) & (sigma_day >= 0.0), impact, 0.0)
    if rule[LINEAR_IMPACT] > 0.0:
        impact = impact + notional * notional * rule[LINEAR_IMPACT]
    return scale * commission, scale * spread, scale * slippage, scale * impact


@hot
def book_trade(
    account,
    counter,
    position,
    num_columns,
    realised,
    paid,
    starts,
    adds,
    left,
    entry_share,
    price,
    point,
    quantity,
):
    """Statistics of closed trades (Kelly sizing): net PnL over entry notional, counted as win or loss."""
    held = position[UNITS]
    pnl, entered = num_columns + TRADE_PNL, num_columns + TRADE_NOTIONAL
    result = position[pnl] + (realised - paid * where(left * held < 0.0, 1.0 - entry_share, 1.0))
    base = position[entered]
    ends = (held != 0.0) & (left * held <= 0.0)
    share = where(base > 0.0, result / base, 0.0)
    won = ends & (share > 0.0)
    lost = ends & ~won
    counter[WINS] = counter[WINS] + where(won, 1.0, 0.0)
    counter[LOSSES] = counter[LOSSES] + where(lost, 1.0, 0.0)
    account[WIN_SUM] = account[WIN_SUM] + where(won, share, 0.0)
    account[LOSS_SUM] = account[LOSS_SUM] - where(lost, share, 0.0)
    result, base = where(ends, 0.0, result), where(ends, 0.0, base)
    position[pnl] = where(starts & (held != 0.0), -paid * entry_share, result)
    position[entered] = where(
        starts, abs(left) * abs(price) * point, where(adds, base + abs(quantity) * abs(price) * point, base)
    )


@hot
def book_position(rule, account, counter, position, slot, num_columns, quantity, price, point, paid):
    """Move units by `quantity` at `price`: average entry price, trade statistics.

    Returns the PnL that is realised, and where a position starts.
    """
    held, entry = position[UNITS], position[ENTRY_PRICE]
    left = held + quantity
    left = where(abs(left) <= DUST * abs(held), 0.0, left)
    reduces = held * quantity < 0.0
    closed = min(abs(quantity), abs(held))
    realised = where(reduces, math.copysign(closed, held) * (price - entry) * point, 0.0)
    starts = (left != 0.0) & (left * held <= 0.0)
    adds = (left != 0.0) & (held * quantity > 0.0)
    if rule[TRADE_STATS] > 0.0:
        entry_share = where(reduces, 1.0 - closed / abs(quantity), 1.0)
        book_trade(
            account,
            counter,
            position,
            num_columns,
            realised,
            paid,
            starts,
            adds,
            left,
            entry_share,
            price,
            point,
            quantity,
        )
    average = where(adds, entry + (price - entry) * quantity / left, entry)
    position[ENTRY_PRICE] = where(starts, price, where(left == 0.0, 0.0, average))
    slot[ENTRY_BAR] = where(starts, counter[BAR] + 1.0, slot[ENTRY_BAR])
    position[UNITS] = left
    return realised, starts


@inner
def atr_before(market, scratch, a, bar):
    """ATR of asset slot a as known before each lane's `bar` opened, 0 where it was not. Rare, and so a call."""
    put_numbers(scratch.places[DECIDED], bar)
    atr = beside(rows_at(market.bars, scratch.places[DECIDED]), scratch.shifts[a])[ATR]
    return where(atr > 0.0, atr, 0.0)


@hot
def start_levels(rule, market, scratch, a, position, num_columns, price, starts):
    """Note what the barriers of asset slot a stand on, where a position `starts` at `price`."""
    position[EXTREME] = where(starts, price, position[EXTREME])
    if has_atr_levels(rule) and has_context(market) and lane_bits(starts) != 0:
        known = position[decided_column(rule, num_columns)]
        atr = atr_before(market, scratch, a, where(starts, known, 0.0))
        position[ENTRY_ATR] = where(starts, atr, position[ENTRY_ATR])


@hot
def book_fill(rule, market, state, scratch, who, a, quantity, price, fee_bps, place, reason):
    """Fill `quantity` units (signed) of asset slot a at `price` inside bar t + 1 and book all it costs."""
    terms, bar = instrument_of(scratch, a), bar_of(scratch, a)
    scale = cost_multiple(block(state.account, who))
    commission, spread, slippage, impact = fill_costs(
        rule, terms, bar, quantity, price, fee_bps, scale, has_context(market)
    )
    book_at_costs(
        rule,
        market,
        state,
        scratch,
        who,
        a,
        quantity,
        price,
        commission,
        spread,
        slippage,
        impact,
        place,
        reason,
    )


@hot
def book_at_costs(
    rule, market, state, scratch, who, a, quantity, price, commission, spread, slippage, impact, place, reason
):
    """Book a fill whose costs are known: cash, position, flow of the bar and the log."""
    account, counter, flow = block(state.account, who), block(state.counter, who), block(state.flow, who)
    position, slot = block(state.position[a], who), block(state.slot[a], who)
    paid = commission + spread + slippage + impact
    point, num_columns = instrument_of(scratch, a)[MULTIPLIER], state.position.shape[1]
    realised, starts = book_position(
        rule, account, counter, position, slot, num_columns, quantity, price, point, paid
    )
    if rule[BARRIERS_ON] > 0.0:
        start_levels(rule, market, scratch, a, position, num_columns, price, starts)
    account[CASH] = account[CASH] - (quantity * price * point + paid)
    flow[TURNOVER] = flow[TURNOVER] + abs(quantity * price) * point
    flow[COMMISSION] = flow[COMMISSION] + commission
    flow[SPREAD] = flow[SPREAD] + spread
    flow[SLIPPAGE] = flow[SLIPPAGE] + slippage
    flow[IMPACT] = flow[IMPACT] + impact
    flow[REALISED] = flow[REALISED] + realised
    flow[NUM_FILLS] = flow[NUM_FILLS] + 1.0
    if is_logged(state):
        log_fill(state, scratch, who, a, quantity, price, commission, spread, slippage, impact, place, reason)


@hot
def log_fill(state, scratch, who, a, quantity, price, commission, spread, slippage, impact, place, reason):
    """Write a fill of asset slot a into the log of the rows `who`."""
    log = neighbours(state.fill_log, state.first, who, scratch.waste)
    k = (a * NUM_PLACES + place) * NUM_FILL_COLUMNS
    log[k + FILL_UNITS] = quantity
    log[k + FILL_PRICE] = price
    log[k + FILL_COMMISSION] = commission
    log[k + FILL_SPREAD] = spread
    log[k + FILL_SLIPPAGE] = slippage
    log[k + FILL_IMPACT] = impact
    log[k + FILL_REASON] = reason
