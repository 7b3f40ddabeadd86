"""`windows=whole`: one policy on every bar that the data config asks for, with warm-up bars taken from before."""

from __future__ import annotations

import logging
from dataclasses import replace

from data.sources import Dataset, RecordedBars, SourceConfig, load
from evaluation.windows.splits import Fold
from rayjobs.config.typed_config import ConfigError
from rayjobs.study.fold_market import lookback_bars
from rayjobs.study.study import Study

LOG = logging.getLogger(__name__)
MIN_FITTED_BARS = 200
"""With fewer usable bars before the scored ones, no supervised baseline is fitted."""


def load_with_earlier(config: SourceConfig) -> tuple[Dataset, int]:
    """The bars of a config, with all that the source has before `start_utc`, and the first one that was asked for.

    Raises
    ------
    data.errors.DataError
        If the bars cannot be used, or the window lies outside them.
    """
    if not isinstance(config, RecordedBars) or config.start_utc is None:
        return load(config), 0
    dataset = load(replace(config, start_utc=None))
    return dataset, dataset.panel.bars_between(config.start_utc, None).start


def whole_window(study: Study, index: int, first_bar: int) -> tuple[Study, list[Fold]]:
    """The study, and one fold that tests on every bar from ``first_bar`` on at which features can be known.

    The fold's training window is of the bars before the scored ones, as far as there are any: the policy was not
    trained on it; it is where the supervised baselines are fitted. With too few bars they are left out.

    Parameters
    ----------
    index : of the policy's fold.
    first_bar : first bar that was asked for.

    Raises
    ------
    ConfigError
        If no bar is left after the features' lookback.
    """
    config, panel = study.config, study.panel
    lead = lookback_bars(study) + config.env.episode.warmup_bars + 1
    first = max(first_bar, lead)
    if first >= panel.num_bars:
        raise ConfigError(
            f"the data have {panel.num_bars} bars, no more than the features' lookback of {lead}; give more bars, or "
            "an earlier start"
        )
    labels = panel.bar_utc.astype("datetime64[s]")
    if first > first_bar + 1:  # nothing is ever decided for the very first bar
        LOG.warning(
            "the first %d bars fill the features' lookback and are not scored, for the source has too few bars before "
            "them: scoring starts at %sZ",
            first - first_bar,
            labels[first],
        )
    stop = max(first - config.walk_forward.gap_bars, 1)
    train = config.walk_forward.train_before(panel, stop)
    scoring = config.scoring
    usable = stop - scoring.supervised_fit.horizon_bars - max(train.start, lookback_bars(study))
    if scoring.supervised and usable < MIN_FITTED_BARS:
        LOG.warning(
            "the baselines %s are left out: %d bars with known features lie before the scored ones, and %d are needed "
            "to fit them; give data that begin earlier, and data.start_utc where scoring is to start",
            ", ".join(scoring.supervised),
            max(usable, 0),
            MIN_FITTED_BARS,
        )
        scoring = replace(scoring, supervised=())
    study = replace(study, config=replace(config, scoring=scoring))
    return study, [Fold(index=index, train=train, test=slice(first, panel.num_bars))]
