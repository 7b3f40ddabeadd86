"""What a snapshot of the venue says beside the fills that are known: differences, and what was held before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from envs.live.broker import Fill, Snapshot
from envs.live.orders import DUST

SAME = 1e-6
"""Units by which a position may differ from the sum of its fills: rounding of fractional units."""


def differences(snapshot: Snapshot, ours: Mapping[str, float]) -> list[str]:
    """Symbols whose position at the venue is not the sum of our fills, in words.

    ours : units by symbol, flat ones left out.
    """
    held = {position.symbol: position.units for position in snapshot.positions}
    return [
        f"{symbol} is {held.get(symbol, 0.0):g} at the venue and {ours.get(symbol, 0.0):g} by its fills"
        for symbol in sorted({*held, *ours})
        if abs(held.get(symbol, 0.0) - ours.get(symbol, 0.0)) > SAME
    ]


def held_before(snapshot: Snapshot, known: Iterable[Fill]) -> dict[str, float]:
    """Units by symbol that were held before the first of all fills, those of the snapshot included."""
    held = {position.symbol: position.units for position in snapshot.positions}
    latest: dict[str, Fill] = {}
    for fill in (*known, *snapshot.fills):
        if fill.execution_id not in latest or latest[fill.execution_id].revision <= fill.revision:
            latest[fill.execution_id] = fill
    for fill in latest.values():
        held[fill.symbol] = held.get(fill.symbol, 0.0) - fill.units
    return {symbol: units for symbol, units in held.items() if abs(units) > DUST}


def unexplained(snapshot: Snapshot, ours: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Symbol -> (units that no fill explains, the venue's average price; 0.0 where it is flat)."""
    held = {position.symbol: position for position in snapshot.positions}
    missing = {}
    for symbol in sorted({*held, *ours}):
        there = held[symbol].units if symbol in held else 0.0
        units = there - ours.get(symbol, 0.0)
        if abs(units) > DUST:
            missing[symbol] = (units, held[symbol].average_price if symbol in held else 0.0)
    return missing
