"""The one observation builder: writes the float32 vectors of LANES env rows (layout: envs.observations)."""

from __future__ import annotations

from envs.kernel.branches import rarely
from envs.kernel.columns import (
    BAR,
    BARS_LEFT,
    CASH,
    ENTRY_BAR,
    ENTRY_PRICE,
    EQUITY,
    HALT,
    HERE,
    HOLDING_SCALE,
    INITIAL_EQUITY,
    INITIAL_FRACTION,
    INITIAL_PER_UNIT,
    MARK,
    MAX_GROSS,
    MULTIPLIER,
    NOT_HALTED,
    PEAK,
    RETURN_SCALE,
    SESSION_EQUITY,
    SHOWS_EQUITY_RATIO,
    SHOWS_INITIAL_CAPITAL,
    SHOWS_UTILISATION,
    TARGET,
    TRADABLE,
    UNITS,
)
from envs.kernel.jit import hot, inner, non_negative
from envs.kernel.lane_arrays import block, neighbours, rows_at
from envs.kernel.lane_columns import put_columns
from envs.kernel.lane_entries import copy_entries
from envs.kernel.lanes import LANES, everywhere, first_lanes, lane_bits, sign, where
from envs.kernel.parts import bar_of, instrument_of, is_mapped

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
def copy_known(out, market, symbols, mapped, num_features, num_seen, t):
    """Write what does not depend on the account: features of the row's symbols (A,) and clock, into out (D,)."""
    if mapped:
        for a in range(symbols.shape[0]):
            copy_entries(out, a * num_features, market.features[t], symbols[a] * num_features, num_features)
    else:  # the market's first assets in order: their features are one block
        copy_entries(out, 0, market.features[t], 0, symbols.shape[0] * num_features)
    first = non_negative(symbols.shape[0] * num_features + num_seen)
    copy_entries(out, first, market.clock[t], 0, out.shape[0] - first)


@hot
def copy_known_rows(out, wanted, market, state, scratch, num_features):
    """Write what does not depend on the account for the wanted rows into out (E, D)."""
    bits = lane_bits(wanted)
    for i in range(LANES):
        if (bits >> i) & 1:
            now = non_negative(scratch.places[HERE, i])
            symbols = scratch.symbols[:, i]
            seen = scratch.seen.shape[0]
            copy_known(out[state.first + i], market, symbols, is_mapped(state), num_features, seen, now)


@hot
def observe_account(seen, k, rule, market, scratch, account, counter, gross, net):
    """Write what is observed of the account into the columns from k on; gross and net exposure as shares of the cap."""
    equity = account[EQUITY]
    seen[k] = min(gross, 1.0)
    seen[k + 1] = clip_unit(net)
    seen[k + 2] = min(max(1.0 - equity / account[PEAK], 0.0), 1.0)
    seen[k + 3] = soft((equity / account[SESSION_EQUITY] - 1.0) / rule[RETURN_SCALE])
    seen[k + 4] = where(counter[HALT] == NOT_HALTED, 0.0, 1.0)
    seen[k + 5] = 1.0 / (1.0 + rows_at(market.calendar, scratch.places[HERE])[BARS_LEFT])


@inner
def observe_capital(seen, k, rule, state, scratch, wanted):
    """Write what is asked for of `envs.observations.CAPITAL_NAMES` into the columns from k on. Rare, and so a call."""
    account = block(state.account, wanted)
    equity, assets, margin = account[EQUITY], max(account[CASH], 0.0), everywhere(0.0)
    for a in range(state.position.shape[0]):
        instrument, units = instrument_of(scratch, a), block(state.position[a], wanted)[UNITS]
        notional = units * bar_of(scratch, a)[MARK] * instrument[MULTIPLIER]
        assets += max(notional, 0.0)
        margin += abs(units) * instrument[INITIAL_PER_UNIT] + abs(notional) * instrument[INITIAL_FRACTION]
    if rule[SHOWS_EQUITY_RATIO] > 0.0:
        seen[k] = where(assets > 0.0, min(max(equity / assets, 0.0), 1.0), 0.0)
        k += 1
    if rule[SHOWS_INITIAL_CAPITAL] > 0.0:
        wealth = max(equity, 0.0)
        seen[k] = wealth / (wealth + rule[INITIAL_EQUITY])
        k += 1
    if rule[SHOWS_UTILISATION] > 0.0:
        seen[k] = where(margin < equity, margin / equity, where(margin > 0.0, 1.0, 0.0))


@hot
def observe(out, wanted, rule, market, state, scratch):
    """Write the observations of the wanted rows at the close of their bar t into out (E, D)."""
    num_assets = state.position.shape[0]
    num_features = market.features.shape[1] // market.bars.shape[1]
    account, counter = block(state.account, wanted), block(state.counter, wanted)
    t = counter[BAR]
    copy_known_rows(out, wanted, market, state, scratch, num_features)
    row = neighbours(out, state.first, wanted, scratch.waste_32)
    seen, k = block(scratch.seen, first_lanes(LANES)), 0
    equity = account[EQUITY]
    per_cap = 1.0 / (max(equity, 1e-300) * rule[MAX_GROSS])
    gross = net = everywhere(0.0)
    for a in range(num_assets):
        bar, position = bar_of(scratch, a), block(state.position[a], wanted)
        units = position[UNITS]
        mark = bar[MARK]
        per_unit = mark * instrument_of(scratch, a)[MULTIPLIER] * per_cap
        gross += abs(units * per_unit)
        net += units * per_unit
        side = sign(units)
        # soft(side * (mark / entry - 1) / scale) and bars / (bars + scale), with one division for both
        move = side * (mark - position[ENTRY_PRICE])
        reach = max(
            abs(move) + rule[RETURN_SCALE] * abs(position[ENTRY_PRICE]), 1e-100
        )  # not 0 without a position
        bars = abs(side) * (t + 1.0 - block(state.slot[a], wanted)[ENTRY_BAR])
        span = bars + rule[HOLDING_SCALE]
        inverse = 1.0 / (reach * span)
        seen[k] = side
        seen[k + 1] = clip_unit(units * per_unit)
        seen[k + 2] = clip_unit((position[TARGET] - units) * per_unit)
        seen[k + 3] = move * (span * inverse)
        seen[k + 4] = bars * (reach * inverse)
        seen[k + 5] = bar[TRADABLE]
        k += NUM_POSITION_FEATURES
    observe_account(seen, k, rule, market, scratch, account, counter, gross, net)
    if rarely(scratch.seen.shape[0] > k + NUM_ACCOUNT_FEATURES):
        observe_capital(seen, k + NUM_ACCOUNT_FEATURES, rule, state, scratch, wanted)
    put_columns(row, num_assets * num_features, seen, scratch.seen.shape[0])
