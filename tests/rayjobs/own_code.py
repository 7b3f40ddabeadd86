"""A reward, an env and a law of a user's own, as configurations name them."""

from __future__ import annotations

import gymnasium
import numpy as np

from data.synthetic import NoiseConfig
from envs.kernel.columns import NET_RETURN
from envs.portfolio import PortfolioVectorEnv

NUMBER = 3


def calm(env):
    """Return less five times its square."""
    net_return = env.rows.flow[:, NET_RETURN]
    return 100.0 * net_return - 500.0 * net_return**2


class TwiceAsLong(PortfolioVectorEnv):
    """The portfolio env, which remembers how often it was reset."""

    resets = 0

    def reset(self, **options):
        type(self).resets += 1
        return super().reset(**options)


class Blind(PortfolioVectorEnv):
    """An env whose policy could not be scored: it sees one number."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)


class Law(NoiseConfig):
    """What would make bars of a user's own count as drawn from a law."""
