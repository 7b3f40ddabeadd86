"""Suite `train`: env steps a second of recurrent PPO, end to end, beside other trainers.

    python -m rayjobs.bench suite=train

Every trainer does the same work (`train_workload`) on one pinned thread; they take turns, one batch each, so that
other load on the machine meets all of them. The rate is that of the median batch in CPU time of its process, which is
the wall clock's on an idle machine; only the rows with several processes are in wall time.
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import ray
import torch
from ray.tune.registry import register_env

from policies.algorithm import PortfolioPPO, PortfolioPPOConfig
from policies.networks import NetworkConfig
from rayjobs.bench.matrix_products import MatrixProducts
from rayjobs.bench.plain_loop import PlainLoop
from rayjobs.bench.train_appo import StockAPPO
from rayjobs.bench.train_peers import RecurrentSB3, StockRLlib
from rayjobs.bench.train_pufferlib import NAME as PUFFERLIB
from rayjobs.bench.train_pufferlib import PufferLib
from rayjobs.bench.train_workload import TrainWorkload, bench_env
from rayjobs.cluster.session import usable_cpus

LOG = logging.getLogger(__name__)
Row = dict[str, Any]
Batch = Callable[[], tuple[float, float] | None]
"""Does one batch; a trainer in a process of its own says what CPU and wall seconds that took."""
OURS, SB3, PLAIN = "rayfold", "sb3-contrib RecurrentPPO", "plain PyTorch loop"
STOCK, TUNED_STOCK = "stock RLlib PPO", "tuned stock RLlib PPO"
LIMIT = "arithmetic limit (matrix products alone)"
SAMPLING = ", sampling alone"


class Rayfold:
    """Our trainer; the observation as one flat vector, so that the network is the size of the others'."""

    def __init__(self, workload: TrainWorkload, num_env_runners: int = 0) -> None:
        self.algorithm: PortfolioPPO = rayfold_config(workload, num_env_runners).build_algo()

    def iterate(self) -> None:
        self.algorithm.train()

    def sample_only(self) -> None:
        self.algorithm.env_runner.sample(cost_scale=1.0)

    def worker_cpu_seconds(self) -> float:
        """CPU time of all remote env runners so far."""
        group = self.algorithm.env_runner_group
        return sum(group.foreach_env_runner(lambda _: time.process_time(), local_env_runner=False))

    def close(self) -> None:
        self.algorithm.stop()


def bench_network(workload: TrainWorkload) -> NetworkConfig:
    """An LSTM and its encoder, both of ``workload.units``."""
    return NetworkConfig(
        core="lstm",
        encoder_units=workload.units,
        core_units=workload.units,
        value_units=64,
        initial_memory_bars=16,
        symbol_embedding=False,
        attention=None,
        weights_distribution="squashed_gaussian",
        action_masks=False,
        compiled="auto",
    )


def rayfold_config(workload: TrainWorkload, num_env_runners: int) -> PortfolioPPOConfig:
    """`TrainWorkload.num_envs` and ``batch_steps`` are those of one env runner, as ``algo.num_envs`` is."""
    register_env("bench_rayfold", lambda context: bench_env(workload, context["num_envs"]))
    batch_steps = max(1, num_env_runners) * workload.batch_steps
    return (
        PortfolioPPOConfig()
        .environment("bench_rayfold")
        .env_runners(
            num_env_runners=num_env_runners,
            num_envs_per_env_runner=workload.num_envs,
            rollout_fragment_length=workload.fragment_bars,
            create_local_env_runner=num_env_runners == 0,
        )
        .training(**workload.rllib_training() | {"train_batch_size_per_learner": batch_steps})
        .sequences(sequence_length=workload.sequence_bars)
        .network(None, bench_network(workload))
        .debugging(seed=0, log_level="ERROR")
    )


def run(settings: Mapping[str, Any]) -> list[Row]:
    """Run the suite.

    settings : units (of encoder and LSTM), rounds (turns of each trainer), peers (bool: other projects' trainers too),
        cache_dir (where PufferLib is put), workers (bool: two env runners too).
    """
    torch.set_num_threads(1)
    workload = TrainWorkload(units=int(settings["units"]))
    rounds = int(settings["rounds"])
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        with ExitStack() as processes:
            peers = _peers(workload, settings, processes)
            rates = _measure(_contenders(workload, peers), workload, rounds)
        rows = _rows(rates, workload)
        if settings["workers"]:
            rows += _worker_rows(workload, rounds)
            rows.append(_appo_row(workload))
    finally:
        ray.shutdown()
    return rows


def _contenders(
    workload: TrainWorkload, peers: Mapping[str, tuple[Batch, dict[str, Any]]]
) -> dict[str, tuple[Batch, dict[str, Any]]]:
    """Name -> what does one batch, and its settings."""
    ours, plain = Rayfold(workload), PlainLoop(workload)
    limit = MatrixProducts(workload, plain.env.layout.size)
    return {
        OURS: (ours.iterate, {"envs": workload.num_envs}),
        f"{OURS}{SAMPLING}": (ours.sample_only, {"envs": workload.num_envs}),
        PLAIN: (plain.iterate, {"envs": workload.num_envs}),
        f"{PLAIN}{SAMPLING}": (lambda: _only(plain.sample()), {"envs": workload.num_envs}),
        LIMIT: (limit.iterate, {"operations": limit.operations}),
        f"{LIMIT}{SAMPLING}": (limit.sample, {}),
        **peers,
    }


def _only(_: object) -> None:
    """What a call returns is not for the measurement."""


def _peers(
    workload: TrainWorkload, settings: Mapping[str, Any], processes: ExitStack
) -> dict[str, tuple[Batch, dict[str, Any]]]:
    """Trainers of other projects, each with the numbers of envs that could be its best.

    processes : ends those that run in a process of their own.
    """
    found: dict[str, tuple[Batch, dict[str, Any]]] = {}
    if not settings["peers"]:
        return found
    for num_envs in (16, 64, 256):
        for name in (STOCK, TUNED_STOCK):
            stock = StockRLlib(workload, num_envs, tuned=name == TUNED_STOCK)
            found[f"{name}, {num_envs} envs"] = (stock.iterate, {"envs": num_envs})
            found[f"{name}, {num_envs} envs{SAMPLING}"] = (stock.sample_only, {"envs": num_envs})
    for num_envs in (16, 64):
        try:
            sb3 = RecurrentSB3(workload, num_envs)
        except ImportError:
            LOG.warning("sb3-contrib is not installed (extra `bench`); its rows are left out")
            break
        found[f"{SB3}, {num_envs} envs"] = (sb3.iterate, {"envs": num_envs})
    try:
        puffer = PufferLib(workload, Path(settings["cache_dir"]) / "pufferlib")
        processes.callback(puffer.close)
        puffer.iterate()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        LOG.warning("PufferLib cannot be had here: %s; its rows are left out", error)
        return found
    found[PUFFERLIB] = (puffer.iterate, {"envs": workload.num_envs})
    found[f"{PUFFERLIB}{SAMPLING}"] = (puffer.sample_only, {"envs": workload.num_envs})
    return found


def _measure(
    contenders: Mapping[str, tuple[Batch, dict[str, Any]]], workload: TrainWorkload, rounds: int
) -> dict[str, Row]:
    """Let the contenders take turns; the first turn warms up and does not count."""
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, (iterate, _) in contenders.items():
            # RLlib turns it on where there is a seed; stock RLlib as it comes turns it on again.
            torch.utils.deterministic.fill_uninitialized_memory = False
            began, clock = time.process_time(), time.perf_counter()
            spent = iterate() or (time.process_time() - began, time.perf_counter() - clock)
            if turn:
                cpu[name].append(spent[0])
                wall[name].append(spent[1])
        LOG.info("round %d of %d", turn, rounds)
    steps = workload.batch_steps
    return {
        name: {
            "name": name,
            "value": steps / median(cpu[name]),
            "unit": "env steps/CPU s",
            "ratio_to": None,
            "settings": {**facts, "wall": round(steps / median(wall[name])), "rounds": rounds},
        }
        for name, (_, facts) in contenders.items()
    }


def _rows(rates: dict[str, Row], workload: TrainWorkload) -> list[Row]:
    """Best number of envs per peer, and how fast it is beside ours; ours beside the limit."""
    rows = []
    for suffix in ("", SAMPLING):
        own = rates[f"{OURS}{suffix}"]
        own["settings"] |= {"threads": torch.get_num_threads(), **vars(workload)}
        own["ratio_to"] = _ratio(own, rates[f"{LIMIT}{suffix}"])
        rows.append(own)
        for peer in (PLAIN, STOCK, TUNED_STOCK, SB3, PUFFERLIB, LIMIT):
            found = [
                row
                for key, row in rates.items()
                if key.startswith(peer) and key.endswith(SAMPLING) == bool(suffix)
            ]
            if found:
                best = max(found, key=lambda row: row["value"])
                best["name"] = f"{peer}{suffix}"
                best["ratio_to"] = _ratio(best, own)
                rows.append(best)
    return rows


def _ratio(row: Row, to: Row) -> dict[str, Any]:
    return {"name": to["name"], "ratio": row["value"] / to["value"]}


def _worker_rows(workload: TrainWorkload, rounds: int) -> list[Row]:
    """Sampling with remote env runners, in wall time: one, two of the same size, two that share its envs."""
    rows: list[Row] = []
    half = replace(workload, num_envs=workload.num_envs // 2, batch_steps=workload.batch_steps // 2)
    for runners, each in ((1, workload), (2, workload), (2, half)):
        trainer = Rayfold(each, runners)
        times, busy = [], []
        for _ in range(rounds + 1):
            before, clock = trainer.worker_cpu_seconds(), time.perf_counter()
            trainer.algorithm.sample_fragments()
            times.append(time.perf_counter() - clock)
            busy.append(trainer.worker_cpu_seconds() - before)
        trainer.close()
        env_steps = runners * each.batch_steps
        row: Row = {
            "name": f"{OURS}, sampling with {runners} env runner{'s' if runners > 1 else ''} of {each.num_envs} envs",
            "value": env_steps / median(times[1:]),
            "unit": "env steps/s",
            "ratio_to": None,
            "settings": {
                "envs": each.num_envs,
                "cpus": usable_cpus(),
                "env_steps_per_cpu_second": round(env_steps / median(busy[1:])),
            },
        }
        row["ratio_to"] = _ratio(row, rows[0]) if rows else None
        rows.append(row)
    return rows


def _appo_row(workload: TrainWorkload) -> Row:
    """Stock RLlib's APPO on our module, as it is: one env runner, one learner, in wall time."""
    trainer = StockAPPO(workload, bench_network(workload), num_envs=64)
    rate = trainer.rate(2 * workload.batch_steps)
    trainer.close()
    facts = {"envs": 64, "env_runners": 1, "epochs": 1, "cpus": usable_cpus()}
    name = "APPO of stock RLlib on our module"
    return {"name": name, "value": rate, "unit": "env steps/s", "ratio_to": None, "settings": facts}
