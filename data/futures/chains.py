"""Which of the symbols that there are bars of are dated contracts, and of which root."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from data.errors import DataError, nearest_name
from data.futures.contracts import contract_name
from data.futures.expiries import CONTRACTS
from data.futures.roll_decisions import FuturesConfig

EVERY = "*"
"""In place of symbols whose prices may be zero and below: all of them."""


@dataclass(frozen=True, kw_only=True)
class Chains:
    """Which symbols are contracts of which root.

    Attributes
    ----------
    contracts : root -> symbols. alone : symbols that are joined to none.
    """

    contracts: Mapping[str, tuple[str, ...]]
    alone: tuple[str, ...]


def chains_of(found: Collection[str], wanted: Collection[str], config: FuturesConfig) -> Chains:
    """Sort symbols into contracts of the wanted roots and symbols of their own.

    Parameters
    ----------
    found : symbols that there are bars of. wanted : roots and symbols; empty for all there are.

    Raises
    ------
    DataError
        If there is neither a contract nor a symbol of a name that is wanted.
    """
    by_root: dict[str, list[str]] = {}
    for symbol in sorted(found):
        name = contract_name(symbol)
        if name is not None and symbol not in wanted:
            by_root.setdefault(name.root, []).append(symbol)
    if not wanted:
        roots = {
            root: tuple(own)
            for root, own in by_root.items()
            if root in CONTRACTS or any(symbol in config.expiries for symbol in own)
        }
        joined = {symbol for own in roots.values() for symbol in own}
        return Chains(contracts=roots, alone=tuple(s for s in sorted(found) if s not in joined))
    for asked in wanted:
        if asked not in found and asked not in by_root:
            known = sorted({*found, *by_root})
            raise DataError(
                f"{asked!r} is neither a symbol of these bars nor the root of contracts among them"
                f"{nearest_name(asked, known)}; there are {', '.join(sorted(found))}."
            )
    return Chains(
        contracts={root: tuple(by_root[root]) for root in wanted if root not in found},
        alone=tuple(symbol for symbol in wanted if symbol in found),
    )


def may_be_nonpositive(symbols: Collection[str], stated: Collection[str]) -> tuple[str, ...]:
    """Those of the symbols whose prices may be zero and below.

    Parameters
    ----------
    stated : symbols that may, or `EVERY`; dated contracts of roots whose exchange allows it may in any case.
    """
    found = []
    for symbol in symbols:
        name = contract_name(symbol)
        rules = CONTRACTS.get(name.root) if name is not None else None
        if EVERY in stated or symbol in stated or (rules is not None and rules.allow_nonpositive_prices):
            found.append(symbol)
    return tuple(found)
