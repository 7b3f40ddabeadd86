"""The oracle's fills inside bar t + 1: what an order gets, what it costs, what is charged for holding."""

from __future__ import annotations

import math

import numpy as np
from oracle_account import COSTS, Account


class Fills(Account):
    """Orders at the open, the seven costs, average prices and trades."""

    def charges(self, a, t, quantity, price, fee_bps):
        i, costs, size = self.instruments[a], self.config.costs, abs(quantity)
        notional = size * abs(price) * i.multiplier
        shares = size / self.context.split[t, a]
        half_ticks, half_bps, per_unit = i.half_spread_ticks, i.half_spread_bps, i.commission_per_unit
        if costs.half_spread_bps is not None:
            half_ticks, half_bps = 0.0, costs.half_spread_bps
        if costs.fee_bps is not None:
            per_unit = 0.0
        paid = dict.fromkeys(COSTS, 0.0)
        paid["commission"] = shares * per_unit + notional * fee_bps / 1e4
        paid["spread"] = shares * i.multiplier * half_ticks * i.tick_size + notional * half_bps / 1e4
        volume = self.panel.volume[t + 1, a]
        if costs.slippage == "fixed_bps":
            paid["slippage"] = notional * costs.slippage_value / 1e4
        elif costs.slippage == "fixed_ticks":
            paid["slippage"] = shares * i.multiplier * i.tick_size * costs.slippage_value
        elif costs.slippage == "volume" and volume > 0:
            paid["slippage"] = notional * costs.slippage_value / math.sqrt(volume)
        if self.context.adv[t, a] > 0 and self.context.sigma[t, a] >= 0:
            sessions = np.unique(self.panel.session, return_counts=True)[1]
            sigma_day = self.context.sigma[t, a] * math.sqrt(float(np.median(sessions)))
            ratio = math.sqrt(size / self.context.adv[t, a])
            paid["impact"] = notional * costs.impact_coefficient * sigma_day * ratio
        paid["impact"] += notional * costs.linear_impact_bps / 1e4 * notional / 1000
        return {name: value * self.factor for name, value in paid.items()}

    def fees(self, a, *, maker=False, liquidation=False):
        i, override = self.instruments[a], self.config.costs.fee_bps
        fee = override if override is not None else (i.maker_fee_bps if maker else i.taker_fee_bps)
        return fee + (i.liquidation_fee_bps if liquidation else 0.0)

    def fill(self, a, t, quantity, price, reason, fee_bps):
        holding, point = self.assets[a], self.instruments[a].multiplier
        paid = self.charges(a, t, quantity, price, fee_bps)
        total = sum(paid.values())
        for name in COSTS:
            self.bar_costs[name] += paid[name]
        self.fills.append((t + 1, a, quantity, price, reason))
        self.cash -= quantity * price * point + total
        self.turnover += abs(quantity * price) * point
        before, after = holding.units, holding.units + quantity
        if abs(after) <= 1e-9 * abs(before):
            after = 0.0
        closing = min(abs(quantity), abs(before)) if before * quantity < 0 else 0.0
        opening = abs(quantity) - closing
        gain = math.copysign(closing, before) * (price - holding.average) * point if closing else 0.0
        self.realised += gain
        closed = before != 0 and before * after <= 0
        holding.trade_pnl += gain - total * ((closing / abs(quantity)) if closed else 1.0)
        if closed:
            whole = holding.trade_notional
            self.results.append(holding.trade_pnl / whole if whole else 0.0)
            holding.trade_pnl = -total * opening / abs(quantity) if after else 0.0
            holding.trade_notional = 0.0
        if opening and after:
            if before == 0 or closed:
                holding.average, holding.entry_bar = price, t + 1
                holding.extreme, holding.entry_atr = price, holding.order_atr
                holding.trade_notional = abs(after * price) * point
            else:
                holding.average = (holding.average * abs(before) + price * opening) / abs(after)
                holding.trade_notional += opening * abs(price) * point
        holding.units = after

    def roll(self, a, t):
        """Where bar t + 1 is the first of another contract: out of the old one, into the new one, at their opens."""
        holding, point = self.assets[a], self.instruments[a].multiplier
        left_at = float("nan") if self.left_at is None else self.left_at[t + 1, a]
        if math.isnan(left_at):
            return
        if holding.rest:  # it names the contract that is left
            holding.cancel()
        if not holding.units:
            return
        begun_at = self.panel.open[t + 1, a]
        for quantity, price in ((-holding.units, left_at), (holding.units, begun_at)):
            paid = self.charges(a, t, quantity, price, self.fees(a))
            for name in COSTS:
                self.bar_costs[name] += paid[name]
            self.fills.append((t + 1, a, quantity, price, "roll"))
            self.cash -= quantity * price * point + sum(paid.values())
            self.turnover += abs(quantity * price) * point
            holding.trade_pnl -= sum(paid.values())
        holding.average += begun_at - left_at
        holding.extreme += begun_at - left_at

    def finance(self, t):
        costs = self.config.costs
        for a, holding in enumerate(self.assets):
            notional = holding.units * self.unit_value(a, t)
            years = (self.panel.bar_utc[t + 1] - self.panel.bar_utc[t]) / np.timedelta64(1, "s")
            years /= 365.25 * 86400
            borrow = funding = 0.0
            if costs.borrow:
                borrow = (
                    (abs(notional) if holding.units < 0 else 0.0)
                    * self.instruments[a].borrow_rate
                    * years
                    * self.factor
                )
            if costs.funding:
                funding = notional * self.context.funding[t + 1, a] * self.factor
            # Whoever held into the bar is paid, and whoever was short pays, whatever costs are multiplied by.
            dividend = -holding.units * self.context.dividend[t + 1, a] * self.instruments[a].multiplier
            self.cash -= borrow + funding + dividend
            holding.trade_pnl -= borrow + funding + dividend
            self.bar_costs["dividend"] += dividend
            self.bar_costs["borrow"] += borrow
            self.bar_costs["funding"] += funding

    def fill_resting(self, a, t, reasons):
        """Fill what rests by the range of bar t + 1; returns whether that was at its level, inside the bar."""
        holding, p, costs = self.assets[a], self.panel, self.config.costs
        rest, quantity = holding.rest, holding.target - holding.units
        if abs(quantity) <= 1e-9 * max(abs(holding.target), abs(holding.units)):
            return False
        tick = self.instruments[a].tick_size / self.context.split[t, a]
        side = 1 if quantity > 0 else -1
        first = side * (p.open[t + 1, a] - rest["level"]) / tick  # ticks above the level, mirrored for sales
        low, high = sorted(side * (x - rest["level"]) / tick for x in (p.low[t + 1, a], p.high[t + 1, a]))
        limit = rest["kind"] == "limit"
        at_open = first <= 1e-6 if limit else first >= -1e-6
        if not at_open and not (low <= 1e-6 - 1 if limit else high >= -1e-6):
            return False
        if costs.max_participation is not None:
            room = costs.max_participation * p.volume[t + 1, a]
            if abs(quantity) > room:
                quantity = math.copysign(self.lot(room, a), quantity)
        if quantity and at_open:
            self.fill(a, t, quantity, p.open[t + 1, a], reasons[a], self.fees(a))
        elif quantity:
            reason = f"{rest['kind']}_entry"
            self.fill(a, t, quantity, rest["level"], reason, self.fees(a, maker=limit))
        left = holding.target - holding.units
        done = abs(left) <= 1e-9 * max(abs(holding.target), abs(holding.units))
        if not limit or done:
            holding.rest = None
        if costs.remainder == "drop":
            holding.rest, holding.target = None, holding.units
        return bool(quantity) and not at_open

    def fill_order(self, a, t, reasons):
        holding, costs = self.assets[a], self.config.costs
        quantity = holding.target - holding.units
        if abs(quantity) <= 1e-9 * max(abs(holding.target), abs(holding.units)):
            quantity = 0.0
        if costs.max_participation is not None:
            room = costs.max_participation * self.panel.volume[t + 1, a]
            if abs(quantity) > room:
                quantity = math.copysign(self.lot(room, a), quantity)
        if quantity:
            self.fill(a, t, quantity, self.panel.open[t + 1, a], reasons[a], self.fees(a))
        if costs.remainder == "drop":
            holding.target = holding.units
