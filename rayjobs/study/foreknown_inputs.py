"""Which inputs of a study's policies rank a later return better than anything known at the close can."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data.array_types import FloatArray
from data.checks.foreknowledge import foreknown_values, foreknown_wicks
from data.checks.foreknown import Foreknown
from data.checks.leading_symbols import leading_symbols
from data.checks.membership import foreknown_members
from data.features.outputs import FeatureOutputs, feature_outputs
from data.known_columns import CLOSE, HIGH, LOW, OPEN, statements_of
from evaluation.scoring.late_bars import ASKED, VOLUME
from rayjobs.study.least_costs import is_synthetic
from rayjobs.study.study import Study

LOG = logging.getLogger(__name__)
BEYOND_A_DELAY = 2
"""Least lead that the gate refuses by: what ranks the next bar alone shows in what a delay by one bar takes."""


def foreknown_inputs(study: Study) -> tuple[Foreknown, ...]:
    """Suspects among what the policy reads: columns, volume, high, low and open, features, and the other symbols'
    closes; stated ones left out.

    Leads of two bars and more: a score that hangs on the next bar's return shows when its input is a bar late
    (`scoring.delayed_inputs`), one that hangs on next week's does not. A feature that looks dates up in a table of
    what happened moves with no bar that a leak check redraws, but what it ranks betrays it. Of a script, which reads no
    feature, only the universe by dates is asked, and none of a market that is drawn from a law.
    """
    if is_synthetic(study.config):
        return ()
    specs, panel, stated = study.config.features.enabled, study.panel, statements_of(study.config.data)
    members = foreknown_members(panel, stated)  # which decide what a script can hold, too
    if study.config.script is not None:
        return members
    groups = feature_outputs(panel, specs)
    any_own = any(group.own for group in groups)
    handed_on = {name for group in groups if group.columns for name in group.names}
    any_reader = any_own or bool(study.columns_read.readers)
    read = {name: values for name, values in panel.exogenous.items() if any_reader or name in handed_on}
    of_bars = ASKED if any_own else tuple(study.columns_read.of_bars)
    if VOLUME in of_bars:
        read[VOLUME] = panel.volume
    reads_wicks = any(name in of_bars for name in (OPEN, HIGH, LOW))
    led = () if CLOSE in stated else leading_symbols(panel)
    return (
        *members,
        *led,
        *foreknown_values(panel, read, stated, least_bars_ahead=BEYOND_A_DELAY, levels=handed_on),
        *(foreknown_wicks(panel, stated) if reads_wicks else ()),
        *foreknown_features(study, least_bars_ahead=BEYOND_A_DELAY),
        *_foreknown_built_in(study),
    )


def foreknown_features(study: Study, *, least_bars_ahead: int = 1) -> tuple[Foreknown, ...]:
    """Suspects among the features of the user's own."""
    if is_synthetic(study.config):
        return ()
    own = [group for group in feature_outputs(study.panel, study.config.features.enabled) if group.own]
    found = foreknown_values(
        study.panel,
        _values_of(study, own),
        statements_of(study.config.data),
        least_bars_ahead=least_bars_ahead,
    )
    return tuple(replace(one, kind="feature") for one in found)


def _foreknown_built_in(study: Study) -> tuple[Foreknown, ...]:
    """Suspects among the built-in features of symbols; what hands columns on is asked as columns."""
    groups = feature_outputs(study.panel, study.config.features.enabled)
    built_in = [group for group in groups if group.kind == "asset" and not (group.own or group.columns)]
    found = foreknown_values(
        study.panel,
        _values_of(study, built_in),
        statements_of(study.config.data),
        least_bars_ahead=BEYOND_A_DELAY,
        causal=True,
    )
    return tuple(replace(one, kind="feature") for one in found)


def _values_of(study: Study, groups: Sequence[FeatureOutputs]) -> dict[str, FloatArray]:
    """The outputs (T, A) of features by name; a clock's is the same for every symbol."""
    values = {}
    for group in groups:
        for name, place in zip(group.names, group.places):
            if group.kind == "asset":
                of_feature = study.features.asset[:, :, place]
            else:
                of_feature = np.repeat(study.features.clock[:, place, None], study.panel.num_assets, axis=1)
            values[name] = of_feature.astype(np.float64)
    return values


def warn_of_features(study: Study) -> None:
    """Log a line for each feature of the user's own under suspicion; columns are told of at loading."""
    for suspect in foreknown_features(study):
        LOG.warning("%s", suspect)
