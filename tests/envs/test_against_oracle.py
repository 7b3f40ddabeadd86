"""The kernel agrees with the slow scalar oracle to 1e-9, bar by bar, on random markets, configs and actions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import oracle_coverage as coverage
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Oracle
from oracle_account import COSTS
from oracle_context import Context
from random_markets import (
    CONTEXT,
    NO_REWARD,
    PLAIN,
    around_zero,
    mixed_instruments,
    random_features,
    random_panel,
    with_life,
    with_parts,
    with_rolls,
    with_universe,
    without_column,
)

from envs.actions import num_choices
from envs.barriers import BarrierConfig
from envs.episodes import Window
from envs.kernel import columns as c
from envs.market import Market
from envs.observations import CAPITAL_NAMES
from envs.portfolio import PortfolioVectorEnv
from envs.rewards import REWARD_TERMS

maybe = st.booleans()
MONEY = (
    "max_gross_notional",
    "max_daily_loss_amount",
    "max_drawdown_amount",
    "max_position_units",
    "max_position_notional",
    "max_sector_exposure",
    "max_sector_net_exposure",
    "max_concentration",
    "target_volatility",
)
"""Limits in units and account currency, and on several symbols together."""


def optional(strategy):
    return st.one_of(st.none(), strategy)


@st.composite
def configs(draw):
    scheme = draw(st.sampled_from(["direction", "orders", "direction_size", "weights", "order_entry"]))
    unit_of_entries = draw(st.sampled_from(["ticks", "atr"]))
    rules = [
        "fixed_units",
        "fixed_fraction",
        "atr_risk",
        "volatility_target",
        "fractional_kelly",
        "equity_schedule",
        "money_budget",
        "var_target",
        "cvar_target",
    ]
    barriers = None
    if draw(maybe):
        unit = draw(st.sampled_from(["percent", "ticks", "atr"]))
        scale = {"percent": 1.0, "ticks": 100.0, "atr": 1.0}[unit]
        distance = optional(st.floats(0.3, 2.0).map(lambda x: x * scale))
        barriers = BarrierConfig(
            unit=unit,
            profit_target=draw(distance),
            stop_loss=draw(distance),
            trailing_stop=draw(distance),
            time_limit_bars=draw(optional(st.integers(1, 6))),
        )
        if barriers.stop_loss or barriers.trailing_stop:
            rules.append("stop_distance")
    equity = draw(st.sampled_from([2_000.0, 10_000.0, 1_000_000.0]))
    rewards = draw(st.dictionaries(st.sampled_from(REWARD_TERMS), st.floats(0.1, 2.0), min_size=1))
    money = {
        "max_gross_notional": draw(st.sampled_from([None, None, 0.4])),
        "max_daily_loss_amount": draw(st.sampled_from([None, None, 0.01])),
        "max_drawdown_amount": draw(st.sampled_from([None, None, 0.05])),
    }
    return with_parts(
        PLAIN,
        initial_equity=equity,
        action={
            "scheme": scheme,
            "allow_short": draw(st.sampled_from([True, True, False])),
            "rebalance_band": draw(st.sampled_from([0.0, 0.05])),
            "entry_unit": unit_of_entries,
            "entry_offsets": (0.1, 0.4) if unit_of_entries == "atr" else (5.0, 30.0),
            "time_in_force_bars": draw(st.integers(1, 4)),
        },
        sizing={
            "rule": draw(st.sampled_from(rules)),
            "fraction": draw(st.sampled_from([0.2, 0.9, 5.0])),
            "max_fraction": draw(st.sampled_from([0.6, 8.0])),
            "risk_budget": draw(st.sampled_from([None, None, 30.0])),
            "max_units": draw(st.sampled_from([None, None, 4.0])),
        },
        costs={
            "half_spread_bps": draw(optional(st.floats(0, 20))),
            "fee_bps": draw(optional(st.floats(0, 20))),
            "slippage": draw(st.sampled_from(["none", "fixed_bps", "fixed_ticks", "volume"])),
            "slippage_value": draw(st.floats(0, 3)),
            "impact_coefficient": draw(st.sampled_from([0.0, 1.0])),
            "linear_impact_bps": draw(st.sampled_from([0.0, 0.0, 0.5])),
            "max_participation": draw(st.sampled_from([None, 0.1, 0.001])),
            "remainder": draw(st.sampled_from(["carry", "drop"])),
            "latency_bars": 0 if scheme == "order_entry" else draw(st.sampled_from([0, 0, 1, 3])),
            "borrow": draw(maybe),
            "funding": draw(maybe),
            "delisting_recovery": draw(st.sampled_from([1.0, 1.0, 0.4, 0.0])),
        },
        barriers=barriers,
        risk={
            "max_gross_exposure": draw(st.sampled_from([0.5, 1.0, 4.0, 15.0])),
            "max_position_exposure": draw(optional(st.floats(0.1, 2.0))),
            "margin": draw(maybe),
            "max_daily_loss": draw(optional(st.floats(0.005, 0.05))),
            "max_drawdown": draw(optional(st.floats(0.02, 0.2))),
            "max_var": draw(optional(st.floats(0.001, 0.01))),
            "max_entries_per_session": draw(optional(st.integers(0, 5))),
            "min_holding_bars": draw(st.integers(0, 4)),
            "no_trade_open_bars": draw(st.integers(0, 2)),
            "no_trade_close_bars": draw(st.integers(0, 2)),
            "flat_at_session_end": draw(st.sampled_from(["never", "last_open", "last_close"])),
            "ruin_equity": draw(st.sampled_from([0.0, 0.1, 0.9])),
            **{name: limit and limit * equity for name, limit in money.items()},
            "max_position_units": draw(st.sampled_from([None, None, 2.5, {"S1": 7.0}])),
            "max_position_notional": draw(st.sampled_from([None, None, 3_000.0, {"S0": 900.0}])),
            "max_entries_per_symbol": draw(st.sampled_from([None, None, 1, {"S0": 2}])),
            "max_sector_exposure": draw(st.sampled_from([None, None, 0.3])),
            "max_sector_net_exposure": draw(st.sampled_from([None, None, 0.1])),
            "max_concentration": draw(st.sampled_from([None, None, 0.02])),
            "target_volatility": draw(st.sampled_from([None, None, 0.15])),
            "volatility_bars": 6,
            "unknown_borrow_haircut": draw(st.sampled_from([0.0, 0.4, 1.0])),
        },
        reward={**NO_REWARD, **rewards, "scale": draw(st.sampled_from([1.0, 100.0]))},
        episode={"warmup_bars": draw(st.sampled_from([0, 4])), "liquidate_at_end": draw(maybe)},
        observation={name: draw(maybe) for name in CAPITAL_NAMES},
    )


def random_actions(rng, config, num_bars, num_assets, patience):
    """Actions that are kept for a few bars, as a policy would."""
    scheme = config.action.scheme
    shape = (num_bars // patience + 1, num_assets)
    if scheme == "weights":
        actions = rng.uniform(-1, 1, shape).astype(np.float32)
    elif scheme == "direction_size":
        size = rng.choice([0.0, 0.5, 1.0], shape)
        actions = np.stack([rng.integers(0, 3, shape), size], axis=-1).astype(np.float32)
    else:
        actions = rng.integers(0, num_choices(config.action), shape)
    return np.repeat(actions, patience, axis=0)[:num_bars]


def assert_same_trajectory(seed, config, patience, leveraged, volatility=0.01):
    """Kernel and oracle side by side to the end of the window; returns what the case has been through."""
    panel = random_panel(seed, num_assets=3 if seed % 11 == 2 else 2, volatility=volatility)
    if seed % 3 == 0:
        panel = with_life(panel, 0, listed=seed // 3 % 50, halts=seed % 2 == 0)
    if seed % 4 == 1:
        panel = with_life(panel, 1, ended=20 + seed // 4 % 60, halts=seed % 8 == 1)
    # Apart from what the seed's remainders choose, so that any of these meets any other.
    below, rolled, chosen, unpaid = np.random.default_rng([seed, 1]).random(4) < (0.25, 0.4, 0.25, 0.4)
    if below:
        panel = around_zero(panel, seed % 2)
    if rolled:
        panel = with_rolls(panel, seed // 2 % 2, seed, ratio=seed % 3 == 1 and not below)
    if chosen:
        panel = with_universe(panel, seed)
    if unpaid:  # bars of the kernel are then as wide as what else there is
        panel = without_column(panel, "dividend")
    instruments = mixed_instruments(panel)
    if leveraged:
        instruments = {
            name: replace(i, initial_margin_fraction=0.05, maintenance_margin_fraction=0.04)
            for name, i in instruments.items()
        }
    for a, hard in enumerate([(False, False), (None, False), (True, None), (False, False)][seed % 4]):
        instruments[f"S{a}"] = replace(instruments[f"S{a}"], hard_to_borrow=hard)
    for a, sector in enumerate([("metal", "metal"), ("oil", "gas")][seed % 2]):
        instruments[f"S{a}"] = replace(instruments[f"S{a}"], sector=sector)
    if seed % 5 == 0:
        instruments["S1"] = replace(instruments["S1"], delisted_utc=str(panel.bar_utc[40]))
    tail = "cvar" if config.sizing.rule == "cvar_target" else "var"
    context = replace(CONTEXT, until_full="shorter_window" if seed % 7 == 0 else "no_entry", tail=tail)
    market = Market.build(panel, random_features(panel), instruments, context)
    window = Window(start_bar=14, stop_bar=panel.num_bars)
    env = PortfolioVectorEnv(market, config, num_envs=1, windows=[window], seed=seed)
    env.set_logging(True)
    oracle = Oracle(
        panel, instruments, config, Context(panel, instruments, context), start=14, stop=panel.num_bars
    )
    env.reset()
    slices = env.layout.slices
    blocks = slice(slices["position"].start, slices["account"].stop)
    actions = random_actions(np.random.default_rng(seed), config, panel.num_bars, panel.num_assets, patience)
    seen = coverage.drawn(config)
    for action in actions:
        observation, reward, terminated, truncated, infos = env.step(action[None])
        expected, ruined, ended = oracle.step(action)
        compare_bar(env, oracle, reward[0], expected)
        seen += coverage.happened(env, [reason for *_, reason in oracle.fills])
        assert (terminated[0], truncated[0]) == (ruined, ended)
        shown = infos.get("final_obs", observation)[0, blocks.start : blocks.stop]
        if oracle.equity > 1.0:
            assert np.abs(shown - oracle.observation()).max() < 1e-5
        if ruined or ended:
            return seen
    raise AssertionError("the window ended without truncation")


def assert_close(name, got, want, atol):
    """|got - want| <= atol + 1e-9 |want|; plain Python, because it runs a million times."""
    assert len(got) == len(want), f"{name}: {got} against {want}"
    for one, two in zip(got, want, strict=True):
        assert abs(one - two) <= atol + 1e-9 * abs(two), f"{name}: {got} against {want}"


def compare_bar(env, oracle, reward, expected):
    flow = env.rows.flow[0].tolist()
    scale = oracle.config.initial_equity
    money = [oracle.equity, oracle.turnover, oracle.realised]
    assert_close("money", [flow[c.EQUITY_AFTER], flow[c.TURNOVER], flow[c.REALISED]], money, 1e-9 * scale)
    booked = [float(oracle.bar_costs[name]) for name in COSTS]
    assert_close("costs", flow[c.COMMISSION : c.DIVIDEND_PAID + 1], booked, 1e-10 * scale)
    assert flow[c.BREACHES] == oracle.breaches
    held = [float(holding.units) for holding in oracle.assets]
    assert_close("units", env.decision_log[0, :, c.LOG_UNITS].tolist(), held, 1e-9)
    log = env.fill_log[0]
    reasons = env.decision_log[0, :, c.INTENT_REASON]
    filled = sorted(
        # The kernel books an order's fill as a signal's; why it was sent stands in the decision log.
        (
            a,
            log[a, p, c.FILL_UNITS],
            log[a, p, c.FILL_PRICE],
            int(reasons[a] if p == c.AT_OPEN else log[a, p, c.FILL_REASON]),
        )
        for a, p in zip(*np.nonzero(log[..., c.FILL_UNITS]), strict=True)
    )
    wanted = sorted(
        (a, units, price, c.REASON_NAMES.index(reason)) for _, a, units, price, reason in oracle.fills
    )
    assert_close("fills", sum(filled, ()), sum(wanted, ()), 1e-9)
    assert_close("reward", [reward], [expected], 1e-9 * oracle.config.reward.scale)


CASE = {
    "seed": st.integers(0, 10**6),
    "config": configs(),
    "patience": st.sampled_from([1, 2, 5]),
    "leveraged": maybe,
    "volatility": st.sampled_from([0.003, 0.01, 0.03]),
}
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


def geared(config):
    """The same config with ten times leverage and margin rules: liquidations happen."""
    return with_parts(
        config,
        sizing={"rule": "fixed_fraction", "fraction": 6.0, "max_units": None},
        costs={"max_participation": None},
        risk={
            "margin": True,
            "max_gross_exposure": 15.0,
            "max_position_exposure": None,
            "max_daily_loss": None,
            "max_drawdown": None,
            **dict.fromkeys(MONEY),
            "ruin_equity": 0.0,
        },
    )


def unguarded(config):
    """The same config without the limits that all have: nothing else stands before those that are asked for."""
    off = ("max_position_exposure", "max_daily_loss", "max_drawdown", "max_var", "max_entries_per_session")
    zero = ("min_holding_bars", "no_trade_open_bars", "no_trade_close_bars", "ruin_equity")
    return with_parts(
        config,
        risk={
            **dict.fromkeys(off),
            **dict.fromkeys(zero, 0),
            "max_gross_exposure": 4.0,
            "flat_at_session_end": "never",
        },
    )


def compare_random_cases(max_examples, geared_examples, *, derandomize):
    """Compare so many random cases, and geared and unguarded ones; returns what they have been through."""
    seen: Counter = Counter()
    quiet = {"deadline": None, "suppress_health_check": QUIET, "derandomize": derandomize, "database": None}

    @given(**CASE)
    @settings(max_examples=max_examples, **quiet)
    def plain_cases(seed, config, patience, leveraged, volatility):
        seen.update(assert_same_trajectory(seed, config, patience, leveraged, volatility))

    @given(**{**CASE, "config": configs().map(geared)})
    @settings(max_examples=geared_examples, **quiet)
    def geared_cases(seed, config, patience, leveraged, volatility):
        seen.update(assert_same_trajectory(seed, config, patience, True, 0.03))

    @given(**{**CASE, "config": configs().map(unguarded)})
    @settings(max_examples=geared_examples, **quiet)
    def unguarded_cases(seed, config, patience, leveraged, volatility):
        seen.update(assert_same_trajectory(seed, config, patience, leveraged, volatility))

    plain_cases()
    geared_cases()
    unguarded_cases()
    return seen


def test_kernel_equals_oracle_on_random_markets_configs_and_actions():
    seen = compare_random_cases(200, 30, derandomize=True)
    # Hypothesis draws otherwise when other modules are loaded; these are too rare to be demanded of so few cases.
    rare = {"filled by ruin", "filled by daily_loss", "filled by drawdown"}
    assert {one for one in coverage.single() - set(+seen) if not one.startswith("sizing.rule=")} <= rare


@pytest.mark.slow
def test_the_random_configs_hold_every_scheme_with_every_size_rule_and_every_level_in_every_unit():
    seen: Counter = Counter()

    @given(configs())
    @settings(max_examples=2000, deadline=None, suppress_health_check=QUIET, derandomize=True, database=None)
    def draw(config):
        seen.update(coverage.drawn(config))

    draw()
    assert coverage.pairs() - set(+seen) == set()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_kernel_equals_oracle_on_thousands_of_random_cases_of_every_rule():
    seen = compare_random_cases(4000, 1000, derandomize=False)
    wanted = coverage.single() | coverage.pairs()
    assert wanted - set(+seen) == set()
    for key in sorted(wanted):
        print(f"{key}: {seen[key]:,}")  # noqa: T201, what the run has covered, shown by pytest -s


@pytest.mark.slow
def test_no_index_of_the_kernel_leaves_its_array(tmp_path):
    """Compiled code reads and writes where an index points; here each one is compared with its array's length."""
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    python = partial(subprocess.run, env=environment, capture_output=True, text=True, timeout=800)
    outside = "import numpy; from envs.kernel.jit import inner; inner(lambda a: a[2])(numpy.zeros(2))"
    assert "IndexError" in python([sys.executable, "-c", outside]).stderr
    lanes = (
        "import numpy, sys; from envs.kernel.jit import inner; from envs.kernel.lanes import *; "
        "from envs.kernel.lane_arrays import *; a, at = numpy.zeros((2, LANES)), numpy.ones(LANES, numpy.int64); "
        "inner(lambda a, at, k: lane_bits({index} == 0.0))(a, at, int(sys.argv[1]))"
    )
    for index in ("block(a, first_lanes(LANES))[k]", "rows_at(a, at)[LANES // 2 * k]"):
        assert python([sys.executable, "-c", lanes.format(index=index), "1"]).returncode == 0
        assert "IndexError" in python([sys.executable, "-c", lanes.format(index=index), "2"]).stderr
    cases = test_kernel_equals_oracle_on_random_markets_configs_and_actions.__name__
    others = [
        str(Path(__file__).with_name(name))
        for name in ("test_by_hand.py", "test_portfolio.py", "test_masks.py")
    ]
    result = python([sys.executable, "-m", "pytest", "-q", f"{__file__}::{cases}", *others])
    assert result.returncode == 0, result.stdout[-2000:]
