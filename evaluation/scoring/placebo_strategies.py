"""Placebo strategies: random positions that trade as much as a policy did, on the same bars, costs and limits.

They have no skill by construction. Beside a policy's returns they pad the matrix of CSCV, so that the probability of
overfitting is defined for a study of one trial. Axes: T bars of the panel, N bars of the test window, K strategies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.market import Market
from envs.recording import Recording
from evaluation.scoring.rollout import evaluation_config, record_rows, whole_window_env
from policies.baselines import ScheduledPolicy, random_matched_turnover

FloatArray = NDArray[np.float64]


def random_targets(
    recording: Recording, num_bars: int, scheme: str, random: np.random.Generator
) -> FloatArray:
    """(num_bars, A) random directions with the frequencies and the turnover of what the policy held."""
    held = recording.exposure if scheme == "weights" else recording.units
    target = random_matched_turnover(held, num_bars, random)
    if scheme == "weights":  # a weight says how much as well: take the policy's mean size
        size = np.abs(recording.exposure).sum(axis=0) / np.maximum((recording.exposure != 0).sum(axis=0), 1)
        target = target * np.minimum(size, 1.0)
    return target


def placebo_returns(
    recording: Recording,
    market: Market,
    config: PortfolioEnvConfig,
    window: Window,
    *,
    count: int,
    seed: list[int],
    cost_factor: float = 1.0,
) -> FloatArray:
    """(N, K) per-bar net returns of `count` placebo strategies on a test window, run as one batch.

    Parameters
    ----------
    recording : of the policy on the same window; only how often it was short, flat and long, and its turnover, count.
    config : the training config. seed : entropy of the random positions.
    """
    scored = evaluation_config(config)
    length = window.stop_bar - window.start_bar + scored.episode.warmup_bars
    random = np.random.default_rng(seed)
    targets = [random_targets(recording, length, scored.action.scheme, random) for _ in range(count)]
    policy = ScheduledPolicy(
        target_TA=np.concatenate(targets),
        first_bar_E=np.arange(count) * length,
        scheme=scored.action.scheme,
    )
    env = whole_window_env(market, scored, [window] * count, cost_factor)
    tracks = record_rows(policy, env, ())[1]
    returns = np.zeros((window.stop_bar - window.start_bar, count))
    for column, track in enumerate(tracks):
        returns[: len(track.net_return), column] = track.net_return  # after a ruin 0
    return returns
