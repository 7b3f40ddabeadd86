"""Which bars have a say in the policy of a fold: what it is trained, standardised, selected and begun with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from data.context_bars import closing_instants
from data.coverage.coverage import Coverage
from data.sources import describe
from evaluation.windows.splits import Fold
from policies.contract import Contract
from policies.origin import Origin, Role, SeenBars
from rayjobs.storage.run_directory import RUN_ID
from rayjobs.study.fold_windows import windows_to_train
from rayjobs.study.study import Study
from rayjobs.study.warm_start import StartPolicy, choose

ContractT = TypeVar("ContractT", bound=Contract)


def with_origin(contract: ContractT, study: Study, fold: Fold, first_bar: int, directory: Path) -> ContractT:
    """The contract of a fold's policy with every stretch of bars that has a say in it.

    Parameters
    ----------
    first_bar : as `training_windows` takes it. directory : of the fold's checkpoints; its run is named.
    """
    config, source = study.config, describe(study.config.data)
    training, validation = windows_to_train(config, fold, first_bar)
    bars: list[tuple[Role, slice]] = [("selection", part) for part in study.selection]
    start = start_of(study, fold)
    bars += [("standardiser", part) for part in fold.training]
    bars += [("training", slice(window.start_bar, window.stop_bar)) for window in training]
    if validation is not None:
        chosen_on = slice(validation.start_bar, validation.stop_bar)
        bars.append(("validation", chosen_on))
        if config.algo.early_stop_validations is not None:
            bars.append(("early_stopping", chosen_on))
    seen = []
    for role, part in bars:
        seen.append(SeenBars(role=role, coverage=Coverage.of(study.panel, part, source=source)))
        seen += [SeenBars(role=role, coverage=read) for read in context_read(study, part)]
    origin = Origin(
        run_id=run_id_of(directory),
        source=source,
        data_fingerprint=study.panel.fingerprint,
        symbols=study.panel.symbols,
        bar_seconds=study.panel.bar_seconds,
        seen=(*(() if start is None else start.seen()), *seen),
        context_symbols=tuple(panel.symbols[0] for panel in study.context),
    )
    return replace(contract, origin=origin)


def start_of(study: Study, fold: Fold) -> StartPolicy | None:
    """The policy of ``trainer.start_from`` whose weights a fold's training begins with."""
    scored = study.panel.slice_bars(fold.test.start, fold.test.stop)
    return choose(study.starts, scored, describe(study.config.data), fold.index)


def context_read(study: Study, part: slice) -> list[Coverage]:
    """The bars of context symbols that are known within a stretch of the study's bars."""
    opened = study.panel.bar_utc[part.start]
    closed = closing_instants(study.panel.slice_bars(part.stop - 1, part.stop))[0]
    read = []
    for panel in study.context:
        first, stop = np.searchsorted(closing_instants(panel), [opened, closed], side="right")
        if stop > first:
            source = describe(study.config.data.context_symbols[panel.symbols[0]].bars)  # type: ignore[union-attr]
            read.append(Coverage.of(panel, slice(int(first), int(stop)), source=source))
    return read


def run_id_of(directory: Path) -> str:
    """The run that a directory of checkpoints belongs to, by its name; "" outside one."""
    return next((part.name for part in directory.absolute().parents if RUN_ID.fullmatch(part.name)), "")
