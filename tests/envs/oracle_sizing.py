"""The oracle's actions and size rules: how many units an action asks for, at the close of t."""

from __future__ import annotations

import math

import numpy as np
from oracle_account import Account


class Sizing(Account):
    """Actions and size rules of docs/simulator.md."""

    def size(self, a, t):
        most = self.config.sizing.max_units
        units = self.uncapped_size(a, t)
        return units if most is None else min(units, most)

    def stop_distance(self, a, t):
        """Price between an entry at the mark and the nearer of its two stops."""
        levels = self.config.barriers
        unit = {
            "percent": self.mark[t, a] / 100,
            "ticks": self.instruments[a].tick_size,
            "atr": self.context.atr[t, a],
        }[levels.unit]
        return min(unit * x for x in (levels.stop_loss, levels.trailing_stop) if x is not None)

    def uncapped_size(self, a, t):
        sizing, wealth, value = self.config.sizing, max(self.equity, 0.0), self.unit_value(a, t)
        cap = sizing.max_fraction * wealth / value
        if sizing.rule == "fixed_units":
            return sizing.units
        if sizing.rule == "fixed_fraction":
            return sizing.fraction * wealth / value
        if sizing.rule in ("var_target", "cvar_target"):
            tail = self.context.tail[t, a]
            return min(sizing.target_loss * wealth / (tail * value), cap) if tail > 0 else 0.0
        if sizing.rule == "money_budget":
            return sizing.money_budget / value
        if sizing.rule in ("atr_risk", "stop_distance"):
            move = self.context.atr[t, a] if sizing.rule == "atr_risk" else self.stop_distance(a, t)
            risk = move * self.instruments[a].multiplier
            budget = sizing.risk_fraction * wealth if sizing.risk_budget is None else sizing.risk_budget
            return min(budget / risk, cap) if risk > 0 else 0.0
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

    def resting(self, a, t, code):
        """The order that an action of `order_entry` lets rest; None for a market order."""
        if code < 4:
            return None
        rules = self.config.action
        offset, kind = rules.entry_offsets[(code - 4) // 4], ("limit", "stop")[(code - 4) % 4 // 2]
        side = (1, -1)[code % 2]
        tick = self.instruments[a].tick_size / self.context.split[t, a]
        distance = offset * (tick if rules.entry_unit == "ticks" else self.context.atr[t, a])
        if (side > 0) == (kind == "limit"):
            level = math.floor((self.mark[t, a] - distance) / tick + 1e-6) * tick
        else:
            level = math.ceil((self.mark[t, a] + distance) / tick - 1e-6) * tick
        return {"kind": kind, "level": level, "until": t + rules.time_in_force_bars}

    def wish(self, a, t, action):
        """Target units that the action asks for; None keeps."""
        scheme, decided = self.config.action.scheme, self.assets[a].decided
        value = self.unit_value(a, t)
        shorts = self.config.action.allow_short
        if scheme == "weights":
            if self.equity <= 0:
                return 0.0
            weight = min(max(float(action), -1.0 if shorts else 0.0), 1.0)
            weight *= self.lendable(a) if weight < 0 else 1.0
            if value <= 0:  # nothing to size by: what is held stays or goes
                return None if weight * decided > 0 else 0.0
            target = weight * self.equity / value
            small = abs(target - decided) * value < self.config.action.rebalance_band * self.equity
            return None if small else target
        resting = self.assets[a].rest
        if resting:
            decided = self.assets[a].units
        held, share = int(decided > 0) - int(decided < 0), 1.0
        if scheme == "direction":
            side = int(action) - 1
        elif scheme == "orders":
            side = {0: held, 1: 1, 2: -1, 3: 0}[int(action)]
        elif scheme == "order_entry":
            if int(action) == 3 and resting:
                return 0.0
            side = {0: held, 1: 1, 2: -1, 3: 0}.get(int(action), (1, -1)[int(action) % 2])
        else:
            side, share = math.floor(float(action[0]) + 0.5) - 1, float(action[1])
            side = side if share > 0 else 0
        if side < 0 and (not shorts or self.lendable(a) == 0):
            side = 0
        if side < 0:
            share *= self.lendable(a)
        if side == held:
            return None
        return side * share * self.size(a, t) if side and value > 0 else 0.0
