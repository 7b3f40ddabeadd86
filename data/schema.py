"""The panel: aligned bars of several assets, immutable and checked once.

Axes: T time (bars), A asset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import InitVar, dataclass, field, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray, TimeArray
from data.calendars import bars_a_year, check_window_covered, periods_per_year
from data.errors import DataError, nearest_name
from data.last_known import carried
from data.locked_arrays import frozen, locked

PRICE_COLUMNS = ("open", "high", "low", "close")
BAR_COLUMNS = (*PRICE_COLUMNS, "volume")
FURTHER_PRICES = ("vwap",)
"""Exogenous columns that are prices as well: what moves the prices of a bar moves them."""
LEAST_PRICE, LARGEST_PRICE = 1e-12, 1e12
"""Per unit, account currency: what lies beyond is no quote, and its products overflow."""
_CHECKED_BARS = 16_384
NEVER_ENDS = np.iinfo(np.int64).max
"""`Panel.end_bar` of an asset that has bars up to the last one."""


def utc_instant(value: Any) -> np.datetime64:
    """Return `value` (text, datetime, Timestamp, datetime64) as a UTC datetime64[ns]; naive means UTC."""
    try:
        stamp = pd.Timestamp(value)
        if stamp is pd.NaT:
            raise ValueError("not a time")
        if stamp.tzinfo is not None:
            stamp = stamp.tz_convert("UTC").tz_localize(None)
        instant = np.datetime64(stamp.as_unit("ns").to_datetime64(), "ns")
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{value!r} is not a date or time; write it as 2018-01-31 or 2018-01-31T14:30Z."
        ) from error
    return instant


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """Aligned OHLCV bars of A assets on one bar grid, in UTC.

    A bar is labelled by its opening instant and is known at its close, `bar_seconds` later. A bar that is
    missing (or was rejected by hygiene) has NaN prices, volume 0 and `tradable` False; nothing is filled.
    Its arrays are `locked`: features and other code that is handed a panel cannot change it.

    Parameters
    ----------
    symbols : A names, in the order of the asset axis.
    bar_utc : (T,) datetime64[ns], opening instants, strictly increasing.
    open, high, low, close : (T, A) float64, price in the quote currency; all four NaN, or all four positive
        with low <= open, close <= high (of `nonpositive` symbols of any sign).
    volume : (T, A) float64, units of the asset, >= 0, never NaN.
    tradable : (T, A) bool, True where an order can be filled in this bar; implies known prices.
    session : (T,) int32, session id = days from 1970-01-01 to the session's date, never decreasing.
    calendar : name of the calendar ("24/7", "NYSE", ...), see `data.calendars`.
    bar_seconds : length of a bar, seconds.
    exogenous : name -> (T, A) float64, further columns known at the bar's close; NaN = unknown.
    screened : the bars passed `data.checks.scan` as rows, and are not looked at once more.
    nonpositive : symbols whose prices may be zero and below, as those of some futures are.
    """

    symbols: tuple[str, ...]
    bar_utc: TimeArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    tradable: BoolArray
    session: NDArray[np.int32]
    calendar: str
    bar_seconds: int
    exogenous: Mapping[str, FloatArray] = field(default_factory=dict)
    screened: InitVar[bool] = False
    nonpositive: tuple[str, ...] = ()

    def __post_init__(self, screened: bool) -> None:
        put = object.__setattr__
        put(self, "symbols", tuple(self.symbols))
        put(self, "nonpositive", tuple(s for s in self.symbols if s in self.nonpositive))
        put(self, "bar_utc", locked(self.bar_utc, "datetime64[ns]"))
        for name in BAR_COLUMNS:
            put(self, name, locked(getattr(self, name), np.float64))
        put(self, "tradable", locked(self.tradable, np.bool_))
        put(self, "session", locked(self.session, np.int32))
        columns = {name: locked(values, np.float64) for name, values in self.exogenous.items()}
        put(self, "exogenous", MappingProxyType(columns))
        self._check_shapes()
        self._check_time()
        if not screened:
            self._check_values()
        for name, values in self.exogenous.items():
            if np.isinf(values).any():
                raise DataError(f"The column {name!r} holds infinite values; use NaN for unknown.")

    def _check_shapes(self) -> None:
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise DataError(f"The symbols {list(self.symbols)} are empty or repeated; name each asset once.")
        if self.bar_seconds <= 0:
            raise DataError(f"bar_seconds is {self.bar_seconds}; it must be the positive length of a bar.")
        shape = (len(self.bar_utc), len(self.symbols))
        if shape[0] == 0:
            raise DataError("The panel holds no bars; widen the window or check the source.")
        if self.session.shape != shape[:1]:
            raise DataError(f"session has shape {self.session.shape}, expected {shape[:1]}.")
        named = {name: getattr(self, name) for name in (*BAR_COLUMNS, "tradable")}
        for name, values in {**named, **self.exogenous}.items():
            if values.shape != shape:
                raise DataError(f"{name} has shape {values.shape}, expected (bars, assets) = {shape}.")

    def _check_time(self) -> None:
        from data.checks.scan import ascends  # compiled on first use

        # NaT is the least of all integers, so that it ascends in the first place alone.
        if np.isnat(self.bar_utc[0]) or not ascends(self.bar_utc.view(np.int64), 1):
            raise DataError("bar_utc must be strictly increasing; sort the bars and drop the repeated times.")
        if not ascends(self.session, 0):
            raise DataError("session ids decrease; they must ascend with time.")

    def _check_values(self) -> None:
        from data.checks.scan import sound_bars  # compiled on first use

        flat = [getattr(self, name).reshape(-1) for name in (*BAR_COLUMNS, "tradable")]
        # The slow way is walked only where it has something to say.
        if not sound_bars(*flat, LEAST_PRICE, LARGEST_PRICE):
            for start in range(0, self.num_bars, _CHECKED_BARS):
                self._check_bars(slice(start, start + _CHECKED_BARS))

    def _check_bars(self, part: slice) -> None:
        """Raise DataError if the prices or volumes of some of the bars cannot be."""
        opened, high, low, close, volume, tradable = (
            getattr(self, name)[part] for name in (*BAR_COLUMNS, "tradable")
        )
        prices = np.stack([opened, high, low, close])
        known = np.isfinite(prices)
        whole = known.all(axis=0)
        if (whole != known.any(axis=0)).any() or np.isinf(prices).any():
            raise DataError(
                "A bar has some prices and lacks others; a bar's four prices are all known or all NaN."
            )
        below = np.isin(self.symbols, self.nonpositive)
        if ((prices <= 0.0).any(axis=0) & whole & ~below).any():
            raise DataError("A price is zero or negative; prices must be positive.")
        small = (prices < LEAST_PRICE) & ~below
        extreme = whole & (small | (np.abs(prices) > LARGEST_PRICE)).any(axis=0)
        if extreme.any():
            t, a = np.argwhere(extreme)[0]
            raise DataError(
                f"{self.symbols[a]} at {self.bar_utc[part][t]}: a price outside of {LEAST_PRICE:g} to "
                f"{LARGEST_PRICE:g} is no price; check the file, or quote it in another unit."
            )
        with np.errstate(invalid="ignore"):
            loose = (high < np.maximum(opened, close)) | (low > np.minimum(opened, close))
        if loose.any():
            t, a = np.argwhere(loose)[0]
            raise DataError(
                f"{self.symbols[a]} at {self.bar_utc[part][t]}: high and low do not bound open and close; "
                "mark the bar as missing (data.checks.hygiene does)."
            )
        if not np.isfinite(volume).all() or (volume < 0.0).any():
            raise DataError("A volume is NaN, infinite or negative; a missing bar has volume 0.")
        if (tradable & ~whole).any():
            raise DataError("A bar without prices is marked tradable; it must not be.")

    def __getstate__(self) -> dict[str, Any]:
        # A mapping proxy cannot be pickled; arrays travel as they are (zero-copy in Ray's object store).
        return {**self.__dict__, "exogenous": dict(self.exogenous)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        def kept(values: Any) -> Any:
            return locked(values, values.dtype) if isinstance(values, np.ndarray) else values

        columns = {name: kept(values) for name, values in state["exogenous"].items()}
        own = {name: kept(values) for name, values in state.items()}
        self.__dict__.update({**own, "exogenous": MappingProxyType(columns)})

    @property
    def num_bars(self) -> int:
        """Number of bars T."""
        return len(self.bar_utc)

    @property
    def num_assets(self) -> int:
        """Number of assets A."""
        return len(self.symbols)

    @property
    def periods_per_year(self) -> float:
        """Mean number of bars in a year of this calendar, by which sizes are set; the same for any bars."""
        return periods_per_year(self.calendar, self.bar_seconds)

    def bars_a_year(self, bars: slice = slice(None)) -> float:
        """Mean number of bars in a year, by the calendar in the years of these bars: it annualises what they earn."""
        labels = self.bar_utc[bars]
        return bars_a_year(self.calendar, int(self.bar_seconds), labels[0], labels[-1])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over names, times and every value; equal data give equal fingerprints."""
        return self.fingerprint_now()

    def fingerprint_now(self) -> str:
        """The fingerprint of what the arrays hold now: another one than before if something wrote into their memory."""
        digest = hashlib.sha256()
        digest.update(repr((self.symbols, self.calendar, int(self.bar_seconds), self.close.shape)).encode())
        digest.update(self.bar_utc.astype(np.int64).tobytes())
        digest.update(self.session.tobytes())
        digest.update(self.tradable.tobytes())
        for name in (*BAR_COLUMNS, *sorted(self.exogenous)):
            values = self.exogenous[name] if name in self.exogenous else getattr(self, name)
            digest.update(name.encode())
            # One bit pattern for every NaN, so that the way a gap came about does not matter.
            digest.update(np.where(np.isnan(values), np.nan, values).tobytes())
        return digest.hexdigest()

    @cached_property
    def end_bar(self) -> NDArray[np.int64]:
        """(A,) the bar after an asset's last known one, `NEVER_ENDS` if that is the last bar of the panel.

        A slice keeps the ends of the panel that it was cut from, counted in its own bars: an asset that is halted where
        the slice stops and has later bars has not ended. An asset without any bar has no end either.
        """
        known = np.isfinite(self.close)
        end = self.num_bars - np.argmax(known[::-1], axis=0)
        alive = ~known.any(axis=0) | (end == self.num_bars)
        return frozen(np.where(alive, NEVER_ENDS, end), np.int64)

    def with_ends(self, end_bar: NDArray[np.int64]) -> Panel:
        """Return this panel with `end_bar` (A,) stated, where the bars alone cannot show it; shares memory."""
        if np.shape(end_bar) != (self.num_assets,):
            raise DataError(f"end_bar has shape {np.shape(end_bar)}, expected ({self.num_assets},).")
        stated = copy(self)
        stated.__dict__["end_bar"] = frozen(end_bar, np.int64)
        return stated

    def slice_bars(self, start: int, stop: int) -> Panel:
        """Return the bars [start, stop); shares memory with this panel.

        Raises
        ------
        DataError
            If the range is empty or reaches outside [0, num_bars].
        """
        if not 0 <= start < stop <= self.num_bars:
            raise DataError(
                f"Bars [{start}, {stop}) were asked for; the panel has bars [0, {self.num_bars})."
            )
        part = slice(start, stop)
        arrays = {
            name: getattr(self, name)[part] for name in ("bar_utc", *BAR_COLUMNS, "tradable", "session")
        }
        sliced = replace(self, **arrays, exogenous={k: v[part] for k, v in self.exogenous.items()})
        return sliced.with_ends(np.where(self.end_bar == NEVER_ENDS, NEVER_ENDS, self.end_bar - start))

    def select(self, symbols: Sequence[str]) -> Panel:
        """Return the panel of these symbols, in this order.

        Raises
        ------
        DataError
            If a symbol is not in the panel; the message names the nearest one.
        """
        for symbol in symbols:
            if symbol not in self.symbols:
                raise DataError(
                    f"Symbol {symbol!r} is not in the data{nearest_name(symbol, self.symbols)}; "
                    f"it has {', '.join(self.symbols)}."
                )
        columns = [self.symbols.index(symbol) for symbol in symbols]
        arrays = {name: getattr(self, name)[:, columns] for name in (*BAR_COLUMNS, "tradable")}
        exogenous = {k: v[:, columns] for k, v in self.exogenous.items()}
        return replace(self, symbols=tuple(symbols), **arrays, exogenous=exogenous).with_ends(
            self.end_bar[columns]
        )

    def beside(self, other: Panel) -> Panel:
        """Return the panel of this one's symbols and those of another on the same bars, without exogenous columns.

        Raises
        ------
        DataError
            If the bars are others, or a symbol is in both.
        """
        if not np.array_equal(self.bar_utc, other.bar_utc) or self.bar_seconds != other.bar_seconds:
            raise DataError("two panels can lie side by side only if they have the same bars")
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(other, name)], axis=1)
            for name in (*BAR_COLUMNS, "tradable")
        }
        symbols = (*self.symbols, *other.symbols)
        below = (*self.nonpositive, *other.nonpositive)
        return replace(self, symbols=symbols, exogenous={}, nonpositive=below, **arrays).with_ends(
            np.concatenate([self.end_bar, other.end_bar])
        )

    def bars_between(self, start_utc: Any, stop_utc: Any) -> slice:
        """Return the slice of bars labelled in [start_utc, stop_utc); None means the end of the data.

        Raises
        ------
        DataError
            If the window is empty, or holds bars of the calendar that lie outside the data.
        """
        step = np.timedelta64(self.bar_seconds, "s")
        first, last = self.bar_utc[0], self.bar_utc[-1]
        start = first if start_utc is None else utc_instant(start_utc)
        stop = last + step if stop_utc is None else utc_instant(stop_utc)
        check_window_covered(self.calendar, self.bar_seconds, start, stop, first, last)
        low, high = np.searchsorted(self.bar_utc, [start, stop])
        if low >= high:
            raise DataError(f"No bar lies between {start} and {stop}; the data run from {first} to {last}.")
        return slice(int(low), int(high))

    def positive(self) -> Panel:
        """This panel with bars that have a price of zero or below as missing ones: their returns are not known.

        Itself where no symbol may have such prices; else what reads returns or logarithms reads this one.
        """
        if not self.nonpositive:
            return self
        below = self.low <= 0.0
        if not below.any():
            return self
        changed: dict[str, Any] = {n: np.where(below, np.nan, getattr(self, n)) for n in PRICE_COLUMNS}
        changed |= {"volume": np.where(below, 0.0, self.volume), "tradable": self.tradable & ~below}
        for values in changed.values():
            values.flags.writeable = False
        panel = object.__new__(Panel)  # its other values are right already, or a check's own
        panel.__dict__.update({f.name: getattr(self, f.name) for f in fields(self)} | changed)
        return panel.with_ends(self.end_bar)

    def last_close(self) -> FloatArray:
        """Return (T, A) the last known close at or before each bar; NaN only before an asset's first bar."""
        return carried(self.close)
