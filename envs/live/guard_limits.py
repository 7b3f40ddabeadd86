"""The limits of a live account: what an order may lead to, and what an account may come to. Pure: no clock, no I/O.

The simulator's limits (`envs.risk.RiskConfig`) act on the policy's wishes; these stand behind them, on the orders
themselves and on what the venue says is held, and know nothing of a policy.

Exposures are notional over equity; notional is |units| x price x multiplier, account currency.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from envs.live.broker import Order
from envs.live.guarded_account import AccountView, Exposure, unit_ends
from envs.validation import require_non_negative, require_positive, require_range

Reaction = Literal["halt", "flatten"]
SAME = 1e-9
"""Share by which a number may lie over its limit: rounding."""


@dataclass(frozen=True, kw_only=True)
class GuardLimits:
    """``conf/guard/*.yaml``; None switches a limit off, which real money does not allow.

    Parameters
    ----------
    max_order_exposure : notional of one order over equity.
    max_order_notional : of one order, account currency.
    max_orders_per_minute : orders that may be sent in any minute.
    price_collar_bps : how far beyond the last price a limit may lie on the side that pays, and a stop beyond it on the
        side where it triggers at once.
    max_position_exposure, max_gross_exposure, max_net_exposure : of one symbol, of the sum, of the signed sum.
    max_leverage : gross notional over equity that is held, whatever led to it.
    max_daily_loss, max_drawdown : fraction of the day's first equity, and of the highest equity of the run.
    max_var : loss that a bar exceeds with probability 1 - var_level, fraction of equity, by what the symbols did.
    var_level : 0.5 to 0.9999. var_bars : returns that it is read from.
    min_buying_power : that must be left, fraction of equity.
    held_slack : share by which exposures of what is held may pass their limits by prices alone before the guard acts.
    on_breach : halt: orders may only reduce; flatten: everything is closed, and nothing sent until a person says so.
    on_silence : the same, where the loop has shown no sign of life for `silence_s` seconds.
    silence_s, watch_s : seconds; of the loop's silence, and between two looks at the account.
    """

    max_order_exposure: float | None
    max_order_notional: float | None
    max_orders_per_minute: int | None
    price_collar_bps: float | None
    max_position_exposure: float | None
    max_gross_exposure: float | None
    max_net_exposure: float | None
    max_leverage: float | None
    max_daily_loss: float | None
    max_drawdown: float | None
    max_var: float | None
    var_level: float
    var_bars: int
    min_buying_power: float | None
    held_slack: float
    on_breach: Reaction
    on_silence: Reaction
    silence_s: float
    watch_s: float

    def __post_init__(self) -> None:
        for name in (
            "max_order_exposure",
            "max_order_notional",
            "max_orders_per_minute",
            "price_collar_bps",
            "max_position_exposure",
            "max_gross_exposure",
            "max_net_exposure",
            "max_leverage",
        ):
            if getattr(self, name) is not None:
                require_positive("guard", name, getattr(self, name))
        for name in ("max_daily_loss", "max_drawdown", "max_var"):
            if getattr(self, name) is not None:
                require_range("guard", name, getattr(self, name), 0.0, 1.0, open_low=True)
        if self.min_buying_power is not None:
            require_non_negative("guard", "min_buying_power", self.min_buying_power)
        require_range("guard", "var_level", self.var_level, 0.5, 0.9999)
        require_range("guard", "var_bars", self.var_bars, 20, 1_000_000)
        require_non_negative("guard", "held_slack", self.held_slack)
        for name in ("silence_s", "watch_s"):
            require_positive("guard", name, getattr(self, name))

    def switched_off(self) -> list[str]:
        """Limits that are None."""
        return [f.name for f in fields(self) if getattr(self, f.name) is None]

    def require_for_real_money(self) -> None:
        """Refuse to trade real money with a limit switched off.

        Raises
        ------
        ValueError
            With the keys.
        """
        off = self.switched_off()
        if off:
            raise ValueError(
                f"guard.{', guard.'.join(off)} {'is' if len(off) == 1 else 'are'} null; with real money every limit "
                "needs a number"
            )


@dataclass(frozen=True, kw_only=True)
class Breach:
    """A limit that would be, or is, passed.

    limit : its key. words : a sentence with value and limit. unknown : the number could not be had.
    """

    limit: str
    words: str
    unknown: bool = False

    def __str__(self) -> str:
        return self.words


def order_breaches(
    orders: Sequence[Order],
    view: AccountView,
    limits: GuardLimits,
    *,
    num_last_minute: int = 0,
    only_reduce: str = "",
) -> list[Breach]:
    """What speaks against sending orders that belong together.

    An order that only reduces what is held may always go, but for a price beyond the collar: an exit must not be
    refused because the account is in trouble. What cannot be computed, for want of a price or of equity, is a breach.

    Parameters
    ----------
    num_last_minute : orders that were sent within the last minute.
    only_reduce : why orders may only reduce now; empty where they may enter.
    """
    found: list[Breach] = []
    for order in orders:
        found += collar_breaches(order, view, limits)
    entering = [order for order in orders if order.entry is None and not is_reducing(order, view)]
    if not entering:
        return found
    if only_reduce:
        found.append(Breach(limit="halt", words=f"orders may only reduce: {only_reduce}"))
    found += _rate(len(orders), num_last_minute, limits)
    found += loss_breaches(view, limits)
    for order in entering:
        found += _size(order, view, limits)
    before, after = (Exposure.of(view, unit_ends(view, given)) for given in ((), entering))
    found += _exposures(before, after, limits)
    found += _var(view, before, after, limits)
    added = sum(abs(view.notional(order.symbol, order.units)) for order in entering)
    return found + _buying_power(view, added, limits)


def account_breaches(view: AccountView, limits: GuardLimits) -> list[Breach]:
    """What is wrong with an account as it stands, whoever traded it."""
    found = loss_breaches(view, limits)
    slack = 1.0 + limits.held_slack
    nothing = Exposure(ends={})
    held = Exposure.of(view, {symbol: (units, units) for symbol, units in view.units.items()})
    found += _exposures(nothing, held, limits, slack=slack)
    found += _above("max_leverage", "leverage", held.gross, limits.max_leverage)
    found += _var(view, nothing, held, limits, slack=slack)
    return found + (_buying_power(view, 0.0, limits) if any(view.units.values()) else [])


def is_reducing(order: Order, view: AccountView) -> bool:
    """Whether an order, with those that are open on its side, at most closes what is held."""
    held = view.units.get(order.symbol, 0.0)
    if held * order.units >= 0.0:
        return False
    same_side = sum(units for units in view.open_units.get(order.symbol, ()) if units * order.units > 0.0)
    return abs(order.units + same_side) <= abs(held) * (1.0 + SAME)


def loss_breaches(view: AccountView, limits: GuardLimits) -> list[Breach]:
    """Loss of the day and from the peak."""
    if not (math.isfinite(view.equity) and view.equity > 0.0):
        return [Breach(limit="equity", words=f"equity is {view.equity:g}, which is nothing to trade with")]
    found: list[Breach] = []
    for limit, name, start, most in (
        ("max_daily_loss", "the loss of the day", view.day_equity, limits.max_daily_loss),
        ("max_drawdown", "the loss from the peak", view.peak_equity, limits.max_drawdown),
    ):
        if most is None:
            continue
        lost = 1.0 - view.equity / start if start > 0.0 else math.nan
        found += _above(limit, name, lost, most, at=True)
    return found


def collar_breaches(order: Order, view: AccountView, limits: GuardLimits) -> list[Breach]:
    """Prices of an order that would pay far more than the last price; the exits of a bracket are left out."""
    if limits.price_collar_bps is None or order.kind == "market" or order.entry is not None:
        return []
    if order.kind == "stop" and order.group is not None and is_reducing(order, view):
        return []  # the stop of a position that was gapped through: it sells as a market order would, and must
    price = view.prices.get(order.symbol, math.nan)
    if not price > 0.0:
        return [
            Breach(
                limit="price_collar_bps",
                words=f"{order.client_order_id}: no price of {order.symbol} is known",
            )
        ]
    side = 1.0 if order.units > 0 else -1.0
    found = []
    if order.limit_price is not None:
        beyond = side * (order.limit_price / price - 1.0) * 1e4
        found.append(("limit", order.limit_price, beyond))
    if order.stop_price is not None:
        beyond = side * (1.0 - order.stop_price / price) * 1e4
        found.append(("stop", order.stop_price, beyond))
    return [
        Breach(
            limit="price_collar_bps",
            words=f"{order.client_order_id}: its {what} {at:g} lies {beyond:.0f} bps beyond the last price {price:g}, "
            f"more than {limits.price_collar_bps:g}",
        )
        for what, at, beyond in found
        if not beyond <= limits.price_collar_bps + 1e-6
    ]


def _size(order: Order, view: AccountView, limits: GuardLimits) -> list[Breach]:
    notional = abs(view.notional(order.symbol, order.units))
    name = f"the notional of {order.client_order_id}"
    found = _above("max_order_notional", name, notional, limits.max_order_notional)
    share = notional / view.equity if view.equity > 0.0 else math.nan
    return found + _above("max_order_exposure", f"{name} over equity", share, limits.max_order_exposure)


def _rate(num: int, num_last_minute: int, limits: GuardLimits) -> list[Breach]:
    rate = float(num + num_last_minute)
    return _above(
        "max_orders_per_minute", "the number of orders in a minute", rate, limits.max_orders_per_minute
    )


def _exposures(before: Exposure, after: Exposure, limits: GuardLimits, *, slack: float = 1.0) -> list[Breach]:
    """Exposures that lie over their limits and grew."""
    found: list[Breach] = []
    for symbol in after.ends if limits.max_position_exposure is not None else ():
        value = after.position(symbol)
        if not value <= before.position(symbol):
            name, most = f"the exposure of {symbol}", (limits.max_position_exposure or 0.0) * slack
            found += _above("max_position_exposure", name, value, most)
    if limits.max_gross_exposure is not None and not after.gross <= before.gross:
        found += _above(
            "max_gross_exposure", "gross exposure", after.gross, limits.max_gross_exposure * slack
        )
    if limits.max_leverage is not None and not after.gross <= before.gross:
        found += _above("max_leverage", "leverage", after.gross, limits.max_leverage * slack)
    if limits.max_net_exposure is not None and not after.net <= before.net:
        found += _above("max_net_exposure", "net exposure", after.net, limits.max_net_exposure * slack)
    return found


def _var(
    view: AccountView, before: Exposure, after: Exposure, limits: GuardLimits, *, slack: float = 1.0
) -> list[Breach]:
    if limits.max_var is None:
        return []
    value = after.var(view.returns, limits.var_level)
    if value <= before.var(view.returns, limits.var_level):
        return []
    return _above("max_var", f"VaR of a bar at {limits.var_level:g}", value, limits.max_var * slack)


def _buying_power(view: AccountView, added: float, limits: GuardLimits) -> list[Breach]:
    if limits.min_buying_power is None:
        return []
    if view.buying_power is None:
        return [Breach(limit="min_buying_power", words="the venue tells no buying power", unknown=True)]
    left = (view.buying_power - added) / view.equity if view.equity > 0.0 else math.nan
    if left >= limits.min_buying_power:
        return []
    return [
        Breach(
            limit="min_buying_power",
            words=f"the buying power left is {left:.4g} of equity, less than {limits.min_buying_power:g}",
        )
    ]


def _above(limit: str, name: str, value: float, most: float | None, *, at: bool = False) -> list[Breach]:
    """A breach where a number is over its limit (with `at`: or on it), or is none."""
    if most is None:
        return []
    if math.isnan(value):
        why = f"{name} is not known (no price, no returns or no equity)"
        return [Breach(limit=limit, words=why, unknown=True)]
    over = value >= most * (1.0 - SAME) if at else value > most * (1.0 + SAME)
    return [Breach(limit=limit, words=f"{name} is {value:.4g}, the limit {most:.4g}")] if over else []
