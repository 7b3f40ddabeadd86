"""Composes ``conf/`` with a command line by Hydra, into plain dicts; Hydra's own objects stop here."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException

from rayjobs.config.arguments import is_flag, key_of, root_of
from rayjobs.config.column_keys import with_new_columns
from rayjobs.config.dates_file import know_dates_in
from rayjobs.config.help_page import help_page
from rayjobs.config.override_errors import explain, refuse_unnamed_choices, unreadable
from rayjobs.config.project import CONF, project_conf
from rayjobs.config.symbol_tables import know_symbol_tables
from rayjobs.config.terminal import speech, write_text
from rayjobs.config.typed_config import ConfigError, did_you_mean


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
    if {"-h", "--help"} & set(arguments):
        write_text(help_page(config_name, CONF))
        return None
    arguments = [*_own_conf(arguments), *with_new_columns(arguments)]
    try:
        refuse_unnamed_choices(CONF, arguments)
        if any(map(is_flag, arguments)):
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
    return plain_values(config)


def _own_conf(arguments: Sequence[str]) -> list[str]:
    """The option that adds a project's configurations, unless another folder is named."""
    named = any(word.split("=")[0] in ("--config-dir", "-cd") for word in arguments)
    own = None if named else project_conf()
    return [] if own is None else ["--config-dir", str(own)]


def _composed_by_application(
    config_name: str, arguments: Sequence[str]
) -> tuple[DictConfig, list[str]] | None:
    """What Hydra's application hands to a job, and the overrides among the arguments; None if it only printed."""
    composed: list[tuple[DictConfig, list[str]]] = []

    def keep(config: DictConfig) -> None:
        composed.append((config, _job_overrides(HydraConfig.get())))

    printed = io.StringIO()
    with _hydra_arguments(config_name, arguments), redirect_stdout(printed):
        try:
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(keep)()
        except SystemExit as end:  # argparse prints its own usage line
            if end.code not in (0, None):
                raise ConfigError(f"the command line was not understood: {' '.join(arguments)}") from None
    _tell(printed.getvalue(), arguments)
    return composed[0] if composed else None


def _tell(printed: str, arguments: Sequence[str]) -> None:
    """Hand on what Hydra printed; in an object a configuration is one, not a text."""
    if speech().as_json and {"--cfg", "-c"} & set(arguments):
        speech().facts["config"] = yaml.safe_load(printed)
    elif printed:
        write_text(printed)


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
    return plain_values(_composed(config_name, with_new_columns(overrides)))


def plain_values(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain dicts, lists and values, interpolations resolved.

    Raises
    ------
    ConfigError
        A mandatory value (``???``) that was not given, an interpolation that leads nowhere, or a file of dates, events
        or sectors that cannot be read.
    """
    know_dates_in()
    know_symbol_tables()
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise ConfigError(f"{error.full_key}: missing; give it as {error.full_key}=VALUE") from error
    except InterpolationResolutionError as error:
        told = _config_error_behind(error)
        if told is not None:
            raise ConfigError(f"{error.full_key}: {told}") from error
        raise ConfigError(f"{error.full_key} refers to something that does not exist") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _config_error_behind(error: BaseException | None) -> ConfigError | None:
    """What a resolver of ours raised, which OmegaConf hands on as an error of its own."""
    while error is not None and not isinstance(error, ConfigError):
        error = error.__context__
    return error


def _refuse_unknown_additions(config_name: str, overrides: Sequence[str]) -> None:
    """``+typo=x`` would add a key that nothing reads; only groups and known roots may be added to."""
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    added = [o for o in overrides if o.startswith("+") and key_of(o) not in groups]
    if not added:
        return
    # A group that is empty until something is chosen, such as the vendor of an ingest, is a root all the same.
    known: Mapping[str, Any] = {**dict.fromkeys(_groups_of(config_name)), **compose(config_name)}
    for override in added:
        root = root_of(override)
        if root not in known and "/" not in root:
            raise ConfigError(f"{root}: unknown key; {did_you_mean(root, [*known, *groups])}")


def _groups_of(config_name: str) -> list[str]:
    """The groups that the defaults list of a root names."""
    defaults = yaml.safe_load((CONF / f"{config_name}.yaml").read_text())["defaults"]
    return [str(name) for entry in defaults if isinstance(entry, dict) for name in entry]


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
