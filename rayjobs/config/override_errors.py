"""Hydra's composition errors as one sentence that names the nearest known choice or key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rayjobs.config.arguments import is_flag, is_override, key_of
from rayjobs.config.typed_config import ConfigError, did_you_mean, nearest

SEVERAL = ("source", "search/space")
"""Groups of which several may be chosen at once: each file has a key of its own, and nothing is merged."""
_NO_SUCH_KEY = re.compile(r"Could not (?:override|delete from config)[ .:]*'?([^'\s]+)'?")


def explain(error: Exception, conf: Path, config_name: str, arguments: Sequence[str]) -> str:
    """One sentence for the user who typed ``arguments``.

    Parameters
    ----------
    error : what Hydra raised while composing ``conf/<config_name>.yaml``.
    """
    if isinstance(error, MissingConfigException):
        return _unknown_choice(error, conf)
    if isinstance(error, OverrideParseException):
        return _not_understood(error.override or first_line(error))
    message = first_line(error)
    if message.startswith("Ambiguous value for argument"):
        override = message.split("'")[1]
        key, _, value = override.partition("=")
        return f"{override} gives several values; for a list write '{key}=[{value}]', to try each use rayjobs.sweep"
    match = _NO_SUCH_KEY.search(message)
    if match:
        return _unknown_key(match.group(1).rstrip("."), conf, config_name, arguments)
    return message


def unreadable(error: yaml.YAMLError) -> str:
    """One sentence about a configuration file that is no YAML, or names a key twice."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or first_line(error)
    if mark is None:
        return f"a configuration file cannot be read: {problem}"
    return f"{mark.name.strip()}, line {mark.line + 1}, column {mark.column + 1}: {problem}"


def first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _not_understood(override: str) -> str:
    return f"the override {override!r} was not understood; write key=value, and quote values with special characters"


def refuse_unnamed_choices(conf: Path, arguments: Sequence[str]) -> None:
    """Raise ConfigError for an override that has no key, or does not name one choice of a group (`policy=3`).

    Hydra merges all names of a list, and answers to others with a ValueError.
    """
    overrides = [a for a in arguments if is_override(a)]
    for override in OverridesParser.create().parse_overrides(overrides):
        group, value = override.key_or_group, override.value()
        if not group:
            raise ConfigError(_not_understood(str(override.input_line)))
        named = isinstance(value, str | QuotedString) or (override.is_delete() and value is None)
        if group in SEVERAL and isinstance(value, list):
            named = bool(value) and all(isinstance(name, str | QuotedString) for name in value)
        if (conf / group).is_dir() and not named:
            given = override.get_value_string()
            names = ", ".join(sorted(path.stem for path in (conf / group).glob("*.yaml")))
            raise ConfigError(f"{group} is chosen by one name, not by {given}; known: {names}")


def _unknown_choice(error: MissingConfigException, conf: Path) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or [])
    if not group:
        return f"there is no configuration {name!r} in {conf}"
    if not options and not (conf / group).is_dir():
        return f"{group}: unknown group; {did_you_mean(group, groups(conf))}"
    match = nearest(name, options)
    hint = f"did you mean {match}? " if match else ""
    return f"there is no {group} {name!r}; {hint}known: {', '.join(sorted(options))}"


def _unknown_key(key: str, conf: Path, config_name: str, arguments: Sequence[str]) -> str:
    override = next((a for a in arguments if key_of(a) == key), None)
    if (conf / key).is_dir() and override is not None:
        return f"{key} is not chosen by default; write +{override.lstrip('+~')}"
    known = known_keys(conf, config_name, [a for a in arguments if a != override])
    return f"{key}: unknown key; {did_you_mean(key, [*known, *groups(conf)]) if nearest(key, known) else _list(known)}"


def _list(known: Iterable[str]) -> str:
    return f"known: {', '.join(sorted({key.split('.')[0] for key in known}))}"


def groups(conf: Path) -> list[str]:
    """Names of the configuration groups: the folders of ``conf``."""
    return sorted(path.name for path in conf.iterdir() if path.is_dir())


def known_keys(conf: Path, config_name: str, arguments: Sequence[str]) -> list[str]:
    """Every dotted key of the configuration that the other overrides compose, or of the bare one if they do not."""
    overrides = [argument for argument in arguments if not is_flag(argument)]
    for attempt in (overrides, []):
        try:
            with hydra.initialize_config_dir(version_base="1.3", config_dir=str(conf)):
                return list(flatten(OmegaConf.to_container(hydra.compose(config_name, overrides=attempt))))
        except (HydraException, OmegaConfBaseException):
            continue
    return []


def flatten(values: Any, path: str = "") -> Iterable[str]:
    """Dotted paths of all keys of nested mappings, groups included."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            here = f"{path}.{key}" if path else str(key)
            yield here
            yield from flatten(value, here)
