"""The audit of a record over a split: fees and ticks are those of shares as traded, and trades are derived over it.

The panel's prices are grown by a split of 4 for 1 of SYN0 in bar `SPLIT_BAR`: one unit of the panel is one share
before it, and four shares from then on. SYN1 has one of 1 for 2 in bar `MERGED_BAR`, in which it is sold.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from column_features import column_features
from hand_artefacts import COSTS

from data.schema import Panel
from data.split_factors import SPLIT_FACTOR
from envs.config import PortfolioEnvConfig
from envs.context import ContextConfig
from envs.episodes import Window
from envs.instruments import CATALOGUE
from envs.market import Market
from evaluation.artefacts.run_files import write_artefacts
from evaluation.audit.accounts import check_costs
from evaluation.audit.recorded_run import RecordedRun, read_recorded
from evaluation.audit.trade_records import check_trades
from evaluation.scoring.rollout import evaluation_config, rollout, whole_window_env
from evaluation.scoring.walk_forward import FoldResult, WalkForwardResult
from evaluation.windows.splits import Fold

FIRST, SPLIT_BAR, MERGED_BAR, LAST = 100, 130, 145, 260
NO_WINDOWS = ContextConfig(atr_bars=None, volatility_bars=None, adv_bars=None, until_full="no_entry")
STOCK = replace(CATALOGUE["us_stock"], commission_per_unit=0.01, half_spread_ticks=2.0, tick_size=0.01)


class InTurns:
    """Long of all for 45 bars, flat for 10, short for 30, and from the beginning."""

    turns = np.repeat([2, 1, 0], [45, 10, 30])

    def initial_state(self, num_envs):
        return np.zeros(num_envs, dtype=np.int64)

    def act(self, observation, state):
        side = self.turns[state % len(self.turns)]
        return np.repeat(side[:, None], 2, axis=1), state + 1


@pytest.fixture(scope="module")
def config(signal_world) -> PortfolioEnvConfig:
    costs = replace(signal_world.config.costs, half_spread_bps=None, fee_bps=None)
    return replace(signal_world.config, costs=costs)


@pytest.fixture(scope="module")
def panel(signal_world) -> Panel:
    plain = signal_world.panel
    factors = np.ones(plain.close.shape)
    factors[SPLIT_BAR - 1 :, 0] = 0.25  # the column at t is what bar t + 1 is charged by
    factors[MERGED_BAR - 1 :, 1] = 2.0
    return replace(plain, exogenous={**plain.exogenous, SPLIT_FACTOR: factors})


@pytest.fixture(scope="module")
def honest(panel, config, tmp_path_factory) -> RecordedRun:
    """The record of a policy that holds SYN0 over the split, as its files say."""
    market = Market.build(panel, column_features(panel), dict.fromkeys(panel.symbols, STOCK), NO_WINDOWS)
    env = whole_window_env(market, evaluation_config(config), [Window(start_bar=FIRST, stop_bar=LAST)])
    (recording,) = rollout(InTurns(), env)
    fold = Fold(index=0, train=slice(0, 90), test=slice(FIRST, LAST))
    directory = tmp_path_factory.mktemp("split")
    write_artefacts(
        directory, WalkForwardResult(panel=panel, folds=(FoldResult(fold=fold, recording=recording),)), {}
    )
    (directory / "progress.csv").write_text("")
    return read_recorded(directory)


def lies(run: RecordedRun, panel, config) -> str:
    """What the audit finds wrong with the costs and the trades."""
    instruments = dict.fromkeys(panel.symbols, STOCK)
    checks = check_costs(run, panel, config, instruments, 1.0) + check_trades(run, panel, instruments)
    assert not [check for check in checks if check.outcome in ("skip", "warn")]
    return "; ".join(check.detail for check in checks if check.outcome == "fail")


def held_over(run: RecordedRun, panel) -> pd.Series:
    """The first trade of SYN0 that was entered before the split and left after it."""
    entered, left = (
        np.searchsorted(panel.bar_utc, pd.to_datetime(run.trades[name]).dt.tz_localize(None).to_numpy())
        for name in ("entry_time", "exit_time")
    )
    over = (run.trades["ticker"] == "SYN0").to_numpy() & (entered < SPLIT_BAR) & (left > SPLIT_BAR)
    row = run.trades[over].iloc[0].copy()
    row["entry_bar"], row["exit_bar"] = entered[over][0], left[over][0]
    return row


def test_an_honest_record_over_a_split_is_derived_whole(honest, panel, config):
    assert lies(honest, panel, config) == ""


def test_a_trade_held_over_the_split_is_what_an_account_of_real_shares_made(honest, panel):
    trade = held_over(honest, panel)
    entry, leave, shares = int(trade["entry_bar"]), int(trade["exit_bar"]), float(trade["units"])
    opened, left = panel.open[entry, 0], panel.open[leave, 0] / 4.0  # as traded
    side = 1.0 if trade["direction"] == "long" else -1.0
    # Bought are the shares, sold four times as many at a quarter of the price; a cent and two ticks of each.
    assert trade["commission"] == pytest.approx(0.01 * (shares + 4.0 * shares), rel=1e-12)
    assert trade["spread_cost"] == pytest.approx(0.02 * (shares + 4.0 * shares), rel=1e-12)
    gain = side * (4.0 * shares * left - shares * opened)
    paid = sum(trade[name] for name in COSTS)
    assert trade["pnl"] == pytest.approx(gain - paid, rel=1e-9)
    assert trade["return_pct"] == pytest.approx(100.0 * trade["pnl"] / (shares * opened), rel=1e-9)
    assert trade["entry_price"] == opened
    # No bar of the split looks like a loss of three quarters.
    held = slice(entry, leave)
    best = (
        max(panel.high[held, 0].max(), 4.0 * left) if side > 0 else min(panel.low[held, 0].min(), 4.0 * left)
    )
    worst = (
        min(panel.low[held, 0].min(), 4.0 * left) if side > 0 else max(panel.high[held, 0].max(), 4.0 * left)
    )
    assert trade["mfe"] == pytest.approx(max(side * shares * (best - opened), 0.0), rel=1e-9)
    assert trade["mae"] == pytest.approx(min(side * shares * (worst - opened), 0.0), rel=1e-9)


@pytest.mark.parametrize("column", ["commission", "spread_cost"])
def test_fees_of_grown_units_instead_of_real_shares_are_found(honest, panel, config, column):
    fills = honest.fills.copy()
    filled = fills["filled_utc"].dt.tz_localize(None).to_numpy()
    late = (fills["symbol"] == "SYN0").to_numpy() & (filled >= panel.bar_utc[SPLIT_BAR])
    assert 0 < late.sum() < len(fills)
    fills.loc[late, column] /= 4.0
    assert f"do not pay the configured {column}" in lies(replace(honest, fills=fills), panel, config)


@pytest.mark.parametrize("column", ["units", "entry_price", "mfe", "mae", "return_pct", "commission"])
def test_a_trade_over_the_split_that_says_otherwise_is_found(honest, panel, config, column):
    trades = honest.trades.copy()
    over = held_over(honest, panel)
    trades[column] = trades[column].where(trades["trade_id"] != over["trade_id"], 0.25 * trades[column])
    assert f"{column} of trade {over['trade_id']}" in lies(replace(honest, trades=trades), panel, config)


def test_a_fill_in_the_bar_of_a_split_pays_for_shares_as_they_are_from_then_on(honest, panel):
    fills = honest.fills
    bars = np.searchsorted(panel.bar_utc, fills["filled_utc"].dt.tz_localize(None).to_numpy())
    per_unit, of_first = fills["commission"] / fills["units"].abs(), (fills["symbol"] == "SYN0").to_numpy()
    assert MERGED_BAR in bars[~of_first]
    expected = np.where(
        of_first, np.where(bars >= SPLIT_BAR, 0.04, 0.01), np.where(bars >= MERGED_BAR, 0.005, 0.01)
    )
    np.testing.assert_allclose(per_unit, expected, rtol=1e-12)
