"""Suite `env`: steps a second and memory of the market simulator, beside what else can be had.

    python -m rayjobs.bench suite=env

One pinned thread; time is CPU time of that thread, best of several repetitions, observation included. A row is a
dict with `name`, `value`, `unit`, `ratio_to` (name of the row and how many times as fast, or None) and `settings`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.market import Market
from envs.portfolio import PortfolioVectorEnv
from rayjobs.bench.env_peers import peer_rows
from rayjobs.bench.env_workload import everything_on, impact, plain_config, random_market
from rayjobs.bench.numpy_env.full import NumpyFullEnv
from rayjobs.bench.numpy_env.plain import NumpyPlainEnv

Row = dict[str, Any]
Step = Callable[[Any], Any]
TURNS = 10


def row(name: str, value: float | None, unit: str, ratio_to: Row | None = None, **settings: Any) -> Row:
    """One result; with `ratio_to`, also how many times that row's value it is."""
    ratio = None
    if ratio_to is not None and ratio_to["value"] and value is not None:
        ratio = {"name": ratio_to["name"], "ratio": value / ratio_to["value"]}
    return {"name": name, "value": value, "unit": unit, "ratio_to": ratio, "settings": settings}


def pin_thread() -> None:
    """Keep this process on one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})


def steps_per_second(
    step: Step, actions: list[Any], num_envs: int, seconds: float, repetitions: int = 5
) -> float:
    """Best of `repetitions`, each about `seconds` of CPU time."""
    step(actions[0])
    began, calls = time.process_time(), 0
    while time.process_time() - began < seconds / 4 or calls < 3:
        step(actions[calls % len(actions)])
        calls += 1
    calls = max(3, int(calls * 4 / repetitions))
    best = np.inf
    for _ in range(repetitions):
        began = time.process_time()
        for index in range(calls):
            step(actions[index % len(actions)])
        best = min(best, time.process_time() - began)
    return calls * num_envs / best


def held_actions(num_envs: int, num_assets: int, held_bars: int = 10) -> list[np.ndarray]:
    """64 action arrays that change every `held_bars` steps, as a trained policy's do."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 3, (8, num_envs, num_assets))
    return [drawn[(step // held_bars) % 8] for step in range(8 * held_bars)]


def target_weights(num_envs: int) -> list[np.ndarray]:
    """64 arrays of target weights of one asset, another one in every bar."""
    return list(np.random.default_rng(0).uniform(-1.0, 1.0, (64, num_envs, 1)).astype(np.float32))


def our_rate(market: Market, config: PortfolioEnvConfig, num_envs: int, seconds: float) -> float:
    """Env steps a second of `PortfolioVectorEnv`."""
    window = Window(start_bar=market.first_bar + 1, stop_bar=market.num_bars)
    env = PortfolioVectorEnv(market, config, num_envs=num_envs, windows=[window], seed=0, copy=False)
    env.reset()
    weights = config.action.scheme == "weights"
    actions = target_weights(num_envs) if weights else held_actions(num_envs, env.num_assets)
    return steps_per_second(env.step, actions, num_envs, seconds)


def bytes_per_env(market: Market, config: PortfolioEnvConfig) -> float:
    """State, action and output bytes that one more env row costs, observation buffers left out."""
    window = Window(start_bar=market.first_bar + 1, stop_bar=market.num_bars)

    def total(num_envs: int) -> int:
        env = PortfolioVectorEnv(market, config, num_envs=num_envs, windows=[window], seed=0, copy=False)
        arrays = [*env.rows.arrays().values(), *env.step_buffers()]
        return sum(array.nbytes for array in arrays)

    return (total(512) - total(256)) / 256


def numpy_rate(env: NumpyFullEnv | NumpyPlainEnv, num_assets: int, seconds: float) -> float:
    """Env steps a second of one of the NumPy envs."""
    env.reset()
    return steps_per_second(env.step, held_actions(env.num_envs, num_assets), env.num_envs, seconds)


def rates_in_turn(*measurements: Callable[[], float]) -> list[float]:
    """Best rate of each, measured one after the other in each turn, so that a load on the machine meets all of them."""
    rounds = [[measure() for measure in measurements] for _ in range(TURNS)]
    return [max(rates) for rates in zip(*rounds, strict=True)]


def rate_rows(seconds: float) -> list[Row]:
    """Headline rates at 4 assets, each beside a NumPy env that does the same work.

    NumPy pays per expression, whatever the number of rows: 256 is what an env runner has by default.
    """
    rich, bare = (
        random_market(config, num_assets=4, num_features=15) for config in (everything_on(), plain_config())
    )
    window = Window(start_bar=rich.first_bar + 1, stop_bar=rich.num_bars)
    rows = []
    for num_envs in (1024, 256):
        full = NumpyFullEnv(rich, everything_on(), num_envs=num_envs, window=window)
        small = NumpyPlainEnv(bare, plain_config(), num_envs=num_envs)
        for work, market, config, env in (
            ("everything on", rich, everything_on(), full),
            ("spread and fee", bare, plain_config(), small),
        ):
            ours, theirs = rates_in_turn(
                partial(our_rate, market, config, num_envs, seconds / TURNS),
                partial(numpy_rate, env, 4, seconds / TURNS),
            )
            facts = {"assets": 4, "envs": num_envs, "features": 15, "threads": 1, "action_held_bars": 10}
            peer = row(f"NumPy vector env, {work}, {num_envs} envs", theirs, "env steps/s", **facts)
            rows += [row(f"rayfold, {work}, {num_envs} envs", ours, "env steps/s", peer, **facts), peer]
    return rows


def scaling_rows(seconds: float) -> list[Row]:
    """Cost of an env step by number of envs, and of an asset step by number of assets; the first is what 1 x is."""
    market = random_market(everything_on(), num_assets=4, num_features=15)
    counts = (256, 1024, 4096, 8192)
    rates = rates_in_turn(
        *(partial(our_rate, market, everything_on(), count, seconds / TURNS) for count in counts)
    )
    rows: list[Row] = []
    for count, rate in zip(counts, rates, strict=True):
        first = rows[0] if rows else None
        rows.append(row(f"{count} envs", 1e9 / rate, "ns per env step", first, assets=4, envs=count))
    counts = (5, 50, 500)
    markets = [
        random_market(everything_on(), num_assets=count, num_features=5, num_bars=2_000) for count in counts
    ]
    rates = rates_in_turn(*(partial(our_rate, one, everything_on(), 64, seconds / TURNS) for one in markets))
    first = None
    for count, rate in zip(counts, rates, strict=True):
        rows.append(
            row(f"{count} assets", 1e9 / rate / count, "ns per asset step", first, envs=64, features=5)
        )
        first = first or rows[-1]
    return rows


def memory_rows() -> list[Row]:
    """Bytes of one more env row at 4 and at 50 assets; its observation comes on top."""
    rows = []
    for num_assets in (4, 50):
        for name, config in (("plain", plain_config()), ("everything on", everything_on())):
            market = random_market(config, num_assets=num_assets, num_features=60, num_bars=500)
            size = bytes_per_env(market, config)
            rows.append(
                row(f"state of one env row, {num_assets} assets, {name}", size, "bytes", assets=num_assets)
            )
    return rows


def run(settings: Mapping[str, Any]) -> list[Row]:
    """Run the suite.

    settings : seconds (CPU time per measurement, default 2), peers (bool, default True: build and run the peers),
        cache_dir (where peers are installed, default ".cache/bench").
    """
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pin_thread()
    seconds = float(settings.get("seconds", 2.0))
    try:
        rows = [*rate_rows(seconds), *scaling_rows(seconds), *memory_rows()]
        if settings.get("peers", True):
            rows += _peer_comparison(seconds, str(settings.get("cache_dir", ".cache/bench")))
    finally:
        if affinity is not None:
            os.sched_setaffinity(0, affinity)
    return rows


def _peer_comparison(seconds: float, cache_dir: str) -> list[Row]:
    rows = []
    one = random_market(plain_config(), num_assets=1, num_features=50)
    thirty = random_market(plain_config(), num_assets=30, num_features=8)
    bare = random_market(impact(), num_assets=1, num_features=1)
    ours = {
        "TorchTrade": (our_rate(one, plain_config(), 1024, seconds), 1024),
        "FinRL": (our_rate(thirty, plain_config(), 256, seconds), 256),
        "mbt_gym": (our_rate(bare, impact(), 1024, seconds), 1024),
    }
    for peer in peer_rows(cache_dir, seconds):
        rows.append(peer)
        if peer["value"] is not None:
            rate, envs = ours[peer["settings"]["peer"]]
            settings = {**peer["settings"], "envs": envs}
            rows.append(row(f"rayfold, work of {peer['name']}", rate, "env steps/s", peer, **settings))
    return rows
