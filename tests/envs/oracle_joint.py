"""The oracle's limits on several symbols together: portfolio volatility, sectors, concentration."""

from __future__ import annotations

import math

import numpy as np
from oracle_sizing import Sizing


class Joint(Sizing):
    """Each limit scales the new targets of the symbols that it is about; None keeps."""

    def together(self, t, wishes):
        risk = self.config.risk
        everyone = range(len(wishes))
        if risk.target_volatility is not None:
            wishes = self.scaled(self.known_only(t, wishes), everyone, self.volatility_scale)(t)
        caps = risk.max_sector_exposure, risk.max_sector_net_exposure
        if caps != (None, None):
            sectors = [i.sector for i in self.instruments]
            for sector in sorted(set(sectors)):
                members = [a for a in everyone if sectors[a] == sector]
                wishes = self.scaled(wishes, members, self.sector_scale)(t)
        if risk.max_concentration is not None:
            wishes = self.scaled(wishes, everyone, self.concentration_scale)(t)
        return wishes

    def scaled(self, wishes, members, rule):
        def at(t):
            new, kept = self.notionals(t, wishes, members)
            share = rule(t, new, kept)
            share = share if share > 1e-9 else 0.0
            return [w * share if w is not None and a in members else w for a, w in enumerate(wishes)]

        return at

    def notionals(self, t, wishes, members):
        """Notional of the new targets and of the kept ones, shorts below 0, symbol by symbol, 0 for others."""
        new, kept = np.zeros(len(wishes)), np.zeros(len(wishes))
        for a in members:
            target = self.assets[a].decided if wishes[a] is None else wishes[a]
            (kept if wishes[a] is None else new)[a] = target * abs(self.unit_value(a, t))
        return new, kept

    def known_only(self, t, wishes):
        """Without a whole window of returns a symbol may only be reduced."""
        oldest, result = t - self.config.risk.volatility_bars, list(wishes)
        for a, wish in enumerate(wishes):
            if wish is not None and not (oldest >= 0 and self.mark[oldest, a] != 0):
                decided = self.assets[a].decided
                smaller = math.copysign(min(abs(wish), abs(decided)), decided)
                result[a] = smaller if wish * decided > 0 else 0.0
        return result

    def change(self, a, s):
        """Change of the price in bar s over the close before; of a contract that was rolled into, over its own."""
        before, after = self.mark[s - 1, a], self.mark[s, a]
        if before and self.left_at is not None and not math.isnan(self.left_at[s, a]):
            before += self.panel.open[s, a] - self.left_at[s, a]
        return (after - before) / abs(before) if before and self.mark[s - 1, a] else 0.0

    def volatility_scale(self, t, new, kept):
        """The largest share of the new targets at which w' S w is within the target; else where it is least."""
        risk = self.config.risk
        bars = range(max(t - risk.volatility_bars, 0) + 1, t + 1)
        returns = np.array([[self.change(a, s) for a in range(len(new))] for s in bars])
        returns = returns.reshape(len(bars), len(new))
        missing = np.zeros((risk.volatility_bars - len(returns), len(new)))
        returns = np.vstack([missing, returns])
        covariance = np.cov(returns, rowvar=False, ddof=0).reshape(len(new), len(new))
        allowed = risk.target_volatility**2 / self.panel.periods_per_year * max(self.equity, 0.0) ** 2

        def variance(share):
            weights = kept + share * new
            return weights @ covariance @ weights

        own = new @ covariance @ new
        if own <= 0 or variance(1.0) <= allowed:
            return 1.0
        low, high = min(max(-(new @ covariance @ kept) / own, 0.0), 1.0), 1.0
        if variance(low) > allowed:
            return low
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if variance(middle) <= allowed else (low, middle)
        return low

    def sector_scale(self, t, new, kept):
        risk, equity, share = self.config.risk, max(self.equity, 0.0), 1.0
        gross = np.abs(new).sum()
        if risk.max_sector_exposure is not None and gross > 0:
            share = min(share, max(risk.max_sector_exposure * equity - np.abs(kept).sum(), 0.0) / gross)
        if risk.max_sector_net_exposure is not None:
            cap, total = risk.max_sector_net_exposure * equity, new.sum() + kept.sum()
            side = -1.0 if total < 0 else 1.0
            if abs(total) > cap and side * new.sum() > 0:
                share = min(share, max(cap - side * kept.sum(), 0.0) / (side * new.sum()))
        return share

    def concentration_scale(self, t, new, kept):
        most = self.config.risk.max_concentration * max(self.equity, 0.0) ** 2
        room, squares = most - (kept**2).sum(), (new**2).sum()
        if room <= 1e-9 * most:  # full but for rounding
            room = 0.0
        return 1.0 if squares <= room or not squares else math.sqrt(room / squares)
