"""Every file and every value of the simulator's config groups works on real bars, through the path that a job takes."""

from __future__ import annotations

import hashlib
import re
from copy import deepcopy
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from envs.kernel import columns as c
from envs.portfolio import PortfolioVectorEnv
from envs.rewards import REWARD_TERMS
from rayjobs.config.compose import CONF, compose
from rayjobs.study.config import build_train_config
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_windows import training_windows
from rayjobs.study.load import load_study

pytestmark = pytest.mark.runs

GROUPS = ("env", "costs", "risk", "reward", "context", "instruments")
SHORT = (
    "data.stop_utc=2017-12-15",
    "walk_forward.train_bars=2000",
    "walk_forward.test_bars=500",
    "env.episode.bars=48",
)
FILES = sorted((path.parent.name, path.stem) for group in GROUPS for path in (CONF / group).glob("*.yaml"))
NUM_ENVS, NUM_STEPS, HELD_BARS = 4, 144, 4


@lru_cache
def composed(*overrides):
    return compose("train", [*SHORT, *overrides])


@lru_cache
def short_study():
    return load_study(build_train_config(composed()))


def training_env(values):
    """The env that a job with this configuration trains on."""
    study, _, folds = short_study()
    config = build_train_config(values)
    market, _ = fold_market(replace(study, config=config), folds[0])
    window, _ = training_windows(config, folds[0], market.first_bar)
    return PortfolioVectorEnv(market, config.env, num_envs=NUM_ENVS, windows=[window], seed=0)


def run(values):
    """Random actions, held for a few bars; returns the env, what was seen of it, and the number of fills."""
    env = training_env(values)
    env.action_space.seed(0)
    seen = hashlib.sha256()
    observation, _ = env.reset()
    fills = 0.0
    for step in range(NUM_STEPS):
        if step % HELD_BARS == 0:
            actions = env.action_space.sample()
        observation, reward, *_ = env.step(actions)
        assert np.isfinite(observation).all()
        assert np.isfinite(reward).all()
        fills += env.rows.flow[:, c.NUM_FILLS].sum()
        for array in (observation, reward, env.rows.flow):
            seen.update(array.tobytes())
    return env, seen.hexdigest(), fills


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_file_of_the_simulators_groups_trades_on_real_bars(group, name):
    # Whole futures contracts of BTC at ES's multiplier need a large account.
    equity = "1e9" if group == "instruments" else "1e5"
    env, _, fills = run(composed(f"{group}={name}", f"env.initial_equity={equity}"))
    assert fills > 10
    assert (env.rows.account[:, 1] > 0).all()


def setting(key, *values, **situation):
    """A key, values of it that must all make a difference, and what else must be set for that."""
    return pytest.param(key, values, situation, id=key)


RULE, GROSS = "env.sizing.rule", "risk.max_gross_exposure"
BARRIERS = {
    "unit": "percent", "profit_target": 2.0, "stop_loss": 1.0, "trailing_stop": None, "time_limit_bars": None,
}  # fmt: skip
RANDOM = {"tickers": False, "cost_low": 0.5, "cost_high": 2.0, "max_extra_latency_bars": 0}
SECTORS = {
    name: {"sector": "old" if name in ("BTC", "LTC") else "new"}
    for name in ("BTC", "ETH", "LTC", "XRP", "EOS")
}
KINDS = (
    "ES", "MES", "NQ", "MNQ", "CL", "MCL", "GC", "MGC", "ZN", "us_stock", "crypto_spot", "crypto_perpetual"
)  # fmt: skip


def barrier(name, *values, **others):
    return setting(f"env.barriers.{name}", *values, **{"env.barriers": {**BARRIERS, **others}})


def randomised(name, *values, **situation):
    return setting(
        f"env.episode.randomisation.{name}", *values, **{"env.episode.randomisation": RANDOM, **situation}
    )


SETTINGS = [
    setting("env.initial_equity", 1e5, 2e5),
    setting("env.action.scheme", "direction", "orders", "direction_size", "weights", "order_entry"),
    setting("env.action.entry_unit", "ticks", "atr", **{"env.action.scheme": "order_entry"}),
    setting("env.action.entry_offsets", [1.0], [5.0], **{"env.action.scheme": "order_entry"}),
    setting("env.action.time_in_force_bars", 1, 4, **{"env.action.scheme": "order_entry"}),
    setting("env.action.allow_short", True, False),
    setting("env.action.rebalance_band", 0.0, 0.3, **{"env.action.scheme": "weights"}),
    setting(
        RULE,
        "fixed_units",
        "fixed_fraction",
        "atr_risk",
        "volatility_target",
        "fractional_kelly",
        "equity_schedule",
        "stop_distance",
        "money_budget",
        "var_target",
        "cvar_target",
        **{
            "env.sizing.kelly_min_trades": 1,
            "env.sizing.money_budget": 3_000.0,
            "env.barriers": {**BARRIERS, "stop_loss": 3.0},
        },
    ),
    setting("env.sizing.units", 1.0, 2.0, **{RULE: "fixed_units"}),
    setting("env.sizing.fraction", 0.1, 0.2),
    setting("env.sizing.risk_fraction", 0.001, 0.002, **{RULE: "atr_risk"}),
    setting("env.sizing.target_volatility", 0.05, 0.1, **{RULE: "volatility_target"}),
    setting(
        "env.sizing.kelly_fraction", 0.2, 0.5, **{RULE: "fractional_kelly", "env.sizing.kelly_min_trades": 1}
    ),
    setting("env.sizing.kelly_min_trades", 1, 8, **{RULE: "fractional_kelly"}),
    setting("env.sizing.risk_budget", None, 50.0, **{RULE: "atr_risk"}),
    setting("env.sizing.money_budget", 1_000.0, 2_000.0, **{RULE: "money_budget"}),
    setting("env.sizing.target_loss", 0.001, 0.002, **{RULE: "var_target"}),
    setting("env.sizing.max_units", None, 0.3),
    setting("env.sizing.max_fraction", 0.05, 0.1, **{RULE: "atr_risk"}),
    setting(
        "env.sizing.schedule",
        [{"equity_multiple": 1.0, "fraction": 0.1, "notional_cap": 1e4}],
        [{"equity_multiple": 1.0, "fraction": 0.1, "notional_cap": 1e3}],
        **{RULE: "equity_schedule"},
    ),
    setting("env.barriers", None, BARRIERS),
    barrier("unit", "percent", "ticks", "atr"),
    barrier("profit_target", None, 1.0),
    barrier("stop_loss", None, 0.5),
    barrier("trailing_stop", None, 0.5),
    barrier("time_limit_bars", None, 2),
    setting("env.episode.kind", "random", "whole", "session"),
    setting("env.episode.bars", 24, 48),
    setting("env.episode.warmup_bars", 0, 8),
    setting("env.episode.liquidate_at_end", True, False),
    setting("env.episode.num_assets", None, 2, **{"policy.symbol_embedding": False}),
    setting("env.episode.randomisation", None, RANDOM),
    randomised("tickers", True, False, **{"env.episode.num_assets": 2, "policy.symbol_embedding": False}),
    randomised("cost_low", 0.5, 1.0),
    randomised("cost_high", 2.0, 3.0),
    randomised("max_extra_latency_bars", 0, 2),
    setting("env.observation.return_scale", 0.01, 0.02),
    setting("env.observation.holding_scale_bars", 24, 48),
    setting("env.observation.equity_ratio", False, True),
    setting("env.observation.initial_capital_ratio", False, True),
    setting("env.observation.utilisation", False, True),
    setting("costs.half_spread_bps", None, 5.0),
    setting("costs.fee_bps", None, 7.0),
    setting("costs.slippage", "none", "fixed_bps", "fixed_ticks", "volume", **{"costs.slippage_value": 0.5}),
    setting("costs.slippage_value", 1.0, 2.0, **{"costs.slippage": "fixed_bps"}),
    setting("costs.impact_coefficient", 0.0, 1.0),
    setting("costs.linear_impact_bps", 0.0, 0.5),
    setting("costs.max_participation", None, 1e-4),
    setting("costs.remainder", "carry", "drop", **{"costs.max_participation": 1e-4}),
    setting("costs.latency_bars", 0, 2),
    setting("costs.borrow", True, False),
    setting(
        "costs.delisting_recovery",
        1.0,
        0.5,
        0.0,
        **{"instruments.symbols": {"BTC": {"delisted_utc": "2017-10-09"}}, "env.episode.kind": "whole"},
    ),
    setting("costs.funding", True, False, **{"instruments.kind": "crypto_perpetual"}),
    setting(GROSS, 0.5, 1.0),
    setting("risk.max_position_exposure", None, 0.1),
    setting("risk.max_position_units", None, 1.0, {"BTC": 0.5}),
    setting("risk.max_position_notional", None, 900.0, {"ETH": 500.0}),
    setting("risk.max_gross_notional", None, 20_000.0),
    setting("risk.max_daily_loss_amount", None, 200.0),
    setting("risk.max_drawdown_amount", None, 300.0),
    setting("risk.max_entries_per_symbol", None, 1, {"BTC": 2}),
    setting("risk.max_sector_exposure", None, 0.2, **{"instruments.symbols": SECTORS}),
    setting("risk.max_sector_net_exposure", None, 0.1, **{"instruments.symbols": SECTORS}),
    setting("risk.max_concentration", None, 0.05),
    setting("risk.target_volatility", None, 0.1),
    setting("risk.volatility_bars", 20, 60, **{"risk.target_volatility": 0.1}),
    setting(
        "risk.unknown_borrow_haircut", 0.2, 1.0, **{"instruments.symbols": {"BTC": {"hard_to_borrow": None}}}
    ),
    setting("risk.margin", True, False, **{GROSS: 8.0, "env.sizing.fraction": 5.0}),
    setting("risk.max_daily_loss", None, 0.002),
    setting("risk.max_drawdown", None, 0.003),
    setting("risk.max_var", None, 0.0005, **{"risk.var_bars": 10}),
    setting("risk.var_bars", 5, 15, **{"risk.max_var": 0.0005}),
    setting("risk.var_level", 0.7, 0.95, **{"risk.max_var": 0.001, "risk.var_bars": 20}),
    setting("risk.max_entries_per_session", None, 3),
    setting("risk.min_holding_bars", 0, 9),
    setting("risk.no_trade_open_bars", 0, 9),
    setting("risk.no_trade_close_bars", 0, 9),
    setting("risk.flat_at_session_end", "never", "last_open", "last_close"),
    setting("risk.ruin_equity", 0.2, 0.99),
    setting("reward.scale", 1.0, 2.0),
    *(setting(f"reward.{term}", 0.0, 1.0) for term in REWARD_TERMS if term != "breach"),
    setting("reward.breach", 0.0, 1.0, **{"risk.max_drawdown": 0.003}),
    setting("reward.differential_sharpe_rate", 0.01, 0.1, **{"reward.differential_sharpe": 1.0}),
    setting("reward.edge_minutes", 0.0, 120.0, **{"reward.micro": 1.0, "reward.edge_factor": 3.0}),
    setting("reward.edge_factor", 1.0, 3.0, **{"reward.micro": 1.0, "reward.edge_minutes": 120.0}),
    setting("context.atr_bars", 24, 48, **{RULE: "atr_risk", "env.sizing.risk_fraction": 0.001}),
    setting("context.volatility_bars", 120, 240, **{RULE: "volatility_target"}),
    setting("context.adv_bars", 120, 240, **{"costs.impact_coefficient": 1.0}),
    setting("context.tail_bars", 100, 200, **{RULE: "cvar_target"}),
    setting("context.tail_level", 0.9, 0.95, **{RULE: "cvar_target"}),
    setting(
        "context.until_full",
        "no_entry",
        "shorter_window",
        **{RULE: "volatility_target", "context.volatility_bars": 1000},
    ),
    setting("instruments.kind", *KINDS, **{"env.initial_equity": 1e9, "costs.borrow": True}),
    setting(
        "instruments.symbols",
        {},
        {"BTC": {"taker_fee_bps": 9.0}},
        {"BTC": {"hard_to_borrow": True}},
        {"BTC": {"hard_to_borrow": None}},
    ),
]


def with_keys(changes):
    values = deepcopy(composed())
    for key, value in changes.items():
        *groups, last = key.split(".")
        place = values
        for group in groups:
            place = place[group]
        place[last] = deepcopy(value)
    return values


@pytest.mark.parametrize(("key", "choices", "situation"), SETTINGS)
def test_no_two_choices_of_a_key_give_the_same_trajectory(key, choices, situation):
    seen = [run(with_keys({**situation, key: choice}))[1] for choice in choices]
    assert len(set(seen)) == len(choices)


def test_a_job_on_fewer_assets_than_the_data_have_is_refused_before_it_trains():
    with pytest.raises(ValueError, match=r"env\.episode\.num_assets is 2 of 5 symbols"):
        load_study(
            build_train_config(with_keys({"env.episode.num_assets": 2, "policy.symbol_embedding": False}))
        )


def leaves(values, path):
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{path}.{name}")
        else:
            yield f"{path}.{name}"


def test_every_key_of_the_groups_is_among_those_tried():
    tried = {param.values[0] for param in SETTINGS}
    values = with_keys({"env.barriers": BARRIERS, "env.episode.randomisation": RANDOM})
    own_code = {"reward.function", "env.factory"}  # tests/rayjobs/study/test_own_code.py
    assert tried | own_code >= {key for group in GROUPS for key in leaves(values[group], group)}


def documented_choices(line):
    """Choices that a comment lists with bars: 'never | last_open (flat at ...)' gives never, last_open."""
    comment = re.sub(r"\([^)]*\)|;.*$", "", line.split("#", 1)[1]).split(":")[-1]
    return {part.split()[0].strip(",") for part in comment.split(" | ")}


def test_the_choices_that_comments_list_are_the_ones_tried():
    tried: dict[str, set[str]] = {}
    for param in SETTINGS:
        tried.setdefault(param.values[0].rsplit(".", 1)[1], set()).update(map(str, param.values[1]))
    documented: dict[str, set[str]] = {}
    for path in sorted(path for group in GROUPS for path in (CONF / group).glob("*.yaml")):
        for line in path.read_text().splitlines():
            match = re.match(r"\s*([a-z_]+):.*#[^{]* \| ", line)
            if match:
                documented.setdefault(match.group(1), set()).update(documented_choices(line))
    assert {
        "scheme",
        "rule",
        "kind",
        "slippage",
        "remainder",
        "unit",
        "entry_unit",
        "flat_at_session_end",
        "until_full",
    } == set(documented)
    assert documented == {name: tried[name] for name in documented}
