"""Metrics beyond the run directory: Weights & Biases or TensorBoard. The only module that touches W&B.

A tracker lives in the job's own process; what workers measure reaches it through the job. What is sent: learning
curves by `rayjobs.study.fold_tasks` (their names: `rayjobs.training.iteration_row`), summary and files of a run by
`rayjobs.study.report`, trials by `tracked_trials` and the winner by `winner` of `rayjobs.search.sweep`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from netrc import NetrcParseError, netrc
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from rayjobs.config.typed_config import ConfigError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """The ``tracking`` group.

    Parameters
    ----------
    backend : where metrics go besides the run directory.
    project : W&B project.
    mode : W&B; ``auto`` is online when a key is set and offline otherwise. Nothing ever prompts.
    group : W&B group of runs that belong together, such as a study; None for the experiment's name.
    tags : W&B tags.
    """

    backend: Literal["none", "wandb", "tensorboard"]
    project: str
    mode: Literal["auto", "online", "offline"]
    group: str | None
    tags: tuple[str, ...]


class Tracker(Protocol):
    """Where a job sends its metrics."""

    def log(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str = "train") -> None:
        """Add one point to each curve ``prefix/name`` at ``env_steps``; None and missing values are left out.

        Points of one prefix come with growing ``env_steps``; prefixes (``fold_0``) do not wait for each other.
        """

    def summary(self, values: Mapping[str, Any]) -> None:
        """Set the run's final numbers."""

    def attach(self, paths: Sequence[Path]) -> None:
        """Store result files with the run."""

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show plain rows, all with the same keys."""

    def curve(self, name: str, values: Sequence[float]) -> None:
        """Show a line over its index, such as equity by bar."""

    def keep_policy(self, name: str, directory: Path) -> None:
        """Store an exported policy or a checkpoint under a name, as a version of it."""


class _Nowhere:
    def log(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str = "train") -> None:
        return

    def summary(self, values: Mapping[str, Any]) -> None:
        return

    def attach(self, paths: Sequence[Path]) -> None:
        return

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        return

    def curve(self, name: str, values: Sequence[float]) -> None:
        return

    def keep_policy(self, name: str, directory: Path) -> None:
        return


class _Wandb:
    """One W&B run. Each prefix has its own x axis, ``prefix/env_steps``, so that folds may run side by side."""

    def __init__(self, wandb: ModuleType, run: Any) -> None:
        self._wandb, self._run = wandb, run
        self._last_steps: dict[str, int] = {}

    def log(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str = "train") -> None:
        if prefix not in self._last_steps:
            self._run.define_metric(f"{prefix}/*", step_metric=f"{prefix}/env_steps")
        elif env_steps <= self._last_steps[prefix]:
            return  # a resumed job repeats points that are there already
        self._last_steps[prefix] = env_steps
        points = {f"{prefix}/{name}": value for name, value in _finite(metrics).items()}
        self._run.log({**points, f"{prefix}/env_steps": env_steps})

    def summary(self, values: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(values))

    def attach(self, paths: Sequence[Path]) -> None:
        for path in paths:
            self._run.save(str(path), base_path=str(path.parent), policy="now")

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            columns = list(rows[0])
            self._run.log(
                {
                    name: self._wandb.Table(
                        columns=columns, data=[[row[key] for key in columns] for row in rows]
                    )
                }
            )

    def curve(self, name: str, values: Sequence[float]) -> None:
        every = max(1, len(values) // 1000)
        points = [[index, float(value)] for index, value in list(enumerate(values))[::every]]
        table = self._wandb.Table(columns=["bar", name], data=points)
        self._run.log({name: self._wandb.plot.line(table, "bar", name, title=name)})

    def keep_policy(self, name: str, directory: Path) -> None:
        artifact = self._wandb.Artifact(name, type="policy")
        artifact.add_dir(str(directory))
        self._run.log_artifact(artifact)


class _Tensorboard:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str = "train") -> None:
        for name, value in _finite(metrics).items():
            self._writer.add_scalar(f"{prefix}/{name}", value, env_steps)

    def summary(self, values: Mapping[str, Any]) -> None:
        for name, value in _finite(values).items():
            self._writer.add_scalar(f"summary/{name}", value, 0)

    def attach(self, paths: Sequence[Path]) -> None:
        return

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        for index, row in enumerate(rows):
            for key, value in _finite(row).items():
                self._writer.add_scalar(f"{name}/{key}", value, index)

    def curve(self, name: str, values: Sequence[float]) -> None:
        for index in range(0, len(values), max(1, len(values) // 1000)):
            self._writer.add_scalar(name, float(values[index]), index)

    def keep_policy(self, name: str, directory: Path) -> None:
        return


@contextmanager
def tracker(
    config: TrackingConfig, *, run_directory: Path, experiment: str, values: Mapping[str, Any]
) -> Iterator[Tracker]:
    """The tracker of one run, closed when the block ends, as failed if it raises.

    Parameters
    ----------
    run_directory : its name becomes the run's id, so that a resumed job goes on with the same run.
    experiment : W&B group where the config names none.
    values : the resolved configuration, stored with the run.

    Raises
    ------
    ConfigError
        If ``tracking.mode=online`` finds no key.
    """
    if config.backend == "none":
        yield _Nowhere()
    elif config.backend == "tensorboard":
        from tensorboardX import SummaryWriter  # slow, and only where it is chosen

        with SummaryWriter(str(run_directory / "tensorboard")) as writer:
            yield _Tensorboard(writer)
        LOG.info("TensorBoard: tensorboard --logdir %s", run_directory.parent)
    else:
        with _wandb_run(config, run_directory, experiment, values) as run:
            yield run


@contextmanager
def _wandb_run(
    config: TrackingConfig, run_directory: Path, experiment: str, values: Mapping[str, Any]
) -> Iterator[_Wandb]:
    mode = wandb_mode(config.mode)
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb  # slow, and only where it is chosen

    run = wandb.init(
        project=config.project,
        group=config.group or experiment,
        name=run_directory.name,
        id=run_directory.name,
        resume="allow",
        tags=list(config.tags),
        config=dict(values),
        dir=str(run_directory),
        mode=mode,
        settings=wandb.Settings(silent=True, console="off", disable_git=True),
    )
    try:
        yield _Wandb(wandb, run)
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()
    if mode == "offline":
        stored = Path(run.settings.sync_dir)
        LOG.info("W&B: stored offline; upload with: wandb sync %s", stored)


def wandb_mode(mode: str) -> Literal["online", "offline", "disabled"]:
    """Decide without asking: the environment's WANDB_MODE, then the config, then whether there is a key."""
    named = os.environ.get("WANDB_MODE")
    if named in ("online", "offline", "disabled"):
        mode = named
    if mode == "disabled":
        return "disabled"
    if mode == "offline" or (mode == "auto" and not _has_wandb_key()):
        return "offline"
    if not _has_wandb_key():
        raise ConfigError(
            "tracking.mode is online but W&B has no key; set WANDB_API_KEY, run `wandb login`, "
            "or use tracking.mode=offline"
        )
    return "online"


def _has_wandb_key() -> bool:
    """Whether WANDB_API_KEY or the netrc file (`wandb login` writes there) holds a key for W&B's host."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc(os.environ.get("NETRC") or Path.home() / ".netrc").authenticators(host) is not None
    except (OSError, NetrcParseError):
        return False


def _finite(metrics: Mapping[str, Any]) -> dict[str, float]:
    numbers = {k: v for k, v in metrics.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    return {name: float(value) for name, value in numbers.items() if float("-inf") < value < float("inf")}
