"""A slow, scalar simulator of one env row, written from docs/simulator.md and not from the kernel.

One Python object per asset, plain floats, lists and dicts, due dates instead of queues, bisection instead of closed
forms. The kernel must agree with it to 1e-9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

COSTS = ("commission", "spread", "slippage", "impact", "funding", "borrow")


@dataclass
class Holding:
    """What the account knows about one asset."""

    units: float = 0.0
    average: float = 0.0
    entry_bar: int = -1
    target: float = 0.0
    pending: list = field(default_factory=list)  # (due bar, target), ascending
    entry_atr: float = 0.0
    extreme: float = 0.0
    trade_pnl: float = 0.0
    trade_notional: float = 0.0

    @property
    def side(self) -> int:
        return int(self.units > 0) - int(self.units < 0)

    @property
    def decided(self) -> float:
        return self.pending[-1][1] if self.pending else self.target

    def cancel(self) -> None:
        self.pending = []
        self.target = self.units


class Context:
    """ATR, volatility, average daily volume, funding and split factor of every bar, computed the slow way."""

    def __init__(self, panel, instruments, config):
        mark = panel.last_close()
        sessions = np.unique(panel.session, return_counts=True)[1]
        per_session = float(np.median(sessions))
        T, A = mark.shape
        self.atr, self.sigma, self.adv = np.zeros((T, A)), np.zeros((T, A)), np.zeros((T, A))
        self.funding, self.split = np.zeros((T, A)), np.ones((T, A))
        for a in range(A):
            ranges, returns = [], []
            for t in range(T):
                now = mark[t, a] if np.isfinite(mark[t, a]) else 0.0
                high = panel.high[t, a] if np.isfinite(panel.high[t, a]) else now
                low = panel.low[t, a] if np.isfinite(panel.low[t, a]) else now
                before = now if t == 0 else (mark[t - 1, a] if np.isfinite(mark[t - 1, a]) else 0.0)
                ranges.append(max(high, before) - min(low, before))
                returns.append(math.log(now / before) if t > 0 and now > 0 and before > 0 else 0.0)
                last = returns[max(0, t + 1 - config.volatility_bars) :]
                mean = sum(last) / len(last)
                self.sigma[t, a] = math.sqrt(max(sum(r * r for r in last) / len(last) - mean * mean, 0.0))
                self.atr[t, a] = np.mean(ranges[max(0, t + 1 - config.atr_bars) :])
                volumes = panel.volume[max(0, t + 1 - config.adv_bars) : t + 1, a]
                self.adv[t, a] = float(np.mean(volumes)) * per_session
            self._financing(panel, instruments[panel.symbols[a]], a)

    def _financing(self, panel, instrument, a):
        column = panel.exogenous.get("funding_rate")
        split = panel.exogenous.get("split_factor")
        hour = np.timedelta64(3600, "s")
        for t in range(panel.num_bars):
            if split is not None:
                self.split[t, a] = split[t, a]
            if t == 0 or instrument.funding_hours <= 0:
                continue
            begin = (panel.bar_utc[t - 1] - np.datetime64(0, "ns")) / hour
            end = (panel.bar_utc[t] - np.datetime64(0, "ns")) / hour
            crossed = sum(
                1
                for k in range(int(begin) + 1, int(end) + 1)
                if k % instrument.funding_hours == 0 and k <= end
            )
            rate = instrument.funding_rate
            if column is not None and np.isfinite(column[t - 1, a]):
                rate = column[t - 1, a]
            self.funding[t, a] = crossed * rate


class Oracle:
    """One env row over bars [start, stop) of a panel, all symbols traded."""

    def __init__(self, panel, instruments, config, context, *, start, stop, cost_factor=1.0, latency=None):
        self.panel, self.config, self.context = panel, config, context
        self.instruments = [instruments[s] for s in panel.symbols]
        self.mark = np.nan_to_num(panel.last_close())
        self.start, self.stop = start, stop
        self.bar = start - 1 - config.episode.warmup_bars
        self.latency = config.costs.latency_bars if latency is None else latency
        self.factor = cost_factor
        self.cash = self.equity = self.peak = self.session_equity = config.initial_equity
        self.assets = [Holding() for _ in panel.symbols]
        self.halt = ""
        self.entries = 0
        self.returns: list[float] = []
        self.results: list[float] = []
        self.moments = [0.0, 0.0]
        T = panel.num_bars
        self.left = [sum(panel.session[t + 1 :] == panel.session[t]) for t in range(T)]
        self.since = [sum(panel.session[:t] == panel.session[t]) for t in range(T)]

    # ------------------------------------------------------------------ decisions, at the close of t

    def lot(self, units, a):
        step = self.instruments[a].lot_step
        if step <= 0:
            return units
        return math.copysign(math.floor(abs(units) / step + 1e-9) * step, units)

    def unit_value(self, a, t):
        return self.mark[t, a] * self.instruments[a].multiplier

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
        if value <= 0:
            return None
        if scheme == "weights":
            if self.equity <= 0:
                return 0.0
            weight = min(max(float(action), -1.0 if shorts else 0.0), 1.0)
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
        return side * share * self.size(a, t) if side else 0.0

    def forced(self, a, fill_bar):
        if self.halt:
            return self.halt
        if self.config.risk.flat_at_session_end == "last_open" and self.left[fill_bar] == 0:
            return "session_end"
        barriers, holding = self.config.barriers, self.assets[a]
        limit = barriers.time_limit_bars if barriers else None
        if limit and holding.units and fill_bar - holding.entry_bar >= limit:
            return "time_limit"
        return None

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
            cap = risk.max_position_exposure * max(self.equity, 0.0) / self.unit_value(a, t)
            wish = min(max(wish, -cap), cap)
        return wish

    def decide(self, t, actions):
        risk = self.config.risk
        fill_bar = min(t + 1 + self.latency, self.panel.num_bars - 1)
        reduce = (
            self.var_exceeded()
            or self.since[fill_bar] < risk.no_trade_open_bars
            or self.left[fill_bar] < risk.no_trade_close_bars
        )
        wishes, reasons = [], []
        for a in range(len(self.assets)):
            reason = self.forced(a, fill_bar)
            wish = None
            if reason:
                wish = 0.0
            elif self.panel.tradable[t, a] and t + 1 >= self.start:
                wish = self.limited(a, t, self.wish(a, t, actions[a]), fill_bar, reduce)
            wishes.append(wish)
            reasons.append(reason or "signal")
        scale = self.joint_scale(t, wishes)
        for a, holding in enumerate(self.assets):
            wish = wishes[a]
            if wish is not None and wish != 0.0:
                wish = self.lot(wish * scale, a)
                if wish != 0.0 and wish * holding.decided <= 0:
                    maximum = risk.max_entries_per_session
                    if maximum is not None and self.entries >= maximum:
                        wish = 0.0
                    else:
                        self.entries += 1
            if wish is not None:
                holding.pending.append((t + 1 + self.latency, wish))
        return reasons

    def joint_scale(self, t, wishes):
        """Share of the new targets that fits under the gross cap and initial margin, kept ones counted first."""
        equity, scale = max(self.equity, 0.0), 1.0

        def margin(a, units):
            i = self.instruments[a]
            return abs(units) * (i.initial_margin + self.unit_value(a, t) * i.initial_margin_fraction)

        def gross(a, units):
            return abs(units) * self.unit_value(a, t)

        rules = [(gross, self.config.risk.max_gross_exposure * equity)]
        if self.config.risk.margin:
            rules.append((margin, equity))
        for measure, cap in rules:
            kept = sum(measure(a, h.decided) for a, h in enumerate(self.assets) if wishes[a] is None)
            new = sum(measure(a, w) for a, w in enumerate(wishes) if w is not None)
            if new > 0 and kept + new > cap:
                scale = min(scale, max(cap - kept, 0.0) / new)
        return scale

    def var_exceeded(self):
        risk = self.config.risk
        if risk.max_var is None or len(self.returns) < risk.var_bars:
            return False
        last = sorted(self.returns[-risk.var_bars :])
        rank = math.floor((1 - risk.var_level) * risk.var_bars + 1e-9)
        return -last[rank] > risk.max_var

    # ------------------------------------------------------------------ inside bar t + 1

    def charges(self, a, t, quantity, price, fee_bps):
        i, costs, size = self.instruments[a], self.config.costs, abs(quantity)
        notional = size * price * i.multiplier
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
        if self.context.adv[t, a] > 0:
            sessions = np.unique(self.panel.session, return_counts=True)[1]
            sigma_day = self.context.sigma[t, a] * math.sqrt(float(np.median(sessions)))
            ratio = math.sqrt(size / self.context.adv[t, a])
            paid["impact"] = notional * costs.impact_coefficient * sigma_day * ratio
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
        self.turnover += abs(quantity) * price * point
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
            self.results.append(holding.trade_pnl / holding.trade_notional)
            holding.trade_pnl = -total * opening / abs(quantity) if after else 0.0
            holding.trade_notional = 0.0
        if opening and after:
            if before == 0 or closed:
                holding.average, holding.entry_bar = price, t + 1
                holding.extreme, holding.entry_atr = price, self.context.atr[t, a]
                holding.trade_notional = abs(after) * price * point
            else:
                holding.average = (holding.average * abs(before) + price * opening) / abs(after)
                holding.trade_notional += opening * price * point
        holding.units = after

    def finance(self, t):
        costs = self.config.costs
        for a, holding in enumerate(self.assets):
            notional = holding.units * self.unit_value(a, t)
            years = (self.panel.bar_utc[t + 1] - self.panel.bar_utc[t]) / np.timedelta64(1, "s")
            years /= 365.25 * 86400
            borrow = funding = 0.0
            if costs.borrow:
                borrow = max(-notional, 0.0) * self.instruments[a].borrow_rate * years * self.factor
            if costs.funding:
                funding = notional * self.context.funding[t + 1, a] * self.factor
            self.cash -= borrow + funding
            holding.trade_pnl -= borrow + funding
            self.bar_costs["borrow"] += borrow
            self.bar_costs["funding"] += funding

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

    def check_barriers(self, a, t):
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
            hit = self.touched(barriers, holding, side, unit, opened, high, low, holding.entry_bar <= t)
            if hit:
                price, reason = hit
                fee = self.fees(a, maker=reason == "profit_target")
                self.fill(a, t, -holding.units, price, reason, fee)
                holding.cancel()
                return
        holding.extreme = max(holding.extreme, high) if side > 0 else min(holding.extreme, low)

    @staticmethod
    def touched(barriers, holding, side, unit, opened, high, low, held_before):
        """(price, reason) of the first barrier touched; prices are mirrored for shorts so that down is bad."""
        stops = []
        if barriers.stop_loss is not None:
            stops.append((side * holding.average - barriers.stop_loss * unit, "stop_loss"))
        if barriers.trailing_stop is not None:
            stops.append((side * holding.extreme - barriers.trailing_stop * unit, "trailing_stop"))
        stop = max(stops, key=lambda s: s[0]) if stops else None
        target = None
        if barriers.profit_target is not None:
            target = side * holding.average + barriers.profit_target * unit
        worst, best = (low, high) if side > 0 else (-high, -low)
        if held_before and stop and side * opened <= stop[0]:
            return opened, stop[1]
        if held_before and target is not None and side * opened >= target:
            return opened, "profit_target"
        if stop and worst <= stop[0]:
            return side * stop[0], stop[1]
        if target is not None and best >= target:
            return side * target, "profit_target"
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
                need += abs(h.units) * (
                    i.maintenance_margin + price * i.multiplier * i.maintenance_margin_fraction
                )
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

    def close_everything(self, t, reason, only_tradable=False):
        for a, holding in enumerate(self.assets):
            if only_tradable and not self.panel.tradable[t + 1, a]:
                continue
            if holding.units:
                self.fill(a, t, -holding.units, self.mark[t + 1, a], reason, self.fees(a))
            holding.cancel()
        self.mark_book(t)

    def mark_book(self, t):
        values = [h.units * self.unit_value(a, t + 1) for a, h in enumerate(self.assets)]
        self.equity = self.cash + sum(values)
        self.gross = sum(abs(v) for v in values)

    # ------------------------------------------------------------------ the step

    def step(self, actions):
        """Close of bar t to close of bar t + 1; returns (reward, terminated, truncated)."""
        t, before, risk = self.bar, self.equity, self.config.risk
        self.bar_costs = dict.fromkeys(COSTS, 0.0)
        self.fills, self.turnover, self.realised, self.breaches = [], 0.0, 0.0, 0
        if self.panel.session[t + 1] != self.panel.session[t]:
            self.session_equity, self.entries = self.equity, 0
            self.halt = "" if self.halt == "daily_loss" else self.halt
        self.breaches += self.var_exceeded()
        reasons = self.decide(t, actions)
        for holding in self.assets:
            while holding.pending and holding.pending[0][0] <= t + 1:
                holding.target = holding.pending.pop(0)[1]
        self.finance(t)
        for a in range(len(self.assets)):
            delisted = self.instruments[a].delisted_utc
            if delisted is not None and self.panel.bar_utc[t + 1] >= np.datetime64(delisted):
                if self.assets[a].units:
                    self.fill(a, t, -self.assets[a].units, self.mark[t + 1, a], "delisting", self.fees(a))
                self.assets[a].cancel()
            elif self.panel.tradable[t + 1, a]:
                self.fill_order(a, t, reasons)
                self.check_barriers(a, t)
        if risk.margin:
            self.liquidate(t)
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
        if risk.max_drawdown is not None and drawdown >= risk.max_drawdown and self.halt != "drawdown":
            self.halt = "drawdown"
            self.breaches += 1
        lost = 1 - self.equity / self.session_equity
        if risk.max_daily_loss is not None and not self.halt and lost >= risk.max_daily_loss:
            self.halt = "daily_loss"
            self.breaches += 1
        return self.reward(t, before, drawdown)

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

    def observation(self):
        """Position and account blocks at the close of the current bar."""
        t, cap, scale = self.bar, self.config.risk.max_gross_exposure, self.config.observation.return_scale

        def soft(x):
            return x / (1 + abs(x))

        def exposure(units, a):
            return units * self.unit_value(a, t) / (self.equity * cap)

        position, gross, net = [], 0.0, 0.0
        for a, h in enumerate(self.assets):
            gain = h.side * (self.mark[t, a] / h.average - 1) if h.units else 0.0
            age = t + 1 - h.entry_bar if h.units else 0
            share, working = exposure(h.units, a), exposure(h.target - h.units, a)
            gross, net = gross + abs(share), net + share
            position += [
                h.side, min(max(share, -1), 1), min(max(working, -1), 1), soft(gain / scale),
                age / (age + self.config.observation.holding_scale_bars), float(self.panel.tradable[t, a]),
            ]  # fmt: skip
        account = [
            min(gross, 1), min(max(net, -1), 1), min(max(1 - self.equity / self.peak, 0), 1),
            soft((self.equity / self.session_equity - 1) / scale), float(self.halt != ""), 1 / (1 + self.left[t]),
        ]  # fmt: skip
        return np.array([*position, *account])

    def differential_sharpe(self, x):
        eta = self.config.reward.differential_sharpe_rate
        first, second = self.moments
        self.moments = [first + eta * (x - first), second + eta * (x * x - second)]
        if len(self.returns) <= 1:
            return 0.0
        top = second * (x - first) - 0.5 * first * (x * x - second)
        value = top / max(second - first**2, 1e-12) ** 1.5
        return min(max(value, -10.0), 10.0)
