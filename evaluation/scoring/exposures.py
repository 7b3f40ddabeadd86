"""What a trained policy looks at, one input at a time: the columns and features that can be held back by a bar.

Built-in clock features are left out: the published calendar is known years ahead. Built-in asset features are functions
of the bars alone, but for those that read exogenous columns, such as the bars of a context symbol. Columns, what reads
them and the user's own features come from outside; beside each alone those that are like each other are late together,
because what two columns say twice is not missed when one of them is late, and all of them, because what is spread over
several columns is not missed either. So it is with the columns of the bars themselves (`scoring.late_bars`): each of
open, high, low and volume, all of them, and these with all that comes from outside.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from data.array_types import FloatArray
from data.features import FeatureSpec, Standardiser, compute_features
from data.features.outputs import FeatureOutputs, feature_outputs, longest_lookback
from data.schema import Panel
from envs.market import Market, write_bounded
from evaluation.scoring.columns_read import ColumnsRead, late_by_a_value
from evaluation.scoring.late_bars import LateBars, late_bar_features
from evaluation.scoring.standing_values import longest, period_starts, standing_for

Float32Array = NDArray[np.float32]
MIN_CORRELATION = 0.1
"""Of two inputs that may say the same; noisy copies of one thing have one, too."""
CHANCE_SPREADS = 4.0
"""Standard deviations of the correlation of independent numbers, above which a link is no chance in short windows."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Exposure:
    """One input, and what the policy sees when it is a bar late.

    Attributes
    ----------
    names : of the columns or features; more than one where several are late together.
    asset, clock : places on the two feature axes whose values are those of the bar before.
    by_session : but of what stands for a session, a week or an hour those of the one before. Not of features that are
        functions of the bars: those cannot know their day's end, and what they say of the day before is worth something
        today.
    periods : for which the column stands that the recomputed features read, and by which it is late; none for a bar.
    recomputed : (N, A, F) asset features of the bars from `first_bar` on, computed from the late column; None where no
        feature reads it.
    replaced : places on the asset axis of these features; None for all of them.
    """

    names: tuple[str, ...]
    asset: tuple[int, ...] = ()
    clock: tuple[int, ...] = ()
    recomputed: Float32Array | None = None
    first_bar: int = 0
    replaced: tuple[int, ...] | None = None
    by_session: bool = False
    periods: tuple[str, ...] = ()


def exposures(
    panel: Panel,
    specs: Sequence[FeatureSpec],
    standardiser: Standardiser,
    market: Market,
    bars: slice,
    *,
    stated: Collection[str] = (),
    read: ColumnsRead | None = None,
) -> tuple[Exposure, ...]:
    """Every input of a policy that reads these features.

    Parameters
    ----------
    panel, specs, standardiser : the bars, the features, and how the policy's features were standardised.
    market : with those features.
    bars : at whose closes it decides.
    stated : names of which the user states when they are known; they are late alone only.
    read : what the features read, which is the same for all windows of a panel; None tries it out.
    """
    groups = feature_outputs(panel, specs)
    handed_on = {name: place for g in groups if g.columns for name, place in zip(g.names, g.places)}
    own = [group for group in groups if group.own]
    read = ColumnsRead.of(panel, specs) if read is None else read
    readers = read.readers
    late = _recomputed(panel, specs, readers, standardiser, bars) if readers else {}
    starts = period_starts(panel.session, panel.bar_utc)
    found = [
        Exposure(
            names=(name,),
            asset=(handed_on[name],) if name in handed_on else (),
            recomputed=late.get(name),
            first_bar=bars.start,
            by_session=True,
            periods=_period_of(panel.exogenous[name], starts) if name in late else (),
        )
        for name in panel.exogenous
        if name in handed_on or name in late
    ]
    found += [
        _of_group(group) for group in groups if not group.columns and (group.own or group.kind == "asset")
    ]
    places: dict[str, tuple[int, ...]] = {name: (place,) for name, place in handed_on.items()}
    reading = {group.name for spec, group in zip(specs, groups) if spec in readers}
    from_outside = [group for group in groups if group.own or group.name in reading]
    places |= {group.name: group.places for group in from_outside if group.kind == "asset"}
    outside = {name: at for name, at in places.items() if name not in stated}
    alike = _alike(outside, market.features[bars])
    clocks = {g.name: g.places for g in own if g.kind == "clock" and g.name not in stated}
    everything = (*outside, *clocks)
    for names in alike:
        found.append(
            Exposure(names=names, asset=tuple(p for name in names for p in outside[name]), by_session=True)
        )
    all_late = Exposure(
        names=everything,
        asset=tuple(p for places_of in outside.values() for p in places_of),
        clock=tuple(p for places_of in clocks.values() for p in places_of),
        by_session=True,
    )
    if len(everything) > 1 and everything not in alike:
        found.append(all_late)
    own_bars = late_bar_features(panel, specs, read.of_bars, standardiser, bars, stated=stated)
    found += [_of_bars(late, bars.start) for late in own_bars]
    together = [late for late in own_bars if not set(late.names) & set(stated)]
    if everything and together:
        of_bars = _of_bars(together[-1], bars.start)
        found.append(
            replace(
                of_bars,
                names=(*everything, *of_bars.names),
                asset=all_late.asset,
                clock=all_late.clock,
                by_session=True,
            )
        )
    return tuple(found)


def _of_bars(late: LateBars, first_bar: int) -> Exposure:
    return Exposure(
        names=late.names,
        recomputed=late.values,
        first_bar=first_bar,
        replaced=late.places,
        periods=late.periods,
    )


def _period_of(values: FloatArray, starts: dict[str, NDArray[np.bool_]]) -> tuple[str, ...]:
    period = standing_for(values, starts)
    return () if period is None else (period,)


def _alike(places: Mapping[str, tuple[int, ...]], features: Float32Array) -> list[tuple[str, ...]]:
    """Groups of two and more inputs, each correlated with another of its group.

    Parameters
    ----------
    places : name -> places on the feature axis. features : (N, A, F), standardised.
    """
    names = list(places)
    if len(names) < 2:
        return []
    flat = features.reshape(-1, features.shape[2]).astype(np.float64)
    deviation = flat - flat.mean(axis=0)
    spread = np.sqrt((deviation**2).mean(axis=0))
    scaled = deviation / np.where(spread > 0.0, spread, np.inf)
    correlation_FF = np.abs(scaled.T @ scaled) / len(scaled)
    limit = max(MIN_CORRELATION, CHANCE_SPREADS / np.sqrt(len(features)))
    linked = np.array(
        [[correlation_FF[np.ix_(places[a], places[b])].max() > limit for b in names] for a in names]
    )
    groups = connected_components(linked, directed=False)[1]
    members = [tuple(name for name, of in zip(names, groups) if of == group) for group in np.unique(groups)]
    return [group for group in members if len(group) > 1]


def _of_group(group: FeatureOutputs) -> Exposure:
    if group.kind == "asset":
        return Exposure(names=(group.name,), asset=group.places, by_session=group.own)
    return Exposure(names=(group.name,), clock=group.places, by_session=group.own)


def _recomputed(
    panel: Panel,
    specs: Sequence[FeatureSpec],
    readers: Sequence[FeatureSpec],
    standardiser: Standardiser,
    bars: slice,
) -> dict[str, Float32Array]:
    """Column -> features computed from it a bar late, for the columns that these features read."""
    # What stands for a session, or a week, takes that of the one before.
    ahead = max(longest(starts_T) for starts_T in period_starts(panel.session, panel.bar_utc).values())
    start = max(bars.start - longest_lookback(specs) - ahead - 1, 0)
    if standardiser.method == "own_past":  # which reads every bar from the first on
        start = 0
    part = panel.slice_bars(start, bars.stop)
    as_known = compute_features(part, readers).asset
    found = {}
    for name, values in part.exogenous.items():
        moved = replace(
            part, exogenous={**part.exogenous, name: late_by_a_value(values, part.session, part.bar_utc)}
        )
        if np.array_equal(compute_features(moved, readers).asset, as_known, equal_nan=True):
            continue
        features = standardiser.transform(compute_features(moved, specs)).asset
        bounded = np.empty(features.shape, dtype=np.float32)
        write_bounded(features, bounded)
        found[name] = bounded[bars.start - start :]
    return found
