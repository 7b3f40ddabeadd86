"""Causal market context that sizing, barriers and costs read: ATR, volatility, volume, funding, splits, dividends.

Axes: T time, S symbol.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data.charged_columns import FUNDING_RATE
from data.dividends import DIVIDEND, dividends_of
from data.features.prices import true_range
from data.last_known import carried
from data.schema import Panel
from data.split_factors import split_factors
from data.traded_prices import ROLL, is_adjusted, terms
from data.universe import MEMBER
from envs.instruments import Instrument
from envs.kernel import columns as c
from envs.validation import require_choice, require_range

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
UNTIL_FULL: tuple[str, ...] = ("no_entry", "shorter_window")
MIN_BARS = 2
"""Changes from bar to bar that a volatility needs at least."""
SECONDS_PER_YEAR = 365.25 * 86_400.0
OF_PANEL: Mapping[int, str] = {c.MEMBER: MEMBER, c.ROLL: ROLL, c.DIVIDEND: DIVIDEND}
"""Column of the kernel's bars that few markets have -> column of the panel that it comes from."""
TAILS_AT_ONCE = 4_096
"""Windows that are sorted side by side."""


@dataclass(frozen=True, kw_only=True)
class ContextConfig:
    """Windows of the context, in bars of the symbol; what is known before a window is full.

    Attributes
    ----------
    atr_bars : mean of true ranges. volatility_bars : standard deviation of log returns. adv_bars : mean volume.
        tail_bars : simple returns of which the tail is taken. None for a window that nothing reads.
    tail_level : confidence level of that tail: 0.95 looks at the worst 5 % of bars.
    tail : "var": what the tail begins at; "cvar": its mean; None where nothing reads it (`context_in_use` says so).
    covariance_bars : returns of the portfolio's volatility, which the kernel reads from the bars; None for none.
    until_full : "no_entry": ATR, volatility and volume are unknown until their whole window of the symbol's own bars is
        there, and no position is opened whose size, barrier or impact reads one that is unknown. "shorter_window":
        what bars there are count, so that nothing waits.
    """

    atr_bars: int | None
    volatility_bars: int | None
    adv_bars: int | None
    until_full: Literal["no_entry", "shorter_window"]
    tail_bars: int | None = None
    tail_level: float = 0.95
    tail: Literal["var", "cvar"] | None = None
    covariance_bars: int | None = None

    def __post_init__(self) -> None:
        for name in ("atr_bars", "volatility_bars", "adv_bars", "tail_bars", "covariance_bars"):
            if getattr(self, name) is not None:
                require_range("context", name, getattr(self, name), 2, 1_000_000)
        require_choice("context", "until_full", self.until_full, UNTIL_FULL)
        require_range("context", "tail_level", self.tail_level, 0.5, 0.9999)

    @property
    def lookback_bars(self) -> int:
        """Bars before t that row t reads before anything is known, of a symbol without gaps."""
        longest = self.longest_bars
        context = min(longest, MIN_BARS) if self.until_full == "shorter_window" else longest
        return max(context, self.covariance_bars or 0)

    @property
    def longest_bars(self) -> int:
        """Bars of the longest window; 0 without one."""
        windows = (self.atr_bars, self.volatility_bars, self.adv_bars, self.tail_bars)
        return max((bars for bars in windows if bars is not None), default=0)


def rolling_mean(values: FloatArray, bars: int) -> FloatArray:
    """Mean of the last `bars` rows (fewer at the start). values: (T, S), no NaN; returns the same shape.

    Each block of `bars` rows is summed apart, so an entry depends on its own window only, to the bit: a running
    sum over the whole history would carry rounding from far away, and a rolling one would need care with scale.
    """
    if bars > 512:
        return _block_mean(values, bars)
    padded = np.concatenate([np.zeros((bars - 1, values.shape[1])), values])
    total = np.zeros_like(values)
    for lag in range(bars):
        total += padded[lag : lag + len(values)]
    return total / np.minimum(np.arange(1, len(values) + 1), bars)[:, None]


def _block_mean(values: FloatArray, bars: int) -> FloatArray:
    length, width = values.shape
    blocks = -(-length // bars)
    padded = np.zeros(((blocks + 1) * bars, width))
    padded[bars : bars + length] = values
    grid = padded.reshape(blocks + 1, bars, width)
    prefix = np.cumsum(grid, axis=1)
    suffix = np.cumsum(grid[:, ::-1], axis=1)[:, ::-1]
    total = prefix[1:].copy()
    total[:, :-1] += suffix[:-1, 1:]
    mean = total.reshape(blocks * bars, width)[:length]
    return mean / np.minimum(np.arange(1, length + 1), bars)[:, None]


def traded_bars(panel: Panel) -> BoolArray:
    """(T, S) True where a symbol has a bar: known prices, and not just the last close written down for want of a trade.

    A row without volume whose four prices repeat the last close says no more than a missing one: whether a vendor
    writes a halt down or leaves it out changes no range and no return.
    """
    known = np.isfinite(panel.close)
    last = np.concatenate([np.full((1, panel.num_assets), np.nan), panel.last_close()[:-1]])
    with np.errstate(invalid="ignore"):
        repeated = (panel.high == last) & (panel.low == last) & (panel.volume == 0.0)
    return known & ~repeated


def true_ranges(high: FloatArray, low: FloatArray, close: FloatArray, *contract: FloatArray) -> FloatArray:
    """True ranges of successive bars (K, ...); 0 for the first, which has no close before it.

    contract : scale and offset (K, ...) of each bar's contract, where prices are adjusted; ranges are then as traded.
    """
    ranges = np.zeros_like(close)
    if contract:
        scale, offset = (values[1:] for values in contract)
        before = close[:-1] * scale + offset
        ranges[1:] = true_range(high[1:] * scale + offset, low[1:] * scale + offset, before)
    else:
        ranges[1:] = true_range(high[1:], low[1:], close[:-1])
    return ranges


def log_returns(close: FloatArray, *contract: FloatArray) -> FloatArray:
    """Log change from the close before (K, ...); 0 for the first, NaN where one of the two is zero or below.

    contract : scale and offset (K, ...) of each bar's contract, where prices are adjusted: the close before is then
        what it would have been in the contract of the bar.
    """
    returns = np.zeros_like(close)
    now, before = close[1:], close[:-1]
    if contract:
        scale, offset = (values[1:] for values in contract)
        now, before = now * scale + offset, before * scale + offset
    if contract or not (close > 0.0).all():
        positive = (now > 0.0) & (before > 0.0)
        returns[1:] = np.log(np.divide(now, before, out=np.full_like(now, np.nan), where=positive))
        return returns
    np.divide(now, before, out=returns[1:])
    np.log(returns[1:], out=returns[1:])
    return returns


def mean_of_changes(changes: FloatArray, bars: int, *, whole: bool) -> FloatArray:
    """Mean of the last `bars` rows of what changes from row to row, (K, S); row 0 holds none and does not count.

    whole : NaN until there are `bars` of them; else the mean of those there are, NaN in row 0.
    """
    mean = rolling_mean(changes, bars)
    there = np.arange(min(bars, len(mean)))  # changes up to each of the first rows
    if whole:
        mean[there] = np.nan
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            mean[there] *= ((there + 1) / there)[:, None]
        mean[0] = np.nan
    return mean


def average_true_range(
    high: FloatArray, low: FloatArray, close: FloatArray, *contract: FloatArray, bars: int, whole: bool
) -> FloatArray:
    """Plain mean of the last `bars` true ranges of successive bars, (K, S), price units; NaN where unknown."""
    return mean_of_changes(true_ranges(high, low, close, *contract), bars, whole=whole)


def volatility(close: FloatArray, *contract: FloatArray, bars: int, whole: bool) -> FloatArray:
    """Standard deviation (ddof 0) of the last `bars` log returns of successive bars, (K, S), per bar; NaN unknown."""
    returns = log_returns(close, *contract)
    mean = mean_of_changes(returns, bars, whole=whole)
    square = mean_of_changes(returns**2, bars, whole=whole)
    sigma = np.sqrt(np.maximum(square - mean**2, 0.0))
    sigma[: min(MIN_BARS, len(sigma))] = np.nan  # one return has no spread
    return sigma


def average_volume(volume: FloatArray, has_bar: BoolArray, bars: int, *, whole: bool) -> FloatArray:
    """Mean volume of the last `bars` rows since a symbol's first bar, (T, S), units a bar; NaN where unknown.

    A row without a bar is one in which nothing was traded. Where nothing was traded in the whole window, the last mean
    that was above 0 stands.
    """
    mean, row = rolling_mean(volume, bars), np.arange(len(volume))[:, None]
    listed = np.maximum(row + 1 - np.argmax(has_bar, axis=0), 1)
    short = listed < bars
    mean = np.where(short, mean * (np.minimum(row + 1, bars) / np.minimum(listed, bars)), mean)
    enough = np.cumsum(has_bar, axis=0) >= (bars if whole else 1)
    mean[~enough | (mean <= 0.0)] = np.nan
    return carried(mean)


def simple_returns(close: FloatArray, *contract: FloatArray) -> FloatArray:
    """Change from the close before over its size (K, ...); 0 for the first, NaN where the close before is zero.

    contract : as of `log_returns`. At prices below zero a return still is what a long gains, over what it holds.
    """
    returns = np.zeros_like(close)
    now, before = close[1:], close[:-1]
    if contract:
        scale, offset = (values[1:] for values in contract)
        now, before = now * scale + offset, before * scale + offset
    size = np.abs(before)
    np.divide(now - before, size, out=returns[1:], where=size > 0.0)
    returns[1:][size == 0.0] = np.nan
    return returns


def tail_loss(
    close: FloatArray, *contract: FloatArray, bars: int, level: float, kind: str, whole: bool
) -> FloatArray:
    """Loss of a bar in the tail of the last `bars` simple returns of successive bars, (K, S), fraction; NaN unknown.

    Of n returns the k + 1 worst are the tail, k = floor((1 - level) n): "var" is the least loss among them, "cvar"
    their mean. Of a long and a short the one that loses more counts. Fewer returns than `bars` count from two on,
    unless `whole`. Unknown where a return is.

    contract : as of `log_returns`.
    """
    returns = simple_returns(close, *contract)
    tail = np.full_like(close, np.nan)
    for last in range(MIN_BARS, min(bars, len(close))):
        if not whole:
            tail[last] = _tail_of(returns[1 : last + 1].T, level, kind)
    for first in range(1, len(close) - bars + 1, TAILS_AT_ONCE):
        part = returns[first : first + TAILS_AT_ONCE + bars - 1]
        windows = np.lib.stride_tricks.sliding_window_view(part, bars, axis=0)
        tail[first + bars - 1 : first + bars - 1 + len(windows)] = _tail_of(windows, level, kind)
    return tail


def _tail_of(returns: FloatArray, level: float, kind: str) -> FloatArray:
    """(...) loss in the tail of returns (..., n), of the side that loses more; NaN where a return is."""
    n = returns.shape[-1]
    k = math.floor((1.0 - level) * n + 1e-9)
    ordered = np.sort(returns, axis=-1)  # what is unknown comes last
    if kind == "var":
        loss = np.maximum(-ordered[..., k], ordered[..., n - 1 - k])
    else:
        loss = np.maximum(-ordered[..., : k + 1].mean(axis=-1), ordered[..., n - 1 - k :].mean(axis=-1))
    return np.where(np.isnan(ordered[..., -1]), np.nan, loss)


def funding_rates(panel: Panel, instruments: Mapping[str, Instrument]) -> FloatArray:
    """Rate charged on what is held into bar t: that of the funding instants in (label t - 1, label t]. (T, S).

    A panel column "funding_rate" is the rate of an instant; its value at the last bar closed before counts.
    """
    hours = panel.bar_utc.astype("datetime64[s]").astype(np.int64) / 3600.0
    rates = np.zeros((panel.num_bars, panel.num_assets))
    column = panel.exogenous.get(FUNDING_RATE)
    for s, symbol in enumerate(panel.symbols):
        interval = instruments[symbol].funding_hours
        if interval <= 0:
            continue
        instants = np.diff(np.floor(hours / interval), prepend=np.floor(hours[0] / interval))
        rate = np.full(panel.num_bars, instruments[symbol].funding_rate)
        if column is not None:
            known = np.where(np.isfinite(column[:, s]), column[:, s], rate)
            rate[1:] = known[:-1]
        rates[:, s] = instants * rate
    return rates


def num_bar_columns(panel: Panel, context: ContextConfig | None) -> int:
    """Columns of the kernel's bars: prices, with context what is charged and measured, and of those that few markets
    have as far as the last that this one has."""
    if context is None:
        return c.NUM_PRICE_COLUMNS
    there = [column for column, name in OF_PANEL.items() if name in panel.exogenous]
    there += [c.TAIL] if context.tail is not None else []
    return max(there, default=c.NUM_CONTEXT_COLUMNS - 1) + 1


def elapsed_years(panel: Panel) -> FloatArray:
    """Years from label t - 1 to label t, 0 for the first bar. (T,)."""
    seconds = panel.bar_utc.astype("datetime64[s]").astype(np.int64).astype(np.float64)
    return np.diff(seconds, prepend=seconds[0]) / SECONDS_PER_YEAR


def bar_by_bar(
    panel: Panel, has_bar: BoolArray, names: tuple[str, ...], measure: Callable[..., FloatArray]
) -> FloatArray:
    """A measure of each symbol's own successive bars, as known at the close of every row (T, S); NaN before.

    names : of the panel's prices. measure : those prices of K bars, each (K, S'), and scale and offset of their
        contracts where there are any, to (K, S').
    """
    prices = [getattr(panel, name) for name in names]
    prices += terms(panel) if is_adjusted(panel) else ()
    if has_bar.all():
        return measure(*prices)
    result = np.full(has_bar.shape, np.nan)
    for s in range(panel.num_assets):
        rows = np.flatnonzero(has_bar[:, s])
        if len(rows):
            result[rows, s] = measure(*(price[rows, s : s + 1] for price in prices))[:, 0]
    return carried(result, has_bar)


def write_context(
    bars: FloatArray,
    panel: Panel,
    instruments: Mapping[str, Instrument],
    config: ContextConfig,
    bars_per_session: float,
) -> None:
    """Fill the context columns of the kernel's bar array (T, S, K): in each bar's row what is known before it opens.

    ATR, volatility, average volume and tail are NaN where unknown, as before the first bar; all 0 where nothing reads
    them.
    """
    has_bar, whole = traded_bars(panel), config.until_full == "no_entry"

    def put(column: int, values: FloatArray) -> None:
        bars[0, :, column], bars[1:, :, column] = np.nan, values[:-1]

    if config.atr_bars is not None:
        ranges = partial(average_true_range, bars=config.atr_bars, whole=whole)
        put(c.ATR, bar_by_bar(panel, has_bar, ("high", "low", "close"), ranges))
    if config.volatility_bars is not None:
        spread = partial(volatility, bars=config.volatility_bars, whole=whole)
        put(c.VOLATILITY, bar_by_bar(panel, has_bar, ("close",), spread))
    if config.adv_bars is not None:
        mean = average_volume(panel.volume, has_bar, config.adv_bars, whole=whole)
        put(c.ADV, mean * bars_per_session)
    if config.tail_bars is not None and config.tail is not None:
        tail = partial(
            tail_loss, bars=config.tail_bars, level=config.tail_level, kind=config.tail, whole=whole
        )
        put(c.TAIL, bar_by_bar(panel, has_bar, ("close",), tail))
    bars[..., c.FUNDING] = funding_rates(panel, instruments)
    bars[0, :, c.SPLIT], bars[1:, :, c.SPLIT] = 1.0, split_factors(panel)[:-1]
    write_rare(bars, panel)


def write_rare(bars: FloatArray, panel: Panel) -> None:
    """Fill those of the columns that few markets have (`OF_PANEL`) that this one holds."""
    member, left_at = panel.exogenous.get(MEMBER), panel.exogenous.get(ROLL)
    if bars.shape[2] > c.MEMBER:
        bars[..., c.MEMBER] = 1.0
        if member is not None:
            bars[1:, :, c.MEMBER] = np.where(carried(member) < 0.5, 0.0, 1.0)[:-1]
    if bars.shape[2] > c.ROLL:
        bars[..., c.ROLL] = c.NO_ROLL
        if left_at is not None:
            bars[..., c.ROLL] = np.where(np.isfinite(left_at), left_at, c.NO_ROLL)
    if bars.shape[2] > c.DIVIDEND:
        bars[..., c.DIVIDEND] = dividends_of(panel)
