"""Suite `agents`: stock RLlib's agents meet the very account that ours meet, and every row is made."""

from __future__ import annotations

import numpy as np
import pytest

from envs.episodes import Window
from envs.portfolio import PortfolioVectorEnv
from policies.actor_network import columns_of_slots
from rayjobs.bench.agents_stock import AssetAgentsEnv, StockAgentsPolicy
from rayjobs.bench.env_workload import plain_config, random_market

MARKET = random_market(plain_config(), num_assets=3, num_features=4)


def account() -> PortfolioVectorEnv:
    window = Window(start_bar=MARKET.first_bar + 1, stop_bar=MARKET.num_bars)
    return PortfolioVectorEnv(MARKET, plain_config(), num_envs=1, windows=[window], seed=3)


def test_agents_see_their_asset_and_the_account_and_are_all_paid_what_the_account_earns():
    alone, agents = account(), AssetAgentsEnv(account())
    seen, _ = alone.reset(seed=7)
    told, _ = agents.reset(seed=7)
    random, ends = np.random.default_rng(0), 0
    for _ in range(700):
        for slot, name in enumerate(agents.agents):
            np.testing.assert_array_equal(told[name], seen[0, columns_of_slots(alone.layout, [slot])])
            assert agents.observation_spaces[name].contains(told[name])
        actions = random.integers(0, 3, (1, 3))
        seen, rewards, terminated, truncated, infos = alone.step(actions)
        told, paid, ended, cut, _ = agents.step(dict(zip(agents.agents, actions[0], strict=True)))
        assert paid == dict.fromkeys(agents.agents, float(rewards[0]))
        assert (ended["__all__"], cut["__all__"]) == (bool(terminated[0]), bool(truncated[0]))
        if ended["__all__"] or cut["__all__"]:
            ends += 1
            for slot, name in enumerate(agents.agents):  # the last observation of the episode
                columns = columns_of_slots(alone.layout, [slot])
                np.testing.assert_array_equal(told[name], infos["final_obs"][0][columns])
            told, _ = agents.reset()  # the account has begun anew in the same step
    assert ends >= 2


def test_each_agents_module_decides_for_its_asset():
    torch = pytest.importorskip("torch")

    class Follower:
        """Chooses by the sign of the first number that it sees, after as many steps as it has counted."""

        def unwrapped(self):
            return self

        def get_initial_state(self):
            return {"count": np.zeros(1, np.float32)}

        def forward_inference(self, batch):
            seen = batch["obs"][:, 0, 0]
            scores = torch.stack([-seen, torch.full_like(seen, -9.0), seen], dim=-1)
            return {
                "action_dist_inputs": scores[:, None],
                "state_out": {"count": batch["state_in"]["count"] + 1.0},
            }

    columns = {f"asset_{slot}": np.array([slot, 3]) for slot in range(3)}
    policy = StockAgentsPolicy({"all": Follower()}, columns, dict.fromkeys(columns, "all"))
    state = policy.initial_state(2)
    seen = np.array([[1, -1, 1, 0], [-1, -1, 1, 0]], np.float32)
    actions, state = policy.act(seen, state)
    assert actions.tolist() == [[2, 0, 2], [0, 0, 2]]
    assert all(value["count"].tolist() == [[1.0], [1.0]] for value in state.values())


@pytest.mark.slow
@pytest.mark.ray
def test_every_row_is_made():
    from rayjobs.bench.agents_suite import MARKETS, OURS, STOCK, run

    small = {
        "data.num_bars": 2600, "walk_forward.train_bars": 1000, "walk_forward.test_bars": 400, "env.episode.bars": 48,
        "policy.core_units": 16, "policy.encoder_units": 16, "trainer.validation_fraction": 0,
    }  # fmt: skip
    rows = run(
        {"env_steps": 16_384, "peers": True, "peer_env_steps": 4_096, "seeds": [0], "overrides": small}
    )
    assert len(rows) == len(MARKETS) * 2 * (2 * len(OURS) + len(STOCK))
    assert all(np.isfinite(row["value"]) for row in rows)
    assert all(row["value"] > 0.0 for row in rows if row["unit"] == "env steps/CPU s")
