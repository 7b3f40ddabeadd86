"""What the market page shows: bars with what a run decided and filled on them, its trades, the features of a bar.

The bars are loaded as the run's own configuration says; where they are no longer those of the run, the page says so.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.features.compute import FeatureSet, compute_features
from data.schema import Panel
from data.sources import load
from rayjobs.config.typed_config import ConfigError, build_dataclass
from rayjobs.pages.answers import as_json, epoch_seconds, rounded
from rayjobs.storage.run_directory import RunDirectory
from rayjobs.storage.started_run import StartedRun
from rayjobs.study.config_groups import build_source
from rayjobs.study.features_config import FeaturesConfig
from rayjobs.study.held_out import parted

MAX_BARS = 2000
ONE_AT_A_TIME = threading.Lock()
"""Bars and features are kept once, and Numba's kernels are not to be entered by two threads."""
COSTS = (
    "commission", "spread_cost", "slippage_cost", "impact_cost", "funding_cost", "borrow_cost", "dividend_cost",
)  # fmt: skip
TRADES = (
    "ticker", "direction", "entry_time", "exit_time", "entry_price", "exit_price", "units", "duration_bars", "pnl",
    "return_pct", "mfe", "mae", "total_cost_est", "exit_reason", "fold",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunMarket:
    """A run's bars and what it did on them.

    Attributes
    ----------
    fills, decisions, trades, history : the files of the run, times as UTC without a zone.
    warning : where the bars are not those that the run was scored on; "" if they are.
    """

    panel: Panel
    fills: pd.DataFrame
    decisions: pd.DataFrame
    trades: pd.DataFrame
    history: pd.DataFrame
    warning: str


@lru_cache(maxsize=1)
def _market(directory: str, stamp: int) -> RunMarket:
    path = Path(directory)
    try:
        values = RunDirectory(path).config()
        held_out = values["data"].get("test_symbols") or ()
        panel = parted(load(build_source(values)), held_out)[0].panel
        fills = _in_utc(pd.read_parquet(path / "walk_forward" / "fills.parquet"))
        decisions = _in_utc(pd.read_parquet(path / "walk_forward" / "decisions.parquet"))
        trades = _in_utc(pd.read_csv(path / "backtest" / "trades.csv"))
        history = _in_utc(pd.read_csv(path / "backtest" / "portfolio_history.csv"))
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: {error.strerror}; the run has no scored bars to show"
        ) from error
    recorded = StartedRun.read(path).provenance.get("data_fingerprint")
    same = recorded is None or recorded == panel.fingerprint
    warning = (
        ""
        if same
        else "The bars that the configuration names today are not those of the run: prices here may not be those "
        "that it traded at."
    )
    return RunMarket(
        panel=panel, fills=fills, decisions=decisions, trades=trades, history=history, warning=warning
    )


@lru_cache(maxsize=1)
def _features(directory: str, stamp: int) -> FeatureSet:
    values = RunDirectory(Path(directory)).config()
    config = build_dataclass(FeaturesConfig, values["features"], "features")
    return compute_features(_market(directory, stamp).panel, config.enabled)


def _in_utc(table: pd.DataFrame) -> pd.DataFrame:
    """Every column of times as datetime64[ns] without a zone."""
    for name in table.columns:
        if name.endswith(("_utc", "_time")):
            table[name] = pd.to_datetime(table[name], utc=True).dt.tz_localize(None)
    return table


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Bars of one symbol that are shown.

    Attributes
    ----------
    asset : index of the symbol. bars : of the panel, as many as are shown.
    """

    market: RunMarket
    asset: int
    bars: slice

    @property
    def symbol(self) -> str:
        return self.market.panel.symbols[self.asset]

    @property
    def utc(self) -> NDArray[np.datetime64]:
        """Labels of the bars."""
        return self.market.panel.bar_utc[self.bars]


def stretch(directory: str, stamp: int, symbol: str, start: int | None, count: int) -> Stretch:
    """The bars that are asked for, as far as there are any.

    Parameters
    ----------
    stamp : when the run's files changed last.
    symbol : empty for the first. start : index of the first bar; None for the first that was scored.
    """
    market = _market(directory, stamp)
    panel = market.panel
    asset = _asset(panel, symbol)
    if start is None:
        start = int(np.searchsorted(panel.bar_utc, market.history["bar_utc"].to_numpy()[0]))
    count = int(np.clip(count, 20, MAX_BARS))
    start = int(np.clip(start, 0, max(0, panel.num_bars - count)))
    return Stretch(market=market, asset=asset, bars=slice(start, min(start + count, panel.num_bars)))


def market_answer(directory: str, stamp: int, symbol: str, start: int | None, count: int) -> bytes:
    """A window of one symbol's bars with all that happened in it; parameters as `stretch` takes them."""
    shown = stretch(directory, stamp, symbol, start, count)
    market, panel, window = shown.market, shown.market.panel, shown.bars
    first, last = shown.utc[0], shown.utc[-1]
    prices = {
        name: rounded(getattr(panel, name)[window, shown.asset], 9)
        for name in ("open", "high", "low", "close")
    }
    return as_json(
        {
            "symbols": panel.symbols,
            "symbol": shown.symbol,
            "num_bars": panel.num_bars,
            "bar_seconds": panel.bar_seconds,
            "start": window.start,
            "warning": market.warning,
            "utc": epoch_seconds(shown.utc),
            **prices,
            "volume": rounded(panel.volume[window, shown.asset]),
            "fills": _fills(market, shown.symbol, first, last),
            "trades": _trades_between(market, shown.symbol, first, last),
            **_account(market, shown.symbol, shown.utc),
        }
    )


def _asset(panel: Panel, symbol: str) -> int:
    if not symbol:
        return 0
    if symbol not in panel.symbols:
        raise ConfigError(f"{symbol} is none of the run's symbols, which are {', '.join(panel.symbols)}")
    return panel.symbols.index(symbol)


def _fills(market: RunMarket, symbol: str, first: Any, last: Any) -> list[dict[str, Any]]:
    fills = market.fills
    kept = fills[(fills["symbol"] == symbol) & (fills["filled_utc"] >= first) & (fills["filled_utc"] <= last)]
    costs = [name for name in COSTS if name in kept]
    return [
        {
            "utc": int(row["filled_utc"].timestamp()),
            "decided": int(row["decided_utc"].timestamp()),
            "units": row["units"],
            "price": row["price"],
            "reason": str(row["reason"]),
            "costs": {name: row[name] for name in costs if row[name]},
            "fold": row["fold"],
        }
        for row in kept.to_dict("records")
    ]


def _trades_between(market: RunMarket, symbol: str, first: Any, last: Any) -> list[dict[str, Any]]:
    trades = market.trades
    kept = trades[
        (trades["ticker"] == symbol) & (trades["exit_time"] >= first) & (trades["entry_time"] <= last)
    ]
    return _plain_trades(kept)


def _plain_trades(trades: pd.DataFrame) -> list[dict[str, Any]]:
    rows = trades.reindex(columns=list(TRADES)).to_dict("records")
    return [
        {
            **row,
            "entry_time": int(row["entry_time"].timestamp()),
            "exit_time": int(row["exit_time"].timestamp()),
        }
        for row in rows
    ]


def _account(market: RunMarket, symbol: str, bar_utc: Any) -> dict[str, Any]:
    """Equity, exposure to the symbol and the units wanted, by bar; null on bars that were not scored."""
    history = (
        market.history.drop_duplicates("bar_utc").set_index("bar_utc").reindex(pd.DatetimeIndex(bar_utc))
    )
    decisions = market.decisions[market.decisions["symbol"] == symbol].drop_duplicates("decided_utc")
    wanted = decisions.set_index("decided_utc")["target"].reindex(pd.DatetimeIndex(bar_utc))
    exposure = history.get(f"exposure_{symbol}")
    return {
        "equity": rounded(history["equity"].to_numpy(np.float64)),
        "exposure": rounded(exposure.to_numpy(np.float64)) if exposure is not None else [],
        "target": rounded(wanted.to_numpy(np.float64)),
    }


def trades_answer(directory: str, stamp: int, order: str, count: int) -> bytes:
    """The worst, best, longest or newest trades, each with the bar that it was entered on.

    Parameters
    ----------
    order : worst, best, longest, costliest or newest.
    """
    keys = {"worst": ("pnl", True), "best": ("pnl", False), "longest": ("duration_bars", False),
            "costliest": ("total_cost_est", False), "newest": ("exit_time", False)}  # fmt: skip
    if order not in keys:
        raise ConfigError(f"order is {order!r}; it must be one of {', '.join(keys)}")
    market = _market(directory, stamp)
    column, ascending = keys[order]
    ranked = market.trades.sort_values(column, ascending=ascending, kind="stable").head(count)
    rows = _plain_trades(ranked)
    entered = np.searchsorted(market.panel.bar_utc, ranked["entry_time"].to_numpy(), side="right") - 1
    for row, bar in zip(rows, entered):
        row["entry_bar"] = int(bar)
    return as_json({"trades": rows, "total": len(market.trades), "order": order})


def bar_answer(directory: str, stamp: int, symbol: str, bar: int) -> bytes:
    """The features of one bar as the policy could know them at its close, before they are standardised."""
    market, features = _market(directory, stamp), _features(directory, stamp)
    panel = market.panel
    if not 0 <= bar < panel.num_bars:
        raise ConfigError(f"bar {bar} is not there; the bars are 0 to {panel.num_bars - 1}")
    asset = _asset(panel, symbol)
    own = dict(zip(features.asset_names, rounded(features.asset[bar, asset].astype(np.float64))))
    clock = dict(zip(features.clock_names, rounded(features.clock[bar].astype(np.float64))))
    return as_json(
        {"bar": bar, "utc": epoch_seconds(panel.bar_utc[bar : bar + 1])[0], "features": own, "clock": clock}
    )
