"""What every entry point has in common: a Hydra application with plain words and agreed exit codes.

An entry point is a function from the composed configuration, a plain nested dict, to an exit code::

    def train(config: dict[str, Any]) -> ExitCode: ...

    if __name__ == "__main__":
        sys.exit(run_entry_point(train, "train"))

Hydra's own objects stop here. Inside a job, wrap what reads the user's input in `reading_input`.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException
from rich.console import Console
from rich.logging import RichHandler

from data.schema import DataError
from rayjobs.config.column_keys import with_new_columns
from rayjobs.config.override_errors import explain, refuse_unnamed_choices, unreadable
from rayjobs.storage.run_directory import JobFailed, original
from rayjobs.config.typed_config import ConfigError, did_you_mean

CONF = Path(__file__).resolve().parents[1] / "conf"

Job = Callable[[dict[str, Any]], "ExitCode | None"]


class ExitCode(IntEnum):
    """What a job tells the shell. An interrupted job ends with 130, the shell's own code for Ctrl-C."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    GATE_SAID_NO = 3
    INTERRUPTED = 130


@contextmanager
def reading_input() -> Iterator[None]:
    """Turn any ValueError or OSError of the block into a `ConfigError`: what the block reads, the user gave."""
    try:
        yield
    except ConfigError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"{error.filename}: {reason}" if error.filename else reason) from error
    except ValueError as error:
        raise ConfigError(str(original(error))) from error


def run_entry_point(job: Job, config_name: str, argv: Sequence[str] | None = None) -> ExitCode:
    """Compose the configuration from the command line, run the job, and say how it ended.

    Parameters
    ----------
    job : receives the resolved configuration; None counts as done.
    config_name : root of the configuration, ``conf/<config_name>.yaml``.
    argv : command line without the program name; that of this process when None.

    Returns
    -------
    The exit code. Never raises for a failed job: bad input is one sentence on stderr (2), any other exception is
    a traceback in the run directory and a sentence that names it (1).
    """
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    _set_up_logging(console)
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        config = compose_command_line(config_name, arguments)
        if config is None:  # --help, --cfg and their like have printed what was asked for
            return ExitCode.DONE
        code = job(config)
        return ExitCode.DONE if code is None else code
    except KeyboardInterrupt:
        console.print("interrupted; what the run directory holds so far stays there", markup=False)
        return ExitCode.INTERRUPTED
    except (ConfigError, DataError) as error:
        console.print(f"error: {one_line(original(error))}", markup=False)
        return ExitCode.BAD_INPUT
    except JobFailed as error:
        console.print(f"error: the job failed: {one_line(error)}; traceback in {error.log}", markup=False)
        return ExitCode.FAILED
    except Exception as error:
        console.print(traceback.format_exc(), markup=False)
        console.print(f"error: the job failed before it had a run directory: {one_line(error)}", markup=False)
        return ExitCode.FAILED


def compose_command_line(config_name: str, arguments: Sequence[str]) -> dict[str, Any] | None:
    """Compose ``conf/<config_name>.yaml`` with a command line; None when Hydra only had to print.

    Raises
    ------
    ConfigError
        Unknown experiment, group choice or key, malformed override, missing or unresolvable value, ``--multirun``.
    """
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError(
            "--multirun is not supported; use python -m rayjobs.sweep, which can prune and resume"
        )
    arguments = with_new_columns(arguments)
    try:
        refuse_unnamed_choices(CONF, arguments)
        if any(argument.startswith("-") for argument in arguments):
            composed = _composed_by_application(config_name, arguments)
        else:  # without flags one composition does, where Hydra's application takes two
            config = _composed(config_name, arguments, return_hydra_config=True)
            with open_dict(config):
                composed = config, _job_overrides(config.pop("hydra"))
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error, CONF, config_name, arguments)) from error
    except yaml.YAMLError as error:
        raise ConfigError(unreadable(error)) from error
    if composed is None:
        return None
    config, overrides = composed
    _refuse_unknown_additions(config_name, overrides)
    return plain(config)


def _composed_by_application(
    config_name: str, arguments: Sequence[str]
) -> tuple[DictConfig, list[str]] | None:
    """What Hydra's application hands to a job, and the overrides among the arguments; None if it only printed."""
    composed: list[tuple[DictConfig, list[str]]] = []

    def keep(config: DictConfig) -> None:
        composed.append((config, _job_overrides(HydraConfig.get())))

    with _hydra_arguments(config_name, arguments):
        try:
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(keep)()
        except SystemExit as end:  # argparse prints its own usage line
            if end.code not in (0, None):
                raise ConfigError(f"the command line was not understood: {' '.join(arguments)}") from None
    return composed[0] if composed else None


def _job_overrides(hydra_config: Any) -> list[str]:
    """The overrides that are not for Hydra itself, as they were given."""
    overrides = OmegaConf.to_container(hydra_config.overrides.task, resolve=False)
    assert isinstance(overrides, list)
    return [str(override) for override in overrides]


def _composed(config_name: str, overrides: Sequence[str], *, return_hydra_config: bool = False) -> DictConfig:
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return hydra.compose(config_name, list(overrides), return_hydra_config)


def compose(config_name: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Compose without a command line, for tests, tools and other entry points; errors are Hydra's own."""
    return plain(_composed(config_name, with_new_columns(overrides)))


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain dicts, lists and values, interpolations resolved.

    Raises
    ------
    ConfigError
        A mandatory value (``???``) that was not given, or an interpolation that leads nowhere.
    """
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key}: missing; give it as {error.full_key}=VALUE") from error
    except InterpolationResolutionError as error:
        raise ConfigError(f"{error.full_key} refers to something that does not exist") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def one_line(error: BaseException) -> str:
    """An exception's message on one line; its type where it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


def _refuse_unknown_additions(config_name: str, overrides: Sequence[str]) -> None:
    """``+typo=x`` would add a key that nothing reads; only groups and known roots may be added to."""
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    added = [
        o for o in overrides if o.startswith("+") and o.lstrip("+").split("=")[0].split("@")[0] not in groups
    ]
    if not added:
        return
    known: Mapping[str, Any] = compose(config_name)
    for override in added:
        root = override.lstrip("+").split("=")[0].split(".")[0]
        if root not in known and "/" not in root:
            raise ConfigError(f"{root}: unknown key; {did_you_mean(root, [*known, *groups])}")


@contextmanager
def _hydra_arguments(config_name: str, arguments: Sequence[str]) -> Iterator[None]:
    """Let Hydra see this command line, raise instead of exiting, and leave no state behind."""
    old_argv, old_full_error = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv = [f"rayjobs.{config_name}", *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        sys.argv = old_argv
        GlobalHydra.instance().clear()
        if old_full_error is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = old_full_error


def _set_up_logging(console: Console) -> None:
    """Our packages' log lines from INFO, everyone else's from WARNING, on stderr."""
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False, log_time_format="[%X]")
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [h for h in root.handlers if type(h) not in (logging.StreamHandler, RichHandler)] + [
        handler
    ]
    root.setLevel(logging.WARNING)
    for package in ("data", "envs", "policies", "evaluation", "rayjobs"):
        logging.getLogger(package).setLevel(logging.INFO)
