"""Bars whose open, high, low or volume is a bar late, and what a policy sees that reads them.

Built-in features are functions of the bars, so what one of them foreknows stands in a column of the bars. Several that
read the same column say the same, and hide each other where they are late one at a time; all of them late at once
would take an honest edge of a few bars as well. So it is the column that is late, and every feature that reads it is
computed from the late one, while closes stay as they are: whoever trades on prices loses next to nothing.

What is late is what the column adds to the closes, so that a bar stays a bar: the gap from the last close to the open,
how far high and low reach beyond open and close, the volume. The first bar of a session takes what the first bar of the
session before added, the others what the bar before them did. A volume that stands for a session, or a week, on every
bar of it is late by as long, see `scoring.standing_values`. Axes: T time, N bars, A asset, F feature.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray
from data.equal_runs import begins_run
from data.features import FeatureSet, FeatureSpec, Standardiser, compute_features
from data.features.outputs import feature_outputs, longest_lookback
from data.known_columns import HIGH, LOW, OPEN
from data.last_known import known_before
from data.schema import Panel
from envs.market import write_bounded
from evaluation.scoring.standing_values import SESSION, late_by, longest, period_starts, standing_for

Float32Array = NDArray[np.float32]
VOLUME = "volume"
ASKED = (OPEN, HIGH, LOW, VOLUME)
"""Columns of the bars that may foreknow; closes are what is earned."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LateBars:
    """What features say where columns of the bars are late. names : of these columns. places : of the features on the
    feature axis. values : (N, A, len(places)), standardised and bounded as the policy sees them. periods : by which
    what stands so long is late."""

    names: tuple[str, ...]
    places: tuple[int, ...]
    values: Float32Array
    periods: tuple[str, ...] = ()


def late_bars(panel: Panel, names: Collection[str], volume_period: str | None = None) -> Panel:
    """The panel with these columns (of `ASKED`) a bar late.

    Parameters
    ----------
    volume_period : for which the volume stands, and by which it is late; None for a bar.

    Rows that have no bar of their kind before them stay as they are, and so do missing bars, and prices at zero and
    below, which have no ratio.
    """
    first_T = begins_run(panel.session)
    closes, opened, high, low, volume = panel.close, panel.open, panel.high, panel.low, panel.volume
    if OPEN in names:
        before = np.vstack([np.full((1, panel.num_assets), np.nan), panel.last_close()[:-1]])
        gap = _late(_logs(panel.open) - _logs(before), first_T)
        opened = np.where(np.isfinite(gap), before * np.exp(gap), opened)
    top, bottom = np.maximum(opened, closes), np.minimum(opened, closes)
    if HIGH in names:
        reach = _late(_logs(high) - _logs(np.maximum(panel.open, closes)), first_T)
        high = np.where(np.isfinite(reach), top * np.exp(reach), high)
    if LOW in names:
        reach = _late(_logs(np.minimum(panel.open, closes)) - _logs(low), first_T)
        low = np.where(np.isfinite(reach), bottom * np.exp(-reach), low)
    if VOLUME in names:
        volume = np.nan_to_num(_late(_known_volume(panel), first_T), nan=0.0)
        if volume_period is not None:
            starts_T = period_starts(panel.session, panel.bar_utc)[volume_period]
            volume = np.nan_to_num(_last_before(_known_volume(panel), starts_T), nan=0.0)
    known = np.isfinite(closes)
    return replace(
        panel,
        open=np.where(known, opened, np.nan),
        high=np.where(known, np.maximum(high, top), np.nan),
        low=np.where(known, np.minimum(low, bottom), np.nan),
        volume=np.where(known, volume, panel.volume),
    ).with_ends(panel.end_bar)


def _logs(prices: FloatArray) -> FloatArray:
    """Logarithms; NaN where there is none."""
    return np.log(np.where(prices > 0.0, prices, np.nan))


def _late(values_TA: FloatArray, first_T: BoolArray) -> FloatArray:
    """Each known value replaced by the last known one before it of the same kind: first of a session, or not."""
    late = values_TA.copy()
    for rows in (np.flatnonzero(first_T), np.flatnonzero(~first_T)):
        if len(rows) < 2:
            continue
        part = values_TA[rows]
        before = known_before(part)
        late[rows] = np.where(np.isfinite(part) & np.isfinite(before), before, part)
    return late


def _known_volume(panel: Panel) -> FloatArray:
    return np.where(np.isfinite(panel.close), panel.volume, np.nan)


def _last_before(values_TA: FloatArray, starts_T: BoolArray) -> FloatArray:
    """(T, A) the last known value of the periods before, what is unknown there as it is."""
    before = np.where(np.isfinite(values_TA), values_TA, known_before(values_TA))[late_by(starts_T)]
    return np.where(np.isfinite(before), before, values_TA)


def late_bar_features(
    panel: Panel,
    specs: Sequence[FeatureSpec],
    readers: Mapping[str, tuple[int, ...]],
    standardiser: Standardiser,
    bars: slice,
    *,
    stated: Collection[str] = (),
) -> list[LateBars]:
    """Each column that built-in features read late by itself, and all that are not stated together.

    Parameters
    ----------
    readers : column -> numbers of the features that read it, see `columns_read.ColumnsRead`.
    bars : at whose closes the policy decides. stated : columns of which the user states when they are known.
    """
    if not readers:
        return []
    starts = period_starts(panel.session, panel.bar_utc)
    period = standing_for(_known_volume(panel), starts) if VOLUME in readers else None
    # The first bar of a session takes that of the last.
    lead = longest_lookback(specs) + max(longest(starts[each]) for each in (SESSION, period or SESSION)) + 1
    start = 0 if standardiser.method == "own_past" else max(bars.start - lead, 0)
    part = panel.slice_bars(start, bars.stop)
    known = compute_features(part, specs)
    together = tuple(name for name in readers if name not in stated)
    asked = [(name,) for name in readers] + ([together] if len(together) > 1 else [])
    return [
        _computed_late(part, specs, known, names, readers, standardiser, bars.start - start, period)
        for names in asked
    ]


def _computed_late(
    part: Panel,
    specs: Sequence[FeatureSpec],
    known: FeatureSet,
    names: tuple[str, ...],
    readers: Mapping[str, tuple[int, ...]],
    standardiser: Standardiser,
    skipped: int,
    volume_period: str | None,
) -> LateBars:
    """The features that read one of these columns, from the bar `skipped` of a part of the panel on."""
    numbers = sorted({number for name in names for number in readers[name]})
    groups = feature_outputs(part, specs)
    places = [place for number in numbers for place in groups[number].places]
    asset = known.asset.copy()
    asset[..., places] = compute_features(
        late_bars(part, names, volume_period), [specs[n] for n in numbers]
    ).asset
    features = standardiser.transform(replace(known, asset=asset)).asset[..., places]
    bounded = np.empty(features.shape, dtype=np.float32)
    write_bounded(features, bounded)
    periods = (volume_period,) if volume_period is not None and VOLUME in names else ()
    return LateBars(names=names, places=tuple(places), values=bounded[skipped:], periods=periods)
