"""What a training tells Ray's metrics, which Prometheus collects and ``docs/cluster/grafana.json`` draws.

Object-store use, CPUs and actors are Ray's own metrics (``ray_object_store_memory``, ``ray_resources``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge

TAGS = ("experiment", "fold")
GAUGES = {
    "rayfold_env_steps_per_second": "Env steps per second of sampling and learning, of the last iteration",
    "rayfold_sample_seconds": "Seconds of the last iteration that sampling took",
    "rayfold_learn_seconds": "Seconds of the last iteration that learning took",
}
COUNTER = "rayfold_env_steps"
"""Env steps trained on; Prometheus knows it as ``ray_rayfold_env_steps_total``."""


class TrainingMetrics:
    """The metrics of one fold's training.

    Parameters
    ----------
    experiment, fold : tags of each metric.
    """

    def __init__(self, *, experiment: str, fold: int) -> None:
        tags = {"experiment": experiment, "fold": str(fold)}
        self._gauges = {name: Gauge(name, text, tag_keys=TAGS) for name, text in GAUGES.items()}
        self._env_steps = Counter(COUNTER, "Env steps trained on", tag_keys=TAGS)
        for metric in (*self._gauges.values(), self._env_steps):
            metric.set_default_tags(tags)

    def record(self, row: Mapping[str, Any]) -> None:
        """Take over an iteration's row with its timings.

        Parameters
        ----------
        row : ``iteration`` and ``env_steps`` so far, ``sample_seconds`` and ``learn_seconds`` of the iteration.
        """
        fresh = int(row["env_steps"]) // int(row["iteration"])  # whole batches only, each of the same size
        seconds = float(row["sample_seconds"]) + float(row["learn_seconds"])
        self._env_steps.inc(fresh)
        numbers = {
            "rayfold_env_steps_per_second": fresh / seconds if seconds > 0.0 else 0.0,
            "rayfold_sample_seconds": float(row["sample_seconds"]),
            "rayfold_learn_seconds": float(row["learn_seconds"]),
        }
        for name, value in numbers.items():
            self._gauges[name].set(value)
