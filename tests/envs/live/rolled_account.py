"""An account that trades series of contracts at a scripted venue, bar by bar, and may be killed at any call."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from gymnasium.vector import AutoresetMode
from random_markets import random_features
from test_live_account import growing

from data.futures.contract_series import ContractRoll, ContractSeries, DatedContract
from data.traded_prices import ROLL, traded_prices
from envs.context import ContextConfig
from envs.episodes import Window
from envs.instruments import CATALOGUE
from envs.kernel import columns as c
from envs.live.account import LiveAccount
from envs.live.contract_opens import contract_opens
from envs.live.desk import DeskRules, OrderDesk
from envs.live.growing_market import ClosedBar
from envs.live.journal import Journal
from envs.live.order_venue import ScriptedVenue
from envs.live.roll_rules import RollRules
from envs.live.scripted_exchange import ExchangeScript, ScriptedExchange
from envs.live.traded_contracts import TradedContracts
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv

NO_WINDOWS = ContextConfig(atr_bars=None, volatility_bars=None, adv_bars=None, until_full="no_entry")
AT_ONCE = DeskRules(settle_s=0.0, resend_within_s=1e9, ask_again_s=0.0, retry_s=1.0, longest_retry_s=1.0)
CLOSE_OPEN = RollRules(roll="close_open", late_roll="roll", roll_attempts=3)
FEE_BPS = 2.0
FUTURE = replace(
    CATALOGUE["ES"],
    commission_per_unit=0.0,
    taker_fee_bps=FEE_BPS,
    half_spread_ticks=0.0,
    half_spread_bps=0.0,
)
"""Its only cost is a commission of the notional at the open, as a script can charge it."""


def month(k: int) -> str:
    """YYYYMM of the k-th of quarterly contracts."""
    return f"{2024 + k // 4}{3 * (k % 4) + 3:02d}"


def series_behind(panel, asset, due=None) -> ContractSeries:
    """The series of one asset of a panel that rolls, as a source tells it; due : session -> place, where it differs."""
    symbol, rolls = panel.symbols[asset], panel.exogenous[ROLL][:, asset]
    bars, opened = np.flatnonzero(np.isfinite(rolls)), traded_prices(panel)["open"][:, asset]
    names = [month(k) for k in range(len(bars) + 2)]
    known = {}
    for session in np.unique(panel.session).tolist():
        begun = [k for k, bar in enumerate(bars, start=1) if panel.session[bar] <= session]
        known[session] = begun[-1] if begun else 0
    known |= due or {}
    return ContractSeries(
        symbol=symbol,
        contracts=tuple(
            DatedContract(
                symbol=f"{symbol}{k}",
                name=f"{symbol}:{name}",
                last_day=np.datetime64(f"{name[:4]}-{name[4:]}-15"),
            )
            for k, name in enumerate(names)
        ),
        first=0,
        rolls=tuple(
            ContractRoll(
                bar_utc=panel.bar_utc[bar], begun=k, left_at=float(rolls[bar]), begun_at=float(opened[bar])
            )
            for k, bar in enumerate(bars, start=1)
        ),
        due=known,
        due_next=_last(len(bars)),
    )


def _last(place):
    return lambda session: place


class Killed(BaseException):
    """The process is gone."""


class Killer:
    """Counts the calls that leave a trace, and ends the process before or after one of them."""

    def __init__(self, at=None):
        self.at, self.count = at, 0

    def tick(self):
        self.count += 1
        if self.count - 1 == self.at:
            raise Killed

    def watch(self, subject, *names):
        for name in names:
            setattr(subject, name, self._wrapped(getattr(subject, name)))

    def _wrapped(self, call):
        def wrapped(*args, **kwargs):
            self.tick()
            result = call(*args, **kwargs)
            self.tick()
            return result

        return wrapped


class RolledAccount:
    """What a trading loop does, without a policy: `play` goes over the bars, in as many processes as it takes.

    actions : (N, A), decided at the closes from the bar before `start` on.
    """

    def __init__(self, path, panel, config, actions, *, start, series=None, rules=CLOSE_OPEN, **script):
        self.path, self.panel, self.config, self.actions, self.start = path, panel, config, actions, start
        path.mkdir(exist_ok=True)
        rolls = panel.exogenous.get(ROLL, np.full(panel.close.shape, np.nan))
        rolled = np.flatnonzero(np.isfinite(rolls).any(axis=0))
        self.series = [series_behind(panel, a) for a in rolled] if series is None else series
        self.rules, self.instruments = rules, dict.fromkeys(panel.symbols, FUTURE)
        quiet = {"delay_bars": 0, "partial_share": 0.0, "reject_share": 0.0, "seed": 3}
        self.script = ExchangeScript(**{**quiet, "half_spread_bps": 0.0, "commission_bps": FEE_BPS, **script})
        self.features, self.saved = random_features(panel), None
        self.equity, self.moves = {}, {}
        self.refusals = Counter()
        """Intent -> orders of it that the venue refuses from now on."""

    def backtest(self):
        """Equity at each close, of the simulator alone."""
        window = Window(start_bar=self.start, stop_bar=self.panel.num_bars)
        env = PortfolioVectorEnv(
            Market.build(self.panel, self.features, self.instruments, NO_WINDOWS),
            self.config,
            num_envs=1,
            windows=[window],
            seed=0,
            autoreset_mode=AutoresetMode.DISABLED,
        )
        env.reset()
        found = {}
        for action in self.actions:
            env.step(np.asarray(action)[None])
            found[int(env.current_bar[0])] = float(env.rows.account[0, c.EQUITY])
        return found

    def begin(self, killer=None):
        """A new process on what the last one left."""
        killer = killer or Killer()
        seen = self.start if self.saved is None else pickle.loads(self.saved)["known"]
        self.market = growing(self.panel, self.features, self.instruments, NO_WINDOWS, held=seen)
        self.account = LiveAccount(self.market, self.config, start_bar=self.start, seed=0)
        self.journal = Journal(self.path / "journal.sqlite", "replay/test")
        instrument, symbols = self.account.env.instrument, self.panel.symbols
        self.exchange = ScriptedExchange(
            self.script,
            symbols,
            instrument[:, c.LOT_STEP].tolist(),
            instrument[:, c.MULTIPLIER].tolist(),
            self.path / "exchange.json",
            contract_opens(symbols, lambda: self.series),
        )
        self._refuse_some(self.exchange)
        killer.watch(self.journal, "plan", "update", "book")
        killer.watch(self.exchange, "submit", "cancel", "trade", "follow")
        self.desk = OrderDesk(self.exchange, self.journal, AT_ONCE, self._now)
        contracts = TradedContracts(self.account, symbols, lambda: self.series)
        self.venue = ScriptedVenue(
            self.exchange, self.desk, self.account, symbols, "run", contracts=contracts, rolls=self.rules
        )
        if self.saved is None:
            self.account.reset()
            self._save()
        else:
            saved = pickle.loads(self.saved)
            self.account.set_state(saved["account"])
            self.venue.restore_booked(saved["booked"])
            self.venue.restore_state(saved["venue"])
        over = self.account.bar + 1 - self.start >= len(self.actions)
        if not over:
            self._decide()
        self.venue.open()
        if not over:
            self.venue.send(self._closed_utc(), entries=True)

    def _refuse_some(self, exchange):
        submit = exchange.submit

        def refusing(orders):
            intent = orders[0].order.client_order_id.rpartition("/")[2]
            refused = self.refusals[intent] > 0
            self.refusals[intent] -= refused
            exchange.script = replace(self.script, reject_share=1.0) if refused else self.script
            submit(orders)

        exchange.submit = refusing

    def step(self, killer=None):
        """A bar comes, the account is closed on it and decides again; False where there are no more."""
        t = self.account.bar + 1
        if t >= self.start + len(self.actions):
            return False
        bar = ClosedBar.of(self.panel, t)
        self.market.append(bar)
        self.venue.settle(bar)
        closed = self.account.close()
        self.equity[t] = closed.equity
        self.moves[t] = self.venue.take_moves()
        (killer or Killer()).tick()
        self._save()
        (killer or Killer()).tick()
        if closed.ended or t + 1 >= self.start + len(self.actions):
            return False
        self._decide()
        self.venue.send(self._closed_utc(), entries=True)
        return True

    def play(self, kills=()):
        """All bars; kills : calls, counted in each process, at which it ends and another one goes on."""
        for at in (*kills, None):
            killer = Killer(at)
            try:
                self.begin(killer)
                while self.step(killer):
                    pass
            except Killed:
                continue
            finally:
                self.journal.close()
            break
        return killer.count

    def orders(self):
        """(name, contract, units, what filled) of every order, as the journal has them."""
        return [
            (t.order.client_order_id, t.order.symbol, t.order.units, t.filled_units)
            for t in self.desk.orders.all()
        ]

    def rolls(self):
        """Of the legs of rolls alone (intent, contract, units, price)."""
        found = []
        for fill in self.desk.orders.fills():
            intent = (fill.client_order_id or "").rpartition("/")[2]
            if intent.startswith("roll"):
                found.append((intent, fill.symbol, fill.units, fill.price))
        return found

    def assert_agrees(self):
        """The account, the journal's fills and the venue hold the same contracts, and no order is there twice."""
        there = {p.symbol: p.units for p in self.exchange.snapshot([]).positions}
        ours = self.venue.contracts.units()
        by_fills = self.desk.orders.units()
        for name in {*there, *ours, *by_fills}:
            assert abs(there.get(name, 0.0) - ours.get(name, 0.0)) < 1e-9, (name, there, ours)
            assert abs(there.get(name, 0.0) - by_fills.get(name, 0.0)) < 1e-9, (name, there, by_fills)
        names = [name for name, *_ in self.orders()]
        assert len(names) == len(set(names))

    def _decide(self):
        self.account.decide(np.asarray(self.actions[self.account.bar + 1 - self.start], np.float32))

    def _closed_utc(self):
        at = self.panel.bar_utc[self.account.bar].astype("datetime64[us]").astype(object).replace(tzinfo=UTC)
        return at + timedelta(seconds=self.panel.bar_seconds)

    def _now(self) -> datetime:
        return datetime(2021, 3, 1, tzinfo=UTC)

    def _save(self):
        state = {
            "account": self.account.get_state(),
            "venue": self.venue.state(),
            "booked": list(self.venue._booked.values()),
            "known": self.market.num_known,
        }
        self.saved = pickle.dumps(state)
