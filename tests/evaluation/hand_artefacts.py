"""A run's tables worked out again from its fills, raw bars and contract terms, by plain loops."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pandas as pd

COSTS = (
    "commission", "spread_cost", "slippage_cost", "impact_cost", "funding_cost", "borrow_cost", "dividend_cost",
)  # fmt: skip
YEAR_SECONDS = 365.25 * 86_400.0
CLOSES = ("window_end", "ruin", "delisting")
INSIDE = ("stop_loss", "profit_target", "trailing_stop", "liquidation")


def place(reason: str) -> int:
    """0 for a fill at the open, 1 inside the bar, 2 at its close."""
    return 2 if reason in CLOSES else 1 if reason in INSIDE else 0


def bar_of(panel, instant) -> int:
    return int(np.searchsorted(panel.bar_utc, np.datetime64(instant, "ns")))


def by_bar(panel, fills) -> dict[int, list]:
    """Fills as rows, under the bar that they fill in."""
    found: dict[int, list] = {}
    for fill in fills.itertuples():
        found.setdefault(bar_of(panel, fill.filled_utc), []).append(fill)
    return found


def fill_costs(panel, terms, env, context, fill) -> dict[str, float]:
    """What a fill must be charged: commission, spread, slippage in ticks, square-root impact."""
    a = panel.symbols.index(fill.symbol)
    term, t = terms[fill.symbol], bar_of(panel, fill.filled_utc) - 1
    size = abs(fill.units)
    notional = size * fill.price * term.multiplier
    bps = term.maker_fee_bps if fill.reason == "profit_target" else term.taker_fee_bps
    moves = np.diff(np.log(panel.close[t - context.volatility_bars : t + 1, a]))
    adv = panel.volume[t - context.adv_bars + 1 : t + 1, a].mean() * 48
    tick = size * term.multiplier * term.tick_size
    return {
        "commission": size * term.commission_per_unit + notional * bps / 1e4,
        "spread_cost": tick * term.half_spread_ticks + notional * term.half_spread_bps / 1e4,
        "slippage_cost": tick * env.costs.slippage_value,
        "impact_cost": notional * env.costs.impact_coefficient * moves.std() * math.sqrt(48 * size / adv),
    }


def financing(panel, terms, units, t) -> dict[str, list[float]]:
    """Funding, borrow and dividends of each asset on the units held from the close of bar t into bar t + 1."""
    seconds = panel.bar_utc[t : t + 2].astype("datetime64[s]").astype(np.int64)
    paid: dict[str, list[float]] = {name: [] for name in COSTS[4:]}
    for a, symbol in enumerate(panel.symbols):
        term = terms[symbol]
        notional = units[a] * panel.close[t, a] * term.multiplier
        crosses = bool(term.funding_hours) and seconds[1] % (3600 * term.funding_hours) == 0
        paid["funding_cost"].append(notional * term.funding_rate if crosses else 0.0)
        years = (seconds[1] - seconds[0]) / YEAR_SECONDS
        paid["borrow_cost"].append(max(-notional, 0.0) * term.borrow_rate * years)
        paid["dividend_cost"].append(-units[a] * panel.exogenous["dividend"][t + 1, a] * term.multiplier)
    return paid


def history_again(panel, terms, fills, window, equity) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A row per bar of a fold; and (bars, 3 x assets) what financing charged each asset."""
    count, m = len(panel.symbols), np.array([terms[s].multiplier for s in panel.symbols])
    cash, units, wealth, rows, charged = equity, np.zeros(count), equity, [], []
    made = by_bar(panel, fills)
    for bar in range(window.start, window.stop):
        own = made.get(bar, [])
        paid = financing(panel, terms, units, bar - 1)
        charged.append(np.concatenate([paid[name] for name in COSTS[4:]]))
        a = np.array([panel.symbols.index(fill.symbol) for fill in own], dtype=int)
        notional = np.array([fill.units * fill.price for fill in own]) * m[a]
        booked = {name: sum(getattr(fill, name) for fill in own) for name in COSTS[:4]}
        totals = {**booked, **{name: sum(values) for name, values in paid.items()}}
        cash -= notional.sum() + sum(totals.values())
        np.add.at(units, a, np.array([fill.units for fill in own]))
        units[np.abs(units) < 1e-9] = 0.0
        before, wealth = wealth, cash + float((units * panel.close[bar] * m).sum())
        exposure = units * panel.close[bar] * m / wealth
        rows.append(
            {
                "bar_utc": panel.bar_utc[bar],
                "net_return": wealth / before - 1.0,
                "turnover": np.abs(notional).sum() / before,
                "gross_exposure": np.abs(exposure).sum(),
                "net_exposure": exposure.sum(),
                **{f"exposure_{s}": e for s, e in zip(panel.symbols, exposure)},
                **totals,
            }
        )
    return pd.DataFrame(rows), pd.DataFrame(charged)


def trades_again(panel, terms, fills, charged, window) -> list[dict]:
    """Trades of a fold, from flat to flat or to a flip; their worth at a price p is held x p less what was paid."""
    found = []
    for a, symbol in enumerate(panel.symbols):
        m, open_trade = terms[symbol].multiplier, None
        own = fills[fills["symbol"] == symbol]
        own = own.assign(place=[place(r) for r in own["reason"]]).sort_values(
            ["filled_utc", "place"], kind="stable"
        )
        made = by_bar(panel, own)
        for bar in range(window.start, window.stop):
            if open_trade:
                row = charged.iloc[bar - window.start]
                for number, name in enumerate(COSTS[4:]):
                    open_trade[name] += row.iloc[number * len(panel.symbols) + a]
            for fill in made.get(bar, []):
                left = fill.units
                if open_trade and open_trade["held"] * left < 0:
                    part = math.copysign(min(abs(left), abs(open_trade["held"])), left)
                    if fill.place == 2:
                        seen(open_trade, panel, bar, a, m)
                    change(open_trade, fill, part, m)
                    left -= part
                    if abs(open_trade["held"]) < 1e-9:
                        found.append(finish(open_trade, panel, symbol, bar, fill.reason, m))
                        open_trade = None
                if abs(left) > 1e-9:
                    open_trade = open_trade or begin(bar)
                    change(open_trade, fill, left, m)
            if open_trade:
                seen(open_trade, panel, bar, a, m)
        assert open_trade is None
    return found


def begin(bar) -> dict:
    return {
        "entry": bar,
        "held": 0.0,
        "paid": 0.0,
        "best": 0.0,
        "worst": 0.0,
        "in": [],
        "out": [],
    } | dict.fromkeys(COSTS, 0.0)


def change(trade, fill, units, m) -> None:
    side = 1.0 if trade["held"] > 0 or (trade["held"] == 0 and units > 0) else -1.0
    trade["side"] = side
    trade["held"] += units
    trade["paid"] += units * fill.price * m
    trade["in" if units * side > 0 else "out"].append((abs(units), fill.price))
    for name in COSTS[:4]:
        trade[name] += getattr(fill, name) * abs(units / fill.units)
    worth(trade, fill.price, m)


def worth(trade, price, m) -> None:
    value = trade["held"] * price * m - trade["paid"]
    trade["best"], trade["worst"] = max(trade["best"], value), min(trade["worst"], value)


def seen(trade, panel, bar, a, m) -> None:
    worth(trade, panel.high[bar, a], m)
    worth(trade, panel.low[bar, a], m)


def finish(trade, panel, symbol, bar, reason, m) -> dict:
    units_in, prices_in = (np.array(x) for x in zip(*trade["in"]))
    units_out, prices_out = (np.array(x) for x in zip(*trade["out"]))
    total = sum(trade[name] for name in COSTS)
    pnl = -trade["paid"] - total
    value = float((units_in * prices_in).sum())
    return {
        "ticker": symbol,
        "direction": "long" if trade["side"] > 0 else "short",
        "entry_time": panel.bar_utc[trade["entry"]],
        "exit_time": panel.bar_utc[bar],
        "entry_price": value / units_in.sum(),
        "units": units_in.sum(),
        "exit_price": float((units_out * prices_out).sum()) / units_out.sum(),
        "duration_bars": bar - trade["entry"],
        "duration_minutes": 30 * (bar - trade["entry"]),
        "pnl": pnl,
        "mfe": trade["best"],
        "mae": trade["worst"],
        "exit_reason": reason,
        "total_cost_est": total,
        "return_pct": 100.0 * pnl / (value * m),
        **{n: trade[n] for n in COSTS},
    }


def performance_again(r, periods) -> dict[str, float]:
    """Every metric of a return series, from its definition."""
    curve = np.concatenate([[1.0], np.cumprod(1.0 + r)])
    fall = curve / np.maximum.accumulate(curve) - 1.0
    episodes, depth = [], 0.0
    for value in [*fall, 0.0]:
        if value == 0.0 and depth < 0.0:
            episodes.append(depth)
        depth = 0.0 if value == 0.0 else min(depth, value)
    total, annual = curve[-1] - 1.0, curve[-1] ** (periods / len(r)) - 1.0
    var = np.quantile(r, 0.05)
    return {
        "total_return": total,
        "annual_return": annual,
        "volatility": r.std(ddof=1) * periods**0.5,
        "sharpe": r.mean() / r.std(ddof=1) * periods**0.5,
        "sortino": r.mean() / np.mean(np.minimum(r, 0) ** 2) ** 0.5 * periods**0.5,
        "calmar": annual / -fall.min(),
        "max_drawdown": fall.min(),
        "average_drawdown": np.mean(episodes),
        "recovery_factor": total / -fall.min(),
        "var_95": var,
        "cvar_95": r[r <= var].mean(),
    }


def significance_again(r, num_trials, variance) -> dict[str, float]:
    """PSR, DSR and minimum track record of Bailey and Lopez de Prado, per bar."""
    normal, s, z = NormalDist(), r.mean() / r.std(ddof=1), (r - r.mean()) / r.std()
    spread = 1.0 - (z**3).mean() * s + ((z**4).mean() - 1.0) / 4.0 * s**2
    euler = 0.5772156649015329
    luck = variance**0.5 * (
        (1 - euler) * normal.inv_cdf(1 - 1 / num_trials)
        + euler * normal.inv_cdf(1 - 1 / (num_trials * math.e))
    )
    root = (len(r) - 1) ** 0.5 / spread**0.5
    return {
        "psr": normal.cdf(s * root),
        "dsr": normal.cdf((s - luck) * root),
        "min_track_record_bars": 1.0 + spread * (normal.inv_cdf(0.95) / s) ** 2 if s > 0 else math.nan,
    }


def capacity_again(panel, terms, fills, history, window_bars, equity) -> float:
    """Account at which square-root impact on these fills takes half of the mean net return."""
    days = len(window_bars) / 48
    r = history["net_return"].to_numpy()
    curve = {}
    for _, rows in history.groupby("fold"):
        before = equity * np.concatenate([[1.0], np.cumprod(1.0 + rows["net_return"].to_numpy())[:-1]])
        curve |= dict(zip(rows["bar_utc"], before))
    paid = 0.0
    for fill in fills.itertuples():
        a = panel.symbols.index(fill.symbol)
        moves = np.diff(np.log(panel.close[window_bars, a]))
        daily = (np.mean(moves**2) * 48) ** 0.5
        share = abs(fill.units) * fill.price * terms[fill.symbol].multiplier / curve[fill.filled_utc]
        paid += share * daily * (abs(fill.units) / (panel.volume[window_bars, a].sum() / days)) ** 0.5
    return equity * (0.5 * r.mean() / (paid / len(r))) ** 2
