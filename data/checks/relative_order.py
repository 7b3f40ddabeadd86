"""Inputs by which the symbols stand, bar by bar, in the order of what they will earn beside each other.

What one symbol earns beyond the others is a small part of its return where all follow one market, so that an input
which foreknows it ranks no symbol's own return well, and many symbols, each a little below what is asked of one, are
much together. So the symbols are held by the order in which the input shows them, a few bars late, and the portfolio's
gain is asked: beyond what portfolios by past returns gain, and what the market does. Where an input says the opposite
of some symbols, they are held by its own sign, as large as it was right in the other parts of the history: in its own
part that is no fit.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import rankdata

from data.array_types import BoolArray, FloatArray
from data.checks.foreknown import EVERY_SYMBOL, NUM_PARTS, Foreknown
from data.checks.lead_correlations import standardised_ranks
from data.checks.unforeseen_returns import log_returns
from data.schema import Panel

MIN_SYMBOLS = 5
MIN_BARS = 250
"""Symbols, and bars at which the portfolio holds something, below which nothing is said."""
BARS_HELD = (1, 3, 10, 30)
"""Numbers of bars over which what an input shows is held, in equal parts."""
FIRST_BAR = 2
"""Least lead: what hangs on the very next bar shows where the input is a bar late."""
PAST_BARS = (1, 5, 20, 60, 120)
"""Past returns by which portfolios are held that are no news."""
SIGN_BARS = 5
"""Bars after an input over which its sign is measured, symbol by symbol."""
LARGEST = 5.0
"""Standard deviations at which a symbol's return is cut off."""
HONEST_SHARPE, BEYOND_LUCK = 2.0, 4.5
"""Annual, before costs, of one input that is held for some bars of a day, and standard deviations beyond it that luck
does not reach. Of shorter bars an honest one has as many times more as the root of the bars of a session."""
LEAST_T_OF_A_PART = 1.5
"""In each part of the history, in the same direction."""


@dataclass(frozen=True, kw_only=True)
class RelativeReturns:
    """What inputs are asked to rank, computed once for all inputs of a panel.

    Attributes
    ----------
    panel : of the bars. scaled : (T, A) log returns over their size, cut off at `LARGEST`, 0 where unknown.
    known : (T, A).
    """

    panel: Panel
    scaled: FloatArray
    known: BoolArray

    @classmethod
    def of(cls, panel: Panel) -> RelativeReturns:
        returns = log_returns(panel)
        known = np.isfinite(returns)
        size = np.sqrt(np.nansum(returns**2, axis=0) / np.maximum(known.sum(axis=0), 1))
        scaled = np.clip(np.nan_to_num(returns / np.where(size > 0.0, size, np.inf)), -LARGEST, LARGEST)
        return cls(panel=panel, scaled=scaled, known=known)

    @cached_property
    def market(self) -> FloatArray:
        """(T,) mean of the symbols."""
        return np.asarray(self.scaled.sum(axis=1) / np.maximum(self.known.sum(axis=1), 1))

    @cached_property
    def past_orders(self) -> list[FloatArray]:
        """(T, A) orders of the symbols by what they earned over each of `PAST_BARS`."""
        total = np.concatenate([np.zeros((1, self.scaled.shape[1])), np.cumsum(self.scaled, axis=0)])
        at = np.arange(len(self.scaled)) + 1
        sums = (total[at] - total[np.maximum(at - bars, 0)] for bars in PAST_BARS)
        return [orders(np.where(self.known, each, np.nan)) for each in sums]

    def earned(self, order_TA: FloatArray, bars: int) -> FloatArray:
        """(T,) what the symbols earn that are held by an order, each bar's for `bars` bars from `FIRST_BAR` on."""
        total = np.concatenate([np.zeros((1, order_TA.shape[1])), np.cumsum(order_TA, axis=0)])
        at = np.arange(len(order_TA)) + 1
        held = total[np.maximum(at - FIRST_BAR, 0)] - total[np.maximum(at - FIRST_BAR - bars, 0)]
        held = np.where(self.known, held, 0.0)
        held -= held.sum(axis=1, keepdims=True) / np.maximum(self.known.sum(axis=1, keepdims=True), 1)
        held = np.where(self.known, held, 0.0)
        size = np.abs(held).sum(axis=1)
        return np.divide(
            (held * self.scaled).sum(axis=1), size, out=np.zeros(len(size)), where=size > 1e-9 * len(held)
        )

    @cached_property
    def no_news(self) -> dict[int, FloatArray]:
        """Bars held -> (T, K) gains of the market and of portfolios by past returns."""
        return {
            bars: np.column_stack([self.market, *(self.earned(order, bars) for order in self.past_orders)])
            for bars in BARS_HELD
        }


def relative_order(name: str, forms: Mapping[str, FloatArray], returns: RelativeReturns) -> list[Foreknown]:
    """The input as a suspect, by the form and the number of bars held with the largest t; none where none is enough.

    Parameters
    ----------
    forms : name of a form -> (T, A) values, NaN where unknown.
    """
    panel = returns.panel
    if panel.num_assets < MIN_SYMBOLS:
        return []
    years = panel.num_bars / panel.bars_a_year()
    bars_of_a_session = panel.num_bars / max(len(np.unique(panel.session)), 1)
    best: Foreknown | None = None
    asked = ((form, by_symbol, values) for by_symbol in (False, True) for form, values in forms.items())
    for form, by_symbol, values in asked:
        if by_symbol and best is not None:
            break
        order = own_signs(values, returns) if by_symbol else orders(values)
        if not order.any():
            continue
        for bars in BARS_HELD:
            earned = returns.earned(order, bars)
            held = np.flatnonzero(earned)
            if len(held) < MIN_BARS:
                continue
            share = len(held) / panel.num_bars
            honest = HONEST_SHARPE * float(np.sqrt(bars_of_a_session * years * share))
            news = _without(earned[held], returns.no_news[bars][held])
            t, parts = _t(news), [_t(part) for part in np.array_split(news, NUM_PARTS)]
            if abs(t) < honest + BEYOND_LUCK or min(np.sign(t) * np.array(parts)) < LEAST_T_OF_A_PART:
                continue
            if best is None or abs(t) > abs(best.weakest_t):
                best = _finding(name, form, bars, t, years * share, returns, by_symbol)
    return [] if best is None else [best]


def _finding(
    name: str, form: str, bars: int, t: float, years: float, returns: RelativeReturns, by_symbol: bool
) -> Foreknown:
    symbols = int(returns.known.any(axis=0).sum())
    order = (
        f"a sign for each of {symbols} symbols"
        if by_symbol
        else f"the order of {symbols} symbols at each bar"
    )
    how = (
        f"by {order}: held from the bar after the next on, it earns with |t| of "
        f"{abs(t):.0f}, {abs(t) / np.sqrt(years):.1f} a year as a Sharpe ratio before costs, beyond what past prices "
        "tell"
    )
    return Foreknown(
        column=name,
        symbol=EVERY_SYMBOL,
        form=form,
        weakest_t=t,
        bars_ahead=FIRST_BAR,
        bars=bars,
        how=how,
    )


def own_signs(values_TA: FloatArray, returns: RelativeReturns) -> FloatArray:
    """(T, A) ranks of each symbol's values, times what they went along with of its later returns in the other parts."""
    ranks = np.stack([standardised_ranks(column)[0] for column in values_TA.T], axis=1)
    total = np.concatenate([np.zeros((1, ranks.shape[1])), np.cumsum(returns.scaled, axis=0)])
    at, end = np.arange(len(ranks)), len(ranks)
    later = total[np.minimum(at + 1 + FIRST_BAR + SIGN_BARS, end)] - total[np.minimum(at + FIRST_BAR, end)]
    products = ranks * (later - later.mean(axis=1, keepdims=True))
    parts = np.array_split(at, NUM_PARTS)
    sums = np.stack([products[part[: -FIRST_BAR - SIGN_BARS - 1]].sum(axis=0) for part in parts])
    signs = sums.sum(axis=0, keepdims=True) - sums
    return np.concatenate([ranks[part] * signs[number] for number, part in enumerate(parts)])


def orders(values_TA: FloatArray) -> FloatArray:
    """(T, A) place of each symbol among those with a value at a bar, -0.5 to 0.5; 0 where unknown or all are equal."""
    known = np.isfinite(values_TA)
    count = known.sum(axis=1, keepdims=True)
    places = rankdata(
        np.where(known, values_TA, np.inf), axis=1
    )  # the unknown stand at the end, behind all others
    return np.where(known, (places - (count + 1) / 2.0) / np.maximum(count, 1), 0.0)


def _without(earned: FloatArray, others: FloatArray) -> FloatArray:
    """(N,) gains less what goes along with others (N, K), whose own gain is taken off with it."""
    centred = others - others.mean(axis=0)
    along, *_ = np.linalg.lstsq(centred, earned - earned.mean(), rcond=None)
    return np.asarray(earned - others @ along)


def _t(values: FloatArray) -> float:
    deviation = float(values.std(ddof=1)) if len(values) > 1 else 0.0
    return float(values.mean()) / deviation * float(np.sqrt(len(values))) if deviation > 0.0 else 0.0
