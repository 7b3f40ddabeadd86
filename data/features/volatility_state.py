"""The state of volatility: realised estimators, their terms over horizons, and volatility indices that are read beside.

Axes: T time, A asset.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from data.array_types import FloatArray
from data.features.definition import ANY, POSITIVE, SHARE, WINDOW, Feature, bars_of, named_outputs
from data.features.references import reference_close
from data.features.series import (
    before,
    change,
    difference,
    log_close,
    log_high,
    log_low,
    log_open,
    log_range,
    mean_square,
    quotient,
    shared,
)
from data.features.window_moments import trailing_moments
from data.features.window_sums import trailing_sum, window_mean
from data.schema import Panel

_LN_2 = np.log(2.0)


def parkinson(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) Parkinson's volatility per bar, of highs and lows: sqrt(mean of log(h / l)^2 / (4 ln 2))."""
    return np.sqrt(window_mean(log_range(panel) ** 2, window_bars) / (4.0 * _LN_2))


def garman_klass(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) Garman and Klass's volatility per bar: sqrt(mean of log(h / l)^2 / 2 - (2 ln 2 - 1) log(c / o)^2)."""
    moved = log_close(panel) - log_open(panel)
    terms = 0.5 * log_range(panel) ** 2 - (2.0 * _LN_2 - 1.0) * moved**2
    return np.sqrt(np.maximum(window_mean(terms, window_bars), 0.0))


@shared
def _rogers_satchell(panel: Panel) -> FloatArray:
    top, bottom = log_high(panel), log_low(panel)
    opened, closed = log_open(panel), log_close(panel)
    return (top - closed) * (top - opened) + (bottom - closed) * (bottom - opened)


def rogers_satchell(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) Rogers and Satchell's volatility per bar, right under drift."""
    return np.sqrt(np.maximum(window_mean(_rogers_satchell(panel), window_bars), 0.0))


def yang_zhang(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) Yang and Zhang's volatility per bar: of the gap from the last close, of open to close, and
    Rogers-Satchell.
    """
    gap = log_open(panel) - before(log_close(panel))
    inside = log_close(panel) - log_open(panel)
    gaps, moves = trailing_moments(gap, window_bars), trailing_moments(inside, window_bars)
    # Sample variances need two bars.
    of_gap, of_move = (m.squares / np.maximum(m.number - 1.0, 1.0) for m in (gaps, moves))
    weight = 0.34 / (1.34 + (window_bars + 1.0) / max(window_bars - 1.0, 1.0))
    rest = np.maximum(window_mean(_rogers_satchell(panel), window_bars), 0.0)
    return np.sqrt(of_gap + weight * of_move + (1.0 - weight) * rest)


def variance_ratio(panel: Panel, *, window_bars: int, horizon_bars: int) -> FloatArray:
    """(T, A) log of Lo and MacKinlay's variance ratio: below 0 returns over `horizon_bars` turn back, above they trend.

    Of overlapping returns around zero, nights included; between 1e-4 and the horizon; 0 where nothing moved.
    """
    one = mean_square(panel, window_bars)
    long = window_mean(change(panel, horizon_bars) ** 2, window_bars)
    return np.log(np.clip(quotient(long, horizon_bars * one, still=1.0), 1e-4, 1e4))


def har(panel: Panel, *, short_bars: int, middle_bars: int, long_bars: int) -> FloatArray:
    """(T, A, 3) terms of the HAR model: log realised volatility of the long window, and short and middle over it.

    The ratios are between 1/100 and 100; 0 where nothing moved; the first one at least log(1e-8).
    """
    short, middle, long = (np.sqrt(mean_square(panel, n)) for n in (short_bars, middle_bars, long_bars))
    ratios = [np.log(np.clip(quotient(part, long, still=1.0), 0.01, 100.0)) for part in (short, middle)]
    return np.stack([np.log(np.maximum(long, 1e-8)), *ratios], axis=2)


def volatility_of_volatility(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) standard deviation of log(high / low) over the window, over its mean; 0 without any range."""
    moments = trailing_moments(log_range(panel), window_bars)
    return quotient(moments.std, moments.mean)


def downside_share(panel: Panel, *, window_bars: int) -> FloatArray:
    """(T, A) share of falls in the sum of squared log returns of the window, 0.5 where nothing moved."""
    returns = change(panel, 1)
    squares = returns**2
    falls = np.where(returns > 0.0, 0.0, squares)
    return quotient(trailing_sum(falls, window_bars), trailing_sum(squares, window_bars), still=0.5)


def volatility_index(panel: Panel, *, reference: str, window_bars: int) -> FloatArray:
    """(T, A, 3) a volatility index such as the VIX, one bar late: log level, z-score over the window, and log change.

    The reference is a symbol or a column of the panel. It is taken from the bar before, since an index may be published
    after the bar's close.
    """
    level = before(np.log(reference_close(panel, reference)))
    moments = trailing_moments(level, window_bars)
    zscore = quotient(level - moments.mean, moments.std)
    return np.stack([_of_all(panel, part) for part in (level, zscore, difference(level))], axis=2)


def term_structure(panel: Panel, *, near: str, far: str) -> FloatArray:
    """(T, A) log(near / far) of two volatility indices such as VIX9D and VIX, one bar late: above 0 stress is now."""
    ratio = np.log(reference_close(panel, near)) - np.log(reference_close(panel, far))
    return _of_all(panel, before(ratio))


def _of_all(panel: Panel, values: FloatArray) -> FloatArray:
    """(T, A) of a column that all assets share, (T, 1)."""
    return np.broadcast_to(values, panel.close.shape)


_volatility = partial(Feature, kind="asset", subject="volatility_state", by_blocks=True)
_estimator = partial(_volatility, unit="standard deviation per bar", bounds=POSITIVE, unknown=WINDOW)

VOLATILITY_FEATURES = (
    _estimator(
        name="parkinson",
        function=parkinson,
        lookback_bars=partial(bars_of, "window_bars", -1),
        source="Parkinson 1980",
    ),
    _estimator(
        name="garman_klass",
        function=garman_klass,
        lookback_bars=partial(bars_of, "window_bars", -1),
        source="Garman and Klass 1980",
    ),
    _estimator(
        name="rogers_satchell",
        function=rogers_satchell,
        lookback_bars=partial(bars_of, "window_bars", -1),
        source="Rogers and Satchell 1991",
    ),
    _estimator(
        name="yang_zhang",
        function=yang_zhang,
        lookback_bars=partial(bars_of, "window_bars", 0),
        source="Yang and Zhang 2000, eq. 8",
    ),
    _volatility(
        name="variance_ratio",
        function=variance_ratio,
        lookback_bars=lambda p: p["window_bars"] + p["horizon_bars"] - 1,
        unit="log ratio",
        bounds=(np.log(1e-4), np.log(1e4)),
        unknown=WINDOW,
        source="Lo and MacKinlay 1988",
    ),
    _volatility(
        name="har",
        function=har,
        lookback_bars=lambda p: max(p["short_bars"], p["middle_bars"], p["long_bars"]),
        outputs=named_outputs("long", "short", "middle"),
        unit="log per bar; log ratios",
        bounds=ANY,
        unknown="with fewer than half of a window known",
        source="Corsi 2009",
    ),
    _volatility(
        name="volatility_of_volatility",
        function=volatility_of_volatility,
        lookback_bars=partial(bars_of, "window_bars", -1),
        unit="ratio",
        bounds=POSITIVE,
        unknown=WINDOW,
        source="coefficient of variation",
    ),
    _volatility(
        name="downside_share",
        function=downside_share,
        lookback_bars=partial(bars_of, "window_bars", 0),
        unit="share",
        bounds=SHARE,
        unknown=WINDOW,
        source="Barndorff-Nielsen, Kinnebrock and Shephard 2010",
    ),
    _volatility(
        name="volatility_index",
        function=volatility_index,
        lookback_bars=lambda p: max(p["window_bars"], 2),
        outputs=named_outputs("level", "z", "change"),
        across_assets=True,
        unit="log points; standard deviations; log ratio",
        unknown="where the index is not known, or fewer than half of the window",
        source="the index, one bar late",
    ),
    _volatility(
        name="term_structure",
        function=term_structure,
        lookback_bars=lambda p: 1,
        across_assets=True,
        unit="log ratio",
        unknown="where one of the indices is not known",
        source="the indices, one bar late",
    ),
)
