"""Whether a ledger vouches for the policies that a training began with (``trainer.start_from``)."""

from __future__ import annotations

from pathlib import Path

from rayjobs.config.typed_config import ConfigError
from rayjobs.replay.run_seal import unvouched
from rayjobs.storage.started_run import CONFIG_FILE
from rayjobs.study.config import TrainConfig
from rayjobs.study.warm_start import export_places

BELOW_RUN = 3
"""Folders from a run down to an exported policy: ``checkpoints/fold_00/best``."""


def start_doubts(config: TrainConfig) -> tuple[str, ...]:
    """Why the weights that a training began with may have seen more than they say, a phrase or none.

    An exported policy says which bars it has seen, in a file that anyone can write. It is believed if it lies in a run
    whose files are those that a ledger sealed when the run ended.
    """
    place = config.trainer.start_from
    if place is None:
        return ()
    phrase = f"the weights of trainer.start_from={place} are of files that no ledger sealed"
    try:
        runs = {one.absolute().parents[BELOW_RUN - 1] for one in export_places(place)}
    except ConfigError:  # it was there when the training began
        return (phrase,)
    return () if runs and all(_sealed(run, config.ledger) for run in runs) else (phrase,)


def _sealed(run: Path, ledger: str) -> bool:
    return (run / CONFIG_FILE).is_file() and unvouched(run, (ledger,)) is None
