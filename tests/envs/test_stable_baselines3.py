"""The adapter keeps Stable-Baselines3's contract of a vectorised step."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from random_markets import PLAIN, build_market, random_panel, with_parts

from envs.episodes import Window
from envs.portfolio import PortfolioVectorEnv

pytest.importorskip("stable_baselines3")


def portfolio(**options):
    market = build_market(random_panel(4, num_assets=2))
    config = with_parts(PLAIN, episode={"kind": "random", "bars": 3})
    return PortfolioVectorEnv(
        market, config, num_envs=4, windows=[Window(start_bar=10, stop_bar=60)], seed=1, **options
    )


def test_an_ended_row_carries_its_last_observation_and_says_that_time_ran_out():
    from envs.stable_baselines3 import PortfolioVecEnv

    env, twin = PortfolioVecEnv(portfolio(), seed=1), portfolio()
    np.testing.assert_array_equal(env.reset(), twin.reset(seed=1)[0])
    actions = np.full((4, 2), 2)
    for _ in range(3):
        observation, rewards, done, facts = env.step(actions)
        expected, reward, _, truncated, infos = twin.step(actions)
        np.testing.assert_array_equal(observation, expected)
        np.testing.assert_array_equal(rewards, reward.astype(np.float32))
    assert done.all()
    assert truncated.all()
    for row, fact in enumerate(facts):
        assert fact["TimeLimit.truncated"] is True
        np.testing.assert_array_equal(fact["terminal_observation"], infos["final_obs"][row])


def test_the_cost_curriculum_is_reached_through_the_adapter_and_rows_are_not_told_apart():
    from envs.stable_baselines3 import PortfolioVecEnv

    env = PortfolioVecEnv(portfolio())
    env.env_method("set_cost_scale", 0.25)
    assert env.get_attr("cost_scale") == [0.25] * 4
    with pytest.raises(ValueError, match="all of them or of none"):
        env.env_method("set_cost_scale", 0.5, indices=[1])


def test_another_way_of_resetting_is_refused():
    from envs.stable_baselines3 import PortfolioVecEnv

    with pytest.raises(ValueError, match="SAME_STEP"):
        PortfolioVecEnv(portfolio(autoreset_mode=AutoresetMode.NEXT_STEP))
