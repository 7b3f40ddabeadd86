"""Start of an episode (window, start bar, randomisation) and its statistics at the end."""

from __future__ import annotations

from envs.kernel.columns import (
    BAR,
    BELOW_VAR,
    CASH,
    COST_FACTOR,
    COST_HIGH,
    COST_LOW,
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
    PEAK,
    PENDING_RESET,
    QUEUE,
    RANDOM_EPISODE,
    RANDOM_TICKERS,
    SESSION_EQUITY,
    START,
    STEPS,
    STOP,
    STREAM,
    SYMBOL,
    TRADE_NOTIONAL,
    TRADE_PNL,
    TRADE_STATS,
    WARMUP_BARS,
    WHOLE_EPISODE,
    WINDOW_START,
    WINDOW_STARTS,
    WINDOW_STOP,
    WINS,
)
from envs.kernel.draws import uniform
from envs.kernel.jit import inner

# Names of the draws of one episode.
DRAW_WINDOW, DRAW_START, DRAW_COST, DRAW_LATENCY, DRAW_TICKER = range(5)


@inner
def draw_window(rule, windows, counter, seed, e):
    """Set START and STOP of the new episode. Windows are drawn in proportion to their possible starts."""
    stream = counter[e, STREAM]
    episode = counter[e, EPISODE]
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
    counter[e, START] = start
    counter[e, STOP] = stop
    counter[e, BAR] = start - 1 - int(rule[WARMUP_BARS])


@inner
def draw_tickers(counter, slot, num_symbols, seed, e):
    """Choose the row's symbols without replacement, in market order (Knuth's algorithm S)."""
    needed = slot.shape[1]
    chosen = 0
    for s in range(num_symbols):
        left = num_symbols - s
        u = uniform(seed, counter[e, STREAM], counter[e, EPISODE], DRAW_TICKER + s)
        if u * left < needed - chosen:
            slot[e, chosen, SYMBOL] = s
            chosen += 1
            if chosen == needed:
                return


@inner
def clear_row(rule, account, counter, position, slot, e):
    """Put row e into the state of an untouched account."""
    initial = rule[INITIAL_EQUITY]
    for k in range(account.shape[1]):
        account[e, k] = 0.0
    account[e, CASH] = initial
    account[e, EQUITY] = initial
    account[e, PEAK] = initial
    account[e, SESSION_EQUITY] = initial
    account[e, COST_FACTOR] = 1.0
    for a in range(position.shape[1]):
        for k in range(position.shape[2]):
            position[e, a, k] = KEEP if k >= QUEUE else 0.0
        if rule[TRADE_STATS] > 0.0:
            position[e, a, TRADE_PNL] = position[e, a, TRADE_NOTIONAL] = 0.0
        slot[e, a, ENTRY_BAR] = -1
    counter[e, PENDING_RESET] = counter[e, ENTRIES] = counter[e, STEPS] = 0
    counter[e, WINS] = counter[e, LOSSES] = counter[e, BELOW_VAR] = 0
    counter[e, EPISODE_BREACHES] = counter[e, EPISODE_FILLS] = 0
    counter[e, HALT] = NOT_HALTED


@inner
def reset_row(rule, windows, account, counter, position, slot, below, num_symbols, seed, e):
    """Start the next episode of row e."""
    clear_row(rule, account, counter, position, slot, e)
    for i in range(below.shape[1]):
        below[e, i] = 0
    counter[e, EPISODE] += 1
    stream = counter[e, STREAM]
    episode = counter[e, EPISODE]
    draw_window(rule, windows, counter, seed, e)
    if rule[COST_HIGH] >= 0.0:
        u = uniform(seed, stream, episode, DRAW_COST)
        account[e, COST_FACTOR] = rule[COST_LOW] + u * (rule[COST_HIGH] - rule[COST_LOW])
    latency = int(rule[LATENCY_BARS])
    if rule[EXTRA_LATENCY] > 0.0:
        choices = rule[EXTRA_LATENCY] + 1.0
        latency += int(uniform(seed, stream, episode, DRAW_LATENCY) * choices)
    counter[e, LATENCY] = latency
    if rule[RANDOM_TICKERS] > 0.0:
        draw_tickers(counter, slot, num_symbols, seed, e)


@inner
def write_statistics(rule, account, counter, ended, e):
    """Write the statistics of the episode that row e has just ended."""
    ended[e, ENDED_RETURN] = account[e, EQUITY] / rule[INITIAL_EQUITY] - 1.0
    ended[e, ENDED_LENGTH] = counter[e, STEPS]
    ended[e, ENDED_TURNOVER] = account[e, EPISODE_TURNOVER]
    ended[e, ENDED_COST] = account[e, EPISODE_COST] / rule[INITIAL_EQUITY]
    ended[e, ENDED_BREACHES] = counter[e, EPISODE_BREACHES]
    ended[e, ENDED_FILLS] = counter[e, EPISODE_FILLS]
    ended[e, ENDED_MAX_DRAWDOWN] = -account[e, DEEPEST]
