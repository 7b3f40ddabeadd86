"""Trades: is every row of trades.csv what the recorded fills and the raw bars give.

Written from the definitions, without the code that wrote the file: a trade runs from flat to flat or to a flip, its
prices are averages of its fills, its costs are those of its fills, its excursions are those of the bars it was held.
Axes: R fills and K trades of one symbol in one fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.schema import Panel
from data.traded_prices import as_traded
from envs.instruments import Instrument
from evaluation.audit.accounts import TRADING
from evaluation.audit.execution import ENTRIES, INSIDE
from evaluation.audit.findings import Check, Section
from evaluation.audit.recorded_run import RecordedRun, bars_of

TRADES = Section(name="trades")
RELATIVE = 1e-6
SHOWN = 3
"""Entries that a finding names."""
FLAT = 1e-9
"""Share of what was entered below which nothing is held."""
FINANCING = ("funding_cost", "borrow_cost", "dividend_cost")
"""Costs that are booked bar by bar; only trades.csv tells whose they were, so their sum is checked."""


@dataclass
class _Held:
    """A position from its first fill to its last; ``best`` and ``worst`` are (least, most) it may have reached."""

    side: float
    entry_bar: int
    held: float = 0.0
    entered: float = 0.0
    paid: float = 0.0
    left: float = 0.0
    taken: float = 0.0
    average: float = 0.0
    gain: float = 0.0
    best: list[float] = field(default_factory=lambda: [0.0, 0.0])
    worst: list[float] = field(default_factory=lambda: [0.0, 0.0])
    costs: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(TRADING)))

    def reach(self, high: float, low: float, point: float, *, surely: bool) -> None:
        """Widen the excursions by prices that the position saw, or may have seen."""
        values = [self.gain + self.side * self.held * (price - self.average) * point for price in (high, low)]
        for end in (0, 1) if surely else (1,):
            self.best[end] = max(self.best[end], *values)
            self.worst[end] = min(self.worst[end], *values)


def check_trades(run: RecordedRun, panel: Panel, instruments: Mapping[str, Instrument]) -> list[Check]:
    """Derive each fold's and symbol's trades from its fills, and compare every column."""
    panel = as_traded(panel)
    problems: list[str] = []
    for (fold, symbol), own in _groups(run).items():
        fills, trades = own
        point = instruments[str(symbol)].multiplier
        best: list[str] | None = None
        for order in _orders(fills, panel, str(symbol)):  # fills of one bar may have come in either
            again = list(_trades(fills.iloc[order], panel, str(symbol), point))
            found = _compare(trades, again, panel, run.folds[run.folds["fold"] == fold], point)
            best = found if best is None or len(found) < len(best) else best
        problems += best or []
    return [
        TRADES.judges(
            "rows",
            not problems,
            f"every column of {len(run.trades):,} trades follows from {len(run.fills):,} fills and the bars",
            f"trades.csv: {len(problems)} entries do not follow from fills and bars, first "
            f"{'; '.join(problems[:SHOWN])}",
        ),
        _order(run),
        *_financing(run),
    ]


def _groups(run: RecordedRun) -> dict[tuple[Any, Any], tuple[pd.DataFrame, pd.DataFrame]]:
    fills: dict[Any, pd.DataFrame] = dict(iter(run.fills.groupby(["fold", "symbol"], observed=True)))
    trades: dict[Any, pd.DataFrame] = dict(iter(run.trades.groupby(["fold", "ticker"])))
    return {
        key: (fills.get(key, run.fills.iloc[:0]), trades.get(key, run.trades.iloc[:0]))
        for key in dict.fromkeys([*fills, *trades])
    }


def _orders(fills: pd.DataFrame, panel: Panel, symbol: str) -> Iterator[NDArray[np.int64]]:
    """Orders in which the fills may have come: by their place in the bar, or as recorded."""
    if symbol not in panel.symbols or fills.empty:
        yield np.arange(len(fills))
        return
    bar = bars_of(fills["filled_utc"], panel.bar_utc)
    opened = panel.open[bar, panel.symbols.index(symbol)]
    at_open = np.abs(fills["price"].to_numpy() - opened) <= FLAT * np.abs(opened)
    inside = fills["reason"].isin(INSIDE).to_numpy()
    place = np.where(
        (fills["reason"] == "signal").to_numpy(), 0, np.where(inside, 1, np.where(at_open, 0, 2))
    )
    place = np.where((fills["reason"] == "roll").to_numpy(), -1, place)  # before an order at the same open
    yield np.lexsort((place, bar))
    yield np.argsort(bar, kind="stable")


def _trades(fills: pd.DataFrame, panel: Panel, symbol: str, point: float) -> Iterator[dict[str, Any]]:
    """The closed trades of one symbol in one fold, in order of their exits."""
    if fills.empty:
        return
    column = panel.symbols.index(symbol)
    mark = panel.last_close()[:, column]
    high, low = (np.where(np.isfinite(p[:, column]), p[:, column], mark) for p in (panel.high, panel.low))
    bars, decided = bars_of(fills["filled_utc"], panel.bar_utc), fills["reason"].astype(str).to_numpy()
    units, price = fills["units"].to_numpy(), fills["price"].to_numpy()
    costs = fills[list(TRADING)].to_numpy()
    position, now = None, int(bars[0])
    for row in range(len(fills)):
        bar = int(bars[row])
        if position is not None:
            for held in range(now, bar):
                rested = held == now and row > 0 and decided[row - 1] in ENTRIES
                position.reach(high[held], low[held], point, surely=not rested)
                if rested:
                    position.reach(mark[held], mark[held], point, surely=True)
        now, size, share = bar, abs(float(units[row])), 1.0
        if position is not None and position.side * units[row] < 0:
            if decided[row] != "signal":  # at a level inside the bar, at its open, or at its close
                position.reach(high[bar], low[bar], point, surely=False)
            position.reach(price[row], price[row], point, surely=True)
            share = min(1.0, position.held / size)
            share = 1.0 if 1.0 - share <= FLAT else share
            position.gain += position.side * size * share * (price[row] - position.average) * point
            position.held -= size * share
            position.left += size * share
            position.taken += size * share * price[row]
            position.costs = position.costs + costs[row] * share
            if position.held <= FLAT * position.entered:
                yield _row(position, bar, decided[row], symbol, point)
                position = None
            share = 1.0 - share
        if share > 0.0 and (position is None or position.side * units[row] > 0):
            position = position or _Held(side=float(np.sign(units[row])), entry_bar=bar)
            more = size * share
            position.average = (position.average * position.held + price[row] * more) / (position.held + more)
            position.held, position.entered = position.held + more, position.entered + more
            position.paid += price[row] * more
            position.costs = position.costs + costs[row] * share


def _row(position: _Held, bar: int, reason: str, symbol: str, point: float) -> dict[str, Any]:
    return {
        "ticker": symbol,
        "direction": "long" if position.side > 0 else "short",
        "entry_bar": position.entry_bar,
        "exit_bar": bar,
        "entry_price": position.paid / position.entered,
        "exit_price": position.taken / position.left,
        "units": position.entered,
        "gain": position.gain,
        "mfe": tuple(position.best),
        "mae": tuple(position.worst),
        **dict(zip(TRADING, position.costs)),
        "exit_reason": reason,
    }


def _compare(
    trades: pd.DataFrame, again: list[dict[str, Any]], panel: Panel, folds: pd.DataFrame, point: float
) -> list[str]:
    """Entries of trades.csv that differ, as sentences."""
    if len(trades) != len(again):
        first = trades.iloc[0] if len(trades) else None
        name = again[0]["ticker"] if first is None else first["ticker"]
        return [f"{len(trades)} rows of {name} where the fills make {len(again)} trades"]
    labels = panel.bar_utc
    found = []
    rows = trades.sort_values(["exit_time", "entry_time", "trade_id"], kind="stable").to_dict("records")
    for old, new in zip(rows, sorted(again, key=lambda t: (t["exit_bar"], t["entry_bar"]))):
        new = new | _consequences(old, new, point, labels, folds)
        for name, value in new.items():
            if name in old and not _same(old[name], value, abs(new["pnl"]) + abs(new["total_cost_est"])):
                found.append(
                    f"{name} of trade {old['trade_id']}: {old[name]} is recorded, {_told(value)} derived"
                )
    return found


def _consequences(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    point: float,
    labels: NDArray[np.datetime64],
    folds: pd.DataFrame,
) -> dict[str, Any]:
    """Columns that follow from the others; ``point`` is the account currency per unit and point of price."""
    financing = sum(float(old[name]) for name in FINANCING)
    costs = sum(float(new[name]) for name in TRADING) + financing
    pnl = new["gain"] - costs
    notional = new["units"] * abs(new["entry_price"]) * point
    held = labels[new["exit_bar"]] - labels[new["entry_bar"]]
    window = folds.iloc[0] if len(folds) else {}
    return {
        "entry_time": pd.Timestamp(labels[new["entry_bar"]], tz="UTC"),
        "exit_time": pd.Timestamp(labels[new["exit_bar"]], tz="UTC"),
        "duration_bars": new["exit_bar"] - new["entry_bar"],
        "duration_minutes": held / np.timedelta64(1, "m"),
        "total_cost_est": costs,
        "pnl": pnl,
        "return_pct": 100.0 * pnl / notional if notional > 0 else np.nan,
        "run_seed": window.get("seed"),
        "window_start": pd.Timestamp(window.get("test_first_utc")),
        "window_end": pd.Timestamp(window.get("test_last_utc")),
    }


def _same(old: Any, new: Any, scale: float) -> bool:
    """Whether an entry is as derived: a number, one between two bounds, a time, or a text."""
    if isinstance(new, pd.Timestamp):
        return bool(pd.Timestamp(old) == new)
    if isinstance(new, str):
        return str(old) == new
    least, most = new if isinstance(new, tuple) else (new, new)
    if pd.isna(least) or pd.isna(old):
        return bool(pd.isna(least) and pd.isna(old))
    slack = RELATIVE * max(abs(float(old)), abs(float(least)), abs(float(most))) + FLAT * scale
    return bool(min(least, most) - slack <= float(old) <= max(least, most) + slack)


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:.10g}" if value[0] == value[1] else f"{min(value):.10g} to {max(value):.10g}"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _order(run: RecordedRun) -> Check:
    ordered = np.array_equal(run.trades["trade_id"], np.arange(len(run.trades)))
    return TRADES.judges(
        "numbers",
        ordered and run.trades["exit_time"].is_monotonic_increasing,
        "trades are numbered in the order of their exits",
        "trades.csv: trade_id does not count the trades in the order of their exits",
    )


def _financing(run: RecordedRun) -> Iterator[Check]:
    for column in FINANCING:
        per_trade, per_bar = float(run.trades[column].sum()), float(run.history[column].sum())
        yield TRADES.judges(
            column,
            abs(per_trade - per_bar) <= RELATIVE * max(1.0, abs(per_bar)),
            f"{column} of trades adds up to that of the bars",
            f"trades.csv: {column} adds up to {per_trade:,.6f}, the bars to {per_bar:,.6f}",
        )
