"""What `step` hands out stays as it was, unless the caller asked for arrays that are reused."""

from __future__ import annotations

import numpy as np
from random_markets import PLAIN, build_market, random_panel, with_parts

from envs.episodes import Window
from envs.portfolio import PortfolioVectorEnv

SHORT_EPISODES = with_parts(PLAIN, episode={"kind": "random", "bars": 3})


def arrays_of(env, action):
    """Everything that one step hands out."""
    *arrays, infos = env.step(np.full((env.num_envs, env.num_assets), action))
    return [*arrays, *infos.values()]


def env_of(**options):
    market = build_market(random_panel(4, num_assets=2))
    return PortfolioVectorEnv(
        market, SHORT_EPISODES, num_envs=5, windows=[Window(start_bar=10, stop_bar=60)], seed=1, **options
    )


def test_what_a_step_handed_out_is_not_changed_by_later_steps():
    # Stock RLlib keeps the arrays of a whole fragment; were they reused, it would train on copies of the last step.
    env = env_of()
    first, _ = env.reset()
    handed = [first]
    for step in range(7):
        handed += arrays_of(env, step % 3)
    kept = [array.copy() for array in handed]
    env.step(np.full((5, 2), 2))
    env.reset()
    for array, copy in zip(handed, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_without_copies_the_numbers_are_the_same_and_the_arrays_are_reused():
    copying, reusing = env_of(), env_of(copy=False)
    np.testing.assert_array_equal(copying.reset()[0], reusing.reset()[0])
    for step in range(7):
        for one, two in zip(arrays_of(copying, step % 3), arrays_of(reusing, step % 3), strict=True):
            np.testing.assert_array_equal(one, two)
    assert arrays_of(reusing, 0)[0] is arrays_of(reusing, 1)[0]
