"""Changes to the configuration of a finished run, as a command line gives them: ``data=noise data.seed=7``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from rayjobs.config.arguments import is_override, root_of, split
from rayjobs.config.column_keys import STATED
from rayjobs.config.compose import CONF, compose
from rayjobs.config.dotted_keys import set_value
from rayjobs.config.override_errors import explain, refuse_unnamed_choices
from rayjobs.config.typed_config import ConfigError

CHANGEABLE = ("data", "instruments", "costs", "gate", "scoring", "walk_forward", "ledger")
"""Groups that an evaluation may change, and where it is counted; the others made the policy what it is."""


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Changes to the run's configuration, and what is the entry point's own."""
    return split(arguments, lambda a: is_override(a) and not a.startswith("~") and root_of(a) in CHANGEABLE)


def changed_values(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of the configuration with groups chosen anew and keys replaced.

    Raises
    ------
    ConfigError
        For an override that cannot be read, an unknown choice or an unknown key.
    """
    changed = deepcopy(dict(values))
    try:
        refuse_unnamed_choices(CONF, overrides)
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        chosen = {o.key_or_group for o in parsed if "." not in o.key_or_group}
        lines = [str(o.input_line) for o in parsed if _root(o) in chosen]
        composed = compose("train", lines) if chosen else {}
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explain(error, CONF, "train", overrides)) from error
    changed |= {group: composed[group] for group in chosen}
    for override in parsed:
        if _root(override) not in chosen:
            key = override.key_or_group
            # Names of columns are the user's, and a run older than such statements has no group for them.
            set_value(changed, key, override.value(), add=f"{key}.".startswith(STATED))
    return changed


def _root(override: Override) -> str:
    return root_of(str(override.key_or_group))
