"""The market as the kernel reads it: bars, features, clock and instruments in contiguous arrays, built once.

Axes: T time, S symbol, F feature, C clock feature, K column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.features.compute import FeatureSet
from data.schema import Panel
from envs.context import ContextConfig, elapsed_years, write_context
from envs.instruments import Instrument, instrument_columns
from envs.kernel import columns as c
from envs.observations import FEATURE_CLIP

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Market:
    """Immutable arrays of one market; plain NumPy fields, so that an object store shares them without a copy.

    Attributes
    ----------
    symbols : S names. bar_utc : (T,) datetime64[ns], opening instants. bar_seconds, periods_per_year : of the bar grid.
    bars_per_session : median number of bars of a session.
    bars : (T, S, K) float64, columns open, high, low, mark, volume, tradable (1.0 or 0.0). `mark` is the last known
        close; a missing bar repeats the mark in all four prices; before the first known close they are 0. When built
        with context: then atr, volatility, adv, funding, split.
    features : (T, S, F) float32, standardised, NaN replaced by 0, clipped to +-FEATURE_CLIP.
    clock : (T, C) float32.
    calendar : (T, 3) int32, session number, bars since its first and until its last bar.
    years : (T,) float64, time since the bar before.
    instrument : (S, 16) float64, columns in envs.kernel.columns.
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
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, field.name, _read_only(value))

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({k: _read_only(v) if isinstance(v, np.ndarray) else v for k, v in state.items()})

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
        return self.bars.shape[2] > c.ATR

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
    ) -> Market:
        """Assemble the market of a panel, its standardised features and one instrument per symbol.

        `context` is needed by ATR and volatility sizing, ATR barriers, impact, funding and split-adjusted fees.
        """
        if features.asset.shape[:2] != (panel.num_bars, panel.num_assets):
            raise ValueError(
                f"features are for {features.asset.shape[:2]} (bars, assets) but the panel has "
                f"{(panel.num_bars, panel.num_assets)}; compute them from this panel"
            )
        bars = price_columns(panel, c.NUM_PRICE_COLUMNS if context is None else c.NUM_BAR_COLUMNS)
        calendar = calendar_columns(panel.session)
        lengths = np.unique(panel.session, return_counts=True)[1]
        bars_per_session = float(np.median(lengths))
        instrument = instrument_columns(instruments, panel.symbols)
        _set_delisting(instrument, panel, instruments)
        if context is not None:
            write_context(bars, panel, instruments, context, bars_per_session)
        lookback = max(features.lookback_bars, 0 if context is None else context.lookback_bars)
        return cls(
            symbols=panel.symbols, bar_utc=panel.bar_utc, bar_seconds=panel.bar_seconds,
            periods_per_year=float(panel.periods_per_year), bars_per_session=bars_per_session, bars=bars,
            features=bounded(features.asset), clock=bounded(features.clock), calendar=calendar,
            years=elapsed_years(panel), instrument=instrument,
            asset_names=tuple(features.asset_names), clock_names=tuple(features.clock_names),
            first_bar=int(lookback), feature_hash=features.feature_hash, fingerprint=panel.fingerprint,
        )  # fmt: skip


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def bounded(features: Float32Array) -> Float32Array:
    """Return a float32 copy with NaN as 0 and values clipped to +-FEATURE_CLIP."""
    result = np.nan_to_num(features, nan=0.0, posinf=FEATURE_CLIP, neginf=-FEATURE_CLIP).astype(np.float32)
    return np.clip(result, -FEATURE_CLIP, FEATURE_CLIP, out=result)


def price_columns(panel: Panel, num_columns: int) -> FloatArray:
    """The kernel's bar array (T, S, `num_columns`) of a panel, price columns filled, later ones zero.

    A bar without prices repeats the last known close.
    """
    bars = np.zeros((panel.num_bars, panel.num_assets, num_columns))
    mark = np.nan_to_num(panel.last_close(), nan=0.0)
    for column, name in ((c.OPEN, "open"), (c.HIGH, "high"), (c.LOW, "low")):
        prices = getattr(panel, name)
        bars[..., column] = np.where(np.isfinite(prices), prices, mark)
    bars[..., c.MARK] = mark
    bars[..., c.VOLUME] = np.nan_to_num(panel.volume, nan=0.0)
    bars[..., c.TRADABLE] = panel.tradable & np.isfinite(panel.open) & np.isfinite(panel.close)
    return bars


def calendar_columns(session: NDArray[np.int32]) -> NDArray[np.int32]:
    """Session number, bars since the session's first bar and until its last one in the panel. (T, 3) int32."""
    starts = np.flatnonzero(np.diff(session, prepend=session[0] - 1))
    lengths = np.diff(np.append(starts, len(session)))
    number = np.repeat(np.arange(len(starts)), lengths)
    since = np.arange(len(session)) - starts[number]
    left = lengths[number] - 1 - since
    return np.stack([number, since, left], axis=1).astype(np.int32)


def _set_delisting(instrument: FloatArray, panel: Panel, instruments: Mapping[str, Instrument]) -> None:
    for s, symbol in enumerate(panel.symbols):
        delisted = instruments[symbol].delisted_utc
        if delisted is not None:
            instant = np.datetime64(delisted.removesuffix("Z"), "ns")
            instrument[s, c.DELIST_BAR] = float(np.searchsorted(panel.bar_utc, instant))
