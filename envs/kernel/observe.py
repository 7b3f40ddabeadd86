"""The one observation builder: writes the float32 vector of an env row (layout: envs.observations)."""

from __future__ import annotations

from envs.kernel.columns import (
    BAR,
    BARS_LEFT,
    ENTRY_BAR,
    ENTRY_PRICE,
    EQUITY,
    HALT,
    HOLDING_SCALE,
    MARK,
    MAX_GROSS,
    MULTIPLIER,
    NOT_HALTED,
    PEAK,
    RETURN_SCALE,
    SESSION_EQUITY,
    SYMBOL,
    TARGET,
    TRADABLE,
    UNITS,
)
from envs.kernel.jit import hot, non_negative, sign

NUM_POSITION_FEATURES = 6
NUM_ACCOUNT_FEATURES = 6


@hot
def soft(x):
    """x / (1 + |x|), bounded by 1."""
    return x / (1.0 + abs(x))


@hot
def clip_unit(x):
    """Clip to [-1, 1]."""
    return min(max(x, -1.0), 1.0)


@hot
def observe_row(
    out, features, clock, calendar, bars, instruments, rule, account, counter, positions, slots, symbols,
    num_features,
):  # fmt: skip
    """Write the observation of a row at the close of its bar t into out (D,).

    features (T, S * F), clock (T, C), calendar (T, K), bars (T, S, K). num_features : F.
    """
    t = non_negative(counter[BAR])
    known, day, last_bars = features[t], calendar[t], bars[t]
    num_assets = positions.shape[0]
    if slots.shape[1] > SYMBOL:
        for a in range(num_assets):
            place, source = a * num_features, non_negative(symbols[a] * num_features)
            for f in range(num_features):
                out[place + f] = known[source + f]
    else:  # the market's first assets in order: their features are one block
        for f in range(num_assets * num_features):
            out[f] = known[f]
    k = non_negative(num_assets * num_features)
    equity = account[EQUITY]
    per_cap = 1.0 / (max(equity, 1e-300) * rule[MAX_GROSS])
    entry_known = t + 1.0
    gross = net = 0.0
    for a in range(num_assets):
        s = symbols[a]
        position, bar = positions[a], last_bars[s]
        units = position[UNITS]
        mark = bar[MARK]
        per_unit = mark * instruments[s, MULTIPLIER] * per_cap
        gross += abs(units) * per_unit
        net += units * per_unit
        side = float(sign(units))
        # soft(side * (mark / entry - 1) / scale), with one division
        move = side * (mark - position[ENTRY_PRICE])
        gain = move / max(abs(move) + rule[RETURN_SCALE] * position[ENTRY_PRICE], 1e-300)
        held = abs(side) * (entry_known - slots[a, ENTRY_BAR])
        held /= held + rule[HOLDING_SCALE]
        out[k] = side
        out[k + 1] = clip_unit(units * per_unit)
        out[k + 2] = clip_unit((position[TARGET] - units) * per_unit)
        out[k + 3] = gain
        out[k + 4] = held
        out[k + 5] = bar[TRADABLE]
        k = non_negative(k + NUM_POSITION_FEATURES)
    out[k] = min(gross, 1.0)
    out[k + 1] = clip_unit(net)
    out[k + 2] = min(max(1.0 - equity / account[PEAK], 0.0), 1.0)
    out[k + 3] = soft((equity / account[SESSION_EQUITY] - 1.0) / rule[RETURN_SCALE])
    out[k + 4] = 0.0 if counter[HALT] == NOT_HALTED else 1.0
    out[k + 5] = 1.0 / (1.0 + day[BARS_LEFT])
    k = non_negative(k + NUM_ACCOUNT_FEATURES)
    for c in range(clock.shape[1]):
        out[k + c] = clock[t, c]
