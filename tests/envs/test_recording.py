"""Recordings: trades are made of fills to the bit, rows can be chosen, and a fill knows the decision behind it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain_trades import plain_trades
from random_markets import PLAIN, build_market, random_panel, with_parts

from envs.barriers import BarrierConfig
from envs.episodes import RandomisationConfig, Window
from envs.kernel import columns as c
from envs.portfolio import PortfolioVectorEnv
from envs.recording import Recorder

WINDOW = [Window(start_bar=14, stop_bar=80)]
TRAILING = BarrierConfig(
    unit="percent", profit_target=1.5, stop_loss=1.0, trailing_stop=1.2, time_limit_bars=9
)


def played(config, seed, *, rows=None, num_envs=3, exogenous=True):
    """Every row's first episode under random actions, held for three bars."""
    market = build_market(random_panel(seed, num_assets=3, exogenous=exogenous))
    env = PortfolioVectorEnv(market, config, num_envs=num_envs, windows=WINDOW, seed=seed)
    recorder = Recorder(env, rows)
    env.reset()
    env.action_space.seed(seed)
    for step in range(66):
        if step % 3 == 0:
            actions = env.action_space.sample()
        env.step(actions)
    return env, recorder.recordings()


@given(
    seed=st.integers(0, 10**6),
    scheme=st.sampled_from(["direction", "orders", "direction_size", "weights"]),
    barriers=st.sampled_from([None, TRAILING]),
    liquidate=st.booleans(),
    participation=st.sampled_from([None, 0.01]),
    leverage=st.sampled_from([1.0, 12.0]),
)
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_compiled_trades_have_the_same_bits_as_plain_ones(
    seed, scheme, barriers, liquidate, participation, leverage
):
    config = with_parts(
        PLAIN,
        action={"scheme": scheme},
        barriers=barriers,
        sizing={"fraction": 0.3 * leverage},
        costs={"funding": True, "borrow": True, "fee_bps": 3.0, "max_participation": participation},
        risk={"max_gross_exposure": leverage, "margin": leverage > 1.0, "ruin_equity": 0.3},
        episode={"liquidate_at_end": liquidate},
    )
    market = build_market(random_panel(seed, num_assets=3))
    env, recordings = played(config, seed)
    for row, recording in enumerate(recordings):
        fills, trades = recording.fills, recording.trades
        log = env.recorder._recorded.recorded("decisions")[: len(recording.bar), row]
        financing = log[:, :, [c.LOG_FUNDING, c.LOG_BORROW, c.LOG_DIVIDEND]]
        want = plain_trades(
            fills, financing, recording.bar, market, recording.symbols, env.instrument[:, c.MULTIPLIER]
        )
        assert len(trades) == len(want["asset"])
        for name, column in want.items():
            if len(trades):
                np.testing.assert_array_equal(getattr(trades, name), column, err_msg=name)


def test_the_recording_of_one_row_among_many_is_the_one_of_all_rows():
    config = with_parts(
        PLAIN, costs={"fee_bps": 3.0, "latency_bars": 1}, episode={"kind": "random", "bars": 20}
    )
    _, everyone = played(config, 3, num_envs=4)
    _, (one,) = played(config, 3, num_envs=4, rows=[2])
    for name in ("bar", "equity", "net_return", "units", "target_units", "costs", "reward"):
        np.testing.assert_array_equal(getattr(one, name), getattr(everyone[2], name))
    assert one.complete
    assert len(one.fills) > 3
    for part in ("fills", "trades"):
        for name, column in vars(getattr(one, part)).items():
            np.testing.assert_array_equal(column, getattr(getattr(everyone[2], part), name))


@pytest.mark.parametrize("latency", [0, 2])
def test_a_fill_is_decided_as_many_bars_before_as_its_own_episode_is_late(latency):
    # The next episode of the row draws another latency: it must not be taken for the one that was recorded.
    random = RandomisationConfig(tickers=False, cost_low=1.0, cost_high=1.0, max_extra_latency_bars=3)
    config = with_parts(PLAIN, episode={"randomisation": random})
    market = build_market(random_panel(5, num_assets=3, holes=0.0, exogenous=False))
    env = PortfolioVectorEnv(market, config, num_envs=8, windows=WINDOW, seed=5)
    recorder = Recorder(env)
    env.reset()
    env.rows.put("counter", c.LATENCY, latency)
    for step in range(66):
        env.step(np.full((8, 3), step // 8 % 3))
    assert set(env.rows.counter[:, c.LATENCY].tolist()) != {latency}
    for recording in recorder.recordings():
        sent = recording.fills.place == c.AT_OPEN
        assert sent.sum() > 10
        late = recording.fills.filled_bar - recording.fills.decided_bar
        assert set(late[sent].tolist()) == {latency + 1}
