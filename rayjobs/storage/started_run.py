"""What a run was started with: its resolved configuration and its provenance, the content of ``config.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is there: the same values, ten times as fast, which counts where thousands of runs are listed."""
WINNER_OF = "winner_of"
"""Key of a run's provenance, with study and trial, if it is the winner of a search: its folds are the holdout's."""
CONFIG_FILE = "config.yaml"
PROVENANCE = "provenance"


@dataclass(frozen=True, kw_only=True)
class StartedRun:
    """The start of a run, known to the process that made it and read back by every other.

    Parameters
    ----------
    values : the resolved configuration, without passwords.
    provenance : command, seed, data fingerprint, commit, versions; see `rayjobs.storage.provenance`.
    """

    values: Mapping[str, Any]
    provenance: Mapping[str, Any]

    @classmethod
    def read(cls, run: Path) -> StartedRun:
        """Read a run directory's ``config.yaml``.

        Raises
        ------
        OSError
            If there is no such file.
        ValueError
            If it is not what a run was started with.
        """
        try:
            values = dict(yaml.load((run / CONFIG_FILE).read_text(), Loader=_LOADER))
            provenance = dict(values.pop(PROVENANCE))
        except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            reason = (
                f"it has no {PROVENANCE}" if isinstance(error, KeyError) else " ".join(str(error).split())
            )
            raise ValueError(f"{run / CONFIG_FILE} is not what a run was started with: {reason}") from error
        return cls(values=values, provenance=provenance)

    def config(self) -> dict[str, Any]:
        """A copy of the configuration, to be changed at will."""
        return deepcopy(dict(self.values))

    def text(self) -> str:
        """As ``config.yaml`` has it."""
        return yaml.safe_dump(
            {**self.values, PROVENANCE: dict(self.provenance)}, sort_keys=False, allow_unicode=True
        )

    def settings_text(self) -> str:
        """The configuration alone, for a reader."""
        return yaml.safe_dump(dict(self.values), sort_keys=False)
