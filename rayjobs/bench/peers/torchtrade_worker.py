"""Times TorchTrade's vectorised env in a process of its own. Run by rayjobs.bench.env_peers."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import types
from pathlib import Path

import numpy as np
import pandas as pd
import torch

NUM_ENVS, NUM_BARS = 1024, 20_000


def open_packages() -> None:
    """Let its offline env be imported alone: its package imports every broker's client first."""
    spec = importlib.util.find_spec("torchtrade")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("torchtrade is not installed in this folder")
    root = Path(next(iter(spec.submodule_search_locations)))
    for name in ("", "envs", "envs.offline", "envs.offline.infrastructure", "envs.core", "envs.utils"):
        package = types.ModuleType(f"torchtrade.{name}".rstrip("."))
        package.__path__ = [str(root.joinpath(*name.split(".")))]
        sys.modules[package.__name__] = package


def build_env():
    """1,024 futures accounts on one random walk: fee 5 bps, slippage 1 bp, leverage 2."""
    from torchtrade.envs.offline.vectorized_sequential import (
        VectorizedSequentialTradingEnv,
        VectorizedSequentialTradingEnvConfig,
    )

    close = 100 * np.exp(np.cumsum(np.random.default_rng(0).normal(0, 1e-3, NUM_BARS)))
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2020-01-01", periods=NUM_BARS, freq="1h"),
            "open": close,
            "high": close * 1.001,
            "low": close * 0.999,
            "close": close,
            "volume": 1000.0,
        }
    )
    config = VectorizedSequentialTradingEnvConfig(
        num_envs=NUM_ENVS,
        time_frames="1Hour",
        window_sizes=10,
        execute_on="1Hour",
        transaction_fee=5e-4,
        slippage=1e-4,
        max_traj_length=256,
        leverage=2,
    )
    return VectorizedSequentialTradingEnv(frame, config)


def main(seconds: float) -> None:
    """Write {"steps_per_second": ...}, best of five repetitions by CPU time."""
    torch.set_num_threads(1)
    open_packages()
    env = build_env()
    held = [env.action_spec.rand() for _ in range(8)]
    best, calls = np.inf, 40
    with torch.inference_mode():
        state = env.reset()
        for repetition in range(6):
            began = time.process_time()
            for index in range(calls):
                state["action"] = held[(index // 10) % 8]
                _, state = env.step_and_maybe_reset(state)
            spent = time.process_time() - began
            if repetition:
                best = min(best, spent / calls)
            else:
                calls = max(20, int(calls * seconds / 5 / spent))
    sys.stdout.write(json.dumps({"steps_per_second": NUM_ENVS / best}))


if __name__ == "__main__":
    main(float(sys.argv[1]))
