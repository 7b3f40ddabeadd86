"""Symbols that are held out of training (``data.test_symbols``): their bars, and how they are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from data.errors import DataError
from data.schema import Panel
from data.sources import Dataset
from rayjobs.study.config import TrainConfig


def parted(dataset: Dataset, test_symbols: Sequence[str]) -> tuple[Dataset, Dataset | None]:
    """A data set as that of the symbols to train on and that of the others, None where there are none.

    Raises
    ------
    DataError
        If the data have no such symbol, or no other.
    """
    if not test_symbols:
        return dataset, None
    held_out = dataset.panel.select(test_symbols)
    kept = [symbol for symbol in dataset.panel.symbols if symbol not in test_symbols]
    if not kept:
        raise DataError(
            "data.test_symbols holds every symbol out of training; leave at least one to train on (data.symbols)"
        )
    oracle = dataset.oracle_direction

    def of(panel: Panel) -> Dataset:
        columns = [dataset.panel.symbols.index(symbol) for symbol in panel.symbols]
        return replace(dataset, panel=panel, oracle_direction=None if oracle is None else oracle[:, columns])

    return of(dataset.panel.select(kept)), of(held_out)


def unseen_config(config: TrainConfig, unseen: Panel) -> TrainConfig:
    """The configuration as the held-out symbols are scored under it.

    No model is fitted on them, and what shows the policy on its own training window is not theirs. Facts of a symbol's
    instrument, and limits that name it, stay with the symbol.
    """
    scoring = replace(config.scoring, in_sample=False, supervised=(), placebo_strategies=0)
    facts = config.instruments.symbols
    own = {symbol: facts[symbol] for symbol in unseen.symbols if symbol in facts}
    return replace(
        config,
        test_symbols=(),
        trainer=replace(config.trainer, start_from=None, freeze="none"),
        scoring=scoring,
        instruments=replace(config.instruments, symbols=own),
        env=replace(
            config.env,
            episode=replace(config.env.episode, num_assets=None),
            risk=config.env.risk.for_symbols(unseen.symbols),
        ),
    )
