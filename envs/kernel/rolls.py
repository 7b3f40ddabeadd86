"""Rolling what is held into the next dated contract, where bar t + 1 is the first of that.

Of one asset slot, in the rows of a block. The two opens are those of the contract that is left (ROLL) and of the one
that begins (OPEN), in the same bar.
"""

from __future__ import annotations

from envs.kernel.columns import (
    BARRIERS_ON,
    BY_ROLL,
    CASH,
    COMMISSION,
    ENTRY_PRICE,
    EXTREME,
    IMPACT,
    MULTIPLIER,
    NEW_CONTRACT,
    NO_ROLL,
    NUM_FILLS,
    OLD_CONTRACT,
    OPEN,
    ROLL,
    SLIPPAGE,
    SPREAD,
    TAKER_BPS,
    TRADE_PNL,
    TRADE_STATS,
    TURNOVER,
    UNITS,
)
from envs.kernel.fills import fill_costs, log_fill
from envs.kernel.jit import hot, inner
from envs.kernel.lane_arrays import block
from envs.kernel.lanes import everywhere, lane_bits
from envs.kernel.parts import bar_of, cost_multiple, has_context, instrument_of, is_logged


@hot
def roll_over(rule, market, state, scratch, live, a):
    """Move what is held of an asset into its next contract, where bar t + 1 is the first of that."""
    position, left_at = block(state.position[a], live), bar_of(scratch, a)[ROLL]
    who = live & (position[UNITS] != 0.0) & (left_at != NO_ROLL)
    if lane_bits(who) != 0:
        book_roll(rule, market, state, scratch, who, a, left_at)


@inner
def book_roll(rule, market, state, scratch, who, a, left_at):
    """Close what the rows `who` hold of an asset at the open of the contract that is left, and open it in the next.

    Two fills with the costs of any fill. The position goes on: its entry price and the extreme since entry move by the
    step between the two opens, so that the step is neither gain nor loss, and nothing is realised. Rare, and so a call.
    """
    position, begun_at = block(state.position[a], who), bar_of(scratch, a)[OPEN]
    units, step = position[UNITS], begun_at - left_at
    paid = book_side(rule, market, state, scratch, who, a, -units, left_at, OLD_CONTRACT)
    paid += book_side(rule, market, state, scratch, who, a, units, begun_at, NEW_CONTRACT)
    position[ENTRY_PRICE] = position[ENTRY_PRICE] + step
    if rule[BARRIERS_ON] > 0.0:
        position[EXTREME] = position[EXTREME] + step
    if rule[TRADE_STATS] > 0.0:
        pnl = state.position.shape[1] + TRADE_PNL
        position[pnl] = position[pnl] - paid


@hot
def book_side(rule, market, state, scratch, who, a, quantity, price, place):
    """Book one of the two fills of a roll, all but the position. Returns what it costs."""
    account, flow = block(state.account, who), block(state.flow, who)
    terms, scale = instrument_of(scratch, a), cost_multiple(account)
    commission, spread, slippage, impact = fill_costs(
        rule, terms, bar_of(scratch, a), quantity, price, terms[TAKER_BPS], scale, has_context(market)
    )
    paid = commission + spread + slippage + impact
    account[CASH] = account[CASH] - (quantity * price * terms[MULTIPLIER] + paid)
    flow[TURNOVER] = flow[TURNOVER] + abs(quantity * price) * terms[MULTIPLIER]
    flow[COMMISSION] = flow[COMMISSION] + commission
    flow[SPREAD] = flow[SPREAD] + spread
    flow[SLIPPAGE] = flow[SLIPPAGE] + slippage
    flow[IMPACT] = flow[IMPACT] + impact
    flow[NUM_FILLS] = flow[NUM_FILLS] + 1.0
    if is_logged(state):
        reason = everywhere(BY_ROLL)
        log_fill(state, scratch, who, a, quantity, price, commission, spread, slippage, impact, place, reason)
    return paid
