"""From the command line of `rayjobs.submit` to the command that the cluster runs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayjobs.config.arguments import given_value, is_flag, key_of, root_of
from rayjobs.config.compose import CONF, compose_command_line
from rayjobs.config.dotted_keys import value_at
from rayjobs.config.run_overrides import split_overrides
from rayjobs.config.typed_config import ConfigError, did_you_mean
from rayjobs.storage.uri import is_uri, join

JOBS = ("train", "sweep", "evaluate")
_OURS = ("job", "submit")
_RAYS_PYTHON = (
    "bin=$(sed -n 's|^.* \\(/.*\\)/lib/python[0-9.]*/site-packages/ray/_raylet[^/]*$|\\1/bin|p' /proc/$PPID/maps "
    '2>/dev/null | head -n 1); PATH="${bin:+$bin:}$PATH" '
)
"""Puts the environment that Ray itself runs in first: a cluster that was started by a path (``.venv/bin/ray start``)
has another ``python`` on its PATH, which knows none of the job's packages. The job's parent is a process of Ray, and
the library that it has mapped says where that environment lies; where that cannot be read, PATH stays as it is."""
_CLUSTER = ("cluster",)


@dataclass(frozen=True, kw_only=True)
class JobCommand:
    """What runs on the cluster.

    Parameters
    ----------
    job : entry point, one of `JOBS`.
    experiment : name for people.
    arguments : command line of the entry point there.
    values : its composed configuration, as it will be there.
    directory : where its results go: below it, and those of an evaluation beside it.
    """

    job: str
    experiment: str
    arguments: tuple[str, ...]
    values: Mapping[str, Any]
    directory: str

    @property
    def shell(self) -> str:
        """The command, as a person would type it there."""
        return shlex.join(["python", "-m", f"rayjobs.{self.job}", *self.arguments])

    @property
    def entrypoint(self) -> str:
        """The command as the job server is given it: with the ``python`` of the environment that Ray runs in."""
        return _RAYS_PYTHON + self.shell


def typed_command(entrypoint: str) -> str:
    """The command as a person would type it, from what a job server was given."""
    return entrypoint.removeprefix(_RAYS_PYTHON)


def split_for_job(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What `rayjobs.submit` itself reads, and what the job reads; ``cluster`` belongs to both."""
    ours = [a for a in arguments if root_of(a) in (*_OURS, *_CLUSTER) or is_flag(a)]
    theirs = [a for a in arguments if root_of(a) not in _OURS and not is_flag(a)]
    return ours, theirs


def job_command(job: str, arguments: Sequence[str], storage: str) -> JobCommand:
    """The command for a cluster that keeps its runs below ``storage``.

    Parameters
    ----------
    arguments : the job's part of the command line.
    storage : directory or URI that all nodes reach; a relative ``run.directory`` lies in it.

    Raises
    ------
    ConfigError
        An unknown job, or overrides that do not compose.
    """
    if job not in JOBS:
        raise ConfigError(f"job={job}: unknown; {did_you_mean(job, JOBS)}")
    if not (CONF / f"{job}.yaml").is_file():
        raise ConfigError(f"job={job}: this working tree has no rayjobs.{job}")
    return _evaluation(arguments, storage) if job == "evaluate" else _run(job, arguments, storage)


def _run(job: str, arguments: Sequence[str], storage: str) -> JobCommand:
    there = [a for a in arguments if not (root_of(a) == "cluster" and given_value(a) == "local")]
    if not any(key_of(a) == "cluster" for a in there):
        there = ["cluster=address", *there]
    there, composed = _below(storage, job, there, "run.directory")
    return JobCommand(
        job=job,
        experiment=str(composed["run"]["experiment"]),
        arguments=tuple(there),
        values=composed,
        directory=str(composed["run"]["directory"]),
    )


def _evaluation(arguments: Sequence[str], storage: str) -> JobCommand:
    """An evaluation runs in one process: it takes no cluster, and its results lie beside the run."""
    changes, own = split_overrides([a for a in arguments if root_of(a) != "cluster"])
    own, composed = _below(storage, "evaluate", own, "run")
    return JobCommand(
        job="evaluate",
        experiment="evaluations",
        arguments=(*own, *changes),
        values=composed,
        directory=str(composed["directory"] or composed["run"]),
    )


def _below(storage: str, job: str, arguments: Sequence[str], key: str) -> tuple[list[str], dict[str, Any]]:
    """The arguments with a relative place at ``key`` moved below ``storage``, and what they compose to."""
    arguments, composed = list(arguments), _compose(job, arguments)
    place = value_at(composed, key)
    if place is not None and not is_uri(place) and not place.startswith(("/", "~")):
        arguments = [a for a in arguments if key_of(a) != key]
        arguments.append(f"{key}='{join(storage, place)}'")
        composed = _compose(job, arguments)
    return arguments, composed


def _compose(job: str, arguments: Sequence[str]) -> dict[str, Any]:
    composed = compose_command_line(job, arguments)
    assert composed is not None
    return composed
