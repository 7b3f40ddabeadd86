"""Which contract each asset of an account is traded in at a venue: an asset itself, or a dated contract of a series.

Orders, fills and positions at a venue have the contract's name (`data.futures.contract_series`), such as ES:202406; the
account has the series, ES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data.futures.contract_series import ContractSeries, by_symbol, series_of
from envs.kernel import columns as c
from envs.live.account import LiveAccount, Rebooking
from envs.live.broker import BrokerError
from envs.live.held_contracts import HeldContracts

Listed = Callable[[], Sequence[ContractSeries]]
"""The series of contracts behind the bars, as they were read last."""


def no_series() -> tuple[ContractSeries, ...]:
    """Where no asset is a series of contracts."""
    return ()


def venue_symbols(
    symbols: Iterable[str], series: Sequence[ContractSeries], since: np.datetime64
) -> tuple[str, ...]:
    """What orders may name: the symbols, and in place of a series its contracts that are traded on a day or later."""
    known = by_symbol(series)
    return tuple(
        name for symbol in symbols for name in (known[symbol].names(since) if symbol in known else (symbol,))
    )


class Stand(NamedTuple):
    """Units of an asset in one contract, and what its price lies above that of the contract that the bars show."""

    contract: str
    units: float
    offset: float


class TradedContracts:
    """The contracts of one account.

    Parameters
    ----------
    symbols : of the account's asset axis.
    listed : of the series among them; none by default.
    at_venue : names that broker and guard know; None for all.
    """

    def __init__(
        self,
        account: LiveAccount,
        symbols: Sequence[str],
        listed: Listed = no_series,
        at_venue: Iterable[str] | None = None,
    ) -> None:
        self._account, self.symbols, self._listed = account, tuple(symbols), listed
        self._at_venue = None if at_venue is None else frozenset(at_venue)
        self._held: dict[int, HeldContracts] = {}
        self._trading: dict[int, str] = {}
        self._assets = {symbol: a for a, symbol in enumerate(self.symbols)}

    @property
    def series(self) -> dict[int, ContractSeries]:
        """Asset -> its series, of those that are one."""
        known = by_symbol(self._listed())
        return {a: known[symbol] for a, symbol in enumerate(self.symbols) if symbol in known}

    def begin(self) -> None:
        """Note which contract the bars show at the account's bar, of each series of which nothing is noted yet."""
        bar_utc = self._account.env.market.bar_utc[self._account.bar]
        for a, one in self.series.items():
            if a not in self._held:
                rolls = one.num_rolls(bar_utc)
                self._held[a] = HeldContracts(shown=one.contracts[one.held[rolls]].name, rolls=rolls)

    # Names

    def asset(self, name: str) -> int | None:
        """The asset that a name at the venue belongs to; None where it is no asset of the account."""
        return self._assets.get(name, self._assets.get(series_of(name)))

    def held(self, a: int) -> HeldContracts | None:
        """What is held of a series; None of an asset that is none."""
        return self._held.get(a)

    def contract(self, a: int) -> str:
        """What an order of an asset names now."""
        return self._trading.get(a, self._held[a].shown) if a in self._held else self.symbols[a]

    def names(self) -> dict[str, tuple[int, float]]:
        """Every name that an order may have -> its asset, and its offset (`envs.live.held_contracts`)."""
        series = self.series
        found: dict[str, tuple[int, float]] = {}
        for a, symbol in enumerate(self.symbols):
            held = self._held.get(a)
            if held is None:
                found[symbol] = (a, 0.0)
                continue
            listed = series[a].names() if a in series else ()
            found |= {name: (a, held.offset(name)) for name in (*listed, *held.units)}
        return found

    # What is held

    def units(self) -> dict[str, float]:
        """Signed units by name at the venue, as the account's books have them; flat ones are left out."""
        found: dict[str, float] = {}
        for a, units in enumerate(self._account.units.tolist()):
            held = self._held.get(a)
            found |= {self.symbols[a]: units} if held is None else held.units
        return {name: units for name, units in found.items() if units}

    def leaving(self, a: int) -> list[tuple[str, float]]:
        """Contracts and units of an asset that are held elsewhere than in the contract that is traded now."""
        held = self._held.get(a)
        if held is None:
            return []
        return sorted((name, units) for name, units in held.units.items() if name != self.contract(a))

    def moving(self, a: int) -> float:
        """Units of an asset that a roll has closed and not opened yet."""
        held = self._held.get(a)
        return 0.0 if held is None else held.moving

    def stand(self, a: int) -> Stand:
        """Where an asset is held: in the contract that is traded now, or in one that is still to be left."""
        held = self._held.get(a)
        if held is None:
            return Stand(self.symbols[a], float(self._account.units[a]), 0.0)
        contract = next((name for name, _ in self.leaving(a)), self.contract(a))
        return Stand(contract, held.units.get(contract, 0.0), held.offset(contract))

    # Time

    def decide(self) -> None:
        """Settle at a close which contract each asset is traded in until the next one. Rolls go forward only.

        Raises
        ------
        BrokerError
            If broker and guard do not know it.
        """
        for a, one in self.series.items():
            held = self._held[a]
            names = (held.shown, self.contract(a), *held.units)
            places = [place for name in names if (place := one.place(name)) is not None]
            name = one.contracts[max(one.due_in(self._account.next_session), *places)].name
            if self._at_venue is not None and name not in self._at_venue:
                raise BrokerError(
                    f"{self.symbols[a]} is to be held in {name}, which came into the bars after this loop began, so "
                    "that neither broker nor guard knows it; go on with resume=..., which asks for it"
                )
            self._trading[a] = name

    def turn(self) -> None:
        """Turn the books to the contracts that the last bar is the first one of, where it is."""
        market, bar = self._account.env.market, self._account.last_bar
        if market.bars.shape[2] <= c.ROLL:
            return
        for a, one in self.series.items():
            row = market.bars[bar, a]
            if row[c.ROLL] == c.NO_ROLL or not row[c.TRADABLE] > 0.0:
                continue
            held = self._held[a]
            rolls = max(held.rolls + 1, one.num_rolls(market.bar_utc[bar]))
            if rolls >= len(one.held):
                raise BrokerError(
                    f"{self.symbols[a]} is rolled in the bar of {market.bar_utc[bar]}, and its source no longer says "
                    "into which contract; look at the bars of its contracts, then go on with resume=..."
                )
            shift = held.turn(one.contracts[one.held[rolls]].name, float(row[c.OPEN] - row[c.ROLL]), rolls)
            self._account.rebook(
                Rebooking(
                    asset=a,
                    gain=shift.gain,
                    entry_step=shift.entry_step,
                    extreme_step=shift.extreme_step,
                )
            )

    def remark(self) -> None:
        """Take the move of the last bar off units that are on their way."""
        for a, held in self._held.items():
            owed = held.remark(self.mark(a))
            if owed:
                self._account.rebook(Rebooking(asset=a, gain=owed))

    def mark(self, a: int) -> float:
        """The last known close of what the bars show of an asset."""
        return float(self._account.env.market.mark[self._account.last_bar, a])

    def state(self) -> dict[str, Any]:
        """What is held of each series, as `restore` takes it."""
        return {str(a): held.state() for a, held in self._held.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        self._held = {int(a): HeldContracts.restored(held) for a, held in state.items()}
