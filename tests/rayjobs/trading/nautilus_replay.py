"""Decisions replayed in NautilusTrader, run by a Python that has it: `python nautilus_replay.py IN.npz OUT.npy`.

IN holds `open` and `close` (T, A), `target` (T, A) units that are wanted from the open of each bar on, `cost_bps` of
notional and `equity` at the start. OUT gets (T,) equity at each close, as the engine's own account and positions say.

With bars alone the engine fills a market order at the close of the bar that it was sent in. So it gets one trade at
each open, with more size than any order, and the orders go out on it.
"""

import sys
from decimal import Decimal

import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import Currency
from nautilus_trader.model.data import TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, CurrencyType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

DIGITS = 9
"""Decimals of prices and sizes."""
CASH = Currency("USX", precision=12, iso4217=0, name="USX", currency_type=CurrencyType.CRYPTO)
"""A currency that is not rounded to cents."""
STEP_NS = 60_000_000_000


def instrument(asset: int, cost_bps: float) -> CurrencyPair:
    """A pair whose base is the asset."""
    name = f"AS{asset}"
    base = Currency(name, precision=DIGITS, iso4217=0, name=name, currency_type=CurrencyType.CRYPTO)
    step = Decimal(1).scaleb(-DIGITS)
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol(f"{name}/USX"), Venue("SIM")),
        raw_symbol=Symbol(f"{name}USX"),
        base_currency=base,
        quote_currency=CASH,
        price_precision=DIGITS,
        size_precision=DIGITS,
        price_increment=Price(step, DIGITS),
        size_increment=Quantity(step, DIGITS),
        lot_size=None,
        max_quantity=None,
        min_quantity=None,
        max_notional=None,
        min_notional=None,
        max_price=None,
        min_price=None,
        margin_init=Decimal(0),
        margin_maint=Decimal(0),
        maker_fee=Decimal(repr(cost_bps)) / 10_000,
        taker_fee=Decimal(repr(cost_bps)) / 10_000,
        ts_event=0,
        ts_init=0,
    )


class FollowTargets(Strategy):
    """Buys or sells what is missing to each bar's targets, on the trade at its open."""

    def __init__(self, pairs, close, target) -> None:
        super().__init__()
        self.pairs, self.close, self.target = pairs, close, target
        self.place = {pair.id: a for a, pair in enumerate(pairs)}
        self.equity = np.full(len(close), np.nan)

    def on_start(self) -> None:
        for pair in self.pairs:
            self.subscribe_trade_ticks(pair.id)

    def on_trade_tick(self, tick) -> None:
        t, a = int(tick.ts_event // STEP_NS) - 1, self.place[tick.instrument_id]
        if a == 0 and t > 0:
            self.mark(t - 1)
        if t >= len(self.target):
            return
        held = float(self.portfolio.net_position(tick.instrument_id))
        missing = round(float(self.target[t, a]) - held, DIGITS)
        if missing:
            side = OrderSide.BUY if missing > 0 else OrderSide.SELL
            size = Quantity(abs(missing), DIGITS)
            self.submit_order(self.order_factory.market(tick.instrument_id, side, size))

    def mark(self, t: int) -> None:
        account = self.portfolio.account(Venue("SIM"))
        total = account.balance_total(CASH).as_double()
        for position in self.cache.positions_open():
            price = Price(self.close[t, self.place[position.instrument_id]], DIGITS)
            total += position.unrealized_pnl(price).as_double()
        self.equity[t] = total


def main(given: str, out: str) -> None:
    """Run the engine."""
    facts = np.load(given)
    opened, close, target = facts["open"], facts["close"], facts["target"]
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        venue=Venue("SIM"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=CASH,
        starting_balances=[Money(float(facts["equity"]), CASH)],
        default_leverage=Decimal(100),
        trade_execution=True,
    )
    pairs = [instrument(a, float(facts["cost_bps"])) for a in range(opened.shape[1])]
    ticks = []
    for a, pair in enumerate(pairs):
        engine.add_instrument(pair)
        prices = [*opened[:, a], close[-1, a]]  # one more, on which the last close is marked
        ticks += [
            TradeTick(
                pair.id,
                Price(price, DIGITS),
                Quantity(1e9, DIGITS),
                AggressorSide.NO_AGGRESSOR,
                TradeId(f"{a}-{t}"),
                (t + 1) * STEP_NS + a,
                (t + 1) * STEP_NS + a,
            )
            for t, price in enumerate(prices)
        ]
    engine.add_data(sorted(ticks, key=lambda tick: tick.ts_event))
    strategy = FollowTargets(pairs, close, target)
    engine.add_strategy(strategy)
    engine.run()
    np.save(out, strategy.equity)
    engine.dispose()


if __name__ == "__main__":
    main(*sys.argv[1:])
