"""Action masks say exactly which directions the limits let through."""

from __future__ import annotations

import numpy as np
import pytest
from random_markets import PLAIN, build_market, random_panel, with_parts

from envs.episodes import Window
from envs.kernel import columns as c
from envs.portfolio import PortfolioVectorEnv

STRICT = with_parts(
    PLAIN,
    costs={"latency_bars": 1},
    risk={
        "max_daily_loss": 0.01,
        "max_entries_per_session": 4,
        "min_holding_bars": 3,
        "no_trade_open_bars": 1,
        "no_trade_close_bars": 2,
        "flat_at_session_end": "last_open",
        "max_var": 0.01,
    },
)


@pytest.mark.parametrize("scheme", ["direction", "orders"])
def test_one_asset_reaches_a_direction_if_and_only_if_the_mask_allows_it(scheme):
    config = with_parts(STRICT, action={"scheme": scheme})
    market = build_market(random_panel(5, num_assets=1))
    windows = [Window(start_bar=10, stop_bar=80)]
    env = PortfolioVectorEnv(market, config, num_envs=64, windows=windows, seed=0)
    env.set_logging(True)
    env.reset()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        masks = env.action_masks()
        before = env.get_state()["rows"]["position"]
        actions = rng.integers(0, masks.shape[2], (64, 1))
        env.step(actions)
        decided = np.sign(env.decision_log[:, 0, c.LOG_TARGET])
        queue = before[:, 0, c.QUEUE]
        held = np.sign(np.where(queue == c.KEEP, before[:, 0, c.TARGET], queue))
        chosen = actions[:, 0]
        wanted = chosen - 1 if scheme == "direction" else np.choose(chosen, [held, 1, -1, 0])
        allowed = masks[np.arange(64), 0, chosen]
        if scheme == "orders":
            forced = ~masks[:, 0, 1] & ~masks[:, 0, 2] & masks[:, 0, 3] & (chosen == 0)
            np.testing.assert_array_equal(decided[~forced & allowed], wanted[~forced & allowed])
        else:
            np.testing.assert_array_equal(decided[allowed], wanted[allowed])
        np.testing.assert_array_equal(decided[~allowed] != wanted[~allowed], True)
        refused += int((~allowed).sum())
    assert refused > 500


def test_continuous_schemes_have_no_masks():
    market = build_market(random_panel(5))
    config = with_parts(PLAIN, action={"scheme": "weights"})
    env = PortfolioVectorEnv(market, config, num_envs=2, windows=[Window(start_bar=10, stop_bar=80)], seed=0)
    env.reset()
    with pytest.raises(ValueError, match="continuous"):
        env.action_masks()
