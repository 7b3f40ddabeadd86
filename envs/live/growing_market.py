"""A market that grows by one bar at a time: what a row at a venue knows, in the arrays that the kernel reads.

The bars to come are known by their instants and sessions alone (the calendar is published); their prices are written
when they have closed. Each row is made by `Market.build` of the bars so far, so it holds the very bits that it would
have in the market of a backtest.

Axes: T bars held and bars to come, A asset, F feature, C clock feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from data.calendars import BarGrid
from data.features.compute import FeatureSet, FeatureSpec, compute_features
from data.features.standardiser import Standardiser
from data.schema import BAR_COLUMNS, NEVER_ENDS, Panel
from envs.context import ContextConfig, elapsed_years, traded_bars
from envs.instruments import Instrument
from envs.market import PER_BAR, Market, calendar_columns, write_bounded

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ClosedBar:
    """A bar that has closed.

    Attributes
    ----------
    bar_utc : datetime64[ns], its opening instant.
    open, high, low, close, volume : (A,) float64; NaN prices where an asset has no bar, volume 0 there.
    tradable : (A,) bool, whether an order could be filled in it.
    exogenous : name -> (A,) float64, columns that are known at its close.
    """

    bar_utc: np.datetime64
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    tradable: NDArray[np.bool_]
    exogenous: Mapping[str, FloatArray] = field(default_factory=dict)

    @classmethod
    def of(cls, panel: Panel, t: int) -> ClosedBar:
        """Bar t of a panel."""
        return cls(
            bar_utc=panel.bar_utc[t],
            **{name: getattr(panel, name)[t] for name in BAR_COLUMNS},
            tradable=panel.tradable[t],
            exogenous={name: values[t] for name, values in panel.exogenous.items()},
        )


class LiveFeatures(Protocol):
    """Where the standardised features of a bar come from when it has closed."""

    @property
    def lookback_bars(self) -> int:
        """Bars before the last one that it must be handed."""

    def of_last_bar(self, panel: Panel) -> FeatureSet:
        """Features of the panel's last bar, standardised: asset (1, A, F), clock (1, C)."""


@dataclass(frozen=True, kw_only=True)
class WindowFeatures:
    """Features computed anew from the bars that they look back on: the bits of a whole batch, for each reads its own
    window alone.

    Parameters
    ----------
    specs : in the order of the feature axis. standardiser : of the policy's contract. lookback_bars : of all of them.
    """

    specs: Sequence[FeatureSpec]
    standardiser: Standardiser
    lookback_bars: int

    def __post_init__(self) -> None:
        refuse_whole_past(self.standardiser)

    def of_last_bar(self, panel: Panel) -> FeatureSet:
        features = compute_features(panel, self.specs)
        if not features.filtered:  # the last bar alone is needed; what a model filters needs those before it
            features = replace(features, asset=features.asset[-1:], clock=features.clock[-1:])
        ready = self.standardiser.transform(features)
        return replace(ready, asset=ready.asset[-1:], clock=ready.clock[-1:])


def refuse_whole_past(standardiser: Standardiser) -> None:
    """Raise ValueError where features are standardised by each symbol's whole past, which no live loop holds."""
    if standardiser.method == "own_past":
        raise ValueError(
            "the policy's features are standardised by each symbol's whole own past "
            "(features.standardise=own_past), which a window of bars does not hold; trade policies of by_symbol or "
            "pooled"
        )


class GrowingMarket:
    """A market of the bars that have closed, with room for those to come.

    Parameters
    ----------
    history : bars that have closed, more than features and context look back on.
    features : of the history, standardised.
    to_come : instants and sessions of the bars after it, in time order, of the same calendar.
    instruments, context : as `Market.build` takes them.
    live_features : computes those of each further bar.
    bars_per_session : median number of bars of a session in the market that the policy was trained in; None counts the
        history's.

    Attributes
    ----------
    market : what an env is built on; its rows are written as bars close.
    num_known : bars that have closed.

    Raises
    ------
    ValueError
        If the bars to come do not follow the history.
    """

    def __init__(
        self,
        history: Panel,
        features: FeatureSet,
        to_come: BarGrid,
        instruments: Mapping[str, Instrument],
        context: ContextConfig | None,
        live_features: LiveFeatures,
        *,
        bars_per_session: float | None = None,
    ) -> None:
        if len(to_come.bar_utc) and to_come.bar_utc[0] <= history.bar_utc[-1]:
            raise ValueError(
                f"the bars to come begin at {to_come.bar_utc[0]}, not after the history's last, {history.bar_utc[-1]}"
            )
        self._instruments, self._context, self._features = instruments, context, live_features
        self.num_known = history.num_bars
        self._held = _with_room(history, to_come)
        built = self._build(0, features, bars_per_session)
        self._bars_per_session = built.bars_per_session
        known = built.records
        assert known is not None
        self._records = np.zeros(self._held.num_bars, known.dtype)
        self._records[: len(known)] = known
        self._records["years"] = elapsed_years(self._held.panel(0, self._held.num_bars))
        self.market = _over(self._records, built, self._held)

    def panel(self, start: int = 0) -> Panel:
        """The bars [start, num_known) that have closed."""
        return self._held.panel(start, self.num_known)

    def session(self, bar: int) -> int:
        """Session of a bar, known or to come: days from 1970-01-01; that of the last one where the room ends."""
        return int(self._held.session[min(bar, self._held.num_bars - 1)])

    def append(self, bar: ClosedBar) -> None:
        """Write a bar that has just closed, and what is known of the next one before it opens.

        Raises
        ------
        ValueError
            If it is not the next bar of the calendar: a missing bar is handed in as one without prices, so that nothing
            is skipped in silence.
        """
        at = self.num_known
        if at >= self._held.num_bars:
            raise ValueError(
                f"there is no room for the bar of {bar.bar_utc}: make the market with more bars to come"
            )
        if bar.bar_utc != self._held.bar_utc[at]:
            raise ValueError(
                f"the bar of {bar.bar_utc} is not the next one, which opens at {self._held.bar_utc[at]}; hand "
                "in missing bars without prices"
            )
        self._held.write(at, bar)
        self.num_known = at + 1
        features = self._features.of_last_bar(self.panel(max(at - self._features.lookback_bars, 0)))
        write_bounded(features.asset, self._records["features"][at : at + 1])
        write_bounded(features.clock, self._records["clock"][at : at + 1])
        self._write_bars(at, features)

    def _write_bars(self, at: int, features: FeatureSet) -> None:
        """The prices of bar `at`, and of the next one what is known before it opens: from as few bars as give the bits
        of all."""
        for start in dict.fromkeys((self._tail(), 0)):
            empty = _no_features(self.num_known - start, features)
            built = self._build(start, empty, self._bars_per_session)
            rows = built.bars[at - start :]
            if start == 0 or not np.isnan(rows[-1]).any():
                break
        self._records["bars"][at : at + len(rows)] = rows

    def _build(self, start: int, features: FeatureSet, bars_per_session: float | None) -> Market:
        """The market of the known bars from `start` on, and of the next one, of which no price is known."""
        more = int(self.num_known < self._held.num_bars)
        return Market.build(
            self._held.panel(start, self.num_known + more),
            _with_unknown(features, more),
            self._instruments,
            self._context,
            bars_per_session=bars_per_session,
        )

    def _tail(self) -> int:
        """First of the bars on which the context of the last one depends; 0 where that cannot be told."""
        context = self._context
        longest = 0 if context is None else context.longest_bars
        if longest > LONGEST_EXACT:  # such means are summed in blocks, counted from the first bar
            return 0
        start = max(self.num_known - TAIL_FACTOR * (longest + 2), 0)
        traded = traded_bars(self.panel(start)).sum(axis=0)
        return start if (traded >= longest + 2).all() else 0


LONGEST_EXACT = 512
"""Bars up to which `envs.context.rolling_mean` sums each window by itself."""
TAIL_FACTOR = 3
"""Bars that are looked at, for each one that is needed, before the whole history is."""


class _Held:
    """Arrays of the bars that have closed, with room for those to come, of which instants and sessions are known."""

    def __init__(self, history: Panel, bar_utc: NDArray, session: NDArray[np.int32]) -> None:
        self.bar_utc, self.session, self.num_bars = bar_utc, session, len(bar_utc)
        self._history, shape = history, (len(bar_utc), history.num_assets)
        self._columns = {name: np.full(shape, np.nan) for name in (*BAR_COLUMNS, *history.exogenous)}
        self._columns["volume"][:] = 0.0
        self._tradable = np.zeros(shape, dtype=bool)
        for name in BAR_COLUMNS:
            self._columns[name][: history.num_bars] = getattr(history, name)
        for name, values in history.exogenous.items():
            self._columns[name][: history.num_bars] = values
        self._tradable[: history.num_bars] = history.tradable

    def write(self, at: int, bar: ClosedBar) -> None:
        for name in BAR_COLUMNS:
            self._columns[name][at] = getattr(bar, name)
        for name in self._history.exogenous:
            self._columns[name][at] = bar.exogenous[name]
        self._tradable[at] = bar.tradable

    def panel(self, start: int, stop: int) -> Panel:
        """Bars [start, stop) as a panel; copies. An asset ends where the history says, not where bars are to come."""
        part, history = slice(start, stop), self._history
        ends = history.end_bar
        arrays: dict[str, Any] = {name: self._columns[name][part].copy() for name in BAR_COLUMNS}
        return replace(
            history,
            bar_utc=self.bar_utc[part].copy(),
            session=self.session[part].copy(),
            **arrays,
            tradable=self._tradable[part].copy(),
            exogenous={name: self._columns[name][part].copy() for name in history.exogenous},
        ).with_ends(np.where(ends == NEVER_ENDS, NEVER_ENDS, ends - start))


def _with_room(history: Panel, to_come: BarGrid) -> _Held:
    return _Held(
        history,
        np.concatenate([history.bar_utc, to_come.bar_utc]),
        np.concatenate([history.session, to_come.session]).astype(np.int32),
    )


def _with_unknown(features: FeatureSet, rows: int) -> FeatureSet:
    """The features and so many rows of which nothing is known."""
    asset, clock = (
        np.concatenate([values, np.zeros((rows, *values.shape[1:]), values.dtype)])
        for values in (features.asset, features.clock)
    )
    return replace(features, asset=asset, clock=clock)


def _no_features(num_bars: int, features: FeatureSet) -> FeatureSet:
    """Zeros in place of features, which are written apart."""
    return replace(
        features,
        asset=np.zeros((num_bars, *features.asset.shape[1:]), np.float32),
        clock=np.zeros((num_bars, *features.clock.shape[1:]), np.float32),
    )


def _over(records: NDArray[np.void], built: Market, held: _Held) -> Market:
    """The market whose arrays are views of `records`, which go on being written."""
    market = object.__new__(Market)
    state = {name: value for name, value in built.__dict__.items() if name not in PER_BAR}
    state |= {"bar_utc": held.bar_utc, "calendar": calendar_columns(held.session), "records": records}
    market.__setstate__(state)
    return market
