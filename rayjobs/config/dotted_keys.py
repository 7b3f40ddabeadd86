"""Values of a nested configuration by their dotted keys, such as ``env.costs.fee_bps``."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from rayjobs.config.typed_config import ConfigError, did_you_mean


def value_at(values: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key.

    Raises
    ------
    ConfigError
        If there is no such key, with the nearest one.
    """
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            known = list(found) if isinstance(found, Mapping) else []
            raise ConfigError(f"{key}: unknown key; {did_you_mean(part, known)}")
        found = found[part]
    return found


def value_or_none(values: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key; None where there is none, or where a part of the key holds dots itself."""
    try:
        return value_at(values, key)
    except ConfigError:
        return None


def set_value(values: dict[str, Any], key: str, value: Any, *, add: bool = False) -> None:
    """Put a value at a dotted key, in place.

    Parameters
    ----------
    add : make the key and its groups where they are not there; else ConfigError, as `value_at`.
    """
    if not add:
        value_at(values, key)
    *path, last = key.split(".")
    group: Any = values
    for part in path:
        group = group.setdefault(part, {})
    group[last] = value


def with_values(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a nested configuration with the values at some dotted keys replaced.

    Raises
    ------
    ConfigError
        As `value_at`.
    """
    changed = deepcopy(dict(values))
    for key, value in overrides.items():
        set_value(changed, key, value)
    return changed
