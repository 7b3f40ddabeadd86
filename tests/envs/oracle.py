"""A slow, scalar simulator of one env row, written from docs/simulator.md and not from the kernel.

One Python object per asset, plain floats, lists and dicts, due dates instead of queues, bisection instead of closed
forms. The kernel must agree with it to 1e-9. By subject: `oracle_sizing` and `oracle_limits` decide at close t,
`oracle_fills` and `oracle_exits` are what happens inside bar t + 1, `oracle_rewards` what is paid and shown.
"""

from __future__ import annotations

import numpy as np
from oracle_account import COSTS
from oracle_exits import Exits
from oracle_limits import Limits
from oracle_rewards import Rewards


class Oracle(Limits, Exits, Rewards):
    """One env row, from the close of a bar to the close of the next."""

    def step(self, actions):
        """Close of bar t to close of bar t + 1; returns (reward, terminated, truncated)."""
        t, before, risk = self.bar, self.equity, self.config.risk
        self.bar_costs = dict.fromkeys(COSTS, 0.0)
        self.fills, self.turnover, self.realised, self.breaches = [], 0.0, 0.0, 0
        if self.panel.session[t + 1] != self.panel.session[t]:
            self.session_equity, self.entries = self.equity, 0
            for holding in self.assets:
                holding.entries = 0
            self.halt = "" if self.halt == "daily_loss" else self.halt
        self.breaches += self.var_exceeded()
        reasons = self.decide(t, actions)
        for holding in self.assets:
            while holding.pending and holding.pending[0][0] <= t + 1:
                _, holding.target, holding.order_atr = holding.pending.pop(0)
        self.finance(t)
        for a in range(len(self.assets)):
            delisted = self.instruments[a].delisted_utc
            if delisted is not None and self.panel.bar_utc[t + 1] >= np.datetime64(delisted):
                self.remove(a, t)
            elif self.panel.tradable[t + 1, a]:
                self.roll(a, t)
                entered = False
                if self.assets[a].rest:
                    entered = self.fill_resting(a, t, reasons)
                else:
                    self.fill_order(a, t, reasons)
                self.check_barriers(a, t, entered)
        if risk.margin:
            self.liquidate(t)
        for a in range(len(self.assets)):
            last = np.flatnonzero(np.isfinite(self.panel.close[:, a])).max(initial=-1)
            if last + 1 < self.panel.num_bars and t + 1 >= last:  # this bar or an earlier one was the last
                self.remove(a, t)
        self.mark_book(t)
        if risk.flat_at_session_end == "last_close" and self.left[t + 1] == 0:
            self.close_everything(t, "session_end", only_tradable=True)
        ruined = self.equity <= risk.ruin_equity * self.config.initial_equity
        ends = t + 1 >= self.stop - 1
        if ruined:
            self.close_everything(t, "ruin")
        elif ends and self.config.episode.liquidate_at_end:
            self.close_everything(t, "window_end")
        self.bar = t + 1
        return self.settle(t, before), ruined, ends and not ruined

    def settle(self, t, before):
        risk = self.config.risk
        self.net_return = self.equity / before - 1
        if t + 1 >= self.start:
            self.returns.append(self.net_return)
        self.peak = max(self.peak, self.equity)
        drawdown = 1 - self.equity / self.peak
        fell = risk.max_drawdown is not None and drawdown >= risk.max_drawdown
        if risk.max_drawdown_amount is not None:
            fell = fell or self.peak - self.equity >= risk.max_drawdown_amount
        if fell and self.halt != "drawdown":
            self.halt = "drawdown"
            self.breaches += 1
        lost = 1 - self.equity / self.session_equity
        out = risk.max_daily_loss is not None and lost >= risk.max_daily_loss
        if risk.max_daily_loss_amount is not None:
            out = out or self.session_equity - self.equity >= risk.max_daily_loss_amount
        if out and not self.halt:
            self.halt = "daily_loss"
            self.breaches += 1
        return self.reward(t, before, drawdown)
