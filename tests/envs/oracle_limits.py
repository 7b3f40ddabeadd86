"""The oracle's limits: what bends a wish before it becomes an order, in the order in which they act at close t."""

from __future__ import annotations

import math

from oracle_joint import Joint


class Limits(Joint):
    """Forced exits, reduce-only, caps, margin, entries."""

    def decide(self, t, actions):
        risk = self.config.risk
        fill_bar = min(t + 1 + self.latency, self.panel.num_bars - 1)
        reduce = (
            self.var_exceeded()
            or self.since[fill_bar] < risk.no_trade_open_bars
            or self.left[fill_bar] < risk.no_trade_close_bars
        )
        for holding in self.assets:
            if holding.rest and (reduce or t + 1 > holding.rest["until"]):
                holding.cancel()
        wishes, reasons = [], []
        for a in range(len(self.assets)):
            reason = self.forced(a, fill_bar)
            wish = None
            if reason:
                wish = 0.0
            elif self.panel.tradable[t, a] and t + 1 >= self.start:
                shut = reduce or self.reads_unknown(a, t)
                wish = self.limited(a, t, self.wish(a, t, actions[a]), fill_bar, shut)
            wishes.append(wish)
            reasons.append(reason or "signal")
        wishes = self.together(t, wishes)
        scale = self.joint_scale(t, wishes)
        for a, holding in enumerate(self.assets):
            wish = wishes[a]
            if wish is not None and wish != 0.0:
                wish = self.lot(wish * scale, a)
                if wish != 0.0 and wish * holding.decided <= 0:
                    maximum = risk.max_entries_per_session
                    own = self.limit("max_entries_per_symbol", a)
                    spent = own is not None and holding.entries >= own
                    if spent or (maximum is not None and self.entries >= maximum):
                        wish = 0.0
                    else:
                        self.entries += 1
                        holding.entries += 1
            if wish is not None:
                holding.rest = None
                if self.config.action.scheme == "order_entry" and reasons[a] == "signal" and wish != 0:
                    holding.rest = self.resting(a, t, int(actions[a]))
                holding.pending.append((t + 1 + self.latency, wish, self.context.atr[t, a]))
        return reasons

    def reads_unknown(self, a, t):
        """True if the size of an entry, its barriers or its impact need a number that is not there yet."""
        config, context = self.config, self.context
        sized = config.sizing.rule if config.action.scheme != "weights" else ""
        levels = config.barriers
        in_atr = levels is not None and levels.unit == "atr"
        in_atr = in_atr and any((levels.profit_target, levels.stop_loss, levels.trailing_stop))
        read = []
        rests = config.action.scheme == "order_entry" and config.action.entry_unit == "atr"
        if sized == "atr_risk" or in_atr or rests:
            read.append(context.atr[t, a])
        if sized == "volatility_target" or config.costs.impact_coefficient:
            read.append(context.sigma[t, a])
        if config.costs.impact_coefficient:
            read.append(context.adv[t, a])
        if sized in ("var_target", "cvar_target"):
            read.append(context.tail[t, a])
        return any(math.isnan(value) for value in read)

    def forced(self, a, fill_bar):
        if self.halt:
            return self.halt
        if self.config.risk.flat_at_session_end == "last_open" and self.left[fill_bar] == 0:
            return "session_end"
        barriers, holding = self.config.barriers, self.assets[a]
        limit = barriers.time_limit_bars if barriers else None
        if limit and holding.units and fill_bar - holding.entry_bar >= limit:
            return "time_limit"
        return None if self.member[self.bar, a] else "universe"  # of the next bar, published ahead

    def limited(self, a, t, wish, fill_bar, reduce):
        risk, holding = self.config.risk, self.assets[a]
        if wish is None:
            return None
        decided = holding.decided
        smaller = wish * decided <= 0 or abs(wish) < abs(decided)
        if holding.units and smaller and fill_bar - holding.entry_bar < risk.min_holding_bars:
            return None
        if reduce:
            if wish * decided <= 0:
                wish = 0.0
            elif abs(wish) > abs(decided):
                wish = decided
        if risk.max_position_exposure is not None:
            worth = abs(self.unit_value(a, t))
            cap = risk.max_position_exposure * max(self.equity, 0.0) / worth if worth else math.inf
            wish = min(max(wish, -cap), cap)
        units, money = self.limit("max_position_units", a), self.limit("max_position_notional", a)
        if units is not None:
            wish = min(max(wish, -units), units)
        if money is not None:
            worth = abs(self.unit_value(a, t))
            most = money / worth if worth else math.inf
            wish = min(max(wish, -most), most)
        return wish

    def joint_scale(self, t, wishes):
        """Share of the new targets that fits under the gross cap and initial margin, kept ones counted first."""
        equity, scale = max(self.equity, 0.0), 1.0

        def margin(a, units):
            i = self.instruments[a]
            return abs(units) * (i.initial_margin + abs(self.unit_value(a, t)) * i.initial_margin_fraction)

        def gross(a, units):
            return abs(units * self.unit_value(a, t))

        rules = [(gross, self.config.risk.max_gross_exposure * equity)]
        if self.config.risk.max_gross_notional is not None:
            rules.append((gross, self.config.risk.max_gross_notional))
        if self.config.risk.margin:
            rules.append((margin, equity))
        for measure, cap in rules:
            kept = sum(measure(a, h.decided) for a, h in enumerate(self.assets) if wishes[a] is None)
            new = sum(measure(a, w) for a, w in enumerate(wishes) if w is not None)
            if new > 0 and kept + new > cap:
                scale = min(scale, max(cap - kept, 0.0) / new)
        return scale if scale > 1e-9 else 0.0  # no room but for rounding

    def var_exceeded(self):
        risk = self.config.risk
        if risk.max_var is None or len(self.returns) < risk.var_bars:
            return False
        last = sorted(self.returns[-risk.var_bars :])
        rank = math.floor((1 - risk.var_level) * risk.var_bars + 1e-9)
        return -last[rank] > risk.max_var
