"""Workers on one node read one copy of the market; an env row costs little more than its observation."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from random_markets import PLAIN, build_market, random_panel, with_parts

from envs.barriers import BarrierConfig
from envs.episodes import RandomisationConfig, Window
from envs.kernel import columns as c
from envs.market import PER_BAR
from envs.portfolio import PortfolioVectorEnv

RANDOM = with_parts(PLAIN, episode={"kind": "random", "bars": 16})


# Every rule that keeps something per env row: levels, orders on their way, Kelly's record, a VaR window, tickers.
EVERYTHING = with_parts(
    RANDOM,
    sizing={"rule": "fractional_kelly"},
    costs={"latency_bars": 2, "max_participation": 0.1},
    barriers=BarrierConfig(
        unit="atr", profit_target=6.0, stop_loss=4.0, trailing_stop=5.0, time_limit_bars=48
    ),
    risk={"max_var": 0.05, "var_bars": 500, "max_drawdown": 0.3, "max_daily_loss": 0.05, "margin": True},
    episode={
        "randomisation": RandomisationConfig(
            tickers=True, cost_low=0.5, cost_high=2.0, max_extra_latency_bars=1
        )
    },
)


@pytest.mark.parametrize(
    ("num_assets", "config"), [(4, EVERYTHING), (50, RANDOM)], ids=["all rules", "plain"]
)
def test_one_more_env_row_takes_at_most_two_kilobytes_beside_its_observation(num_assets, config):
    market = build_market(random_panel(1, num_assets=num_assets, exogenous=False))

    def size(num_envs):
        env = PortfolioVectorEnv(
            market, config, num_envs=num_envs, windows=[Window(start_bar=10, stop_bar=80)], seed=0
        )
        outputs = env.step_buffers()
        return sum(array.nbytes for array in [*env.rows.arrays().values(), *outputs])

    assert (size(300) - size(200)) / 100 <= 2048


@pytest.mark.parametrize("num_assets", [4, 50])
def test_all_that_one_more_env_row_allocates_is_two_kilobytes_and_its_observation_twice(num_assets):
    # Twice: the one that is shown, and room for the last one of an episode.
    market = build_market(random_panel(1, num_assets=num_assets, exogenous=False))

    def allocated(num_envs):
        tracemalloc.start()
        env = PortfolioVectorEnv(
            market, RANDOM, num_envs=num_envs, windows=[Window(start_bar=10, stop_bar=80)], seed=0, copy=False
        )
        env.reset()
        env.step(np.ones((num_envs, num_assets), dtype=int))
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return size, env.layout.size

    allocated(1)  # loads the compiled kernel
    (many, width), (few, _) = allocated(600), allocated(200)
    assert (many - few) / 400 <= 2048 + 2 * 4 * width


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's own account of memory")
def test_four_workers_hold_one_copy_of_the_market():
    ray = pytest.importorskip("ray")
    panel = random_panel(1, num_bars=60_000, num_assets=20, exogenous=False)
    market = build_market(panel)
    shared = sum(v.nbytes for v in market.__dict__.values() if isinstance(v, np.ndarray))
    assert shared > 100e6

    @ray.remote(num_cpus=0)
    class Worker:
        def build(self, market):
            window = Window(start_bar=10, stop_bar=market.num_bars)
            self.env = PortfolioVectorEnv(market, RANDOM, num_envs=256, windows=[window], seed=0)
            self.env.reset()
            self.env.step(np.ones((256, 20), dtype=int))

        def private_bytes(self):
            status = Path("/proc/self/status").read_text()
            return 1024 * int(status.split("RssAnon:")[1].split()[0])

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        tiny = ray.put(build_market(random_panel(1, num_assets=20, exogenous=False)))
        large = ray.put(market)
        workers = [Worker.remote() for _ in range(4)]
        for worker in workers:
            ray.get(worker.build.remote(tiny))
        before = ray.get([worker.private_bytes.remote() for worker in workers])
        for worker in workers:
            ray.get(worker.build.remote(large))
        after = ray.get([worker.private_bytes.remote() for worker in workers])
    finally:
        ray.shutdown()
    assert max(np.subtract(after, before)) < 0.1 * shared


def test_market_arrays_are_read_only_so_that_shared_and_own_ones_use_one_compiled_kernel():
    market = build_market(random_panel(1))
    arrays = [value for value in market.__dict__.values() if isinstance(value, np.ndarray)]
    assert not any(array.flags.writeable for array in arrays)
    assert not any(
        array.flags.writeable
        for array in pickle.loads(pickle.dumps(market)).__dict__.values()
        if isinstance(array, np.ndarray)
    )


def test_what_belongs_to_a_bar_is_one_piece_of_memory_that_travels_without_a_copy():
    market = build_market(random_panel(1, num_bars=400, num_assets=5))
    pieces = []
    message = pickle.dumps(market, protocol=5, buffer_callback=pieces.append)
    assert len(message) < 0.1 * market.records.nbytes
    loaded = pickle.loads(message, buffers=pieces)
    assert np.shares_memory(loaded.records, market.records)
    for name in PER_BAR:
        assert np.shares_memory(getattr(loaded, name), loaded.records)
        np.testing.assert_array_equal(getattr(loaded, name), getattr(market, name))


def test_a_market_with_one_array_replaced_has_records_of_its_own():
    market = build_market(random_panel(1))
    higher = replace(market, bars=2.0 * market.bars)
    assert not np.shares_memory(higher.records, market.records)
    np.testing.assert_array_equal(higher.bars, 2.0 * market.bars)
    np.testing.assert_array_equal(higher.features, market.features)
    assert higher.features.dtype == np.float32


def test_a_bar_knows_how_the_bar_before_closed_even_where_prices_were_replaced():
    market = build_market(random_panel(1))
    bars = market.bars.copy()
    bars[7, :, c.MARK] += 1.0
    for known in (market, replace(market, bars=bars)):
        np.testing.assert_array_equal(known.bars[1:, :, c.LAST_MARK], known.mark[:-1])
        np.testing.assert_array_equal(known.bars[1:, :, c.LAST_TRADABLE], known.tradable[:-1])
        assert (known.bars[0, :, [c.LAST_MARK, c.LAST_TRADABLE]] == 0.0).all()


def test_a_market_cut_short_holds_no_later_bar_and_earns_the_same_before_it():
    market = build_market(random_panel(1, num_bars=400))
    cut = market.until(300)
    loaded = pickle.loads(pickle.dumps(cut))
    for one in (cut, loaded):
        assert one.num_bars == 300
        for name in (*PER_BAR, "calendar", "bar_utc"):
            np.testing.assert_array_equal(getattr(one, name), getattr(market, name)[:300])
        assert one.records.nbytes == market.records.nbytes * 300 // 400
        for array in (value for value in vars(one).values() if isinstance(value, np.ndarray)):
            assert not np.shares_memory(array, market.records)
            # Whatever it is a view of: nothing that lies behind has more bars.
            while isinstance(array, np.ndarray):
                assert len(array) != 400
                array = array.base
    assert market.until(400) is market
    windows = [Window(start_bar=50, stop_bar=300)]
    equity = []
    for given in (market, cut, loaded):
        env = PortfolioVectorEnv(given, EVERYTHING, num_envs=8, windows=windows, seed=3)
        env.reset(seed=3)
        env.action_space.seed(0)
        steps = [env.step(env.action_space.sample())[:2] for _ in range(400)]
        equity.append(b"".join(array.tobytes() for step in steps for array in step))
    assert equity[0] == equity[1] == equity[2]


@pytest.mark.parametrize("stop_bar", [0, 401])
def test_a_market_is_cut_inside_its_bars(stop_bar):
    with pytest.raises(ValueError, match="the market has 400 bars"):
        build_market(random_panel(1, num_bars=400)).until(stop_bar)
