"""Start of an episode (window, start bar, randomisation) and its statistics at the end. Arrays are those of one row."""

from __future__ import annotations

from envs.kernel.columns import (
    BAR,
    BELOW_VAR,
    CASH,
    COST_DRAW,
    COST_HIGH,
    COST_LOW,
    COST_SCALE,
    DEEPEST,
    ENDED_BREACHES,
    ENDED_COST,
    ENDED_FILLS,
    ENDED_LENGTH,
    ENDED_MAX_DRAWDOWN,
    ENDED_RETURN,
    ENDED_TURNOVER,
    ENTRIES,
    ENTRY_BAR,
    EPISODE,
    EPISODE_BARS,
    EPISODE_BREACHES,
    EPISODE_COST,
    EPISODE_FILLS,
    EPISODE_KIND,
    EPISODE_TURNOVER,
    EQUITY,
    EXTRA_LATENCY,
    HALT,
    INITIAL_EQUITY,
    KEEP,
    LATENCY,
    LATENCY_BARS,
    LOSSES,
    NOT_HALTED,
    NUM_RESTING_COLUMNS,
    ORDER_ENTRY,
    PEAK,
    PENDING_RESET,
    QUEUE,
    RANDOM_EPISODE,
    RANDOM_TICKERS,
    SCHEME,
    SESSION_EQUITY,
    SLOT_ENTRIES,
    START,
    STEPS,
    STOP,
    STREAM,
    SYMBOL,
    TRADE_NOTIONAL,
    TRADE_PNL,
    TRADE_STATS,
    VAR_PLACE,
    WARMUP_BARS,
    WHOLE_EPISODE,
    WINDOW_START,
    WINDOW_STARTS,
    WINDOW_STOP,
    WINS,
)
from envs.kernel.draws import uniform
from envs.kernel.jit import inner
from envs.kernel.order_queue import decided_column, has_atr_levels, resting_column

# Names of the draws of one episode.
DRAW_WINDOW, DRAW_START, DRAW_COST, DRAW_LATENCY, DRAW_TICKER = range(5)


@inner
def draw_window(rule, windows, counter, seed):
    """Set START and STOP of the new episode. Windows are drawn in proportion to their possible starts."""
    stream = counter[STREAM]
    episode = counter[EPISODE]
    count = windows.shape[0]
    w = stream % count
    if rule[EPISODE_KIND] != WHOLE_EPISODE:
        total = windows[count - 1, WINDOW_STARTS]
        pick = min(int(uniform(seed, stream, episode, DRAW_WINDOW) * total), total - 1)
        w = 0
        while windows[w, WINDOW_STARTS] <= pick:
            w += 1
    start = windows[w, WINDOW_START]
    stop = windows[w, WINDOW_STOP]
    if rule[EPISODE_KIND] == RANDOM_EPISODE:
        bars = int(rule[EPISODE_BARS])
        choices = stop - start - bars + 1
        start += min(int(uniform(seed, stream, episode, DRAW_START) * choices), choices - 1)
        stop = start + bars
    counter[START] = start
    counter[STOP] = stop
    counter[BAR] = start - 1 - int(rule[WARMUP_BARS])


@inner
def draw_tickers(counter, slots, num_symbols, seed):
    """Choose the row's symbols without replacement, in market order (Knuth's algorithm S)."""
    needed = slots.shape[0]
    chosen = 0
    for s in range(num_symbols):
        left = num_symbols - s
        u = uniform(seed, counter[STREAM], counter[EPISODE], DRAW_TICKER + s)
        if u * left < needed - chosen:
            slots[chosen, SYMBOL] = s
            chosen += 1
            if chosen == needed:
                return


@inner
def clear_row(rule, account, counter, positions, slots):
    """Put a row into the state of an untouched account; its cost scale stays."""
    initial, scale = rule[INITIAL_EQUITY], account[COST_SCALE]
    for k in range(account.shape[0]):
        account[k] = 0.0
    account[CASH] = initial
    account[EQUITY] = initial
    account[PEAK] = initial
    account[SESSION_EQUITY] = initial
    account[COST_SCALE], account[COST_DRAW] = scale, 1.0
    for a in range(positions.shape[0]):
        position = positions[a]
        for k in range(position.shape[0]):
            position[k] = KEEP if k >= QUEUE else 0.0
        if has_atr_levels(rule):
            position[decided_column(rule, position.shape[0])] = 0.0
        if rule[SCHEME] == ORDER_ENTRY:
            resting = resting_column(rule, position.shape[0])
            for k in range(resting, resting + NUM_RESTING_COLUMNS):
                position[k] = 0.0
        if rule[TRADE_STATS] > 0.0:
            position[TRADE_PNL] = position[TRADE_NOTIONAL] = 0.0
        slots[a, ENTRY_BAR] = -1
        if slots.shape[1] > SLOT_ENTRIES:
            slots[a, SLOT_ENTRIES] = 0
    counter[PENDING_RESET] = counter[ENTRIES] = counter[STEPS] = 0
    counter[WINS] = counter[LOSSES] = counter[BELOW_VAR] = counter[VAR_PLACE] = 0
    counter[EPISODE_BREACHES] = counter[EPISODE_FILLS] = 0
    counter[HALT] = NOT_HALTED


@inner
def reset_row(rule, windows, account, counter, positions, slots, below, num_symbols, seed):
    """Start the next episode of a row."""
    clear_row(rule, account, counter, positions, slots)
    for i in range(below.shape[0]):
        below[i] = 0
    counter[EPISODE] += 1
    stream = counter[STREAM]
    episode = counter[EPISODE]
    draw_window(rule, windows, counter, seed)
    if rule[COST_HIGH] >= 0.0:
        u = uniform(seed, stream, episode, DRAW_COST)
        account[COST_DRAW] = rule[COST_LOW] + u * (rule[COST_HIGH] - rule[COST_LOW])
    latency = int(rule[LATENCY_BARS])
    if rule[EXTRA_LATENCY] > 0.0:
        choices = rule[EXTRA_LATENCY] + 1.0
        latency += int(uniform(seed, stream, episode, DRAW_LATENCY) * choices)
    counter[LATENCY] = latency
    if rule[RANDOM_TICKERS] > 0.0:
        draw_tickers(counter, slots, num_symbols, seed)


@inner
def write_statistics(rule, account, counter, ended):
    """Write the statistics of the episode that a row has just ended into ended (K,)."""
    ended[ENDED_RETURN] = account[EQUITY] / rule[INITIAL_EQUITY] - 1.0
    ended[ENDED_LENGTH] = counter[STEPS]
    ended[ENDED_TURNOVER] = account[EPISODE_TURNOVER]
    ended[ENDED_COST] = account[EPISODE_COST] / rule[INITIAL_EQUITY]
    ended[ENDED_BREACHES] = counter[EPISODE_BREACHES]
    ended[ENDED_FILLS] = counter[EPISODE_FILLS]
    ended[ENDED_MAX_DRAWDOWN] = -account[DEEPEST]
