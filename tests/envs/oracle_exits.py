"""The oracle's exits: barriers inside the bar, liquidation at maintenance margin, closing at a close."""

from __future__ import annotations

import math

from oracle_fills import Fills


class Exits(Fills):
    """Barriers by the order of touching, liquidation by bisection."""

    def check_barriers(self, a, t, entered=False):
        barriers, holding = self.config.barriers, self.assets[a]
        if barriers is None or not holding.units:
            return
        p, side = self.panel, holding.side
        opened, high, low = p.open[t + 1, a], p.high[t + 1, a], p.low[t + 1, a]
        unit = {
            "percent": holding.average / 100,
            "ticks": self.instruments[a].tick_size,
            "atr": holding.entry_atr,
        }[barriers.unit]
        if unit > 0:
            tick = self.instruments[a].tick_size / self.context.split[t, a]
            hit = self.touched(barriers, holding, side, unit, opened, high, low, holding.entry_bar <= t, tick)
            if hit and not (entered and hit[1] == "profit_target"):
                price, reason = hit
                fee = self.fees(a, maker=reason == "profit_target")
                self.fill(a, t, -holding.units, price, reason, fee)
                holding.cancel()
                return
        if entered:  # the bar's best price may have been before the entry
            return
        holding.extreme = max(holding.extreme, high) if side > 0 else min(holding.extreme, low)

    @staticmethod
    def touched(barriers, holding, side, unit, opened, high, low, held_before, tick):
        """(price, reason) of the first barrier touched; prices are mirrored for shorts so that down is bad.

        Whole numbers of ticks: a stop rests on the tick at or below its level; a target must be reached on the tick at
        or above it and pays the one at or below, if the bar has been there.
        """
        stops = []
        if barriers.stop_loss is not None:
            stops.append((side * holding.average - barriers.stop_loss * unit, "stop_loss"))
        if barriers.trailing_stop is not None:
            stops.append((side * holding.extreme - barriers.trailing_stop * unit, "trailing_stop"))
        stop = max(stops, key=lambda s: s[0]) if stops else None
        at = {"open": side * opened / tick}
        at["worst"], at["best"] = sorted((side * low / tick, side * high / tick))
        forgiven = 1e-6
        resting = math.floor(stop[0] / tick + forgiven) if stop else None
        wanted = below = None
        if barriers.profit_target is not None:
            level = (side * holding.average + barriers.profit_target * unit) / tick
            wanted, below = math.ceil(level - forgiven), math.floor(level + forgiven)
        if held_before and stop and at["open"] <= resting + forgiven:
            return opened, stop[1]
        if held_before and wanted is not None and at["open"] >= wanted - forgiven:
            return opened, "profit_target"
        if stop and at["worst"] <= resting + forgiven:
            return side * resting * tick, stop[1]
        if wanted is not None and at["best"] >= wanted - forgiven:
            return side * tick * (below if below >= at["worst"] - forgiven else wanted), "profit_target"
        return None

    def liquidate(self, t):
        """Cross margin: walk all prices from open to worst together; at maintenance everything is closed."""
        p = self.panel

        def prices(x):
            result = []
            for a, h in enumerate(self.assets):
                if not p.tradable[t + 1, a]:
                    result.append(self.mark[t + 1, a])
                    continue
                worst = p.low[t + 1, a] if h.units > 0 else p.high[t + 1, a]
                result.append(p.open[t + 1, a] + x * (worst - p.open[t + 1, a]))
            return result

        def spare(x):
            equity, need = self.cash, 0.0
            for a, (h, price) in enumerate(zip(self.assets, prices(x), strict=True)):
                i = self.instruments[a]
                equity += h.units * price * i.multiplier
                ends = [
                    abs(end[a]) * i.multiplier * i.maintenance_margin_fraction
                    for end in (prices(0.0), prices(1.0))
                ]
                need += abs(h.units) * (i.maintenance_margin + ends[0] + x * (ends[1] - ends[0]))
            return equity - need, need

        if spare(0.0)[1] <= 0 or spare(1.0)[0] > 0:
            return
        low, high = 0.0, 1.0
        if spare(0.0)[0] <= 0:
            high = 0.0
        for _ in range(200 if high else 0):
            middle = (low + high) / 2
            low, high = (low, middle) if spare(middle)[0] <= 0 else (middle, high)
        self.breaches += 1
        at = prices(high)
        for a, holding in enumerate(self.assets):
            if holding.units and p.tradable[t + 1, a]:
                self.fill(a, t, -holding.units, at[a], "liquidation", self.fees(a, liquidation=True))
                holding.cancel()

    def remove(self, a, t):
        """The asset is gone: its position for what is recovered, its orders for nothing."""
        holding = self.assets[a]
        if holding.units:
            price = self.mark[t + 1, a] * self.config.costs.delisting_recovery
            self.fill(a, t, -holding.units, price, "delisting", self.fees(a))
        holding.cancel()

    def close_everything(self, t, reason, only_tradable=False):
        for a, holding in enumerate(self.assets):
            if only_tradable and not self.panel.tradable[t + 1, a]:
                continue
            if holding.units:
                self.fill(a, t, -holding.units, self.mark[t + 1, a], reason, self.fees(a))
            holding.cancel()
        self.mark_book(t)
