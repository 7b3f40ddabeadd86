"""What the oracle's account knows: cash, holdings, their marks, and the state that limits look at."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

COSTS = ("commission", "spread", "slippage", "impact", "funding", "borrow", "dividend")


@dataclass
class Holding:
    """What the account knows about one asset."""

    units: float = 0.0
    average: float = 0.0
    entry_bar: int = -1
    target: float = 0.0
    pending: list = field(default_factory=list)  # (due bar, target, ATR at the decision), ascending
    order_atr: float = 0.0
    entry_atr: float = 0.0
    extreme: float = 0.0
    trade_pnl: float = 0.0
    trade_notional: float = 0.0
    entries: int = 0  # of the session
    rest: dict | None = None  # kind, level and last bar of an order that rests

    @property
    def side(self) -> int:
        return int(self.units > 0) - int(self.units < 0)

    @property
    def decided(self) -> float:
        return self.pending[-1][1] if self.pending else self.target

    def cancel(self) -> None:
        self.pending = []
        self.target = self.units
        self.rest = None


def _at_traded_prices(panel):
    """The panel at the prices of the contracts that were held, which are quoted with nine decimals at most."""
    scale, offset = panel.exogenous.get("price_scale", 1.0), panel.exogenous.get("price_offset", 0.0)
    moved = (scale != np.ones(panel.close.shape)) | (offset != np.zeros(panel.close.shape))
    prices = {name: getattr(panel, name) for name in ("open", "high", "low", "close")}
    traded = {name: np.where(moved, np.round(p * scale + offset, 9), p) for name, p in prices.items()}
    return replace(panel, **traded).with_ends(panel.end_bar)


class Account:
    """State of one env row over bars [start, stop) of a panel, all symbols traded."""

    def __init__(self, panel, instruments, config, context, *, start, stop, cost_factor=1.0, latency=None):
        self.left_at = panel.exogenous.get("roll_close")
        self.member = panel.exogenous.get("in_universe", np.ones(panel.close.shape))
        panel = _at_traded_prices(panel)
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

    def lot(self, units, a):
        step = self.instruments[a].lot_step
        if step <= 0:
            return units
        return math.copysign(math.floor(abs(units) / step + 1e-9) * step, units)

    def unit_value(self, a, t):
        return self.mark[t, a] * self.instruments[a].multiplier

    def limit(self, name, a):
        """A limit of the risk config in one asset; None where it has none."""
        limit = getattr(self.config.risk, name)
        return limit.get(self.panel.symbols[a]) if isinstance(limit, dict) else limit

    def lendable(self, a):
        """Share of a short that can be borrowed."""
        hard = self.instruments[a].hard_to_borrow
        return 1 - self.config.risk.unknown_borrow_haircut if hard is None else float(not hard)

    def mark_book(self, t):
        values = [h.units * self.unit_value(a, t + 1) for a, h in enumerate(self.assets)]
        self.equity = self.cash + sum(values)
        self.gross = sum(abs(v) for v in values)
