"""Times FinRL's StockTradingEnv in a process of its own. Run by rayjobs.bench.env_peers."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
import types
from pathlib import Path

import numpy as np
import pandas as pd

NUM_ASSETS, NUM_BARS, NUM_INDICATORS = 30, 1_000, 8


def load_env_class():
    """Load the one file: the package imports data vendors and trainers. Only its DummyVecEnv import is stubbed."""
    spec = importlib.util.find_spec("finrl")
    if spec is None or spec.origin is None:
        raise ValueError("finrl is not installed in this folder")
    for name in ("stable_baselines3", "stable_baselines3.common", "stable_baselines3.common.vec_env"):
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["stable_baselines3.common.vec_env"].DummyVecEnv = object
    path = Path(spec.origin).parent / "meta" / "env_stock_trading" / "env_stocktrading.py"
    module_spec = importlib.util.spec_from_file_location("finrl_stocktrading", path)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module.StockTradingEnv


def build_env():
    """30 stocks, 8 indicators each, cost 10 bps a side."""
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 1e-3, (NUM_BARS, NUM_ASSETS)), axis=0))
    indicators = [f"indicator_{index}" for index in range(NUM_INDICATORS)]
    day = np.repeat(np.arange(NUM_BARS), NUM_ASSETS)
    frame = pd.DataFrame(
        {
            "date": day.astype(str),
            "tic": [f"S{a}" for a in range(NUM_ASSETS)] * NUM_BARS,
            "close": close.ravel(),
        },
        index=day,
    )
    for name in indicators:
        frame[name] = rng.normal(size=len(frame))
    return load_env_class()(
        df=frame,
        stock_dim=NUM_ASSETS,
        hmax=100,
        initial_amount=1_000_000,
        num_stock_shares=[0] * NUM_ASSETS,
        buy_cost_pct=[0.001] * NUM_ASSETS,
        sell_cost_pct=[0.001] * NUM_ASSETS,
        reward_scaling=1e-4,
        state_space=1 + 2 * NUM_ASSETS + NUM_INDICATORS * NUM_ASSETS,
        action_space=NUM_ASSETS,
        tech_indicator_list=indicators,
        print_verbosity=10**9,
    )


def main(seconds: float) -> None:
    """Write {"steps_per_second": ...}, best of five repetitions by CPU time."""
    env = build_env()
    actions = np.random.default_rng(1).uniform(-1, 1, (64, NUM_ASSETS))
    env.reset()
    best, calls = np.inf, 200
    for repetition in range(6):
        began = time.process_time()
        for index in range(calls):
            if env.step(actions[(index // 10) % 64])[2]:
                env.reset()
        spent = time.process_time() - began
        if repetition:
            best = min(best, spent / calls)
        else:
            calls = max(50, int(calls * seconds / 5 / spent))
    sys.stdout.write(json.dumps({"steps_per_second": 1.0 / best}))


if __name__ == "__main__":
    main(float(sys.argv[1]))
