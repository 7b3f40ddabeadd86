"""The market as the kernel reads it: bars, features, clock and instruments in contiguous arrays, built once.

Axes: T time, S symbol, F feature, C clock feature, K column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.equal_runs import run_starts
from data.features.compute import FeatureSet
from data.last_known import carried
from data.schema import NEVER_ENDS, Panel
from data.traded_prices import traded_prices
from envs.context import ContextConfig, elapsed_years, num_bar_columns, write_context
from envs.instruments import Instrument, instrument_columns
from envs.kernel import columns as c
from envs.observations import FEATURE_CLIP

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]


PER_BAR = ("bars", "years", "clock", "features")
"""Fields of a market that lie side by side in memory, in this order, for each bar."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Market:
    """Immutable arrays of one market; NumPy arrays in few pieces, so that an object store shares them without a copy.

    Attributes
    ----------
    symbols : S names. bar_utc : (T,) datetime64[ns], opening instants. bar_seconds, periods_per_year : of the bar grid.
    bars_per_session : median number of bars of a session.
    bars : (T, S, K) float64, columns open, high, low, mark, volume, tradable (1.0 or 0.0). `mark` is the last known
        close; a missing bar repeats the mark in all four prices; before the first known close they are 0. All are as
        traded (`data.traded_prices`). Then what is known before the bar opens: last mark, last tradable; when built
        with context also funding of the bar and split, atr, volatility, adv of the bar before; NaN in the last three
        is unknown, all 0 is not kept; whether it is in the universe; then of the bar itself the open of a contract that
        is left (`c.ROLL`) and, where the panel has the column, its dividend. Last mark and last tradable are always
        derived from the others.
    features : (T, S, F) float32, standardised, NaN replaced by 0, clipped to +-FEATURE_CLIP.
    clock : (T, C) float32.
    calendar : (T, 3) int32, session number, bars since its first and until its last bar.
    years : (T,) float64, time since the bar before.
    instrument : (S, K) float64, columns in envs.kernel.columns.
    asset_names, clock_names : names of features and clock columns.
    first_bar : first bar whose observation has all features (lookback).
    feature_hash, fingerprint : of the feature set and the panel.
    """

    symbols: tuple[str, ...]
    bar_utc: NDArray[np.datetime64]
    bar_seconds: int
    periods_per_year: float
    bars_per_session: float
    bars: FloatArray
    features: Float32Array
    clock: Float32Array
    calendar: NDArray[np.int32]
    years: FloatArray
    instrument: FloatArray
    asset_names: tuple[str, ...]
    clock_names: tuple[str, ...]
    first_bar: int
    feature_hash: str
    fingerprint: str

    def __post_init__(self) -> None:
        records = self.records
        if records is None:
            T, S, K = self.bars.shape
            records = allocate_records(T, S, K, self.features.shape[2], self.clock.shape[1])
            for name in PER_BAR:
                records[name] = getattr(self, name)
            write_last(records["bars"])
        self.__setstate__({**self.__dict__, "records": records})

    def until(self, stop_bar: int) -> Market:
        """This market without the bars from `stop_bar` on, in memory of its own: no array of it leads to a later bar.

        Parameters
        ----------
        stop_bar : first bar that is left out, 1 to T.
        """
        if not 1 <= stop_bar <= self.num_bars:
            raise ValueError(f"stop_bar is {stop_bar}; the market has {self.num_bars} bars")
        if stop_bar == self.num_bars:
            return self
        own = {name: getattr(self, name)[:stop_bar].copy() for name in ("calendar", "bar_utc")}
        records = self.records
        assert records is not None
        cut = object.__new__(Market)
        cut.__setstate__({**self.__dict__, **own, "records": records[:stop_bar].copy()})
        return cut

    def __getstate__(self) -> dict[str, Any]:
        rest = {name: value for name, value in self.__dict__.items() if name not in PER_BAR}
        return {**rest, "records": self.records}

    def __setstate__(self, state: dict[str, Any]) -> None:
        records = state["records"].view()
        parts = {name: value for name, value in state.items() if name != "records"}
        arrays = {
            name: np.ascontiguousarray(v).view() for name, v in parts.items() if isinstance(v, np.ndarray)
        }
        arrays |= {name: records[name] for name in PER_BAR}
        for array in (records, *arrays.values()):
            array.flags.writeable = False
        self.__dict__.update(parts | arrays)

    @property
    def records(self) -> NDArray[np.void] | None:
        """(T,) what belongs to a bar side by side in memory, of which `PER_BAR` are views."""
        for base in _bases(self.bars):
            if base.dtype.names == PER_BAR:
                same = (_place(getattr(self, name)) == _place(base[name]) for name in PER_BAR)
                return base if all(same) else None
        return None

    @property
    def num_bars(self) -> int:
        """T."""
        return len(self.bars)

    @property
    def num_symbols(self) -> int:
        """S."""
        return len(self.symbols)

    @property
    def has_context(self) -> bool:
        """True if the market was built with context columns."""
        return self.bars.shape[2] > c.FUNDING

    @property
    def has_dividends(self) -> bool:
        """True if bars say what is paid on a unit that is held into them."""
        return self.bars.shape[2] > c.DIVIDEND

    def keeps(self, column: int) -> bool:
        """True if the market was built with this window: c.ATR, c.VOLATILITY or c.ADV."""
        there = self.bars.shape[2] > column
        return there and bool(np.isnan(self.bars[0, :, column]).all())

    @property
    def open(self) -> FloatArray:
        """(T, S) view."""
        return self.bars[..., c.OPEN]

    @property
    def high(self) -> FloatArray:
        """(T, S) view."""
        return self.bars[..., c.HIGH]

    @property
    def low(self) -> FloatArray:
        """(T, S) view."""
        return self.bars[..., c.LOW]

    @property
    def mark(self) -> FloatArray:
        """(T, S) view, last known close."""
        return self.bars[..., c.MARK]

    @property
    def volume(self) -> FloatArray:
        """(T, S) view, units."""
        return self.bars[..., c.VOLUME]

    @property
    def tradable(self) -> NDArray[np.bool_]:
        """(T, S) bool."""
        return self.bars[..., c.TRADABLE] > 0

    @property
    def session(self) -> NDArray[np.int32]:
        """(T,) view, session numbers."""
        return self.calendar[:, c.SESSION]

    @classmethod
    def build(
        cls,
        panel: Panel,
        features: FeatureSet,
        instruments: Mapping[str, Instrument],
        context: ContextConfig | None = None,
        *,
        bars_per_session: float | None = None,
    ) -> Market:
        """Assemble the market of a panel, its standardised features and one instrument per symbol.

        `context` is needed by ATR and volatility sizing, ATR barriers, impact, funding, dividends and split-adjusted
        fees.
        `bars_per_session` is the panel's median where it is not given, as that of a longer panel.
        """
        if features.asset.shape[:2] != (panel.num_bars, panel.num_assets):
            raise ValueError(
                f"features are for {features.asset.shape[:2]} (bars, assets) but the panel has "
                f"{(panel.num_bars, panel.num_assets)}; compute them from this panel"
            )
        records = allocate_records(
            panel.num_bars,
            panel.num_assets,
            num_bar_columns(panel, context),
            features.asset.shape[2],
            features.clock.shape[1],
        )
        write_prices(records["bars"], panel)
        write_bounded(features.asset, records["features"])
        write_bounded(features.clock, records["clock"])
        records["years"] = elapsed_years(panel)
        if bars_per_session is None:
            bars_per_session = float(np.median(np.unique(panel.session, return_counts=True)[1]))
        instrument = instrument_columns(instruments, panel.symbols)
        _set_ends(instrument, panel, instruments)
        if context is not None:
            write_context(records["bars"], panel, instruments, context, bars_per_session)
        lookback = max(features.lookback_bars, 0 if context is None else context.lookback_bars)
        return cls(
            symbols=panel.symbols,
            bar_utc=panel.bar_utc,
            bar_seconds=panel.bar_seconds,
            periods_per_year=float(panel.periods_per_year),
            bars_per_session=bars_per_session,
            calendar=calendar_columns(panel.session),
            instrument=instrument,
            **{name: records[name] for name in PER_BAR},
            asset_names=tuple(features.asset_names),
            clock_names=tuple(features.clock_names),
            first_bar=int(lookback),
            feature_hash=features.feature_hash,
            fingerprint=panel.fingerprint,
        )


def _bases(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The arrays that `array` is a view of."""
    base = array.base
    while isinstance(base, np.ndarray):
        yield base
        base = base.base


def _place(array: NDArray[Any]) -> tuple[Any, ...]:
    return array.__array_interface__["data"][0], array.shape, array.strides


def allocate_records(
    num_bars: int, num_symbols: int, num_columns: int, num_features: int, num_clock: int
) -> NDArray[np.void]:
    """Zeroed records of T bars. A step reads two neighbouring ones: few pages of memory, whatever the market has."""
    fields = [
        ("bars", np.float64, (num_symbols, num_columns)),
        ("years", np.float64),
        ("clock", np.float32, (num_clock,)),
        ("features", np.float32, (num_symbols, num_features)),
    ]
    return np.zeros(num_bars, np.dtype(fields, align=True))


def write_bounded(features: Float32Array, out: Float32Array) -> None:
    """Write features with NaN as 0 and clipped to +-FEATURE_CLIP."""
    out[...] = features
    np.nan_to_num(out, copy=False, nan=0.0, posinf=FEATURE_CLIP, neginf=-FEATURE_CLIP)
    np.clip(out, -FEATURE_CLIP, FEATURE_CLIP, out=out)


def write_prices(bars: FloatArray, panel: Panel) -> None:
    """Fill the price columns of the kernel's bars (T, S, K), at the prices that were traded at.

    A bar without prices repeats the last known close.
    """
    traded = traded_prices(panel)
    mark = np.nan_to_num(carried(traded["close"]), nan=0.0)
    for column, name in ((c.OPEN, "open"), (c.HIGH, "high"), (c.LOW, "low")):
        prices = traded[name]
        bars[..., column] = np.where(np.isfinite(prices), prices, mark)
    bars[..., c.MARK] = mark
    bars[..., c.VOLUME] = np.nan_to_num(panel.volume, nan=0.0)
    bars[..., c.TRADABLE] = panel.tradable & np.isfinite(panel.open) & np.isfinite(panel.close)
    write_last(bars)


def write_last(bars: FloatArray) -> None:
    """Fill the columns of (T, S, K) that repeat the bar before; 0 before the first."""
    bars[0, :, [c.LAST_MARK, c.LAST_TRADABLE]] = 0.0
    bars[1:, :, [c.LAST_MARK, c.LAST_TRADABLE]] = bars[:-1, :, [c.MARK, c.TRADABLE]]


def calendar_columns(session: NDArray[np.int32]) -> NDArray[np.int32]:
    """Session number, bars since the session's first bar and until its last one in the panel. (T, 3) int32."""
    starts = run_starts(session)
    lengths = np.diff(starts, append=len(session))
    number = np.repeat(np.arange(len(starts)), lengths)
    since = np.arange(len(session)) - starts[number]
    left = lengths[number] - 1 - since
    return np.stack([number, since, left], axis=1).astype(np.int32)


def _set_ends(instrument: FloatArray, panel: Panel, instruments: Mapping[str, Instrument]) -> None:
    """Write from which bar on each symbol trades no more, and which was its last one if its bars end."""
    for s, symbol in enumerate(panel.symbols):
        delisted, end = instruments[symbol].delisted_utc, panel.end_bar[s]
        if delisted is not None:
            instant = np.datetime64(delisted.removesuffix("Z"), "ns")
            instrument[s, c.DELIST_BAR] = float(np.searchsorted(panel.bar_utc, instant))
        if end != NEVER_ENDS and end <= instrument[s, c.DELIST_BAR]:
            instrument[s, c.DELIST_BAR], instrument[s, c.LAST_BAR] = float(end), float(end - 1)
