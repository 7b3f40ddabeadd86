"""What Prometheus is told at ``/metrics``: runs, trials, verdicts, and how what trains and trades stands.

Ray tells of its own processes, and trainings of their speed, at Ray's endpoint (`rayjobs.monitoring.ray_metrics`); this
one is read from the runs' files, so that it needs neither Ray nor a running job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from rayjobs.pages.catalogue import Catalogue, RunEntry
from rayjobs.pages.live_trading import trading_runs
from rayjobs.pages.trial_progress import STUDY_DATABASE, trial_states

CONTENT_TYPE = CONTENT_TYPE_LATEST
OF_TRAINING = {
    "progress": (
        "rayfold_run_progress_ratio",
        "Share of a training, or of a sweep's trials, that is done, 0 to 1",
    ),
    "seconds_left": (
        "rayfold_run_remaining_seconds",
        "Time to the end of a training or of a sweep's trials, at its speed so far",
    ),
    "validation_sharpe": ("rayfold_run_validation_sharpe", "Newest Sharpe ratio on validation bars, per bar"),
    "approx_kl": ("rayfold_run_approx_kl", "Approximate KL divergence of the last update"),
    "explained_variance": ("rayfold_run_explained_variance", "Of the value function, last update"),
}
"""Number of a run that trains, or of a sweep that runs -> its metric."""
OF_TRADING = {
    "equity": ("rayfold_trading_equity", "Equity, account currency"),
    "pnl_day": ("rayfold_trading_pnl_day", "Gain since the day began, account currency"),
    "pnl_total": ("rayfold_trading_pnl_total", "Gain since the run began, account currency"),
    "data_age_s": ("rayfold_trading_data_age_seconds", "From the last bar's close to its arrival"),
}
"""Number of a trading run's snapshot -> its metric."""
BY_NAME = {
    "positions": ("rayfold_trading_position_units", "Units held", "symbol"),
    "limits": ("rayfold_trading_limit_used_ratio", "Share of a limit that is used", "limit"),
    "drift": ("rayfold_trading_drift", "How far an input has moved away from training", "input"),
    "latency_ms": ("rayfold_trading_decision_milliseconds", "Latency of decisions", "quantile"),
}
"""Mapping of a trading run's snapshot -> its metric, and what its keys are."""


def metrics_page(catalogue: Catalogue) -> bytes:
    """The page in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Runs(catalogue))
    return generate_latest(registry)


class _Runs:
    """Collects from the catalogue, which is looked through anew each time."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def describe(self) -> Sequence[GaugeMetricFamily]:
        """Nothing before it is asked: what there is depends on the runs."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Each metric with its samples."""
        self._catalogue.refresh()
        entries = self._catalogue.entries()
        yield _counts(
            "rayfold_runs",
            "Runs by kind and status",
            ("kind", "status"),
            [(e.kind, e.status) for e in entries],
        )
        yield _counts(
            "rayfold_verdicts",
            "Runs that the gate judged, by kind and verdict",
            ("kind", "verdict"),
            [(e.kind, e.verdict) for e in entries if e.verdict],
        )
        yield _trials(entries)
        yield from _of_training([entry for entry in entries if entry.status == "running"])
        yield from _of_trading(trading_runs(self._catalogue))


def _counts(
    name: str, text: str, labels: tuple[str, ...], found: Sequence[tuple[str, ...]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, count in sorted(Counter(found).items()):
        family.add_metric(values, count)
    return family


def _trials(entries: Sequence[RunEntry]) -> GaugeMetricFamily:
    """Of sweeps that run: counting those of all sweeps would open every database at each request."""
    family = GaugeMetricFamily(
        "rayfold_trials", "Trials of sweeps that run, by state", labels=("run", "state")
    )
    for entry in entries:
        if entry.kind == "sweep" and entry.status == "running":
            for state, count in trial_states(entry.path / STUDY_DATABASE).items():
                family.add_metric((entry.name, state), count)
    return family


def _of_training(entries: Sequence[RunEntry]) -> Iterator[GaugeMetricFamily]:
    for number, (name, text) in OF_TRAINING.items():
        family = GaugeMetricFamily(name, text, labels=("run", "experiment"))
        for entry in entries:
            if number in entry.numbers:
                family.add_metric((entry.name, entry.experiment), entry.numbers[number])
        yield family


def _of_trading(runs: Sequence[Mapping[str, Any]]) -> Iterator[GaugeMetricFamily]:
    told = [(str(run["run"]), run["snapshot"], run) for run in runs if run["snapshot"] is not None]
    for number, (name, text) in OF_TRADING.items():
        family = GaugeMetricFamily(name, text, labels=("run", "mode"))
        for run, snapshot, _ in told:
            _add(family, (run, str(snapshot.get("mode", ""))), snapshot.get(number))
        yield family
    for group, (name, text, label) in BY_NAME.items():
        family = GaugeMetricFamily(name, text, labels=("run", label))
        for run, snapshot, _ in told:
            for key, value in (snapshot.get(group) or {}).items():
                _add(family, (run, str(key)), value)
        yield family
    age = GaugeMetricFamily(
        "rayfold_trading_snapshot_age_seconds", "Since the loop last told of itself", labels=("run",)
    )
    halted = GaugeMetricFamily(
        "rayfold_trading_halted", "1 where it trades no more, or was asked to stop", labels=("run",)
    )
    for run, snapshot, facts in told:
        _add(age, (run,), facts["age_s"])
        halted.add_metric((run,), float(bool(snapshot.get("halted")) or bool(facts["asked"])))
    yield age
    yield halted


def _add(family: GaugeMetricFamily, labels: tuple[str, ...], value: Any) -> None:
    """A sample, where the snapshot has a number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        family.add_metric(labels, float(value))
