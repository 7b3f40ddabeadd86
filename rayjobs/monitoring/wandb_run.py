"""A run at Weights & Biases, online or kept on disk until `wandb sync`. The only module that touches W&B.

A job never fails or waits for W&B: where the service cannot be reached at the start the run is kept offline, and what
it does not take at the end within a minute stays on disk.
"""

from __future__ import annotations

import logging
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

os.environ.setdefault("WANDB_SILENT", "true")
import wandb

from rayjobs.monitoring.finite_numbers import finite_numbers
from rayjobs.monitoring.tracking import RunLabel, TrackingConfig

LOG = logging.getLogger(__name__)
Mode = Literal["online", "offline", "disabled"]
PROBE_SECONDS, START_SECONDS, END_SECONDS = 10.0, 60.0, 60.0
"""How long the service may take to answer at all, to open a run, and to take the last of it."""
MOST_POINTS = 1000
"""Points of a curve."""


class WandbRun:
    """A `Tracker`: one W&B run. Each prefix has an x axis of its own, ``prefix/env_steps``: folds run side by side.

    Parameters
    ----------
    curves_in_summary : show the last point of each curve among the run's final numbers too.
    """

    def __init__(self, run: Any, *, curves_in_summary: bool = True) -> None:
        self._run, self._curves_in_summary = run, curves_in_summary
        self._defined: set[str] = set()
        # What a process before this one has sent, as far as the service tells.
        sent = dict(run.summary) if run.resumed else {}
        steps = {key.removesuffix("/env_steps"): at for key, at in sent.items() if key.endswith("/env_steps")}
        self._last_steps = {prefix: int(at) for prefix, at in finite_numbers(steps).items()}

    def log(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str = "train") -> None:
        if prefix not in self._defined:
            shown = None if self._curves_in_summary else "none"
            self._run.define_metric(
                f"{prefix}/env_steps"
            )  # its last value tells a resumed job how far it came
            self._run.define_metric(f"{prefix}/*", step_metric=f"{prefix}/env_steps", summary=shown)
            self._defined.add(prefix)
        if env_steps <= self._last_steps.get(prefix, -1):
            return  # a resumed job repeats points that are there already
        self._last_steps[prefix] = env_steps
        points = {f"{prefix}/{name}": value for name, value in finite_numbers(metrics).items()}
        self._run.log({**points, f"{prefix}/env_steps": env_steps})

    def log_again(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str) -> None:
        self.log(metrics, env_steps=env_steps, prefix=prefix)

    def summary(self, values: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(values))

    def attach(self, paths: Sequence[Path]) -> None:
        for path in paths:
            self._run.save(str(path), base_path=str(path.parent), policy="now")

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            columns = list(rows[0])
            data = [[row[key] for key in columns] for row in rows]
            self._run.log({name: wandb.Table(columns=columns, data=data)})

    def curve(self, name: str, values: Sequence[float]) -> None:
        every = max(1, len(values) // MOST_POINTS)
        points = [[index, float(value)] for index, value in list(enumerate(values))[::every]]
        table = wandb.Table(columns=["bar", name], data=points)
        self._run.log({name: wandb.plot.line(table, "bar", name, title=name)})

    def parameters(self, values: Mapping[str, Any], results: Mapping[str, Any]) -> None:
        """Nothing to add: the configuration and the summary hold both."""

    def keep_policy(self, name: str, directory: Path) -> None:
        artifact = wandb.Artifact(name, type="policy")
        artifact.add_dir(str(directory))
        self._run.log_artifact(artifact)


@contextmanager
def wandb_run(
    config: TrackingConfig,
    mode: Mode,
    directory: Path,
    values: Mapping[str, Any],
    label: RunLabel,
) -> Iterator[WandbRun]:
    """One run, closed when the block ends, as failed if it raises.

    Parameters
    ----------
    mode : decided already, see `rayjobs.monitoring.tracking.wandb_mode`.
    directory : its folder ``wandb`` holds the run's files.
    """
    run = _open(config, mode, directory, values, label)
    try:
        yield WandbRun(run, curves_in_summary=not label.side_by_side)
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()
    if run.settings._offline and not label.side_by_side:
        LOG.info("W&B: stored offline; upload with: wandb sync %s", Path(run.settings.sync_dir))


def _open(
    config: TrackingConfig, mode: Mode, directory: Path, values: Mapping[str, Any], label: RunLabel
) -> Any:
    settings: dict[str, Any] = {
        "silent": True,
        "console": "off",
        "disable_git": True,
        "init_timeout": START_SECONDS,
        "finish_timeout": END_SECONDS,
    }
    options: dict[str, Any] = {
        "project": config.project,
        "group": config.group,
        "name": label.name,
        "id": label.run_id,
        "job_type": label.job_type,
        "resume": "allow",
        "tags": list(config.tags),
        "config": dict(values),
        "dir": str(directory),
    }
    if mode == "offline":
        _remove_unsent(directory, label.run_id)
    if label.side_by_side:
        options["reinit"] = "create_new"
    # Asked beforehand: `wandb` tries for long, and then has the run's id in use until the process ends.
    if mode == "online" and (reason := unreachable(wandb.setup().settings.base_url)):
        LOG.warning(
            "W&B cannot be reached (%s): the run is kept offline, upload it with `wandb sync`", reason
        )
        mode = "offline"
    return wandb.init(**options, mode=mode, settings=wandb.Settings(**settings))


def _remove_unsent(directory: Path, run_id: str) -> None:
    """Remove what an earlier process kept of this run and nobody has uploaded yet.

    `wandb` writes a file in blocks of 32 KB: a killed process leaves less than it logged, or a file that `wandb sync`
    takes for broken and then uploads nothing of the run at all. What was logged is logged again (`log_again`).
    """
    for folder in (directory / "wandb").glob(f"offline-run-*-{run_id}"):
        if not any(folder.glob("*.synced")):
            shutil.rmtree(folder, ignore_errors=True)


def unreachable(url: str) -> str | None:
    """Why the service cannot be reached; None where it answers."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError as error:  # it answers, whatever it thinks of the question
        return f"it answers {error.code}" if error.code >= 500 else None
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
    return None
