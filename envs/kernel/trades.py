"""From the fills of one asset to its trades: average prices, PnL, excursions and costs, bar by bar.

A trade runs from flat to flat (or to a flip). Axes: R fills, N bars, K trades, T time, S symbol.
"""

from __future__ import annotations

from envs.kernel.columns import AT_CLOSE, AT_LEVEL, HIGH, INSIDE, LOW, MARK
from envs.kernel.jit import compiled, inner

NUM_COSTS = 7
FUNDING_COST, BORROW_COST, DIVIDEND_COST = 4, 5, 6

# trade_KK float64: what stands in the columns of `Trades`, then its costs, then what is only needed while it is open.
(
    SIDE,
    ENTRY_BAR,
    EXIT_BAR,
    ENTRY_PRICE,
    EXIT_PRICE,
    ENTERED,
    PNL,
    MFE,
    MAE,
    CLOSING_FILL,
    FIRST_COST,
) = range(11)
HELD, AVERAGE, ENTRY_VALUE, EXITED, EXIT_VALUE = range(FIRST_COST + NUM_COSTS, FIRST_COST + NUM_COSTS + 5)
NUM_TRADE_COLUMNS = FIRST_COST + NUM_COSTS + 5


@inner
def start_trade(trades, k, side, bar):
    """Begin trade k with nothing held yet."""
    for column in range(trades.shape[1]):
        trades[k, column] = 0.0
    trades[k, SIDE] = side
    trades[k, ENTRY_BAR] = bar


@inner
def enter(trades, k, size, price, costs, i, share):
    """Add `size` units at `price`; `share` of the costs of fill i are this trade's."""
    held = trades[k, HELD]
    trades[k, AVERAGE] = (trades[k, AVERAGE] * held + price * size) / (held + size)
    trades[k, ENTRY_VALUE] += price * size
    trades[k, HELD] += size
    trades[k, ENTERED] += size
    for column in range(NUM_COSTS):
        trades[k, FIRST_COST + column] += costs[i, column] * share


@inner
def leave(trades, k, size, price, point):
    """Take `size` units off at `price`."""
    trades[k, PNL] += trades[k, SIDE] * size * (price - trades[k, AVERAGE]) * point
    trades[k, EXIT_VALUE] += price * size
    trades[k, EXITED] += size
    trades[k, HELD] -= size


@inner
def widen(trades, k, high, low, point):
    """Widen the best and worst PnL by the extremes of a bar."""
    long = trades[k, SIDE] > 0.0
    best = high if long else low
    worst = low if long else high
    scale = trades[k, SIDE] * trades[k, HELD]
    trades[k, MFE] = max(trades[k, MFE], trades[k, PNL] + scale * (best - trades[k, AVERAGE]) * point)
    trades[k, MAE] = min(trades[k, MAE], trades[k, PNL] + scale * (worst - trades[k, AVERAGE]) * point)


@inner
def finish(trades, k, bar, fill):
    """Write the columns of a trade that ends in `bar` by fill number `fill` (-1: still open, at its mark)."""
    total = 0.0
    for column in range(NUM_COSTS):
        total += trades[k, FIRST_COST + column]
    trades[k, EXIT_BAR] = bar
    trades[k, ENTRY_PRICE] = trades[k, ENTRY_VALUE] / trades[k, ENTERED]
    trades[k, EXIT_PRICE] = trades[k, EXIT_VALUE] / trades[k, EXITED]
    trades[k, PNL] -= total
    trades[k, CLOSING_FILL] = fill


@inner
def apply_fill(trades, k, is_open, units, price, costs, place, i, high, low, bar, point):
    """Apply fill i. Returns (trades finished so far, whether a trade is open)."""
    left = abs(units)
    share = 1.0
    if is_open and trades[k, SIDE] * units < 0.0:
        size = min(left, trades[k, HELD])
        if left - size <= 1e-9 * left:
            left = size
        if place == AT_CLOSE:
            widen(trades, k, high, low, point)
        elif place in (AT_LEVEL, INSIDE):
            widen(trades, k, price, price, point)
        if left > size:
            share = size / abs(units)
        leave(trades, k, size, price, point)
        for column in range(NUM_COSTS):
            trades[k, FIRST_COST + column] += costs[i, column] * share
        share = 1.0 - share
        left -= size
        trades[k, MFE] = max(trades[k, MFE], trades[k, PNL])
        trades[k, MAE] = min(trades[k, MAE], trades[k, PNL])
        if trades[k, HELD] <= 1e-9 * trades[k, ENTERED]:
            finish(trades, k, bar, i)
            k += 1
            is_open = False
    if left > 0.0:
        if not is_open:
            start_trade(trades, k, 1.0 if units > 0.0 else -1.0, bar)
            is_open = True
        enter(trades, k, left, price, costs, i, share)
    return k, is_open


@compiled
def trades_of_asset(filled_bar, units, price, costs, place, financing, bar, bars, symbol, point, trades):
    """Write the trades of one asset; returns how many.

    filled_bar, units, price, place (R,) and costs (R, 7) in the order of bar and place; financing (N, 3), funding,
    borrow and dividends of each bar; bar (N,); bars (T, S, 6); trades (R + 1, K) receives them.
    """
    k = 0
    is_open = False
    at = 0
    for step in range(bar.shape[0]):
        now = bar[step]
        if is_open:
            trades[k, FIRST_COST + FUNDING_COST] += financing[step, 0]
            trades[k, FIRST_COST + BORROW_COST] += financing[step, 1]
            trades[k, FIRST_COST + DIVIDEND_COST] += financing[step, 2]
        high = bars[now, symbol, HIGH]
        low = bars[now, symbol, LOW]
        inside = False
        while at < filled_bar.shape[0] and filled_bar[at] == now:
            k, is_open = apply_fill(
                trades, k, is_open, units[at], price[at], costs, place[at], at, high, low, now, point
            )
            inside = inside or place[at] == AT_LEVEL
            at += 1
        if is_open and inside:  # what of the bar was after the entry is not known, but its close
            high = low = bars[now, symbol, MARK]
        if is_open:
            widen(trades, k, high, low, point)
    if is_open and trades[k, HELD] > 0.0:
        last = bar[bar.shape[0] - 1]
        leave(trades, k, trades[k, HELD], bars[last, symbol, MARK], point)
        finish(trades, k, last, -1)
        k += 1
    return k
