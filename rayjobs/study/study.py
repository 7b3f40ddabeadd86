"""What all folds of a study share: its configuration, its bars, and what was computed from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from data.checks.bar_spread import half_spreads_bps
from data.features import FeatureSet, compute_features
from data.schema import Panel
from data.sources import Dataset
from data.taken_out import TakenOut
from evaluation.scoring.columns_read import ColumnsRead
from policies.actor_network import for_symbols
from rayjobs.study.config import TrainConfig
from rayjobs.study.held_out import parted, unseen_config
from rayjobs.study.least_costs import is_synthetic
from rayjobs.study.warm_start import StartPolicy, start_policies


@dataclass(frozen=True, kw_only=True)
class Study:
    """What all folds share; lies once in the object store.

    Parameters
    ----------
    config : the whole job.
    panel, features : the bars, and what was computed from them (not standardised).
    oracle_direction : (T, A) best position decided at each close, of a synthetic market; else None.
    selection : bars on which a search chose this configuration: its policies have seen them too.
    context : bars of the symbols that are read and not traded, a panel each; `panel` has them as columns.
    unseen : the same bars of the symbols that no policy is trained on (``data.test_symbols``); None without any.
    starts : policies whose weights trainings may begin with (``trainer.start_from``).
    taken_out : rows of the source that are no bars for what they hold (`data.taken_out`).
    """

    config: TrainConfig
    panel: Panel
    features: FeatureSet
    oracle_direction: NDArray[np.int8] | None
    selection: tuple[slice, ...] = ()
    context: tuple[Panel, ...] = ()
    unseen: Study | None = None
    starts: tuple[StartPolicy, ...] = ()
    taken_out: tuple[TakenOut, ...] = ()

    @classmethod
    def of(cls, config: TrainConfig, dataset: Dataset) -> Study:
        """The study on bars that were loaded, its features computed from them.

        Symbols that are held out make a study of their own: no feature of the others reads a bar of theirs. The bars'
        fingerprint is taken before a feature sees them, for one of the user's own may write into them
        (`rayjobs.study.changed_bars`).
        """
        seen, unseen = parted(dataset, config.test_symbols)
        _ = seen.panel.fingerprint
        for_symbols(config.policy, seen.panel.symbols)  # refuses actors for symbols that are not there
        return cls(
            config=config.without_symbols(config.test_symbols),
            panel=seen.panel,
            features=compute_features(seen.panel, config.features.enabled),
            oracle_direction=seen.oracle_direction,
            starts=() if config.script is not None else start_policies(config.trainer.start_from),
            context=dataset.context,
            taken_out=seen.hygiene.taken_out,
            unseen=None if unseen is None else cls.of(unseen_config(config, unseen.panel), unseen),
        )

    @cached_property
    def columns_read(self) -> ColumnsRead:
        """What the features read beside closes, which no fold changes."""
        return ColumnsRead.of(self.panel, self.config.features.enabled)

    @cached_property
    def half_spreads(self) -> dict[str, float]:
        """Symbol -> half spread that its bars show, basis points (`data.checks.bar_spread`); none of made markets."""
        if is_synthetic(self.config):
            return {}
        return dict(zip(self.panel.symbols, half_spreads_bps(self.panel).tolist(), strict=True))

    @property
    def shown_panel(self) -> Panel:
        """The bars of every symbol that a number is shown of, those held out of training included."""
        return self.panel if self.unseen is None else self.panel.beside(self.unseen.panel)
