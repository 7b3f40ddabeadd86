"""Which features read which columns: tried on the last bars of the data, so that it is the same for every fold.

T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.equal_runs import begins_run
from data.features import FeatureSpec, compute_features
from data.features.outputs import feature_outputs, longest_lookback
from data.schema import Panel
from evaluation.scoring.late_bars import ASKED, late_bars
from evaluation.scoring.standing_values import SESSION, late_by, period_starts, standing_for, stands

BARS_TRIED = 2_000
"""The last bars of the data, on which it is tried which features read a column."""


@dataclass(frozen=True, kw_only=True)
class ColumnsRead:
    """What the features of a study read beside the closes.

    Attributes
    ----------
    readers : features that read exogenous columns, but for those that hand columns on.
    of_bars : column of the bars (`late_bars.ASKED`) -> numbers of the built-in features of symbols that read it.
    """

    readers: tuple[FeatureSpec, ...]
    of_bars: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, panel: Panel, specs: Sequence[FeatureSpec]) -> ColumnsRead:
        return cls(readers=column_readers(panel, specs), of_bars=columns_read(panel, specs))


def column_readers(panel: Panel, specs: Sequence[FeatureSpec]) -> tuple[FeatureSpec, ...]:
    """The features, but for those that hand columns on, that read exogenous columns: those that change with them."""
    asked = [spec for spec in specs if spec.name != "column"]
    if not panel.exogenous or not asked:
        return ()
    part = panel.slice_bars(max(panel.num_bars - longest_lookback(asked) - BARS_TRIED, 0), panel.num_bars)
    late = replace(part, exogenous={name: one_late(values) for name, values in part.exogenous.items()})
    as_known, as_late = compute_features(part, asked), compute_features(late, asked)
    found = []
    for spec, group in zip(asked, feature_outputs(part, asked)):
        now, then = getattr(as_known, group.kind), getattr(as_late, group.kind)
        if not np.array_equal(now[..., list(group.places)], then[..., list(group.places)], equal_nan=True):
            found.append(spec)
    return tuple(found)


def columns_read(panel: Panel, specs: Sequence[FeatureSpec]) -> dict[str, tuple[int, ...]]:
    """Column of `ASKED` -> numbers of the built-in features of symbols that change with it; others are left out.

    It is tried on the last bars of the panel, so that it is the same for every fold. Features of the user's own are
    held back whole, whatever they read.
    """
    groups = feature_outputs(panel, specs)
    built_in = [
        number
        for number, group in enumerate(groups)
        if group.kind == "asset" and not (group.own or group.columns)
    ]
    asked = [specs[number] for number in built_in]
    if not asked:
        return {}
    part = panel.slice_bars(max(panel.num_bars - longest_lookback(asked) - BARS_TRIED, 0), panel.num_bars)
    known, places = compute_features(part, asked).asset, [g.places for g in feature_outputs(part, asked)]

    def readers(*names: str) -> tuple[int, ...]:
        late = compute_features(late_bars(part, names), asked).asset
        return tuple(
            number
            for number, at in zip(built_in, places)
            if not np.array_equal(known[..., list(at)], late[..., list(at)], equal_nan=True)
        )

    if not readers(*ASKED):
        return {}
    found = {name: readers(name) for name in ASKED}
    return {name: numbers for name, numbers in found.items() if numbers}


def one_late(values: FloatArray) -> FloatArray:
    """(T, A) values a row later; the first row stays, so that a feature meets nothing that it does not know."""
    return np.concatenate([values[:1], values[:-1]])


def changes_by_session(values: NDArray[Any], starts_T: NDArray[np.bool_]) -> bool:
    """Whether (T, ...) values stand within sessions, some of which have several bars, and change at all."""
    return stands(values, starts_T)


def late_by_a_value(
    values: FloatArray, session_T: NDArray[np.int32], bar_utc_T: NDArray[np.datetime64] | None = None
) -> FloatArray:
    """(T, A) values a row later; those that stand for a period as long as that: a row takes nothing of them.

    Parameters
    ----------
    bar_utc_T : labels, by which weeks and hours are asked for as well.
    """
    starts = {SESSION: begins_run(session_T)} if bar_utc_T is None else period_starts(session_T, bar_utc_T)
    period = standing_for(values, starts)
    return one_late(values) if period is None else values[late_by(starts[period])]
