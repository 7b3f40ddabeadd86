"""Booking a fill: costs, cash, average entry price, realised PnL. One function for every fill in the simulator.

All of one asset slot of one env row: `instrument`, `last_bar` and `bar` (bars t and t + 1), `position` and
`slot` are its columns (K,), `fills` its part of the fill log (place, K).
"""

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
def fill_costs(rule, instrument, last_bar, bar, quantity, price, fee_bps, scale):
    """Commission, spread, slippage and impact of a fill in bar t + 1, decided with what is known at close t."""
    size = abs(quantity)
    point = instrument[MULTIPLIER]
    notional = size * price * point
    has_context = last_bar.shape[0] > ATR
    shares = size / last_bar[SPLIT] if has_context else size
    tick = shares * point * instrument[TICK_SIZE]
    commission = shares * instrument[COMMISSION_PER_UNIT] + notional * fee_bps * 1e-4
    spread = tick * instrument[HALF_SPREAD_TICKS] + notional * instrument[HALF_SPREAD_BPS] * 1e-4
    slippage = 0.0
    kind = rule[SLIPPAGE_KIND]
    if kind == FIXED_BPS:
        slippage = notional * rule[SLIPPAGE_VALUE] * 1e-4
    elif kind == FIXED_TICKS:
        slippage = tick * rule[SLIPPAGE_VALUE]
    elif kind == BY_VOLUME and bar[VOLUME] > 0.0:
        slippage = notional * rule[SLIPPAGE_VALUE] / math.sqrt(bar[VOLUME])
    impact = 0.0
    if rule[IMPACT_COEFFICIENT] > 0.0 and has_context and last_bar[ADV] > 0.0:
        sigma_day = last_bar[VOLATILITY] * rule[DAY_ROOT]
        impact = notional * rule[IMPACT_COEFFICIENT] * sigma_day * math.sqrt(size / last_bar[ADV])
    return scale * commission, scale * spread, scale * slippage, scale * impact


@inner
def close_trade_statistics(account, counter, position):
    """Count a closed position as win or loss by its net PnL over entry notional (Kelly sizing)."""
    notional = position[TRADE_NOTIONAL]
    result = position[TRADE_PNL] / notional if notional > 0.0 else 0.0
    if result > 0.0:
        counter[WINS] += 1
        account[WIN_SUM] += result
    else:
        counter[LOSSES] += 1
        account[LOSS_SUM] -= result
    position[TRADE_PNL] = 0.0
    position[TRADE_NOTIONAL] = 0.0


@hot
def book_position(rule, account, counter, position, slot, last_bar, t, quantity, price, point, paid):
    """Move units by `quantity` at `price`: average entry price, realised PnL (returned), trade statistics."""
    held = position[UNITS]
    left = held + quantity
    if abs(left) <= DUST * abs(held):
        left = 0.0
    statistics = rule[TRADE_STATS] > 0.0
    realised = 0.0
    entry_share = 1.0
    if held != 0.0 and held * quantity < 0.0:
        closed = min(abs(quantity), abs(held))
        realised = math.copysign(closed, held) * (price - position[ENTRY_PRICE]) * point
        entry_share = 1.0 - closed / abs(quantity)
    if statistics:
        position[TRADE_PNL] += realised - paid * (1.0 - entry_share if left * held < 0.0 else 1.0)
        if held != 0.0 and left * held <= 0.0:
            close_trade_statistics(account, counter, position)
    if left != 0.0 and left * held <= 0.0:
        position[ENTRY_PRICE] = price
        slot[ENTRY_BAR] = t + 1
        if rule[BARRIERS_ON] > 0.0:
            position[EXTREME] = price
            position[ENTRY_ATR] = last_bar[ATR] if last_bar.shape[0] > ATR else 0.0
        if statistics:
            position[TRADE_NOTIONAL] = abs(left) * price * point
            if held != 0.0:
                position[TRADE_PNL] = -paid * entry_share
    elif left != 0.0 and held * quantity > 0.0:
        position[ENTRY_PRICE] += (price - position[ENTRY_PRICE]) * quantity / left
        if statistics:
            position[TRADE_NOTIONAL] += abs(quantity) * price * point
    elif left == 0.0:
        position[ENTRY_PRICE] = 0.0
    position[UNITS] = left
    return realised


@inner
def book_fill(
    rule, instrument, last_bar, bar, account, counter, position, slot, flow, fills,
    t, quantity, price, fee_bps, place, reason,
):  # fmt: skip
    """Fill `quantity` units (signed) at `price` inside bar t + 1 and book all it costs."""
    scale = rule[COST_SCALE] * account[COST_FACTOR]
    commission, spread, slippage, impact = fill_costs(
        rule, instrument, last_bar, bar, quantity, price, fee_bps, scale
    )
    paid = commission + spread + slippage + impact
    point = instrument[MULTIPLIER]
    realised = book_position(
        rule, account, counter, position, slot, last_bar, t, quantity, price, point, paid
    )
    account[CASH] -= quantity * price * point + paid
    flow[TURNOVER] += abs(quantity) * price * point
    flow[COMMISSION] += commission
    flow[SPREAD] += spread
    flow[SLIPPAGE] += slippage
    flow[IMPACT] += impact
    flow[REALISED] += realised
    flow[NUM_FILLS] += 1.0
    if fills.shape[0] > 0:
        fill = fills[place]
        fill[FILL_UNITS] = quantity
        fill[FILL_PRICE] = price
        fill[FILL_COMMISSION] = commission
        fill[FILL_SPREAD] = spread
        fill[FILL_SLIPPAGE] = slippage
        fill[FILL_IMPACT] = impact
        fill[FILL_REASON] = reason
