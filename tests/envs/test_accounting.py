"""Accounts add up: on every bar, over all trades, and through every autoreset."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_markets import build_market, random_panel, with_parts
from test_against_oracle import QUIET, configs, random_actions

from envs.checks.conformance import check_accounts
from envs.episodes import Window
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder

CASE = {"seed": st.integers(0, 10**6), "config": configs(), "liquidate": st.booleans()}


def assert_accounts_add_up(seed, config, liquidate):
    config = with_parts(config, episode={"liquidate_at_end": liquidate})
    panel = random_panel(seed, num_bars=60, num_assets=3)
    windows = [Window(start_bar=14, stop_bar=60), Window(start_bar=20, stop_bar=45)]

    def build():
        return PortfolioVectorEnv(build_market(panel), config, num_envs=3, windows=windows, seed=seed)

    drawn = random_actions(np.random.default_rng(seed), config, 3 * 60, 3, 2)
    actions = list(np.ascontiguousarray(drawn.reshape(60, 3, *drawn.shape[1:])))
    check_accounts(build(), actions)
    env = build()
    recorder = Recorder(env)
    env.reset()
    for action in actions:
        env.step(action)
    for recording in recorder.recordings():
        assert recording.complete
        change = recording.equity[-1] - recording.equity[0]
        scale = config.initial_equity
        np.testing.assert_allclose(recording.trades.pnl.sum(), change, rtol=1e-9, atol=1e-9 * scale)
        np.testing.assert_allclose(
            recording.trades.costs.sum(axis=0), recording.costs.sum(axis=0), rtol=1e-9, atol=1e-9 * scale
        )
        assert (recording.trades.mfe >= 0).all()
        assert (recording.trades.mae <= 0).all()
        assert (recording.fills.decided_bar < recording.fills.filled_bar).all()
        np.testing.assert_allclose(
            np.cumprod(1 + recording.net_return), recording.equity[1:] / recording.equity[0]
        )


@given(**CASE)
@settings(max_examples=30, deadline=None, suppress_health_check=QUIET, derandomize=True)
def test_equity_changes_by_price_pnl_less_booked_costs_and_trades_sum_to_it(seed, config, liquidate):
    assert_accounts_add_up(seed, config, liquidate)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(**CASE)
@settings(max_examples=1000, deadline=None, suppress_health_check=QUIET)
def test_accounts_add_up_in_a_thousand_random_runs(seed, config, liquidate):
    assert_accounts_add_up(seed, config, liquidate)
