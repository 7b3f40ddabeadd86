"""Opens of many symbols that follow the closes of one, of their mean or of their own, each a little.

A thin stock's open that is yesterday's close lacks what the market did since its last trade. Of one symbol that is less
than `checks.followed_returns` asks for; of all symbols together it is a basket that earns surely. So what comes after
the opens of all of them is held by the side of what a leader's closes did before, and its gain is asked as a Sharpe
ratio.

Axes: T time, A asset.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from data.array_types import FloatArray
from data.checks.followed_returns import BARS_BEFORE, LEAST_T_OF_A_PART, FollowedReturns, after_opens
from data.checks.foreknown import EVERY_SYMBOL, NUM_PARTS
from data.checks.lead_correlations import standardised_ranks
from data.checks.leading_symbols import MOST_SYMBOLS
from data.checks.unforeseen_returns import log_returns
from data.known_columns import OPEN
from data.schema import Panel

MIN_SYMBOLS = 3
MIN_BARS = 250
HONEST_SHARPE, BEYOND_LUCK = 2.0, 4.5
"""Annual, before costs, of all symbols together by the last few closes, and standard deviations beyond it. Of shorter
bars an honest market has as many times more as the root of the bars of a session."""


def followed_together(panel: Panel) -> FollowedReturns | None:
    """The opens of all symbols, if what comes after them follows a leader's closes; the leader with the largest t."""
    if panel.num_assets < MIN_SYMBOLS or panel.num_bars < MIN_BARS:
        return None
    years = panel.num_bars / panel.bars_a_year()
    of_a_session = panel.num_bars / max(len(np.unique(panel.session)), 1)
    least = HONEST_SHARPE * float(np.sqrt(of_a_session * years)) + BEYOND_LUCK
    best: FollowedReturns | None = None
    for after in after_opens(panel):
        ranks = np.stack([standardised_ranks(column)[0] for column in after.T], axis=1)
        for leader, past_TA in _pasts(panel):
            for bars, products in _gains(past_TA, ranks):
                t, parts = _t(products), [_t(part) for part in np.array_split(products, NUM_PARTS)]
                if t < least or min(parts) < LEAST_T_OF_A_PART or (best is not None and t <= best.t):
                    continue
                best = FollowedReturns(
                    symbol=EVERY_SYMBOL,
                    bars=bars,
                    correlation=float(products.mean()),
                    t=t,
                    price=OPEN,
                    leader=leader,
                )
    return best


def _pasts(panel: Panel) -> Iterator[tuple[str, FloatArray]]:
    """Leaders, and (T, A) the ranks of returns by which each symbol is held: not its own where another leads."""
    ranks = np.stack([standardised_ranks(column)[0] for column in log_returns(panel).T], axis=1)
    yield "its own", ranks
    total = ranks.sum(axis=1, keepdims=True)
    mean = (total - ranks) / (ranks.shape[1] - 1)
    yield "the others'", mean / np.maximum(mean.std(axis=0), 1e-12)
    if panel.num_assets <= MOST_SYMBOLS:
        for a, symbol in enumerate(panel.symbols):
            led = np.repeat(ranks[:, [a]], ranks.shape[1], axis=1)
            led[:, a] = 0.0
            yield f"{symbol}'s", led


def _gains(past_TA: FloatArray, ranks_TA: FloatArray) -> Iterator[tuple[int, FloatArray]]:
    """Numbers of bars before, and (T,) the mean gain of the symbols that are held by their sum."""
    total = np.concatenate([np.zeros((1, past_TA.shape[1])), np.cumsum(past_TA, axis=0)])
    for bars in BARS_BEFORE:
        before = (total[bars:-1] - total[: -bars - 1]) / np.sqrt(bars)
        yield bars, (before * ranks_TA[bars:]).mean(axis=1)


def _t(products: FloatArray) -> float:
    """t statistic of the mean gain."""
    deviation = float(products.std(ddof=1)) if len(products) > 1 else 0.0
    return float(products.mean()) / deviation * float(np.sqrt(len(products))) if deviation > 0.0 else 0.0
