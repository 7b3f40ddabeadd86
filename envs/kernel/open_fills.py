"""Fills at the open of bar t + 1: what is working of an asset, and how much of it the bar's volume lets through."""

from __future__ import annotations

import math

from envs.kernel.columns import (
    AT_OPEN,
    BY_SIGNAL,
    CARRY,
    DUST,
    LOT_STEP,
    OPEN,
    PARTICIPATION,
    TAKER_BPS,
    TARGET,
    UNITS,
    VOLUME,
)
from envs.kernel.fills import book_fill
from envs.kernel.jit import hot
from envs.kernel.lane_arrays import block
from envs.kernel.lanes import lane_bits, where
from envs.kernel.parts import bar_of, instrument_of
from envs.kernel.sizes import round_to_lot


@hot
def working_quantity(position):
    """Signed units between what is held and the working target."""
    target, held = position[TARGET], position[UNITS]
    quantity = target - held
    return where(abs(quantity) <= DUST * max(abs(target), abs(held)), 0.0, quantity)


@hot
def capped_quantity(rule, instrument, volume, quantity):
    """What the participation cap leaves of an order for `quantity` units in a bar of that volume."""
    if rule[PARTICIPATION] <= 0.0:
        return quantity
    room = rule[PARTICIPATION] * volume
    part = math.copysign(round_to_lot(room, instrument[LOT_STEP]), quantity)
    return where(abs(quantity) <= room, quantity, part)


@hot
def fill_at_open(rule, market, state, scratch, live, a):
    """Fill what is working of one asset at the open of bar t + 1, as far as its volume goes."""
    bar, instrument = bar_of(scratch, a), instrument_of(scratch, a)
    position = block(state.position[a], live)
    quantity = working_quantity(position)
    who = live & (quantity != 0.0)
    if lane_bits(who) != 0:
        quantity = capped_quantity(rule, instrument, bar[VOLUME], quantity)
        who = who & (quantity != 0.0)
        fee_bps = instrument[TAKER_BPS]
        book_fill(rule, market, state, scratch, who, a, quantity, bar[OPEN], fee_bps, AT_OPEN, BY_SIGNAL)
    if rule[CARRY] <= 0.0:
        position[TARGET] = position[UNITS]
