"""Suite `gpu`: recurrent PPO with its learner on one GPU, beside a plain loop and stock RLlib on the same GPU.

    python -m rayjobs.bench suite=gpu

The env and, in ours, the sampling policy stay on the CPU. Goal: 1,000,000 env steps a second end to end on one H100 at
LSTM 128, with the bottleneck named. Rows are measured in wall time, the most important ones first; each has a share of
the time that is left, and every row is saved at once, so that a run that is cut off keeps what it has. The first turn
of each row warms up and counts only where there is no time for another.
"""

from __future__ import annotations

import gc
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import ray
import torch

from rayjobs.bench.gpu_trainers import GpuTrainer, gpu_workload
from rayjobs.bench.plain_loop import PlainLoop
from rayjobs.bench.train_peers import StockRLlib
from rayjobs.cluster.session import usable_cpus
from rayjobs.config.typed_config import ConfigError

LOG = logging.getLogger(__name__)
Row = dict[str, Any]
Save = Callable[[list[Row]], object]
MOST_TURNS = 5
GOAL = 1_000_000
"""Env steps a second end to end on one H100 at LSTM 128."""
STOCK_ENVS = 256
"""Envs of stock RLlib: more do not help it."""
TESTS_SHARE = 0.2
"""Of the time, for the tests marked gpu."""


@dataclass(frozen=True, kw_only=True)
class GpuBenchConfig:
    """The ``gpu`` group of ``conf/bench.yaml``; its comments say what each setting is."""

    device: str
    seconds: float
    units: tuple[int, ...]
    envs: tuple[int, ...]
    fragment_bars: int
    runners: int
    precisions: tuple[str, ...]
    peers: bool
    tests: bool

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> GpuBenchConfig:
        """Read the group.

        Raises
        ------
        ConfigError
            Without a GPU, unless a dry run on the CPU is asked for.
        """
        device, runners = str(settings["device"]), settings["runners"]
        if device not in ("cuda", "cpu"):
            raise ConfigError(f"gpu.device is {device!r}; it must be cuda or cpu")
        if device == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                "gpu.device is cuda but torch finds no GPU; use a machine with one and a build of torch for CUDA, or "
                "walk the paths with gpu.device=cpu"
            )
        unknown = set(settings["precisions"]) - {"float32", "bfloat16"}
        if unknown:
            raise ConfigError(f"gpu.precisions names {sorted(unknown)}; known are float32 and bfloat16")
        return cls(
            device=device,
            seconds=float(settings["seconds"]),
            units=tuple(map(int, settings["units"])),
            envs=tuple(map(int, settings["envs"])),
            fragment_bars=int(settings["fragment_bars"]),
            runners=max(1, usable_cpus() - 2) if runners == "auto" else int(runners),
            precisions=tuple(settings["precisions"]),
            peers=bool(settings["peers"]),
            tests=bool(settings["tests"]),
        )


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A trainer to build and the rows that it gives: name -> (one turn, env steps of a turn).

    ``weight`` is its part of the time, beside those of the others.
    """

    name: str
    settings: Mapping[str, Any]
    build: Callable[[], Any]
    turns: Callable[[Any], Mapping[str, tuple[Callable[[], object], int]]]
    weight: int = 1


class Table:
    """The rows so far, saved after each.

    Parameters
    ----------
    seconds : of all rows together.
    clock : seconds, monotonic; tests pass their own.
    """

    def __init__(self, save: Save, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self.rows: list[Row] = []
        self._save, self._clock = save, clock
        self._end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return self._end - self._clock()

    def add(
        self, name: str, value: float | None, settings: Mapping[str, Any], unit: str = "env steps/s"
    ) -> None:
        """Add a row, say it and save the table."""
        row = {"name": name, "value": value, "unit": unit, "ratio_to": None, "settings": dict(settings)}
        self.rows.append(row)
        said = settings.get("reason", "") if value is None else f"{value:,.0f} {unit}"
        LOG.info("%s: %s (%.0f s left)", name, said, self.left)
        self._save(self.rows)

    def measure(
        self, name: str, turn: Callable[[], object], env_steps: int, settings: Mapping[str, Any], share: float
    ) -> None:
        """Add the rate of one kind of turn: the median of the turns after the first that fit into ``share`` seconds."""
        began, times = self._clock(), list[float]()
        while len(times) <= MOST_TURNS:
            start = self._clock()
            turn()
            times.append(self._clock() - start)
            if self._clock() - began + times[-1] > share:
                break
        counted = times[1:] or times
        facts = {"turns": len(counted), "cold": len(times) == 1, "share_s": round(share, 1)}
        self.add(name, env_steps / median(counted), {**settings, **facts})


def run(settings: Mapping[str, Any], save: Save) -> list[Row]:
    """Run the suite; ``save`` takes all rows so far."""
    config = GpuBenchConfig.of(settings)
    torch.set_num_threads(1)
    table = Table(save, config.seconds)
    for_tests = TESTS_SHARE * config.seconds if config.tests else 0.0
    gpus = int(config.device == "cuda")
    ray.init(
        num_cpus=config.runners + 1, num_gpus=gpus, include_dashboard=False, log_to_driver=False,
        logging_level=logging.ERROR,
    )  # fmt: skip
    try:
        _prepare(config, table)
        plans = planned(config)
        for place, plan in enumerate(plans):
            weights = sum(other.weight for other in plans[place:])
            _run_plan(plan, table, (table.left - for_tests) * plan.weight / weights)
        _profile(config, table)
    finally:
        ray.shutdown()
    if config.tests:
        _run_tests(table)
    _compare(table.rows)
    return table.rows


def _prepare(config: GpuBenchConfig, table: Table) -> None:
    """Compile what a machine compiles once, so that no row has to wait for it."""
    began = time.perf_counter()
    work = gpu_workload(config.units[0], 64, config.fragment_bars)
    trainer = GpuTrainer(work, 0, gpu=config.device == "cuda", bfloat16=False)
    trainer.iterate()
    trainer.close()
    facts = {
        "device": torch.cuda.get_device_name() if config.device == "cuda" else "cpu",
        "runners": config.runners,
    }
    table.add("compiling, and a first small iteration", time.perf_counter() - began, facts, unit="s")


def planned(config: GpuBenchConfig) -> list[Planned]:
    """All trainers, the most important ones first: ours at LSTM 128 in each number of envs, then the others."""
    ours: list[Planned] = []
    others: list[Planned] = []
    for units in config.units:
        for precision in config.precisions:
            for envs in config.envs:
                facts = {"units": units, "envs": envs, "precision": precision, "device": config.device}
                work = gpu_workload(units, envs, config.fragment_bars)
                ours.append(_ours(config, work, facts, samples=precision == config.precisions[0]))
                others.append(_plain(config, work, facts, precision))
        if config.peers:
            facts = {"units": units, "envs": STOCK_ENVS, "precision": "float32", "device": config.device}
            others.insert(0 if units == config.units[0] else len(others), _stock(config, units, facts))
    return [plan for group in (ours, others) for plan in group]


def _label(facts: Mapping[str, Any]) -> str:
    return f"LSTM {facts['units']}, {facts['envs']:,} envs, {facts['precision']}"


def _ours(config: GpuBenchConfig, work: Any, facts: Mapping[str, Any], *, samples: bool) -> Planned:
    def turns(trainer: GpuTrainer) -> dict[str, tuple[Callable[[], object], int]]:
        found: dict[str, tuple[Callable[[], object], int]] = {}
        found["end to end"] = (trainer.iterate, trainer.batch_steps)
        if samples:  # the sampler computes on the CPU in float32 whatever the learner does
            found["sampling alone"] = (trainer.sample_only, trainer.batch_steps)
        found["learner alone"] = (trainer.learn_only, trainer.batch_steps)
        return found

    return Planned(
        name=f"rayfold, {_label(facts)}",
        settings={**facts, "runners": config.runners},
        build=lambda: GpuTrainer(
            work, config.runners, gpu=config.device == "cuda", bfloat16=facts["precision"] == "bfloat16"
        ),
        turns=turns,
        weight=4
        if facts["units"] == config.units[0]
        else 2,  # what the goal is about, and env runners to start
    )


def _plain(config: GpuBenchConfig, work: Any, facts: Mapping[str, Any], precision: str) -> Planned:
    return Planned(
        name=f"plain PyTorch loop, {_label(facts)}",
        settings=facts,
        build=lambda: PlainLoop(work, config.device, bfloat16=precision == "bfloat16"),
        turns=lambda loop: {"end to end": (lambda: _synchronised(loop.iterate), work.batch_steps)},
    )


def _stock(config: GpuBenchConfig, units: int, facts: Mapping[str, Any]) -> Planned:
    work = gpu_workload(units, STOCK_ENVS, config.fragment_bars)
    return Planned(
        name=f"stock RLlib PPO, {_label(facts)}",
        settings=facts,
        build=lambda: StockRLlib(work, STOCK_ENVS, tuned=True, gpus=int(config.device == "cuda")),
        turns=lambda stock: {"end to end": (stock.iterate, work.batch_steps)},
    )


def _synchronised(turn: Callable[[], object]) -> None:
    turn()
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _run_plan(plan: Planned, table: Table, share: float) -> None:
    """Build one trainer, measure its rows within the share, and end it; what fails is a row with the reason."""
    if share < 1.0:
        table.add(plan.name, None, {**plan.settings, "reason": "no time was left"})
        return
    began = time.perf_counter()
    with _built(plan, table) as trainer:
        if trainer is None:
            return
        turns = plan.turns(trainer)
        for place, (kind, (turn, env_steps)) in enumerate(turns.items()):
            name = f"{plan.name}, {kind}"
            seconds = max(0.0, share - (time.perf_counter() - began)) / (len(turns) - place)
            try:
                table.measure(name, turn, env_steps, plan.settings, seconds)
            except (
                Exception
            ) as error:  # out of memory at the largest size must not take the other rows with it
                table.add(name, None, {**plan.settings, "reason": _reason(error)})
                return
            if kind == "end to end" and isinstance(trainer, GpuTrainer):
                table.rows[-1]["settings"] |= trainer.shares()


@contextmanager
def _built(plan: Planned, table: Table) -> Iterator[Any]:
    trainer: Any = None
    try:
        trainer = plan.build()
    except Exception as error:
        table.add(plan.name, None, {**plan.settings, "reason": _reason(error)})
    try:
        yield trainer
    finally:
        if trainer is not None and hasattr(trainer, "close"):
            trainer.close()
        trainer = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300]


def _profile(config: GpuBenchConfig, table: Table) -> None:
    """Name the operations that an update at the first size spends its time in."""
    units, envs = config.units[0], config.envs[min(1, len(config.envs) - 1)]
    facts = {"units": units, "envs": envs, "device": config.device}
    trainer = None
    try:
        trainer = GpuTrainer(
            gpu_workload(units, envs, config.fragment_bars),
            config.runners,
            gpu=config.device == "cuda",
            bfloat16=False,
        )
        trainer.learn_only()
        operations = trainer.profile()
        table.add(
            f"profile of an update, LSTM {units}",
            None,
            {**facts, "reason": _words(operations), "profile": operations},
        )
    except Exception as error:
        table.add(f"profile of an update, LSTM {units}", None, {**facts, "reason": _reason(error)})
    finally:
        if trainer is not None:
            trainer.close()


def _words(operations: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in operations.items())


def _run_tests(table: Table) -> None:
    """Run the tests marked gpu in what is left of the time."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests/policies"]
    name = "tests marked gpu"
    if not (root / "tests").is_dir():
        table.add(name, None, {"reason": f"{root} holds no tests"}, unit="passed")
        return
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, timeout=max(20.0, table.left), check=False
        )
    except subprocess.TimeoutExpired:
        table.add(name, None, {"reason": "they took longer than the time that was left"}, unit="passed")
        return
    summary = (done.stdout.strip().splitlines() or [done.stderr.strip()[-200:]])[-1]
    counts = {
        word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", summary)
    }
    table.add(name, counts.get("passed", 0), {"summary": summary, **counts}, unit="passed")


def _compare(rows: Sequence[Row]) -> None:
    """Each other trainer beside ours of the same size; the goal beside ours at LSTM 128."""
    own = {
        _size(row): row
        for row in rows
        if row["name"].startswith("rayfold") and row["name"].endswith("end to end")
    }
    for row in rows:
        if row["value"] is None or row["unit"] != "env steps/s" or row in own.values():
            continue
        beside = own.get(_size(row)) or _fastest(own.values(), row["settings"]["units"])
        if beside is not None and beside["value"]:
            row["ratio_to"] = {"name": beside["name"], "ratio": row["value"] / beside["value"]}
    for row in own.values():
        if row["value"] and row["settings"]["units"] == 128 and row["settings"]["device"] == "cuda":
            row["ratio_to"] = {"name": f"the goal of {GOAL:,} env steps/s", "ratio": row["value"] / GOAL}


def _size(row: Row) -> tuple[Any, ...]:
    return tuple(row["settings"].get(name) for name in ("units", "envs", "precision"))


def _fastest(rows: Any, units: int) -> Row | None:
    known = [row for row in rows if row["value"] and row["settings"]["units"] == units]
    return max(known, key=lambda row: row["value"], default=None)
