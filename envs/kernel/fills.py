"""Booking a fill: costs, cash, average entry price, realised PnL. One function for every fill in the simulator."""

from __future__ import annotations

import math

from envs.kernel.columns import (
    ADV,
    ATR,
    BARRIERS_ON,
    BY_VOLUME,
    CASH,
    COMMISSION,
    COMMISSION_PER_UNIT,
    COST_FACTOR,
    COST_SCALE,
    DAY_ROOT,
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
    LOSS_SUM,
    LOSSES,
    MULTIPLIER,
    NUM_FILLS,
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


@hot
def fill_costs(rule, instrument, context, bars, t, s, quantity, price, fee_bps, scale):
    """Commission, spread, slippage and impact of a fill in bar t + 1, decided with what is known at close t."""
    size = abs(quantity)
    point = instrument[s, MULTIPLIER]
    notional = size * price * point
    has_context = context.shape[0] > 0
    shares = size / context[t, s, SPLIT] if has_context else size
    tick = shares * point * instrument[s, TICK_SIZE]
    commission = shares * instrument[s, COMMISSION_PER_UNIT] + notional * fee_bps * 1e-4
    spread = tick * instrument[s, HALF_SPREAD_TICKS] + notional * instrument[s, HALF_SPREAD_BPS] * 1e-4
    slippage = 0.0
    kind = rule[SLIPPAGE_KIND]
    if kind == FIXED_BPS:
        slippage = notional * rule[SLIPPAGE_VALUE] * 1e-4
    elif kind == FIXED_TICKS:
        slippage = tick * rule[SLIPPAGE_VALUE]
    elif kind == BY_VOLUME and bars[t + 1, s, VOLUME] > 0.0:
        slippage = notional * rule[SLIPPAGE_VALUE] / math.sqrt(bars[t + 1, s, VOLUME])
    impact = 0.0
    if rule[IMPACT_COEFFICIENT] > 0.0 and has_context and context[t, s, ADV] > 0.0:
        sigma_day = context[t, s, VOLATILITY] * rule[DAY_ROOT]
        impact = notional * rule[IMPACT_COEFFICIENT] * sigma_day * math.sqrt(size / context[t, s, ADV])
    return scale * commission, scale * spread, scale * slippage, scale * impact


@inner
def close_trade_statistics(account, counter, position, e, a):
    """Count a closed position as win or loss by its net PnL over entry notional (Kelly sizing)."""
    notional = position[e, a, TRADE_NOTIONAL]
    result = position[e, a, TRADE_PNL] / notional if notional > 0.0 else 0.0
    if result > 0.0:
        counter[e, WINS] += 1
        account[e, WIN_SUM] += result
    else:
        counter[e, LOSSES] += 1
        account[e, LOSS_SUM] -= result
    position[e, a, TRADE_PNL] = 0.0
    position[e, a, TRADE_NOTIONAL] = 0.0


@hot
def book_position(rule, account, counter, position, slot, context, e, a, s, t, quantity, price, point, paid):
    """Move units by `quantity` at `price`: average entry price, realised PnL (returned), trade statistics."""
    held = position[e, a, UNITS]
    left = held + quantity
    if abs(left) <= DUST * abs(held):
        left = 0.0
    statistics = rule[TRADE_STATS] > 0.0
    realised = 0.0
    entry_share = 1.0
    if held != 0.0 and held * quantity < 0.0:
        closed = min(abs(quantity), abs(held))
        realised = math.copysign(closed, held) * (price - position[e, a, ENTRY_PRICE]) * point
        entry_share = 1.0 - closed / abs(quantity)
    if statistics:
        position[e, a, TRADE_PNL] += realised - paid * (1.0 - entry_share if left * held < 0.0 else 1.0)
        if held != 0.0 and left * held <= 0.0:
            close_trade_statistics(account, counter, position, e, a)
    if left != 0.0 and left * held <= 0.0:
        position[e, a, ENTRY_PRICE] = price
        slot[e, a, ENTRY_BAR] = t + 1
        if rule[BARRIERS_ON] > 0.0:
            position[e, a, EXTREME] = price
            position[e, a, ENTRY_ATR] = context[t, s, ATR] if context.shape[0] > 0 else 0.0
        if statistics:
            position[e, a, TRADE_NOTIONAL] = abs(left) * price * point
            if held != 0.0:
                position[e, a, TRADE_PNL] = -paid * entry_share
    elif left != 0.0 and held * quantity > 0.0:
        position[e, a, ENTRY_PRICE] += (price - position[e, a, ENTRY_PRICE]) * quantity / left
        if statistics:
            position[e, a, TRADE_NOTIONAL] += abs(quantity) * price * point
    elif left == 0.0:
        position[e, a, ENTRY_PRICE] = 0.0
    position[e, a, UNITS] = left
    return realised


@inner
def book_fill(
    rule, instrument, context, bars, account, counter, position, slot, flow, fill_log,
    e, a, s, t, quantity, price, fee_bps, place, reason,
):  # fmt: skip
    """Fill `quantity` units (signed) of asset slot a at `price` inside bar t + 1 and book all it costs."""
    scale = rule[COST_SCALE] * account[e, COST_FACTOR]
    commission, spread, slippage, impact = fill_costs(
        rule, instrument, context, bars, t, s, quantity, price, fee_bps, scale
    )
    paid = commission + spread + slippage + impact
    point = instrument[s, MULTIPLIER]
    realised = book_position(
        rule, account, counter, position, slot, context, e, a, s, t, quantity, price, point, paid
    )
    account[e, CASH] -= quantity * price * point + paid
    flow[e, TURNOVER] += abs(quantity) * price * point
    flow[e, COMMISSION] += commission
    flow[e, SPREAD] += spread
    flow[e, SLIPPAGE] += slippage
    flow[e, IMPACT] += impact
    flow[e, REALISED] += realised
    flow[e, NUM_FILLS] += 1.0
    if fill_log.shape[0] > 0:
        fill_log[e, a, place, FILL_UNITS] = quantity
        fill_log[e, a, place, FILL_PRICE] = price
        fill_log[e, a, place, FILL_COMMISSION] = commission
        fill_log[e, a, place, FILL_SPREAD] = spread
        fill_log[e, a, place, FILL_SLIPPAGE] = slippage
        fill_log[e, a, place, FILL_IMPACT] = impact
        fill_log[e, a, place, FILL_REASON] = reason
