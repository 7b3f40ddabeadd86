"""The books of an account at a venue: each execution once, in its latest correction, whatever it was made for.

What the venue corrects is taken back and booked anew; where only its commission became known, that alone is paid.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from envs.kernel import columns as c
from envs.live.account import LiveAccount, Rebooking, VenueFill
from envs.live.broker import Fill
from envs.live.contract_rolls import OUT, leg_of
from envs.live.exit_orders import exit_reason
from envs.live.paper import BookedFill
from envs.live.traded_contracts import TradedContracts


class VenueBooks:
    """Books executions in an account.

    Attributes
    ----------
    booked : by execution id, as they stand in the account.
    """

    def __init__(self, account: LiveAccount, contracts: TradedContracts) -> None:
        self._account, self._contracts = account, contracts
        self.booked: dict[str, BookedFill] = {}
        self._unwritten: list[BookedFill] = []
        self._moves: list[tuple[str, VenueFill]] = []

    def restore(self, booked: Iterable[BookedFill]) -> None:
        """What the account held when its state was saved."""
        self.booked = {fill.execution_id: fill for fill in booked}
        self._unwritten = []

    def take_booked(self) -> list[BookedFill]:
        """What was booked since this was last asked."""
        booked, self._unwritten = self._unwritten, []
        return booked

    def take_moves(self) -> list[VenueFill]:
        """Every booking since this was last asked, at the venue's prices, those that take one back included."""
        moves, self._moves = self._moves, []
        return [move for _, move in moves]

    def book(self, fills: Iterable[Fill]) -> None:
        """Book executions of the account's assets; others are none of its business."""
        for fill in fills:
            asset = self._contracts.asset(fill.symbol)
            if asset is not None:
                self._book(fill, asset)

    def give_up(self, asset: int, units: float) -> None:
        """Let units that a roll has closed stay closed: the venue has no further fill of them. units : signed."""
        held = self._contracts.held(asset)
        assert held is not None
        price = held.give_up(units)
        self._account.book(VenueFill(asset=asset, units=-units, price=price))
        self._account.rebook(Rebooking(asset=asset, traded=-abs(units * price), fills=-1))

    # Inside

    def _book(self, fill: Fill, asset: int) -> None:
        known = self.booked.get(fill.execution_id)
        new = BookedFill(
            execution_id=fill.execution_id,
            revision=fill.revision,
            asset=asset,
            units=fill.units,
            price=fill.price,
            commission=fill.commission or 0.0,
            commission_known=fill.commission is not None,
            client_order_id=fill.client_order_id,
            filled_utc=fill.filled_utc,
            symbol=fill.symbol,
        )
        if known is None:
            self._apply(new, fill.symbol, 1.0)
        elif (known.revision, known.commission_known) == (new.revision, new.commission_known):
            return
        elif (known.units, known.price) == (new.units, new.price):
            self._pay(new, new.commission - known.commission)
        else:
            self._apply(known, fill.symbol, -1.0)
            self._apply(new, fill.symbol, 1.0)
        self.booked[fill.execution_id] = new
        self._unwritten.append(new)

    def _pay(self, fill: BookedFill, commission: float) -> None:
        """Pay what was not known of a fill that is booked: to sell and buy it again would move the entry price."""
        if not commission:
            return
        self._account.rebook(Rebooking(asset=fill.asset, commission=commission))
        for k, (name, move) in enumerate(self._moves):
            if name == fill.execution_id and move.units == fill.units:
                self._moves[k] = (name, replace(move, commission=move.commission + commission))
                return
        # Its bar is written already: the record gets it once more, and what takes the first one back.
        for sign, paid in ((-1.0, commission - fill.commission), (1.0, fill.commission)):
            self._note(fill, sign, paid)

    def _note(self, fill: BookedFill, sign: float, commission: float) -> VenueFill:
        move = VenueFill(
            asset=fill.asset,
            units=sign * fill.units,
            price=fill.price,
            commission=commission,
            **_kind(fill),
        )
        self._moves.append((fill.execution_id, move))
        return move

    def _apply(self, fill: BookedFill, contract: str, sign: float) -> None:
        if fill.units == 0.0:  # a correction that leaves nothing
            return
        units, commission = sign * fill.units, sign * fill.commission
        move = self._note(fill, sign, commission)
        held = self._contracts.held(fill.asset)
        if held is None:
            self._account.book(move)
            return
        mark = self._contracts.mark(fill.asset)
        if leg_of(fill.client_order_id):
            self._account.rebook(
                Rebooking(
                    asset=fill.asset,
                    gain=held.roll(contract, units, fill.price, mark),
                    commission=commission,
                    traded=sign * abs(units * fill.price),
                    fills=int(sign),
                )
            )
            return
        self._account.book(replace(move, price=held.trade(contract, units, fill.price, mark)))


def _kind(fill: BookedFill) -> dict[str, int]:
    """Why a fill was made, and its place in the bar where its reason alone does not say."""
    leg, reason = leg_of(fill.client_order_id), exit_reason(fill.client_order_id)
    if leg:
        return {"reason": c.BY_ROLL, "place": c.OLD_CONTRACT if leg == OUT else c.NEW_CONTRACT}
    return {"reason": c.BY_SIGNAL if reason is None else reason}
