"""The vector env behind Stable-Baselines3's own `VecEnv`, without a process per env.

Needs `stable-baselines3` (pip install 'rayfold[bench]'); nothing else imports this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv

from envs.portfolio import PortfolioVectorEnv


class PortfolioVecEnv(VecEnv):
    """E portfolios for any Stable-Baselines3 algorithm.

    Parameters
    ----------
    portfolio : in SAME_STEP autoreset, which is what `VecEnv` means by a step.
    seed : of the first reset.

    Raises
    ------
    ValueError
        If the env resets in another way.
    """

    def __init__(self, portfolio: PortfolioVectorEnv, *, seed: int = 0) -> None:
        if portfolio.metadata["autoreset_mode"] is not AutoresetMode.SAME_STEP:
            raise ValueError(
                "the vector env must be made with autoreset_mode=AutoresetMode.SAME_STEP: "
                "Stable-Baselines3 reads the next episode's first observation from the step that ended the last"
            )
        self.portfolio = portfolio
        self._first_seed: int | None = seed
        super().__init__(
            portfolio.num_envs, portfolio.single_observation_space, portfolio.single_action_space
        )

    def reset(self) -> np.ndarray:
        observation, _ = self.portfolio.reset(seed=self._first_seed)
        self._first_seed = None
        return observation.copy()

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> Any:
        observation, rewards, terminated, truncated, infos = self.portfolio.step(self._actions)
        done = terminated | truncated
        facts: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for row in np.flatnonzero(done):
            facts[row] = {
                "terminal_observation": infos["final_obs"][row].copy(),
                "TimeLimit.truncated": bool(truncated[row] and not terminated[row]),
            }
        return observation.copy(), rewards.astype(np.float32), done, facts

    def close(self) -> None:
        self.portfolio.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.portfolio, attr_name)] * len(self._rows(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        self._require_all_rows(indices, f"set {attr_name}")
        setattr(self.portfolio, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        self._require_all_rows(indices, f"call {method_name}")
        return [getattr(self.portfolio, method_name)(*args, **kwargs)] * self.num_envs

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * len(self._rows(indices))

    def _rows(self, indices: Any) -> Sequence[int]:
        return list(self._get_indices(indices))

    def _require_all_rows(self, indices: Any, what: str) -> None:
        if len(self._rows(indices)) != self.num_envs:
            raise ValueError(f"the {self.num_envs} rows are one vector env: {what} of all of them or of none")
