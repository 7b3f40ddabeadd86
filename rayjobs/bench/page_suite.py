"""Suite `page`: what an open dashboard costs a training on the same machine.

    python -m rayjobs.bench suite=page

One process trains without a pause, on one pinned thread, and tells of each iteration as every training does. Beside it
runs `python -m rayjobs.dashboard` over the same folder. In turns two of its pages are open (the list of runs, and the
page of the run that trains; see `page_reader`) and none is. A slowdown is the mean, over pairs of such blocks, of how
much longer an iteration takes while they are open; beside it stands its standard error, for other load moves single
blocks by more. First the dashboard has the machine's other cores; then it is kept on the very core that trains, which
is how it is where every core trains.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import torch

from rayjobs.bench.page_blocks import Blocks, cpu_seconds
from rayjobs.bench.page_reader import PageReader
from rayjobs.bench.train_suite import Rayfold
from rayjobs.bench.train_workload import TrainWorkload
from rayjobs.config.compose import compose
from rayjobs.monitoring.live_rows import LiveRows
from rayjobs.storage.run_directory import RunConfig, RunDirectory

LOG = logging.getLogger(__name__)
Row = dict[str, Any]
EXPERIMENT = "planted_signal"
STEPS_OF_A_FOLD = 50_000_000
"""That the training says it will do: more than it does, so that it is never seen to end."""


class Training:
    """One training that is told of in a run directory, as a job's is."""

    def __init__(self, root: Path, workload: TrainWorkload) -> None:
        values = compose("train", [f"+experiment={EXPERIMENT}", f"run.directory={root}"])
        run = RunConfig(experiment=EXPERIMENT, directory=str(root))
        self.run = RunDirectory.create(run, values, seed=0, data_fingerprint=None).path
        self.name = self.run.relative_to(root).as_posix()
        self._rows = LiveRows(self.run, STEPS_OF_A_FOLD, 1)
        self._trainer, self._steps, self._iterations = Rayfold(workload), workload.batch_steps, 0
        self._began = time.perf_counter()

    def iterate(self) -> tuple[float, float]:
        """One iteration and its row; (wall, CPU) seconds of both."""
        clock, cpu = time.perf_counter(), time.process_time()
        self._trainer.iterate()
        self._iterations += 1
        env_steps = self._iterations * self._steps
        speed = env_steps / (time.perf_counter() - self._began)
        shown = {"approx_kl": 0.01, "clip_fraction": 0.1, "explained_variance": 0.5, "entropy": 1.0}
        counted = {"fold": 0, "iteration": self._iterations, "env_steps": env_steps}
        self._rows.write({**counted, **shown, "env_steps_per_second": speed, "learning_rate": 3e-4})
        return time.perf_counter() - clock, time.process_time() - cpu

    def others(self, number: int) -> None:
        """As many runs that are done beside it."""
        ended = json.dumps({"status": "done", "started_utc": "2026-01-01T00:00:00Z", "host": "", "pid": 0})
        for place in range(number):
            other = (
                self.run.parent
                / f"20260101T{place // 3600:02d}{place // 60 % 60:02d}{place % 60:02d}Z-{place:06x}"
            )
            other.mkdir()
            shutil.copy(self.run / "config.yaml", other)
            (other / "status.json").write_text(ended)
            (other / "backtest").mkdir()
            (other / "backtest" / "summary.json").write_text(
                json.dumps({"sharpe": 0.1, "total_return": 0.01})
            )

    def close(self) -> None:
        self._trainer.close()


def run(settings: Mapping[str, Any]) -> list[Row]:
    """Run the suite.

    settings : units (of the network), pairs (of blocks), block_seconds, runs (others in the same folder).
    """
    torch.set_num_threads(1)
    workload = TrainWorkload(units=int(settings["units"]))
    cores = sorted(os.sched_getaffinity(0))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="rayfold_bench_page_") as folder:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        try:
            training = Training(Path(folder), workload)
            training.others(int(settings["runs"]))
            os.sched_setaffinity(0, {cores[0]})  # of this thread, which does all of the training
            for _ in range(2):
                training.iterate()  # compiles
            elsewhere = set(cores[1:]) or set(cores)
            for where, allowed in (("on other cores", elsewhere), ("on the core that trains", {cores[0]})):
                blocks, answers = _measured(Path(folder), training, settings, allowed, elsewhere)
                facts = {"pairs": settings["pairs"], "block_seconds": settings["block_seconds"],
                         "runs": settings["runs"], "cores": len(cores), "answers": answers}  # fmt: skip
                rows += _rows(f"dashboard {where}", blocks, workload.batch_steps, facts)
            training.close()
        finally:
            ray.shutdown()
            os.sched_setaffinity(0, set(cores))
    return rows


def _measured(
    root: Path, training: Training, settings: Mapping[str, Any], allowed: set[int], elsewhere: set[int]
) -> tuple[Blocks, int]:
    """The blocks, and how many answers the pages were sent meanwhile; a block's first iteration does not count."""
    blocks = Blocks()
    with (
        _dashboard(root, allowed) as (process, address),
        PageReader(address, training.name, elsewhere) as pages,
    ):
        for pair in range(int(settings["pairs"])):
            for opened in (True, False) if pair % 2 == 0 else (False, True):  # what drifts meets both alike
                pages.open(opened)
                training.iterate()
                _block(blocks, training, process.pid, opened, float(settings["block_seconds"]))
            LOG.info("pair %d of %d", pair + 1, int(settings["pairs"]))
        return blocks, pages.answers


def _block(blocks: Blocks, training: Training, dashboard: int, opened: bool, seconds: float) -> None:
    spent: list[tuple[float, float]] = []
    clock, before = time.perf_counter(), cpu_seconds(dashboard)
    while time.perf_counter() - clock < seconds:
        spent.append(training.iterate())
    share = (cpu_seconds(dashboard) - before) / (time.perf_counter() - clock)
    blocks.opened.append(opened)
    blocks.wall.append([wall for wall, _ in spent])
    blocks.cpu.append([cpu for _, cpu in spent])
    blocks.dashboard.append(share)


@contextmanager
def _dashboard(root: Path, cores: set[int]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The dashboard of a folder in a process of its own, and its address."""
    command = [sys.executable, "-m", "rayjobs.dashboard", f"runs={root}", "port=0", "--json"]
    log = (root / ".dashboard.log").open("w", encoding="utf-8")
    with log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        os.sched_setaffinity(process.pid, cores)  # what it starts inherits it
        try:
            assert process.stdout is not None
            told = ""
            for line in process.stdout:
                told += line
                if line.startswith("}"):
                    break
            if not told.rstrip().endswith("}"):
                raise RuntimeError(f"the dashboard did not start: {Path(log.name).read_text()[-500:]}")
            yield process, json.loads(told)["address"]
        finally:
            process.terminate()
            process.wait(30)


def _rows(where: str, blocks: Blocks, env_steps: int, facts: dict[str, Any]) -> list[Row]:
    closed = _row(f"{where}: training, no page open", blocks.rate(env_steps, False), "env steps/s", facts)
    opened = _row(f"{where}: training, two pages open", blocks.rate(env_steps, True), "env steps/s", facts)
    opened["ratio_to"] = {"name": closed["name"], "ratio": opened["value"] / closed["value"]}
    rows = [closed, opened]
    for name, seconds in (("", blocks.wall), (", in the training's CPU time", blocks.cpu)):
        slower, error = blocks.slowdown(seconds)
        rows.append(
            _row(f"{where}: slowdown by open pages{name}", slower, "%", {**facts, "standard_error": error})
        )
        rows.append(_row(f"{where}: standard error of that", error, "%", facts))
    for name, is_open in (("two pages open", True), ("no page open", False)):
        rows.append(
            _row(f"{where}: its CPU time, {name}", blocks.dashboard_share(is_open), "% of a core", facts)
        )
    return rows


def _row(name: str, value: float, unit: str, settings: dict[str, Any]) -> Row:
    return {"name": name, "value": value, "unit": unit, "ratio_to": None, "settings": settings}
