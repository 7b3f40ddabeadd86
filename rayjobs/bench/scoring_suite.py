"""Suite `scoring`: bars a second of a recurrent policy's backtest, many windows as one batch, beside a single env.

    python -m rayjobs.bench suite=scoring

One pinned thread; time is CPU time of that thread, best of several repetitions, taken in turn. "A single env" is
`PortfolioEnv` stepped bar by bar, once with the policy's torch network, as a loop of one's own would, and once with
the exported policy, which acts by its compiled form.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from envs.actions import action_space
from envs.episodes import Window
from envs.market import Market
from envs.portfolio import PortfolioEnv
from evaluation.scoring.rollout import evaluation_config, record_rows, whole_window_env
from policies.action_distribution import DistributionSpec
from policies.exported_policy import PolicyContract, TrainedPolicy
from policies.networks import NetworkConfig
from rayjobs.bench.env_suite import Row, pin_thread, row
from rayjobs.bench.env_workload import plain_config, random_market

NUM_ASSETS, NUM_FOLDS, NUM_FEATURES = 8, 16, 16


def random_policy(market: Market, units: int) -> TrainedPolicy:
    """An LSTM policy with random weights, its scores wide enough that it trades."""
    network = NetworkConfig(
        core="lstm",
        encoder_units=units,
        core_units=units,
        value_units=units,
        initial_memory_bars=32,
        symbol_embedding=True,
        attention=None,
        weights_distribution="squashed_gaussian",
        action_masks=False,
        compiled="auto",
    )
    env = PortfolioEnv(
        market, plain_config(), windows=[Window(start_bar=100, stop_bar=market.num_bars)], seed=0
    )
    spec = DistributionSpec.for_space(
        action_space(plain_config().action, NUM_ASSETS), network.weights_distribution
    )
    contract = PolicyContract(
        layout=env.layout,
        feature_hash=market.feature_hash,
        standardiser=None,
        action_scheme="direction",
        actions=spec,
        network=network,
    )
    torch.manual_seed(0)
    weights = spec.network(env.layout, network).state_dict()
    wide = {name: 100.0 * value if name.startswith("score_") else value for name, value in weights.items()}
    return TrainedPolicy(contract, wide)


class TorchPolicy:
    """The same decisions by the torch network, operation by operation."""

    def __init__(self, policy: TrainedPolicy) -> None:
        self._network, self._actions = policy.network, policy.contract.actions
        self.initial_state = policy.initial_state

    def act(self, observation: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        with torch.inference_mode():
            scores, _, state = self._network.step(torch.from_numpy(observation), state)
            return self._actions.distribution(scores).deterministic().numpy(), state


def single_rate(policy: Any, market: Market, window: Window, bars: int) -> float:
    """Bars a second of one env stepped by itself."""
    env = PortfolioEnv(market, evaluation_config(plain_config()), windows=[window], seed=0)
    observation, _ = env.reset()
    state = policy.initial_state(1)
    returns = []
    began = time.process_time()
    for _ in range(bars):
        actions, state = policy.act(observation[None], state)
        observation, reward, *_ = env.step(actions[0])
        returns.append(reward)
    return bars / (time.process_time() - began)


def batch_rate(policy: Any, market: Market, windows: list[Window], recorded: bool) -> float:
    """Bars a second of all windows as one batch, summed over windows."""
    env = whole_window_env(market, evaluation_config(plain_config()), windows)
    began = time.process_time()
    record_rows(policy, env, range(len(windows)) if recorded else ())
    return sum(window.num_bars for window in windows) / (time.process_time() - began)


def best_in_turn(measures: Mapping[str, Callable[[], float]], repetitions: int) -> dict[str, float]:
    """Name -> best rate; the measures take turns, so that a busy machine is busy for all of them."""
    best = dict.fromkeys(measures, 0.0)
    for _ in range(repetitions):
        for name, measure in measures.items():
            best[name] = max(best[name], measure())
    return best


def rows_for(units: int, bars: int, repetitions: int) -> list[Row]:
    """Rates of one size of policy."""
    num_bars = NUM_FOLDS * bars + 101
    market = random_market(
        plain_config(), num_assets=NUM_ASSETS, num_features=NUM_FEATURES, num_bars=num_bars
    )
    windows = [
        Window(start_bar=100 + fold * bars, stop_bar=100 + (fold + 1) * bars) for fold in range(NUM_FOLDS)
    ]
    policy = random_policy(market, units)
    batch_rate(policy, market, [Window(start_bar=100, stop_bar=110)], recorded=True)  # compiles
    torch_bars = min(bars, 2_000)
    rates = best_in_turn(
        {
            "single env, torch network": lambda: single_rate(
                TorchPolicy(policy), market, windows[0], torch_bars
            ),
            "single env, compiled policy": lambda: single_rate(policy, market, windows[0], bars),
            "16 folds as one batch, returns": lambda: batch_rate(policy, market, windows, recorded=False),
            "16 folds as one batch, all recorded": lambda: batch_rate(policy, market, windows, recorded=True),
        },
        repetitions,
    )
    facts = {"assets": NUM_ASSETS, "folds": NUM_FOLDS, "bars": bars, "features": NUM_FEATURES, "units": units}
    rows: list[Row] = []
    for name, rate in rates.items():
        beside = rows[0] if rows else None
        rows.append(row(f"LSTM {units}, {name}", rate, "bars/s", beside, **facts, threads=1))
    return rows


def run(settings: Mapping[str, Any]) -> list[Row]:
    """Run the suite; settings : bars (of each window), units (sizes of the policy), repetitions."""
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pin_thread()
    torch.set_num_threads(1)
    try:
        return [
            result
            for units in settings["units"]
            for result in rows_for(int(units), int(settings["bars"]), int(settings["repetitions"]))
        ]
    finally:
        if affinity is not None:
            os.sched_setaffinity(0, affinity)
