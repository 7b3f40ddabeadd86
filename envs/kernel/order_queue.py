"""The order queue of one asset slot: what is decided, what is working, and what may only reduce it.

A target is in units. KEEP leaves the target as it is.
"""

from __future__ import annotations

from envs.kernel.columns import (
    ATR_MULTIPLES,
    BARRIER_UNIT,
    BARRIERS_ON,
    KEEP,
    NUM_RESTING_COLUMNS,
    NUM_TRADE_COLUMNS,
    ORDER_ENTRY,
    QUEUE,
    SCHEME,
    TARGET,
    TRADE_STATS,
    UNITS,
)
from envs.kernel.jit import hot
from envs.kernel.lanes import where


@hot
def has_atr_levels(rule):
    """True if barriers stand at a distance in ATR."""
    return (rule[BARRIERS_ON] > 0.0) & (rule[BARRIER_UNIT] == ATR_MULTIPLES)


@hot
def decided_column(rule, num_columns):
    """Where, with barriers in ATR, the bar stands after the close at which the working order was decided."""
    return num_columns - 1 - (NUM_TRADE_COLUMNS if rule[TRADE_STATS] > 0.0 else 0)


@hot
def resting_column(rule, num_columns):
    """Where, with the scheme `order_entry`, what is known of a resting order stands among a position's columns."""
    others = (1 if has_atr_levels(rule) else 0) + (NUM_TRADE_COLUMNS if rule[TRADE_STATS] > 0.0 else 0)
    return num_columns - others - NUM_RESTING_COLUMNS


@hot
def queue_length(rule, num_columns):
    """Places of the order queue among the columns of a position."""
    others = (1 if has_atr_levels(rule) else 0) + (NUM_RESTING_COLUMNS if rule[SCHEME] == ORDER_ENTRY else 0)
    return max(num_columns - QUEUE - others - (NUM_TRADE_COLUMNS if rule[TRADE_STATS] > 0.0 else 0), 0)


@hot
def decided_target(position, queued):
    """Target that the decisions so far lead to: the last queued one, else the working target."""
    target = position[TARGET]
    for i in range(queued):
        intent = position[QUEUE + i]
        target = where(intent == KEEP, target, intent)
    return target


@hot
def push_intent(position, latency, queued, intent):
    """Queue an intent; what leaves the queue becomes the working target. Returns it."""
    leaving = intent
    if queued > 0:
        leaving = where(latency > 0.0, position[QUEUE], intent)
        for i in range(queued - 1):
            moved = where(i < latency - 1.0, position[QUEUE + i + 1], position[QUEUE + i])
            position[QUEUE + i] = where(latency - 1.0 == i, intent, moved)
        last = QUEUE + queued - 1
        position[last] = where(latency == queued, intent, position[last])
    position[TARGET] = where(leaving == KEEP, position[TARGET], leaving)
    return leaving


@hot
def cancel_orders(position, queued):
    """Drop every working and queued order: the target is what is held."""
    position[TARGET] = position[UNITS]
    for i in range(queued):
        position[QUEUE + i] = KEEP


@hot
def reduce_only(wish, decided):
    """Nearest target to `wish` that does not add to the decided position and does not change its side."""
    return where(wish * decided <= 0.0, 0.0, where(abs(wish) < abs(decided), wish, decided))
