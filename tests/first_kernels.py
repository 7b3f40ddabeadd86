"""What most tests wait for is compiled first, another part by each worker, where this checkout has none of it yet.

Features and simulator take half a minute each. Workers that come to them one after the other would each compile both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MANY_TESTS = 1_000
"""Tests from which on both are needed in any case."""


def compile_part(worker: int) -> None:
    """Compile the part of this worker, counted from 0; later workers have none."""
    if worker < len(PARTS):
        PARTS[worker]()


def compile_simulator() -> None:
    """One step of one env."""
    from envs.kernel.jit import is_cached
    from envs.kernel.step import step_rows

    if is_cached(step_rows):
        return
    from column_features import column_features
    from made_bars import market, walk

    from envs.episodes import Window
    from envs.instruments import CRYPTO_SPOT
    from envs.market import Market
    from envs.portfolio import PortfolioVectorEnv
    from evaluation.scoring.rollout import evaluation_config
    from rayjobs.bench.env_workload import plain_config

    panel = market(walk(0, 12, 1), column=np.zeros((12, 1)))
    bars = Market.build(panel, column_features(panel), {"S0": CRYPTO_SPOT})
    window = Window(start_bar=2, stop_bar=12)
    env = PortfolioVectorEnv(bars, evaluation_config(plain_config()), num_envs=1, windows=[window], seed=0)
    env.reset()
    env.step(np.ones((1, 1), dtype=np.int64))


def compile_features() -> None:
    """One feature of a few bars."""
    from data.features.plan.interpreter import run_steps
    from envs.kernel.jit import is_cached

    if is_cached(run_steps):
        return
    from made_bars import market, walk

    from data.features import FeatureSpec, compute_features

    compute_features(market(walk(0, 40, 1)), [FeatureSpec(name="sma_distance", params={"window_bars": 4})])


PARTS: tuple[Callable[[], None], ...] = (compile_simulator, compile_features)
