"""Buy and hold in the bundled experiments, from their configurations, against raw bars and the venue's terms."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from data.features.compute import FeatureSet
from data.sources import load
from envs.episodes import Window
from envs.market import Market
from evaluation.scoring.rollout import run_schedules
from policies.baselines import SCRIPTED
from rayjobs.config.compose import compose
from rayjobs.study.config import build_train_config

pytestmark = pytest.mark.runs

EXPERIMENTS = ("crypto_portfolio", "spy_intraday", "planted_signal", "planted_memory", "noise")
ENVS = ("portfolio", "contracts", "direction_size", "weights", "triple_barrier")


@lru_cache(maxsize=1)
def world(experiment):
    """Bars, market and venue's terms of an experiment, buy and hold there, and its last fold."""
    config = build_train_config(compose("train", [f"+experiment={experiment}"]))
    panel = load(config.data).panel
    nothing = FeatureSet(
        asset=np.zeros((panel.num_bars, panel.num_assets, 1), dtype=np.float32),
        clock=np.zeros((panel.num_bars, 1), dtype=np.float32),
        asset_names=("none",),
        clock_names=("none",),
        lookback_bars=0,
        feature_hash="none",
    )
    terms = config.instruments.for_symbols(panel.symbols)
    market, fold = Market.build(panel, nothing, terms), config.walk_forward.folds(panel.num_bars)[-1]
    return panel, market, SCRIPTED["buy_and_hold"](panel), terms, fold


def cost(units, price, term, costs):
    """Of fills (A,) of one asset or more: half the spread, the fee and what an order slips, as the costs say."""
    notional = np.abs(units) * price
    spread = (
        notional * term["half_spread_bps"] / 1e4
        + np.abs(units) * term["half_spread_ticks"] * term["tick_size"]
    )
    fee = np.abs(units) * term["commission_per_unit"] + notional * term["taker_fee_bps"] / 1e4
    if costs.half_spread_bps is not None:
        spread = notional * costs.half_spread_bps / 1e4
    if costs.fee_bps is not None:
        fee = notional * costs.fee_bps / 1e4
    slip = notional * costs.slippage_value / 1e4 if costs.slippage == "fixed_bps" else 0.0
    return spread + fee + slip


def held_by_hand(panel, terms, costs, window: Window, equity: float):
    """Equity after each bar of equal shares, decided at the close before the window, sold at its last close."""
    names = ("half_spread_bps", "half_spread_ticks", "tick_size", "commission_per_unit", "taker_fee_bps")
    term = {name: np.array([getattr(terms[s], name) for s in panel.symbols]) for name in names}
    lots = np.array([terms[s].lot_step for s in panel.symbols])
    first, last, close = window.start_bar, window.stop_bar - 1, panel.last_close()
    units = equity / panel.num_assets / close[first - 1]
    units = np.where(lots > 0, np.floor(units / np.where(lots > 0, lots, 1.0) + 1e-9) * lots, units)
    assert panel.tradable[first - 1].all()
    cash, held, curve = equity, np.zeros(len(units)), []
    for bar in range(first, last + 1):
        room = np.inf if costs.max_participation is None else costs.max_participation * panel.volume[bar]
        bought = np.where(panel.tradable[bar], np.minimum(units - held, room), 0.0)  # the rest is carried on
        cash -= np.where(
            bought > 0, bought * panel.open[bar] + cost(bought, panel.open[bar], term, costs), 0
        ).sum()
        held = held + bought
        curve.append(cash + (held * close[bar]).sum())
    curve[-1] -= cost(units, close[last], term, costs).sum()
    return curve


# Of made markets one scheme on every run; each experiment under each env in the slow tests.
FAST = {*((e, v) for e in EXPERIMENTS[:2] for v in ENVS), *((e, "weights") for e in EXPERIMENTS)}


@pytest.mark.parametrize(
    ("experiment", "env"),
    [pytest.param(e, v, marks=() if (e, v) in FAST else pytest.mark.slow) for e in EXPERIMENTS for v in ENVS],
)
def test_buy_and_hold_is_bought_once_and_held_under_every_bundled_experiment_and_env(experiment, env):
    panel, market, schedule, terms, fold = world(experiment)
    config = build_train_config(compose("train", [f"+experiment={experiment}", f"env={env}"]))
    window = Window(start_bar=fold.test.start, stop_bar=fold.test.start + 2_000)
    (track,) = run_schedules({"held": schedule}, market, config.env, [window])["held"]
    equity = config.env.initial_equity
    curve = np.concatenate([[equity], held_by_hand(panel, terms, config.env.costs, window, equity)])
    np.testing.assert_allclose(track.net_return, curve[1:] / curve[:-1] - 1.0, rtol=0, atol=1e-9)
    bought = np.flatnonzero(track.turnover)
    assert (bought[0], bought[-1]) == (0, len(track.turnover) - 1)
    assert len(bought) <= 3  # a purchase of more than a tenth of a bar's volume takes another bar
    assert track.turnover[bought[:-1]].sum() == pytest.approx(1.0, abs=0.02)
