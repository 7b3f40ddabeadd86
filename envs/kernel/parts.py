"""What kernel functions are handed: the market, the state of a block of rows, and what one thread writes on.

Axes: T time, S symbol, F feature, C clock feature, E env, B block of LANES rows, L lane, A asset slot, K column, N bars
of the VaR window, D observation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from envs.kernel.columns import (
    ADV,
    ATR,
    COST_DRAW,
    COST_SCALE,
    DIVIDEND,
    FUNDING,
    FUNDING_ON,
    INSTRUMENT,
    MEMBER,
    READS_ADV,
    READS_ATR,
    READS_TAIL,
    READS_VOLATILITY,
    ROLL,
    SLOT_BAR,
    SYMBOL,
    TAIL,
    VOLATILITY,
)
from envs.kernel.jit import hot
from envs.kernel.lane_arrays import block, from_column, neighbours
from envs.kernel.lanes import LANES, first_lanes


class MarketArrays(NamedTuple):
    """bars (T, S, K), features (T, S * F), clock (T, C; 1 that nobody reads for 0), calendar (T, K), years (T,),
    instrument (S, K).
    """

    bars: Any
    features: Any
    clock: Any
    calendar: Any
    years: Any
    instrument: Any


class RowArrays(NamedTuple):
    """State of all rows in blocks, and what a recorder reads of their last step; see `envs.rows.RowState`.

    account, counter, flow (B, K, L), position, slot (B, A, K, L), below (E, N), fill_log (E, A, place, K),
    decision_log (E, A, K).
    """

    account: Any
    counter: Any
    position: Any
    slot: Any
    flow: Any
    below: Any
    fill_log: Any
    decision_log: Any


class Outputs(NamedTuple):
    """What a step gives: out (E, D) and final_out, which is it where an episode ended; reward (B, 1, L); flags (2, E),
    terminated and truncated; ended (E, K), statistics of episodes that ended.
    """

    out: Any
    final_out: Any
    reward: Any
    flags: Any
    ended: Any


class BlockState(NamedTuple):
    """State of one block of rows, the first of which is row `first`; logs and VaR rings of all rows.

    account, counter, flow (K, L), position, slot (A, K, L), the others as in `RowArrays`.
    """

    account: Any
    counter: Any
    position: Any
    slot: Any
    flow: Any
    first: Any
    below: Any
    fill_log: Any
    decision_log: Any


class Scratch(NamedTuple):
    """Scratch of one thread; see `envs.rows.scratch_arrays`.

    facts (A, K, L) float64, columns in envs.kernel.columns. symbols (A, L) int64, market's symbol of a slot, and shifts
    (A, L), where its columns begin in a bar. places (3, L) int64, bars of the rows: see HERE, FILL, DECIDED.
    seen (K, L) float32, what is observed of positions and account. waste (1, K) float64, waste_32 (1, D) float32,
    waste_8 (1, N) uint8 : take what is written for lanes that are not live.
    """

    facts: Any
    symbols: Any
    shifts: Any
    places: Any
    seen: Any
    waste: Any
    waste_32: Any
    waste_8: Any


class Ahead(NamedTuple):
    """What to ask the memory for: of all rows the state of first .. stop - 1, which come next, and the bars `places`
    (3, L) of the rows that are treated now. far : the state of all rows is larger than the caches.
    """

    rows: Any
    first: Any
    stop: Any
    places: Any
    far: Any


@hot
def block_of(rows, b):
    """State of block b of the rows."""
    return BlockState(
        rows.account[b],
        rows.counter[b],
        rows.position[b],
        rows.slot[b],
        rows.flow[b],
        b * LANES,
        rows.below,
        rows.fill_log,
        rows.decision_log,
    )


@hot
def has_context(market):
    """True if bars have the columns of the context."""
    return market.bars.shape[2] > FUNDING


@hot
def is_unknown(rule, bar):
    """True where a size, barrier or impact reads a context value that is not known at the close before the bar."""
    unknown = first_lanes(0)
    if rule[READS_ATR] > 0.0:
        unknown = unknown | ~(bar[ATR] >= 0.0)
    if rule[READS_VOLATILITY] > 0.0:
        unknown = unknown | ~(bar[VOLATILITY] >= 0.0)
    if rule[READS_ADV] > 0.0:
        unknown = unknown | ~(bar[ADV] >= 0.0)
    if rule[READS_TAIL] > 0.0:
        unknown = unknown | (bar[TAIL] != bar[TAIL])
    return unknown


@hot
def cost_multiple(account):
    """What every cost of a row is multiplied by."""
    return account[COST_SCALE] * account[COST_DRAW]


@hot
def is_mapped(state):
    """True if asset slots say which symbol they hold."""
    return state.slot.shape[1] > SYMBOL


@hot
def is_logged(state):
    """True if a recorder reads what was decided and filled."""
    return state.decision_log.shape[1] > 0


@hot
def has_funding(rule, market):
    """True if bars have funding rates that are to be charged."""
    return rule[FUNDING_ON] > 0.0 and has_context(market)


@hot
def has_members(market):
    """True if bars say whether a symbol is in the universe."""
    return market.bars.shape[2] > MEMBER


@hot
def has_rolls(market):
    """True if bars say which contract they leave."""
    return market.bars.shape[2] > ROLL


@hot
def has_dividends(market):
    """True if bars say what is paid on a unit that is held into them."""
    return market.bars.shape[2] > DIVIDEND


@hot
def decisions(state, scratch, live):
    """The rows' decision logs; slot a's columns begin at a * NUM_DECISION_COLUMNS."""
    return neighbours(state.decision_log, state.first, live, scratch.waste)


@hot
def facts_of(scratch, a):
    """What the rows know of slot a in this step, all lanes."""
    return block(scratch.facts[a], first_lanes(LANES))


@hot
def bar_of(scratch, a):
    """The bar of slot a that the rows are at: t + 1 in a step, which is the known bar t when it ends."""
    return from_column(facts_of(scratch, a), SLOT_BAR)


@hot
def instrument_of(scratch, a):
    """The instrument of slot a."""
    return from_column(facts_of(scratch, a), INSTRUMENT)
