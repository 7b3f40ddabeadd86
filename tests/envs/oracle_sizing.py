"""The oracle's actions and size rules: how many units an action asks for, at the close of t."""

from __future__ import annotations

import math

import numpy as np
from oracle_account import Account


class Sizing(Account):
    """Actions and size rules of docs/simulator.md."""

    def size(self, a, t):
        sizing, wealth, value = self.config.sizing, max(self.equity, 0.0), self.unit_value(a, t)
        cap = sizing.max_fraction * wealth / value
        if sizing.rule == "fixed_units":
            return sizing.units
        if sizing.rule == "fixed_fraction":
            return sizing.fraction * wealth / value
        if sizing.rule == "atr_risk":
            risk = self.context.atr[t, a] * self.instruments[a].multiplier
            return min(sizing.risk_fraction * wealth / risk, cap) if risk > 0 else 0.0
        if sizing.rule == "volatility_target":
            sigma = self.context.sigma[t, a] * math.sqrt(self.panel.periods_per_year)
            return min(sizing.target_volatility / sigma * wealth / value, cap) if sigma > 0 else 0.0
        if sizing.rule == "fractional_kelly":
            return self.kelly() * wealth / value
        steps = [s for s in sizing.schedule if wealth / self.config.initial_equity >= s.equity_multiple]
        step = steps[-1] if steps else sizing.schedule[0]
        return min(step.fraction * wealth, step.notional_cap) / value

    def kelly(self):
        sizing = self.config.sizing
        if len(self.results) < sizing.kelly_min_trades:
            return sizing.fraction
        wins = [r for r in self.results if r > 0]
        losses = [-r for r in self.results if r <= 0]
        p = len(wins) / len(self.results)
        if not wins:
            edge = 0.0
        elif not losses or sum(losses) <= 0:
            edge = 1.0
        else:
            edge = p - (1 - p) / (np.mean(wins) / np.mean(losses))
        return sizing.kelly_fraction * min(max(edge, 0.0), sizing.max_fraction)

    def wish(self, a, t, action):
        """Target units that the action asks for; None keeps."""
        scheme, decided = self.config.action.scheme, self.assets[a].decided
        value = self.unit_value(a, t)
        shorts = self.config.action.allow_short
        if scheme == "weights":
            if self.equity <= 0:
                return 0.0
            weight = min(max(float(action), -1.0 if shorts else 0.0), 1.0)
            if value <= 0:  # nothing to size by: what is held stays or goes
                return None if weight * decided > 0 else 0.0
            target = weight * self.equity / value
            small = abs(target - decided) * value < self.config.action.rebalance_band * self.equity
            return None if small else target
        held, share = int(decided > 0) - int(decided < 0), 1.0
        if scheme == "direction":
            side = int(action) - 1
        elif scheme == "orders":
            side = {0: held, 1: 1, 2: -1, 3: 0}[int(action)]
        else:
            side, share = math.floor(float(action[0]) + 0.5) - 1, float(action[1])
            side = side if share > 0 else 0
        if side < 0 and not shorts:
            side = 0
        if side == held:
            return None
        return side * share * self.size(a, t) if side and value > 0 else 0.0
