"""The oracle's rewards and what its account shows in the observation."""

from __future__ import annotations

import math

import numpy as np
from oracle_account import Account


class Rewards(Account):
    """Terms of envs/kernel/reward.py; position and account blocks of the observation."""

    def reward(self, t, before, drawdown):
        r, initial, x = self.config.reward, self.config.initial_equity, self.net_return
        edge_bars = math.ceil(r.edge_minutes * 60 / self.panel.bar_seconds)
        edge = self.since[t + 1] < edge_bars or self.left[t + 1] < edge_bars
        terms = {
            "log_equity": math.log(max(self.equity, 1e-12 * initial) / before),
            "net_return": x,
            "pnl": (self.equity - before) / initial,
            "differential_sharpe": self.differential_sharpe(x),
            "realised": (self.realised - sum(self.bar_costs.values())) / initial,
            "drawdown": -drawdown,
            "downside": -(min(x, 0.0) ** 2),
            "turnover": -self.turnover / before,
            "holding": -self.gross / max(self.equity, 1e-12 * initial),
            "micro": -len(self.fills) * (r.edge_factor if edge else 1.0),
            "breach": -float(self.breaches),
        }
        return r.scale * sum(getattr(r, name) * value for name, value in terms.items())

    def differential_sharpe(self, x):
        eta = self.config.reward.differential_sharpe_rate
        first, second = self.moments
        self.moments = [first + eta * (x - first), second + eta * (x * x - second)]
        if len(self.returns) <= 1:
            return 0.0
        top = second * (x - first) - 0.5 * first * (x * x - second)
        value = top / max(second - first**2, 1e-12) ** 1.5
        return min(max(value, -10.0), 10.0)

    def observation(self):
        """Position and account blocks at the close of the current bar."""
        t, cap, scale = self.bar, self.config.risk.max_gross_exposure, self.config.observation.return_scale

        def soft(x):
            return x / (1 + abs(x)) if math.isfinite(x) else math.copysign(1.0, x)

        def exposure(units, a):
            return units * self.unit_value(a, t) / (self.equity * cap)

        position, gross, net = [], 0.0, 0.0
        for a, h in enumerate(self.assets):
            gain = h.side * (self.mark[t, a] - h.average) if h.units else 0.0
            if gain:  # an entry at a price of zero is left by any move as far as can be
                gain = gain / abs(h.average) if h.average else math.copysign(math.inf, gain)
            age = t + 1 - h.entry_bar if h.units else 0
            share, working = exposure(h.units, a), exposure(h.target - h.units, a)
            gross, net = gross + abs(share), net + share
            position += [
                h.side,
                min(max(share, -1), 1),
                min(max(working, -1), 1),
                soft(gain / scale),
                age / (age + self.config.observation.holding_scale_bars),
                float(self.panel.tradable[t, a]),
            ]
        account = [
            min(gross, 1),
            min(max(net, -1), 1),
            min(max(1 - self.equity / self.peak, 0), 1),
            soft((self.equity / self.session_equity - 1) / scale),
            float(self.halt != ""),
            1 / (1 + self.left[t]),
        ]
        return np.array([*position, *account, *self.capital(t)])

    def capital(self, t):
        """What is shown of the account's capital, where the configuration asks for it."""
        shown, held = self.config.observation, [h.units for h in self.assets]
        owned = sum(max(units * self.unit_value(a, t), 0) for a, units in enumerate(held))
        assets = owned + (self.cash if self.cash > 0 else 0)
        multiple = self.equity / self.config.initial_equity
        tied = sum(
            abs(units) * (i.initial_margin + abs(self.unit_value(a, t)) * i.initial_margin_fraction)
            for a, (units, i) in enumerate(zip(held, self.instruments, strict=True))
        )
        values = {
            "equity_ratio": min(max(self.equity / assets, 0), 1) if assets > 0 else 0,
            "initial_capital_ratio": max(multiple, 0) / (1 + max(multiple, 0)),
            "utilisation": min(tied / self.equity, 1) if self.equity > 0 else float(tied > 0),
        }
        return [value for name, value in values.items() if getattr(shown, name)]
