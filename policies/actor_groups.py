"""Who acts: one policy for all symbols, one for each, or one for each group of them (``policy.actors``).

A assets stand in an observation in the order of the symbols; the place of one is its slot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data.errors import nearest_name

SHARED, SYMBOL = "shared", "symbol"
"""One policy for all symbols; one for each symbol."""
ActorGroups = Mapping[str, tuple[str, ...]] | str
"""`SHARED`, `SYMBOL`, or name of an actor -> the symbols that it trades."""
KEY = "policy.actors"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """One of several policies that trade one account.

    Parameters
    ----------
    name : of the group, or of the symbol.
    slots : of its assets, in the order of the observation.
    """

    name: str
    slots: tuple[int, ...]


def check_groups(groups: ActorGroups) -> None:
    """Raise ValueError unless these are actors whatever the symbols will be."""
    if isinstance(groups, str):
        if groups not in (SHARED, SYMBOL):
            hint = nearest_name(groups, (SHARED, SYMBOL))
            raise ValueError(
                f"{KEY} is {groups!r}{hint}; choose {SHARED} (one policy for all symbols), {SYMBOL} (one for each), or "
                "groups of symbols, such as {calm: [SPY, GLD], wild: [TSLA]}"
            )
        return
    if not groups:
        raise ValueError(f"{KEY} names no group; choose {SHARED}, {SYMBOL}, or groups of symbols")
    owner: dict[str, str] = {}
    for name, symbols in groups.items():
        if not symbols:
            raise ValueError(f"{KEY}.{name} holds no symbol; give it one, or leave the group out")
        for symbol in symbols:
            if symbol in owner:
                raise ValueError(
                    f"{KEY} has {symbol} in {owner[symbol]} and in {name}; a symbol is traded by one actor"
                )
            owner[symbol] = name


def groups_in_words(groups: ActorGroups) -> str:
    """On one line: shared, or calm: SPY GLD; wild: TSLA."""
    if isinstance(groups, str):
        return groups
    return "; ".join(f"{name}: {' '.join(symbols)}" for name, symbols in groups.items())


def actors_of(groups: ActorGroups, symbols: Sequence[str]) -> tuple[Actor, ...]:
    """The actors on these symbols, in the order of their first assets; none where one policy is shared.

    The order follows from the observation alone, so that no order of the groups, in a file or a command, can hand the
    weights of one to another.

    Parameters
    ----------
    symbols : of the assets, in the order of the observation.

    Raises
    ------
    ValueError
        If a group names a symbol that is not there, or a symbol is in no group.
    """
    check_groups(groups)
    if groups == SHARED:
        return ()
    named: Mapping[str, Sequence[str]] = (
        {symbol: (symbol,) for symbol in symbols} if isinstance(groups, str) else groups
    )
    for name, members in named.items():
        for symbol in members:
            if symbol not in symbols:
                raise ValueError(
                    f"{KEY}.{name}: the data have no symbol {symbol}{nearest_name(symbol, symbols)}; they are "
                    f"{', '.join(symbols)}"
                )
    grouped = {symbol for members in named.values() for symbol in members}
    left = [symbol for symbol in symbols if symbol not in grouped]
    if left:
        raise ValueError(
            f"{KEY} has no actor for {', '.join(left)}; put every symbol into a group, or choose {SYMBOL}"
        )
    actors = [
        Actor(name=name, slots=tuple(slot for slot, symbol in enumerate(symbols) if symbol in members))
        for name, members in named.items()
    ]
    return tuple(sorted(actors, key=lambda actor: actor.slots))
