"""Tables of a walk-forward study: one function per file of the run directory. Axes: N scored bars, A asset."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.equal_runs import run_ends, run_starts
from envs.costs import COST_NAMES
from envs.recording import Recording
from evaluation.gate.seen_shares import SeenShares
from evaluation.scoring.rollout import Track
from evaluation.scoring.walk_forward import FoldResult, WalkForwardResult, closed_mask, window_return
from evaluation.statistics import metrics
from policies.origin import EARLIER, SEEN

COST_COLUMNS = dict(
    zip(
        COST_NAMES,
        (
            "commission",
            "spread_cost",
            "slippage_cost",
            "impact_cost",
            "funding_cost",
            "borrow_cost",
            "dividend_cost",
        ),
    )
)
TRADE_COLUMNS = (
    "ticker", "direction", "entry_time", "exit_time", "entry_price", "exit_price", "units", "duration_bars",
    "duration_minutes", "pnl", "mfe", "mae", "commission", "spread_cost", "slippage_cost", "impact_cost",
    "total_cost_est", "return_pct", "exit_reason", "trade_id", "run_seed", "window_start", "window_end",
    "fold", "funding_cost", "borrow_cost", "dividend_cost",
)  # fmt: skip


def utc(result: WalkForwardResult, bars: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Labels (UTC) of panel bars."""
    return result.panel.bar_utc[np.asarray(bars, dtype=np.int64)]


def symbol_names(result: WalkForwardResult, recording: Recording) -> NDArray[np.object_]:
    """(A,) name of each asset slot of a recording."""
    return np.array(result.panel.symbols, dtype=object)[recording.symbols]


def returns_table(result: WalkForwardResult) -> pd.DataFrame:
    """fold, bar_utc, net_return, equity: what every headline number is computed from.

    Where it is known what the policy has seen, in_sample is true for bars that it was trained or selected on, and
    hindsight for other bars before such ones.
    """
    table = pd.DataFrame(
        {
            "fold": result.fold_index,
            "bar_utc": utc(result, result.bar),
            "net_return": result.net_return,
            "equity": metrics.equity_curve(result.net_return)[1:],
        }
    )
    if result.exposure is not None:
        table["in_sample"], table["hindsight"] = result.exposure == SEEN, result.exposure == EARLIER
    return table


def paths_table(result: WalkForwardResult) -> pd.DataFrame:
    """path, fold (the split), group, bar_utc, net_return, equity: every path of combinatorial cross-validation."""
    parts = []
    for number, path in enumerate(result.by_path):
        groups = [np.full(one.fold.test.stop - one.fold.test.start, one.fold.group) for one in path.folds]
        table = returns_table(path)
        table.insert(0, "path", number)
        table.insert(2, "group", np.concatenate(groups))
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def _per_bar(result: WalkForwardResult, column: Any) -> NDArray[np.float64]:
    """A per-bar quantity of the recordings over all scored bars, 0 after an account ended early."""
    parts = []
    for fold in result.folds:
        values = np.asarray(column(fold.recording), dtype=np.float64)
        whole = np.zeros((fold.fold.test.stop - fold.fold.test.start, *values.shape[1:]))
        whole[: len(values)] = values
        parts.append(whole)
    return np.concatenate(parts)


def history_table(result: WalkForwardResult) -> pd.DataFrame:
    """A row per scored bar: equity, drawdown, turnover, exposure (all and per asset) and each cost."""
    exposure = _per_bar(result, lambda r: r.exposure)
    costs = _per_bar(result, lambda r: r.costs)
    table = returns_table(result)[["bar_utc", "fold", "equity", "net_return"]]
    table["drawdown"] = metrics.drawdown_curve(result.net_return)[1:]
    table["turnover"] = _per_bar(result, lambda r: r.turnover)
    table["gross_exposure"] = np.abs(exposure).sum(axis=1)
    table["net_exposure"] = exposure.sum(axis=1)
    for asset, symbol in enumerate(result.panel.symbols):
        table[f"exposure_{symbol}"] = exposure[:, asset]
    for index, name in enumerate(COST_NAMES):
        table[COST_COLUMNS[name]] = costs[:, index]
    return table


def _fold_trades(result: WalkForwardResult, fold: FoldResult) -> pd.DataFrame:
    trades, closed = fold.recording.trades, closed_mask(fold.recording)
    entry, leave = trades.entry_bar[closed], trades.exit_bar[closed]
    units, entry_price, pnl = trades.units[closed], trades.entry_price[closed], trades.pnl[closed]
    costs = {COST_COLUMNS[name]: trades.costs[closed, index] for index, name in enumerate(COST_NAMES)}
    window = fold.fold.test
    notional = np.abs(units * entry_price) * fold.recording.multiplier[trades.asset[closed]]
    table = pd.DataFrame(
        {
            "ticker": symbol_names(result, fold.recording)[trades.asset[closed]],
            "direction": np.where(trades.direction[closed] > 0, "long", "short"),
            "entry_time": utc(result, entry),
            "exit_time": utc(result, leave),
            "entry_price": entry_price,
            "exit_price": trades.exit_price[closed],
            "units": units,
            "duration_bars": leave - entry,
            "duration_minutes": (utc(result, leave) - utc(result, entry)) / np.timedelta64(1, "m"),
            "pnl": pnl,
            "mfe": trades.mfe[closed],
            "mae": trades.mae[closed],
            **costs,
            "total_cost_est": trades.costs[closed].sum(axis=1),
            "return_pct": 100.0 * np.divide(pnl, notional, out=np.full(len(pnl), np.nan), where=notional > 0),
            "exit_reason": trades.exit_reason[closed].astype(object),
        }
    )
    table["run_seed"] = fold.seed
    table["window_start"], table["window_end"] = utc(result, np.array([window.start, window.stop - 1]))
    table["fold"] = fold.fold.index
    return table


def trades_table(result: WalkForwardResult) -> pd.DataFrame:
    """A row per closed trade, in the order of their exits.

    `return_pct` is the net gain in per cent of the entry notional: units x entry price x multiplier.
    """
    table = pd.concat([_fold_trades(result, fold) for fold in result.folds], ignore_index=True)
    table = table.sort_values(["exit_time", "entry_time", "ticker"], kind="stable", ignore_index=True)
    table["trade_id"] = np.arange(len(table))
    return table[list(TRADE_COLUMNS)]


def daily_table(result: WalkForwardResult, trades: pd.DataFrame) -> pd.DataFrame:
    """A row per session of the calendar: compound return, equity and drawdown at its end, costs, trades closed."""
    session = result.panel.session[result.bar]
    starts, last = run_starts(session), run_ends(session)
    history = history_table(result)
    growth = np.multiply.reduceat(np.maximum(1.0 + result.net_return, 0.0), starts)
    closed = np.searchsorted(
        result.bar, np.searchsorted(result.panel.bar_utc, trades["exit_time"].to_numpy())
    )
    in_session = np.searchsorted(starts, closed, side="right") - 1
    table = pd.DataFrame(
        {
            "date": session[starts].astype("datetime64[D]").astype("datetime64[s]"),
            "fold": result.fold_index[starts],
            "num_bars": last - starts + 1,
            "net_return": growth - 1.0,
            "equity": history["equity"].to_numpy()[last],
            "drawdown": history["drawdown"].to_numpy()[last],
            "turnover": np.add.reduceat(history["turnover"].to_numpy(), starts),
            "mean_gross_exposure": np.add.reduceat(history["gross_exposure"].to_numpy(), starts)
            / (last - starts + 1),
            "num_trades": np.bincount(in_session, minlength=len(starts)),
            "trade_pnl": np.bincount(in_session, weights=trades["pnl"].to_numpy(), minlength=len(starts)),
        }
    )
    for column in COST_COLUMNS.values():
        table[column] = np.add.reduceat(history[column].to_numpy(), starts)
    return table


def decisions_table(result: WalkForwardResult) -> pd.DataFrame:
    """fold, decided_utc, symbol, target: the units wanted, decided at the close of that bar."""
    parts = []
    for fold in result.folds:
        symbols = symbol_names(result, fold.recording)
        target = np.asarray(fold.recording.target_units, dtype=np.float64)
        decided = utc(result, np.asarray(fold.recording.bar) - 1)
        parts.append(
            pd.DataFrame(
                {
                    "fold": fold.fold.index,
                    "decided_utc": np.repeat(decided, len(symbols)),
                    "symbol": pd.Categorical.from_codes(
                        np.tile(np.arange(len(symbols)), len(target)), categories=list(symbols)
                    ),
                    "target": target.reshape(-1),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def fills_table(result: WalkForwardResult) -> pd.DataFrame:
    """fold, decided_utc, filled_utc, symbol, units (signed), price, each cost, reason."""
    parts = []
    for fold in result.folds:
        fills = fold.recording.fills
        parts.append(
            pd.DataFrame(
                {
                    "fold": fold.fold.index,
                    "decided_utc": utc(result, fills.decided_bar),
                    "filled_utc": utc(result, fills.filled_bar),
                    "symbol": symbol_names(result, fold.recording)[fills.asset],
                    "units": fills.units,
                    "price": fills.price,
                    **{COST_COLUMNS[name]: fills.costs[:, index] for index, name in enumerate(COST_NAMES)},
                    "reason": fills.reason.astype(object),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _window_metrics(recording: Recording | Track, window: slice, periods: float) -> dict[str, float]:
    returns = window_return(recording, window)
    return {
        "total_return": metrics.total_return(returns),
        "sharpe": metrics.sharpe_ratio(returns, periods_per_year=periods),
        "max_drawdown": metrics.max_drawdown(returns),
    }


def _ends(result: WalkForwardResult, part: slice) -> str:
    """First and last bar of a stretch, ISO 8601 with a slash between."""
    first, last = utc(result, np.array([part.start, part.stop - 1])).astype("datetime64[s]")
    return f"{first}Z/{last}Z"


def folds_table(result: WalkForwardResult) -> pd.DataFrame:
    """A row per fold: windows, seed, policy hash, parameters, metrics out of and in sample, baselines.

    Of combinatorial cross-validation a row per split (fold) and group that it was tested on, with the path of which it
    is a part and the stretches that it was trained on, first and last bar each.
    """
    periods = result.periods_per_year
    number_of = {id(one): number for number, path in enumerate(result.paths) for one in path}
    rows = []
    for item in result.scored:
        train, test = item.fold.train, item.fold.test
        labels = utc(result, np.array([train.start, train.stop - 1, test.start, test.stop - 1]))
        row: dict[str, Any] = {"fold": item.fold.index}
        row |= dict(zip(("train_first_utc", "train_last_utc", "test_first_utc", "test_last_utc"), labels))
        if item.fold.validation is not None:
            chosen_on = item.fold.validation
            ends = utc(result, np.array([chosen_on.start, chosen_on.stop - 1]))
            row |= dict(zip(("validation_first_utc", "validation_last_utc"), ends))
        if item.fold.group is not None:
            row |= {"group": item.fold.group, "path": number_of.get(id(item), np.nan)}
            row["train_stretches"] = " ".join(_ends(result, part) for part in item.fold.training)
        row |= {"train_bars": item.fold.num_training_bars, "test_bars": test.stop - test.start}
        row |= {"seed": item.seed, "policy_hash": item.policy_hash, "contract_hash": item.contract_hash}
        shares = None if item.exposure is None else SeenShares.of(item.exposure)
        row["in_sample_share"] = np.nan if shares is None else shares.in_sample
        row["hindsight_share"] = np.nan if shares is None else shares.hindsight
        first, last = item.trained_on or (np.datetime64("NaT", "s"), np.datetime64("NaT", "s"))
        row |= {"policy_trained_from_utc": first, "policy_trained_until_utc": last}
        row |= _window_metrics(item.recording, test, periods)
        row |= {
            "num_trades": int(closed_mask(item.recording).sum()),
            "turnover": float(np.asarray(item.recording.turnover).sum()),
            "total_cost": float(np.asarray(item.recording.costs).sum()),
        }
        inside = item.in_sample_return
        row["in_sample_total_return"] = np.nan if inside is None else metrics.total_return(inside)
        row["in_sample_sharpe"] = (
            np.nan if inside is None else metrics.sharpe_ratio(inside, periods_per_year=periods)
        )
        for name in result.baseline_names:
            measured = _window_metrics(item.baselines[name], test, periods)
            row |= {f"{name}_{key}": value for key, value in measured.items()}
        row |= {f"param_{name}": value for name, value in item.parameters.items()}
        rows.append(row)
    return pd.DataFrame(rows)
