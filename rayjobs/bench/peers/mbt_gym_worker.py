"""Times mbt_gym's batch of traders against an impact model in a process of its own. Run by rayjobs.bench.env_peers."""

from __future__ import annotations

import json
import sys
import time

import gymnasium
import numpy as np

NUM_ENVS, EPISODE_STEPS = 1024, 200


def build_env():
    """1,024 traders of one asset: Brownian midprice, temporary and permanent impact of the speed of trading."""
    # It asks for gym's spaces and base class only, which gymnasium has under the same names.
    sys.modules.setdefault("gym", gymnasium)
    sys.modules.setdefault("gym.spaces", gymnasium.spaces)
    from mbt_gym.gym.ModelDynamics import TradinghWithSpeedModelDynamics
    from mbt_gym.gym.TradingEnvironment import TradingEnvironment
    from mbt_gym.stochastic_processes.midprice_models import BrownianMotionMidpriceModel
    from mbt_gym.stochastic_processes.price_impact_models import TemporaryAndPermanentPriceImpact

    midprice = BrownianMotionMidpriceModel(step_size=1.0 / EPISODE_STEPS, num_trajectories=NUM_ENVS, seed=1)
    dynamics = TradinghWithSpeedModelDynamics(
        midprice_model=midprice,
        price_impact_model=TemporaryAndPermanentPriceImpact(num_trajectories=NUM_ENVS),
        num_trajectories=NUM_ENVS,
        seed=2,
    )
    return TradingEnvironment(
        n_steps=EPISODE_STEPS, model_dynamics=dynamics, num_trajectories=NUM_ENVS, seed=3
    )


def main(seconds: float) -> None:
    """Write {"steps_per_second": ...}, best of five repetitions by CPU time."""
    env = build_env()
    actions = np.random.default_rng(1).uniform(-1, 1, (64, NUM_ENVS, 1))
    env.reset()
    best, calls = np.inf, 2 * EPISODE_STEPS
    for repetition in range(6):
        began = time.process_time()
        for index in range(calls):
            if env.step(actions[index % 64])[2][0]:
                env.reset()
        spent = time.process_time() - began
        if repetition:
            best = min(best, spent / calls)
        else:
            calls = max(EPISODE_STEPS, int(calls * seconds / 5 / spent))
    sys.stdout.write(json.dumps({"steps_per_second": NUM_ENVS / best}))


if __name__ == "__main__":
    main(float(sys.argv[1]))
