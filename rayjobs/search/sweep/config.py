"""From the composed ``conf/sweep.yaml`` to what a sweep takes, for a new study or one that goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policies.supervised.settings import SupervisedSettings, require_package
from rayjobs.config.compose import compose
from rayjobs.config.dotted_keys import value_or_none, with_values
from rayjobs.config.typed_config import ConfigError, build_dataclass
from rayjobs.search.plan.settings import SchedulerConfig, SearchConfig
from rayjobs.search.proposal.pruning import distinct_rungs
from rayjobs.search.proposal.samplers import make_sampler
from rayjobs.search.space.search_space import Space
from rayjobs.storage.ledger_place import without_password
from rayjobs.storage.resume import LATEST
from rayjobs.storage.run_directory import SWEEPS, RunConfig, RunDirectory, list_runs, read_status
from rayjobs.storage.running_process import still_running
from rayjobs.storage.uri import is_uri, join, local_copy, local_directory, newest_remote
from rayjobs.study.config import TrainConfig, build_train_config

if TYPE_CHECKING:
    from evaluation.ledger.store import Head

PASSWORDS = ("ledger", "search.storage")
"""Settings whose password is not written, and so must be given again."""
CHANGEABLE = (
    "search.num_trials",
    "search.max_concurrent",
    "search.retries",
    "search.time_budget_s",
    "search.target_score",
    "search.stagnant_trials",
    "search.open_holdout",
    "cluster",
    "tracking",
)
"""What may differ when a study goes on: nothing that changes a trial's score."""
GOES_ON = ("search.open_holdout", "search.num_trials")
"""What gives a study that is done something to do."""


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """A sweep.

    Parameters
    ----------
    values : configuration that trials start from, plain; without ``search``.
    train : the same, built.
    search, space : the search.
    """

    values: Mapping[str, Any]
    train: TrainConfig
    search: SearchConfig
    space: Space

    @property
    def total_trials(self) -> int:
        """Trials in all; a grid has no more than its combinations."""
        total = self.search.total_trials
        if self.search.sampler.kind == "grid":
            total = min(total, len(self.space.grid(self.search.sampler.grid_points)))
        return total


def build_sweep_config(values: Mapping[str, Any]) -> SweepConfig:
    """Check everything that can be known to be wrong before anything starts.

    Raises
    ------
    ConfigError
        For the first mistake, with its key; an unknown key of the space with the nearest one.
    """
    base = {key: value for key, value in values.items() if key != "search"} | {"resume": None}
    train = build_train_config(base)
    base = without_password(base)  # what trials start from is sent on and written
    if train.script is not None:
        raise ConfigError(
            f"policy={train.script} is scripted, there is nothing to search; choose a trained policy"
        )
    if train.only_fold is not None or train.fold_order is not None:
        raise ConfigError(
            "walk_forward.only_fold and fold_order are for training jobs; a sweep runs every fold"
        )
    if train.trainer.start_from is not None:
        raise ConfigError("trainer.start_from is for training jobs; the trials of a sweep draw their weights")
    search = build_dataclass(SearchConfig, values["search"], "search")
    search = replace(search, scheduler=_scheduler(search.scheduler, train))
    if train.supervised is not None:
        require_package(train.supervised.model)
    make_sampler(search.sampler, train.seed, 0)  # a missing package is told before anything starts
    space = Space(search.space)
    space.check(base, build_train_config)
    if train.supervised is not None:
        _refuse_untouched(space, train.supervised.model)
    for index, point in enumerate(search.enqueue):
        space.check_point(point, f"search.enqueue[{index}]")
    return SweepConfig(values=base, train=train, search=search, space=space)


def _refuse_untouched(space: Space, model: str) -> None:
    """Refuse to search what a supervised fit does not read: every trial would be the same."""
    names = {field.name for field in fields(SupervisedSettings)}
    for label, parameter in space.parameters.items():
        root, _, rest = parameter.key.partition(".")
        if root in ("algo", "trainer", "reward") or (root == "policy" and rest.split(".")[0] not in names):
            raise ConfigError(
                f"search.space.{label}: {parameter.key} does not change policy={model}, which is fitted and not "
                f"trained; choose search/space={model}, or keys of policy.parameters, policy.labels and policy.position"
            )


def _scheduler(scheduler: SchedulerConfig, train: TrainConfig) -> SchedulerConfig:
    """The scheduler with its rungs at different iterations of the training; none where none is left.

    A supervised fit has no iterations.
    """
    if train.supervised is not None:
        if scheduler.kind == "pbt":
            raise ConfigError(
                "search.scheduler.kind is pbt, whose members are trained in segments, but "
                f"policy={train.supervised.model} is fitted at once; choose search=optuna, random or grid"
            )
        return replace(scheduler, kind="none", rungs=())
    iterations = max(1, train.trainer.total_env_steps // train.algo.batch_steps)
    rungs = distinct_rungs(scheduler.rungs, iterations)
    if rungs or scheduler.kind == "none":
        return replace(scheduler, rungs=rungs)
    if scheduler.kind == "pbt":
        raise ConfigError(
            f"search.scheduler.kind is pbt, but a training of {train.trainer.total_env_steps:,} env steps has "
            f"{iterations} iterations, too few for a rung before the last; raise trainer.total_env_steps"
        )
    return replace(scheduler, kind="none", rungs=())


def create_directory(
    values: Mapping[str, Any],
    config: SweepConfig,
    fingerprint: str,
    ledger: Head | None = None,
    data_lineage: Sequence[tuple[str, str]] = (),
) -> RunDirectory:
    """A new study: ``<directory>/<experiment>/sweeps/<study id>``."""
    run = config.train.run
    place = RunConfig(experiment=SWEEPS, directory=join(run.directory, run.experiment))
    return RunDirectory.create(
        place,
        values,
        seed=config.train.seed,
        data_fingerprint=fingerprint,
        ledger=ledger,
        data_lineage=data_lineage,
    )


def find_study(values: Mapping[str, Any]) -> Path | None:
    """The study that ``resume`` names: its folder, that of an experiment for its latest unfinished one, or ``latest``.

    None when a new study is asked for.

    Raises
    ------
    ConfigError
        If there is none that can go on.
    """
    wanted = values["resume"]
    if wanted is None:
        return None
    run = build_dataclass(RunConfig, values["run"], "run")
    path = (
        local_directory(run.directory) / run.experiment if wanted == LATEST else local_directory(str(wanted))
    )
    if is_uri(run.directory) and wanted == LATEST:
        folder = f"{run.experiment}/{SWEEPS}"
        wanted = newest_remote(run.directory, folder, lambda status: status["status"] != "done") or wanted
    if is_uri(str(wanted)):
        path = local_copy(str(wanted))
    if read_status(path) is not None:
        return path
    for place in (path, path / SWEEPS):
        open_ones = [run for run in list_runs(place, None) if (read_status(run) or {})["status"] != "done"]
        if open_ones:
            return open_ones[-1]
    raise ConfigError(
        f"{path} is no study and holds no unfinished one; give the folder that rayjobs.sweep printed"
    )


def resumed_values(given: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """The study's own configuration with what the command line may change.

    Raises
    ------
    ConfigError
        If another process runs the study, the command line changes what its trials were scored with, or the study is
        done and nothing that the command line changes leaves it anything to do.
    """
    _refuse_running(directory)
    stored = RunDirectory(directory).config()
    default = compose("sweep")
    changed: dict[str, Any] = {}
    for key, value in _leaves(given):
        if key in PASSWORDS and value is not None and _written(key, value) == value_or_none(stored, key):
            changed[key] = value  # with the password, which is not stored
            continue
        if key == "resume" or value_or_none(default, key) == value or value_or_none(stored, key) == value:
            continue
        if not key.startswith(CHANGEABLE):
            begun = value_or_none(stored, key)
            raise ConfigError(
                f"{key} is {value!r} but the study was begun with {begun!r}; a resumed study may change "
                f"only {', '.join(CHANGEABLE)}; start a new one for anything else"
            )
        changed[key] = value
    _refuse_done(directory, changed)
    return with_values(stored, changed)


def _refuse_done(directory: Path, changed: Mapping[str, Any]) -> None:
    """Refuse a study that is done, unless its holdout is sealed and more trials or its opening are asked for."""
    if (read_status(directory) or {}).get("status") != "done":
        return
    if (directory / "winner").is_dir():
        raise ConfigError(
            f"the study in {directory} is done and its winner has met the holdout, which is opened once; "
            "search the same space again with a new study"
        )
    if not any(key in GOES_ON for key in changed):
        raise ConfigError(
            f"the study in {directory} is done; there is nothing to resume. search.open_holdout=true lets its best "
            "trial meet the sealed holdout, search.num_trials=N runs trials up to N"
        )


def _written(key: str, value: Any) -> Any:
    """A setting as the study's directory holds it."""
    group, _, name = key.rpartition(".")
    return value_or_none(without_password({group: {name: value}} if group else {name: value}), key)


def _refuse_running(directory: Path) -> None:
    status = read_status(directory) or {}
    if still_running(status):
        raise ConfigError(
            f"the study in {directory} is being run by process {status['pid']}; stop that one first"
        )


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, here)
        else:
            yield here, value
