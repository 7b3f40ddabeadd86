"""Every column of every file, from fills and raw bars, on contracts whose multiplier, lot and currency are not 1."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hand_account import FRACTION, empty_features, random_panel, venue_env
from hand_artefacts import (
    COSTS,
    bar_of,
    capacity_again,
    fill_costs,
    history_again,
    performance_again,
    significance_again,
    trades_again,
)
from scoring_settings import scoring_config

from envs.barriers import BarrierConfig
from envs.context import ContextConfig
from envs.instruments import CATALOGUE, CRYPTO_PERPETUAL, CRYPTO_SPOT
from envs.market import Market
from evaluation.artefacts.run_files import write_artefacts
from evaluation.artefacts.summary import summarise
from evaluation.artefacts.tables import history_table
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.windows.splits import Fold, WalkForward
from policies.baselines import Schedule
from policies.origin import EARLIER, SEEN, UNSEEN

TERMS = {
    "AAA": replace(FRACTION, half_spread_bps=0.2, borrow_rate=0.03, maker_fee_bps=0.5),
    "BBB": replace(CRYPTO_PERPETUAL, currency="EUR", multiplier=0.1, lot_step=5.0, tick_size=0.25),
    "CCC": replace(CATALOGUE["ES"], currency="EUR", half_spread_ticks=0.2),
}
SEEN_BARS = np.repeat(np.array([SEEN, EARLIER, UNSEEN], dtype=np.int8), [50, 20, 130])
TRAINED_ON = (np.datetime64("2023-01-01", "s"), np.datetime64("2023-06-01", "s"))
CONTEXT = ContextConfig(atr_bars=10, volatility_bars=10, adv_bars=20, until_full="no_entry")
EQUITY, SEED = 3_000_000.0, 11
FOLDS = WalkForward(300, 200, embargo_bars=5).folds(705)


def env_of(scheme):
    """Entries and exits at barriers, flips, shorts, funding, borrow, dividends, slippage in ticks and impact."""
    env = replace(venue_env(scheme), initial_equity=EQUITY)
    costs = replace(
        env.costs, slippage="fixed_ticks", slippage_value=0.3, impact_coefficient=0.5, borrow=True
    )
    barriers = BarrierConfig(
        unit="percent", profit_target=1.5, stop_loss=1.0, trailing_stop=None, time_limit_bars=None
    )
    return replace(
        env,
        costs=costs,
        barriers=barriers if scheme == "direction" else None,
        sizing=replace(env.sizing, fraction=0.3),
    )


@pytest.fixture(scope="module", params=["direction", "weights"])
def run(request, tmp_path_factory):
    """A study of two folds and its files."""
    random = np.random.default_rng(4)
    panel = random_panel("coins")
    level = np.array([300.0, 40_000.0, 90.0]) / panel.close[0]
    volume = random.uniform(2e5, 9e5, size=panel.close.shape)
    panel = replace(
        panel, volume=volume, **{n: getattr(panel, n) * level for n in ("open", "high", "low", "close")}
    )
    paid = np.where(random.random(panel.close.shape) < 0.03, 0.002 * panel.close, 0.0)
    panel = replace(panel, exogenous={"dividend": paid})
    sides = random.choice([-1.0, 0.0, 1.0], size=(1_200, 3))
    kept = np.maximum.accumulate(
        np.where(random.random((1_200, 3)) < 0.15, np.arange(1_200)[:, None], 0), axis=0
    )
    target = np.take_along_axis(sides, kept, axis=0)
    # A little foresight, so that there is a gain whose capacity can be told.
    ahead = np.sign(np.roll(panel.close, -8, axis=0) - panel.close)
    wise = random.random((1_200, 3)) < 0.7
    target = np.where(wise[kept, range(3)], ahead[kept, range(3)], target)
    if request.param == "weights":
        target = target * random.uniform(0.1, 0.5, size=target.shape)
    market = Market.build(panel, empty_features(panel), TERMS, CONTEXT)
    scoring = scoring_config(momentum_bars=20, hold_bars=4, stress_cost_factor=2.0, in_sample=True)
    policy = Schedule(target_TA=target)

    def scored(fold):
        result = score_fold(
            fold,
            policy,
            panel,
            market,
            env_of(request.param),
            scoring,
            seed=SEED,
            parameters={"lr": 1e-3},
            policy_hash="beef",
        )
        return replace(result, exposure=SEEN_BARS, contract_hash="cafe", trained_on=TRAINED_ON)

    study = WalkForwardResult(panel=panel, folds=tuple(map(scored, FOLDS)))
    directory = tmp_path_factory.mktemp(request.param)
    write_artefacts(directory, study, summarise(study, num_trials=4, trial_sharpe_variance=1e-4))
    return directory, study, env_of(request.param)


def table(directory, name):
    path = directory / name
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        for column in frame.select_dtypes("datetimetz"):
            frame[column] = frame[column].dt.tz_localize(None)
        return frame
    frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    for column in frame.columns:
        if column.endswith(("_utc", "_time")) or column in ("window_start", "window_end", "date"):
            frame[column] = pd.to_datetime(frame[column]).dt.tz_localize(None)
    return frame


@pytest.fixture(scope="module")
def again(run):
    """History and trades of the folds, worked out from fills.parquet."""
    directory, study, _ = run
    fills = table(directory, "walk_forward/fills.parquet")
    histories, trades = [], []
    for item in study.folds:
        window, own = item.fold.test, fills[fills["fold"] == item.fold.index]
        history, charged = history_again(study.panel, TERMS, own, window, EQUITY)
        histories.append(history.assign(fold=item.fold.index))
        labels = study.panel.bar_utc[[window.start, window.stop - 1]]
        trades += [
            {
                **trade,
                "fold": item.fold.index,
                "window_start": labels[0],
                "window_end": labels[1],
                "run_seed": SEED,
            }
            for trade in trades_again(study.panel, TERMS, own, charged, window)
        ]
    history = pd.concat(histories, ignore_index=True)
    history["equity"] = np.cumprod(1.0 + history["net_return"])
    curve = np.concatenate([[1.0], history["equity"]])
    history["drawdown"] = (curve / np.maximum.accumulate(curve) - 1.0)[1:]
    return history, pd.DataFrame(trades)


def same(found, expected, relative=1e-9):
    """Both tables hold the same columns, and the same in them."""
    assert set(found.columns) == set(expected.columns)
    for column in found.columns:
        ours, theirs = found[column], expected[column]
        if pd.api.types.is_float_dtype(ours) or pd.api.types.is_float_dtype(theirs):
            scale = float(np.nan_to_num(np.abs(theirs)).max())
            np.testing.assert_allclose(
                ours, theirs, rtol=relative, atol=1e-9 * max(scale, 1e-3), err_msg=column
            )
        else:
            assert ours.astype(str).tolist() == theirs.astype(str).tolist(), column


def test_the_run_has_what_the_columns_are_about(run):
    directory, _, _ = run
    fills, trades = table(directory, "walk_forward/fills.parquet"), table(directory, "backtest/trades.csv")
    assert {"long", "short"} == set(trades["direction"])
    assert set(trades["ticker"]) == set(TERMS)
    assert len(trades) > 60
    for cost in COSTS:
        assert (trades[cost] != 0.0).any(), cost
    if "direction" in directory.name:
        assert {"signal", "profit_target", "stop_loss", "window_end"} <= set(fills["reason"])


def test_fills_have_the_prices_of_raw_bars_whole_lots_and_their_due_costs(run):
    directory, study, env = run
    panel, fills = study.panel, table(directory, "walk_forward/fills.parquet")
    costs = ["commission", "spread_cost", "slippage_cost", "impact_cost"]
    assert set(fills.columns) == {
        "fold",
        "decided_utc",
        "filled_utc",
        "symbol",
        "units",
        "price",
        "reason",
        "funding_cost",
        "borrow_cost",
        "dividend_cost",
        *costs,
    }
    expected = pd.DataFrame([fill_costs(panel, TERMS, env, CONTEXT, fill) for fill in fills.itertuples()])
    for cost in costs:
        np.testing.assert_allclose(fills[cost], expected[cost], rtol=1e-9, err_msg=cost)
    assert (fills[["funding_cost", "borrow_cost", "dividend_cost"]] == 0.0).all(
        axis=None
    )  # booked bar by bar, see the history
    entry: dict[tuple[int, str], float] = {}
    for fill in fills.sort_values("filled_utc", kind="stable").itertuples():
        bar, a = bar_of(panel, fill.filled_utc), panel.symbols.index(fill.symbol)
        window = next(item.fold.test for item in study.folds if item.fold.index == fill.fold)
        assert window.start <= bar < window.stop
        assert panel.bar_utc[bar - 1] == fill.decided_utc
        lots = fill.units / TERMS[fill.symbol].lot_step
        assert lots == pytest.approx(round(lots), abs=1e-6)
        if fill.reason == "signal":
            assert fill.price == panel.open[bar, a]
            entry[fill.fold, fill.symbol] = fill.price
        elif fill.reason == "window_end":
            assert (bar, fill.price) == (window.stop - 1, panel.close[bar, a])
        else:  # a barrier, or the open where it lies beyond; a long is sold
            side, start = -np.sign(fill.units), entry[fill.fold, fill.symbol]
            level = start * (1 + side * (0.015 if fill.reason == "profit_target" else -0.01))
            tick = TERMS[fill.symbol].tick_size  # on the grid, on the side that hurts: lower for who sells
            rested = (np.floor if side > 0 else np.ceil)(level / tick) * tick
            reached = rested + side * tick  # a target that was never seen at the tick before
            assert fill.price in (
                pytest.approx(rested, rel=1e-12),
                pytest.approx(reached),
                panel.open[bar, a],
            )


def test_decisions_are_the_whole_lots_that_are_held_after_the_next_open(run):
    directory, study, _ = run
    fills, decisions = (table(directory, f"walk_forward/{name}.parquet") for name in ("fills", "decisions"))
    assert list(decisions.columns) == ["fold", "decided_utc", "symbol", "target"]
    assert len(decisions) == len(study.bar) * 3
    for (fold, symbol), own in decisions.groupby(["fold", "symbol"], observed=True):
        window = next(item.fold.test for item in study.folds if item.fold.index == fold)
        decided = study.panel.bar_utc[window.start - 1 : window.stop - 1]
        assert (own["decided_utc"].to_numpy() == decided).all()
        traded = fills[(fills["fold"] == fold) & (fills["symbol"] == symbol)]
        at_open = traded[traded["reason"] == "signal"].set_index("decided_utc")["units"]
        others = traded[traded["reason"] != "signal"].set_index("decided_utc")["units"]
        held = 0.0
        for row in own.itertuples():
            held += at_open.get(row.decided_utc, 0.0)
            assert row.target == pytest.approx(held, abs=1e-6)
            held += others.get(row.decided_utc, 0.0)


def test_returns_and_history_follow_from_fills_bars_and_financing(run, again):
    directory, _, _ = run
    history, _ = again
    same(table(directory, "backtest/portfolio_history.csv"), history)
    same(
        table(directory, "walk_forward/returns.parquet"),
        history[["fold", "bar_utc", "net_return", "equity"]].assign(
            in_sample=np.tile(SEEN_BARS == SEEN, len(FOLDS)),
            hindsight=np.tile(SEEN_BARS == EARLIER, len(FOLDS)),
        ),
    )


def test_trades_follow_from_the_fills(run, again):
    directory, _, _ = run
    _, trades = again
    found = table(directory, "backtest/trades.csv")
    assert found["trade_id"].tolist() == list(range(len(found)))
    assert found["exit_time"].is_monotonic_increasing
    keys = ["exit_time", "entry_time", "ticker"]
    trades = trades.sort_values(keys, kind="stable", ignore_index=True)
    same(found.drop(columns="trade_id"), trades)


def test_the_daily_report_follows_from_the_history_and_the_trades(run, again):
    directory, _, _ = run
    history, trades = again
    costs = list(COSTS)
    rows = []
    for date, own in history.groupby(history["bar_utc"].dt.floor("D")):
        closed = trades[trades["exit_time"].dt.floor("D") == date]
        rows.append(
            {
                "date": date,
                "fold": own["fold"].iloc[0],
                "num_bars": len(own),
                "net_return": np.prod(1.0 + own["net_return"]) - 1.0,
                "equity": own["equity"].iloc[-1],
                "drawdown": own["drawdown"].iloc[-1],
                "turnover": own["turnover"].sum(),
                "mean_gross_exposure": own["gross_exposure"].mean(),
                "num_trades": len(closed),
                "trade_pnl": closed["pnl"].sum(),
                **own[costs].sum(),
            }
        )
    same(table(directory, "backtest/daily_report.csv"), pd.DataFrame(rows))


def few(returns, periods):
    found = performance_again(returns, periods)
    return {name: found[name] for name in ("total_return", "sharpe", "max_drawdown")}


def test_folds_csv_follows_from_the_folds_own_bars(run, again):
    directory, study, _ = run
    history, trades = again
    periods, panel, rows = study.panel.periods_per_year, study.panel, []
    for item in study.folds:
        train, test = item.fold.train, item.fold.test
        own = history[history["fold"] == item.fold.index]
        costs = [c for c in own.columns if c == "commission" or c.endswith("_cost")]
        inside = performance_again(item.in_sample_return, periods)
        row = {
            "fold": item.fold.index,
            "train_first_utc": panel.bar_utc[train.start],
            "train_last_utc": panel.bar_utc[train.stop - 1],
            "test_first_utc": panel.bar_utc[test.start],
            "test_last_utc": panel.bar_utc[test.stop - 1],
            "train_bars": 300,
            "test_bars": 200,
            "in_sample_share": 0.25,
            "hindsight_share": 0.1,
            "contract_hash": "cafe",
            "policy_trained_from_utc": pd.Timestamp(TRAINED_ON[0]),
            "policy_trained_until_utc": pd.Timestamp(TRAINED_ON[1]),
            "seed": SEED,
            "policy_hash": "beef",
            "param_lr": 1e-3,
            **few(own["net_return"].to_numpy(), periods),
            "num_trades": int((trades["fold"] == item.fold.index).sum()),
            "turnover": own["turnover"].sum(),
            "total_cost": own[costs].to_numpy().sum(),
            "in_sample_total_return": inside["total_return"],
            "in_sample_sharpe": inside["sharpe"],
        }
        for name, track in item.baselines.items():
            measured = (
                few(track.net_return, periods)
                if name != "flat"
                else {
                    "total_return": 0.0,
                    "sharpe": np.nan,
                    "max_drawdown": 0.0,
                }
            )
            row |= {f"{name}_{key}": value for key, value in measured.items()}
        rows.append(row)
    same(table(directory, "walk_forward/folds.csv"), pd.DataFrame(rows))


def close_to(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        if isinstance(value, dict):
            close_to(found[name], value)
        elif isinstance(value, str):
            assert found[name] == value
        else:
            undefined = isinstance(value, float) and not np.isfinite(value)
            assert found[name] == (None if undefined else pytest.approx(value, rel=1e-8, abs=1e-12)), name


def test_summary_json_follows_from_the_history_the_trades_and_the_fills(run, again):
    directory, study, _ = run
    history, trades = again
    summary = json.loads((directory / "backtest/summary.json").read_text())
    panel, periods, r = study.panel, study.panel.periods_per_year, history["net_return"].to_numpy()
    pnl, gross = trades["pnl"].to_numpy(), history["gross_exposure"].to_numpy()
    names = ("commission", "spread", "slippage", "impact", "funding", "borrow", "dividend")
    costs = {n: history[n if n == "commission" else f"{n}_cost"].sum() for n in names}
    years, fills = len(r) / periods, table(directory, "walk_forward/fills.parquet")
    baselines, ratios = {}, {}
    for name in study.baseline_names:
        theirs, moved = study.baseline_return(name), study.baseline_turnover(name)
        own = (
            performance_again(theirs, periods)
            if name != "flat"
            else dict.fromkeys(performance_again(r, periods), 0.0)
            | dict.fromkeys(("sharpe", "sortino", "calmar", "recovery_factor"), np.nan)
        )
        baselines[name] = {**own, "turnover": moved, "annual_turnover": moved / years}
        beside = r - theirs
        ratios[name] = beside.mean() / beside.std(ddof=1) * periods**0.5
    hours = history["bar_utc"].dt.hour
    expected = {
        **performance_again(r, periods),
        **significance_again(r, 4, 1e-4),
        "win_rate": np.mean(pnl > 0),
        "profit_factor": pnl[pnl > 0].sum() / -pnl[pnl < 0].sum(),
        "expectancy": pnl.mean(),
        "num_trades": len(pnl),
        "turnover": history["turnover"].sum(),
        "annual_turnover": history["turnover"].sum() / years,
        "mean_gross_exposure": gross.mean(),
        "time_in_market": np.mean(gross > 0),
        "total_cost": sum(costs.values()),
        "costs": costs,
        "num_trials": 4,
        "trial_sharpe_variance": 1e-4,
        "num_folds": len(FOLDS),
        "num_bars": len(r),
        "first_bar_utc": f"{panel.bar_utc[study.bar[0]].astype('datetime64[s]')}Z",
        "last_bar_utc": f"{panel.bar_utc[study.bar[-1]].astype('datetime64[s]')}Z",
        "periods_per_year": periods,
        "baselines": baselines,
        "information_ratio": ratios,
        "in_sample_share": 0.25,
        "hindsight_share": 0.1,
        "stress": {n: performance_again(study.stress_return(n), periods) for n in study.stress_names},
        "hours_utc": {f"{hour:02d}": part(r[hours == hour], periods) for hour in range(24)},
        "capacity": capacity_again(panel, TERMS, fills, history, study.bar, EQUITY),
    }
    assert r.mean() > 0
    shares = summary.pop("regimes")
    for one, other in (("high volatility", "low volatility"), ("trend", "range")):
        assert shares[one]["sum_return"] + shares[other]["sum_return"] == pytest.approx(r.sum())
    low, high = summary.pop("sharpe_interval_95")
    assert low < expected["sharpe"] < high
    close_to(summary, expected)


def part(returns, periods):
    sharpe = returns.mean() / returns.std(ddof=1) * periods**0.5
    return {
        "num_bars": len(returns),
        "mean_return": returns.mean(),
        "sum_return": returns.sum(),
        "sharpe": sharpe,
    }


def test_exposure_is_a_mean_over_all_bars_when_the_account_ends_early():
    panel = random_panel("coins")
    env = replace(venue_env("direction"), sizing=replace(venue_env("direction").sizing, fraction=1.0))
    env = replace(env, risk=replace(env.risk, ruin_equity=0.99, max_gross_exposure=3.0))
    policy = Schedule(target_TA=-np.ones(panel.close.shape))
    market = Market.build(panel, empty_features(panel), dict.fromkeys(panel.symbols, CRYPTO_SPOT))
    scoring = scoring_config(momentum_bars=20, hold_bars=4, stress_cost_factor=1.0, in_sample=False)
    fold = Fold(index=0, train=slice(0, 300), test=slice(301, 700))
    result = score_fold(fold, policy, panel, market, env, scoring, seed=0)
    assert len(result.recording.bar) < 399  # ruined on the way
    study = WalkForwardResult(panel=panel, folds=(result,))
    history, summary = history_table(study), summarise(study)
    assert summary["mean_gross_exposure"] == pytest.approx(history["gross_exposure"].mean(), rel=1e-12)
    assert summary["time_in_market"] == pytest.approx((history["gross_exposure"] > 0).mean(), rel=1e-12)


def test_baselines_turn_over_what_their_own_fills_say(run):
    _, study, _ = run
    for name in study.baseline_names:
        moved = sum(item.baselines[name].turnover.sum() for item in study.folds)
        assert study.baseline_turnover(name) == moved
        assert (moved == 0.0) == (name == "flat")
