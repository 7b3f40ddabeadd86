"""Settings that came after a configuration was stored: they take the shipped value, so that old runs can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from rayjobs.config.compose import CONF

GROWING = {"cluster": "cluster/local.yaml", "search": "search/optuna.yaml"}
"""Groups whose new settings change no score of an earlier run, and the file that holds their shipped values."""


def with_later_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration with the shipped value of every setting of `GROWING` that it does not know."""
    filled = {
        group: _filled(values[group], yaml.safe_load((CONF / file).read_text()))
        for group, file in GROWING.items()
        if isinstance(values.get(group), Mapping)
    }
    return {**values, **filled}


def _filled(stored: Mapping[str, Any], shipped: Mapping[str, Any]) -> dict[str, Any]:
    """A stored group may be empty on purpose, so only groups that it has are looked into."""
    both = {
        name: _filled(stored[name], value)
        for name, value in shipped.items()
        if isinstance(value, Mapping) and isinstance(stored.get(name), Mapping)
    }
    return {**shipped, **stored, **both}
