"""What is held of a series in which of its contracts, and how that stands in books that know the series alone.

The simulator's row holds units of a series, at the prices of the contract that the bars show. At a venue they are held
in one contract or another. An *offset* says how far a contract's price lies from that of the contract shown; fills are
booked without it, so that the row's marks fit whatever is held:

| of the series | worth per unit | offset |
|---|---|---|
| units in the contract that the bars show | the mark | 0 |
| units in the one that they have left | the mark less the step of that roll | minus the step |
| units in the one that they will show next | the mark and what that one cost above it | as it was traded |
| units that a roll has closed and not opened yet | what they were closed at | that, less the mark |

A roll is two fills that change neither the row's units nor what is realised: its entry price moves by the step of the
series when the bars show it (`envs.kernel.rolls`). What each call returns is owed to the row's cash, price times units.

Pure: no clock, no venue, no market.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from envs.live.orders import DUST


class Shift(NamedTuple):
    """What the books owe when the bars turn to another contract.

    gain : price times units. entry_step, extreme_step : of the average entry price, and of the extreme since entry.
    """

    gain: float
    entry_step: float
    extreme_step: float


@dataclass(kw_only=True)
class HeldContracts:
    """One series of one account.

    Attributes
    ----------
    shown : name of the contract that the bars show. rolls : that the bars have shown so far.
    units : contract -> signed units. offsets : contract -> offset, of others than the one shown.
    early : of the units, those that were opened in a contract that the bars do not show yet, and not rolled into it.
    moving : signed units that a roll has closed and not opened yet; closed_at, moving_offset : per unit.
    """

    shown: str
    rolls: int
    units: dict[str, float] = field(default_factory=dict)
    offsets: dict[str, float] = field(default_factory=dict)
    early: float = 0.0
    moving: float = 0.0
    closed_at: float = 0.0
    moving_offset: float = 0.0

    @property
    def total(self) -> float:
        """Units of the row: those held in any contract, and those that are on their way."""
        return sum(self.units.values()) + self.moving

    def offset(self, contract: str) -> float:
        """Of a contract; 0 where nothing is known of its price."""
        return 0.0 if contract == self.shown else self.offsets.get(contract, 0.0)

    def trade(self, contract: str, units: float, price: float, mark: float) -> float:
        """Take in a fill that is no leg of a roll; the price at which the row books it.

        mark : of the contract shown, as it was last known: in a contract of which nothing is known yet, the fill counts
        as made there.
        """
        if contract != self.shown and contract not in self.offsets:
            self.offsets[contract] = price - mark
        booked, before = price - self.offset(contract), self.total
        self._add(contract, units)
        after = self.total
        if before * units >= 0.0:
            self.early += units if contract != self.shown and self.is_ahead(contract) else 0.0
        elif before * after > 0.0:  # what is sold is taken of all alike
            self.early *= after / before
        else:
            self.early = after if contract != self.shown and self.is_ahead(contract) else 0.0
        return booked

    def is_ahead(self, contract: str) -> bool:
        """Whether a contract is delivered after the one that the bars show."""
        return contract.rpartition(":")[2] > self.shown.rpartition(":")[2]

    def roll(self, contract: str, units: float, price: float, mark: float) -> float:
        """Take in a fill that is a leg of a roll: it closes the old contract, or opens the next one. What is owed.

        mark : of the contract shown, as it was last known.
        """
        worth = self.closed_at - self.moving_offset if self.moving else mark
        if contract != self.shown and contract not in self.offsets:
            self.offsets[contract] = price - worth
        offset, before = self.offset(contract), self.moving
        self._add(contract, units)
        self.moving = _rest(before - units, max(abs(before), abs(units)))
        ends = before * units > 0.0
        met = min(abs(units), abs(before)) if ends else 0.0
        more = abs(units) - met
        if more > DUST * abs(units):
            share = more / abs(self.moving)
            kept = 1.0 - share
            self.closed_at = kept * self.closed_at + share * price if kept else price
            self.moving_offset = kept * self.moving_offset + share * offset if kept else offset
        return (met if units > 0.0 else -met) * (worth - (price - offset))

    def remark(self, mark: float) -> float:
        """Units that are on their way earn nothing while the mark moves. Returns what the books owe."""
        if not self.moving:
            return 0.0
        offset = self.closed_at - mark
        owed, self.moving_offset = self.moving * (offset - self.moving_offset), offset
        return owed

    def give_up(self, units: float) -> float:
        """Units that are on their way stay closed: the price at which the row sells them. units : as `moving`."""
        self.moving = _rest(self.moving - units, self.moving)
        return self.closed_at - self.moving_offset

    def turn(self, shown: str, step: float, rolls: int) -> Shift:
        """The bars show another contract from now on.

        step : its price less that of the contract shown before. rolls : that the bars have shown then.
        """
        total, early = self.total, self.early
        traded_at = self.offsets.get(shown, step)
        gain = -self.units.get(shown, 0.0) * traded_at
        for contract in {self.shown, *self.offsets, *self.units} - {shown}:
            self.offsets[contract] = self.offset(contract) - step
            gain -= self.units.get(contract, 0.0) * step
        gain -= self.moving * step
        self.moving_offset -= step
        self.offsets.pop(shown, None)
        self.shown, self.rolls, self.early = shown, rolls, 0.0
        if not total:
            return Shift(gain, 0.0, 0.0)
        rolled = total - early
        entry_step = (rolled * step + early * traded_at) / total if early else step
        return Shift(gain, entry_step, traded_at if early and abs(rolled) <= DUST * abs(total) else step)

    def state(self) -> dict[str, Any]:
        """All of it, as `restored` takes it."""
        return {**vars(self), "units": dict(self.units), "offsets": dict(self.offsets)}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> HeldContracts:
        """What `state` returned."""
        return cls(**{**state, "units": dict(state["units"]), "offsets": dict(state["offsets"])})

    def _add(self, contract: str, units: float) -> None:
        before = self.units.get(contract, 0.0)
        left = _rest(before + units, max(abs(before), abs(units)))
        if left:
            self.units[contract] = left
        else:
            self.units.pop(contract, None)


def _rest(units: float, scale: float) -> float:
    """Units without what rounding has left of them."""
    return 0.0 if abs(units) <= DUST * abs(scale) else units
