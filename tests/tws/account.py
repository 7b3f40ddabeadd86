"""The account at the venue: cash, positions at average cost, margin, and the values that TWS reports of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tws.listings import Listing


@dataclass
class Holding:
    """Units of one contract (negative when short), their average price, and what was realised on it."""

    listing: Listing
    units: float = 0.0
    price: float = 0.0
    realised: float = 0.0

    @property
    def average_cost(self) -> float:
        """As TWS reports it: times the multiplier."""
        return self.price * self.listing.point


class Account:
    """One account, marked at the last prices that it is handed.

    name : as TWS reports it, such as DU1234567. cash : at the start, account currency.
    """

    def __init__(self, name: str, cash: float) -> None:
        self.name = name
        self.cash = cash
        self.holdings: dict[int, Holding] = {}

    def units(self, listing: Listing) -> float:
        """Units held now."""
        held = self.holdings.get(listing.con_id)
        return held.units if held else 0.0

    def book(self, listing: Listing, units: float, price: float, commission: float) -> float | None:
        """Book a fill (units signed) and return what it realised, less commission; None where it closed nothing."""
        held = self.holdings.setdefault(listing.con_id, Holding(listing))
        closed = min(abs(units), abs(held.units)) if held.units * units < 0 else 0.0
        realised = closed * (price - held.price) * (1 if held.units > 0 else -1) * listing.point
        left = held.units + units
        if held.units * units >= 0 and left:
            held.price = (abs(held.units) * held.price + abs(units) * price) / abs(left)
        elif left * held.units < 0:
            held.price = price
        held.units = left
        held.realised += realised
        # Shares are paid for; of a future only gains and losses move cash.
        self.cash -= commission
        self.cash += realised if listing.sec_type == "FUT" else -units * price * listing.point
        return realised - commission if closed else None

    def margin(self, prices: Mapping[int, float], extra: Mapping[int, float] | None = None) -> float:
        """Initial margin of what is held and of `extra` units by contract."""
        total = 0.0
        for con_id, held in self.holdings.items():
            total += _required(
                held.listing, held.units + (extra or {}).get(con_id, 0.0), prices.get(con_id, held.price)
            )
        return total

    def equity(self, prices: Mapping[int, float]) -> float:
        """Net liquidation value."""
        total = self.cash
        for con_id, held in self.holdings.items():
            price = prices.get(con_id, held.price)
            base = held.price if held.listing.sec_type == "FUT" else 0.0
            total += held.units * (price - base) * held.listing.point
        return total

    def values(self, prices: Mapping[int, float]) -> list[tuple[str, str, str]]:
        """(tag, value, currency) as in TWS's account window."""
        equity, margin = self.equity(prices), self.margin(prices)
        realised = sum(held.realised for held in self.holdings.values())
        named = {
            "NetLiquidation": equity,
            "TotalCashValue": self.cash,
            "TotalCashBalance": self.cash,
            "EquityWithLoanValue": equity,
            "InitMarginReq": margin,
            "MaintMarginReq": 0.8 * margin,
            "AvailableFunds": equity - margin,
            "ExcessLiquidity": equity - 0.8 * margin,
            "BuyingPower": 2.0 * (equity - margin),
            "GrossPositionValue": sum(
                abs(held.units) * prices.get(con_id, held.price) * held.listing.point
                for con_id, held in self.holdings.items()
                if held.listing.sec_type != "FUT"
            ),
            "RealizedPnL": realised,
        }
        rows = [("AccountType", "INDIVIDUAL", ""), ("AccountReady", "true", "")]
        return rows + [(tag, f"{value:.2f}", "USD") for tag, value in named.items()]

    def what_if(self, listing: Listing, units: float, price: float, commission: float) -> dict[str, str]:
        """Margin before and after a trade, as a what-if order answers it."""
        self.holdings.setdefault(listing.con_id, Holding(listing))
        prices = {listing.con_id: price}
        before, after = self.margin(prices), self.margin(prices, {listing.con_id: units})
        equity = self.equity(prices)
        numbers = {
            "initMarginBefore": before,
            "maintMarginBefore": 0.8 * before,
            "equityWithLoanBefore": equity,
            "initMarginChange": after - before,
            "maintMarginChange": 0.8 * (after - before),
            "equityWithLoanChange": -commission,
            "initMarginAfter": after,
            "maintMarginAfter": 0.8 * after,
            "equityWithLoanAfter": equity - commission,
        }
        answer = {name: f"{value:.2f}" for name, value in numbers.items()}
        return {**answer, "commission": f"{commission:.2f}", "commissionCurrency": listing.currency}


def _required(listing: Listing, units: float, price: float) -> float:
    per_unit = listing.margin if listing.margin > 0 else -listing.margin * price * listing.point
    return abs(units) * per_unit
