"""Metrics beyond the run directory: Weights & Biases (`wandb_run`, the only module that touches it) or TensorBoard.

A tracker lives in the job's own process; what workers measure reaches it through the job. What is sent: learning
curves by `rayjobs.study.fold_tasks` (their names: `rayjobs.training.iteration_row`), summary and files of a run by
`rayjobs.study.report`, trials by `tracked_trials` and the winner by `winner` of `rayjobs.search.sweep`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from netrc import NetrcParseError, netrc
from pathlib import Path
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
    tags : W&B tags; the experiment's name is always one.
    """

    backend: Literal["none", "wandb", "tensorboard"]
    project: str
    mode: Literal["auto", "online", "offline"]
    group: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunLabel:
    """Under which name a run is tracked.

    Parameters
    ----------
    run_id : the same whenever the run goes on, so that it stays one.
    name : short, for people.
    job_type : what kind of run it is.
    side_by_side : other runs are open in the same process.
    """

    run_id: str
    name: str
    job_type: Literal["train", "study", "trial", "winner", "evaluate"]
    side_by_side: bool = False

    @classmethod
    def of_run(cls, directory: Path, job_type: Literal["train", "study", "evaluate"] = "train") -> RunLabel:
        """A run directory's: its name is the id, and the end of it the name."""
        name = short_id(directory.name)
        return cls(
            run_id=directory.name,
            name=name if job_type == "train" else f"{name}-{job_type}",
            job_type=job_type,
        )


def short_id(run_id: str) -> str:
    """``abcdef`` of ``20260101T000000Z-abcdef``; another name as it is."""
    found = re.fullmatch(r"\d{8}T\d{6}Z-([0-9a-f]{6})", run_id)
    return found[1] if found else run_id


class Tracker(Protocol):
    """Where a job sends its metrics."""

    def log(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str = "train") -> None:
        """Add one point to each curve ``prefix/name`` at ``env_steps``; None and missing values are left out.

        Points of one prefix come with growing ``env_steps``; prefixes (``fold_0``) do not wait for each other.
        """

    def log_again(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str) -> None:
        """A point from before the job was resumed: added where it is not kept already."""

    def summary(self, values: Mapping[str, Any]) -> None:
        """Set the run's final numbers."""

    def attach(self, paths: Sequence[Path]) -> None:
        """Store result files with the run."""

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show plain rows, all with the same keys."""

    def curve(self, name: str, values: Sequence[float]) -> None:
        """Show a line over its index, such as equity by bar."""

    def parameters(self, values: Mapping[str, Any], results: Mapping[str, Any]) -> None:
        """Show what was searched beside what came of it, where a table compares runs by that."""

    def keep_policy(self, name: str, directory: Path) -> None:
        """Store an exported policy or a checkpoint under a name, as a version of it."""


class _Nowhere:
    def log(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str = "train") -> None:
        return

    def log_again(self, metrics: Mapping[str, float | None], *, env_steps: int, prefix: str) -> None:
        return

    def summary(self, values: Mapping[str, Any]) -> None:
        return

    def attach(self, paths: Sequence[Path]) -> None:
        return

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        return

    def curve(self, name: str, values: Sequence[float]) -> None:
        return

    def parameters(self, values: Mapping[str, Any], results: Mapping[str, Any]) -> None:
        return

    def keep_policy(self, name: str, directory: Path) -> None:
        return


@contextmanager
def tracker(
    config: TrackingConfig,
    *,
    run_directory: Path,
    experiment: str,
    values: Mapping[str, Any],
    label: RunLabel | None = None,
) -> Iterator[Tracker]:
    """The tracker of one run, closed when the block ends, as failed if it raises.

    Parameters
    ----------
    run_directory : where files of the backend go.
    experiment : a tag, and the W&B group where the config names none.
    values : the resolved configuration, nested, stored with the run.
    label : None names the run after its directory, so that a resumed job goes on with the same run.

    Raises
    ------
    ConfigError
        If ``tracking.mode=online`` finds no key.
    """
    if config.backend == "none":
        yield _Nowhere()
    elif config.backend == "tensorboard":
        from rayjobs.monitoring.tensorboard_run import tensorboard_run  # slow, and only where it is chosen

        with tensorboard_run(run_directory / "tensorboard") as run:
            yield run
        LOG.info("TensorBoard: tensorboard --logdir %s", run_directory.parent)
    else:
        from rayjobs.monitoring.wandb_run import wandb_run

        label = label or RunLabel.of_run(run_directory)
        grouped = replace(config, group=config.group or experiment, tags=(*config.tags, experiment))
        with wandb_run(grouped, wandb_mode(config.mode), run_directory, values, label) as tracked:
            yield tracked


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
