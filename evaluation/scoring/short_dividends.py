"""What shorts of stocks would owe where the data know no dividends: at an assumed yield, and if it is all they earn.

On its ex-date a stock opens lower by its dividend, which a short owes. Without dividends in the data (a column
`dividend`, or prices of total return) that fall is a gift to whoever is short on the eve. US stocks pay once a quarter,
so that at a yield y of the price a year a short owes at most

    sum over quarters of y / 4 * largest short notional that was held over the start of a session in that quarter

which is y a year of a short that is always held, and as much of one that is held on one night a quarter. Shorts that
are held over few starts of a quarter and gain there are asked apart: what they gain may be dividends altogether.

Axes: N bars of a recording, A asset, Q quarters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.schema import Panel
from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.market import Market
from envs.recording import Recording

FloatArray = NDArray[np.float64]
PAYMENTS = 4
"""Dividends a year of most US stocks."""
RARE = 0.1
"""Share of a quarter's sessions, and of its largest short, up to which a short is rarely held: six nights of 63."""
LEAST_SESSIONS = 10
"""Of a quarter, below which nothing is called rare."""
RARE_GAIN = 0.5
"""Share of the gain from which on it is not believed that it was no dividend."""


@dataclass(frozen=True, kw_only=True)
class ShortDividends:
    """What is not known of the dividends that shorts owe.

    Attributes
    ----------
    symbols : that were short over the start of a session and whose dividends are not known.
    annual_yield : assumed, fraction of the price.
    owed : at that yield, account currency. gain : of the account, over all folds.
    rare_gain : of shorts that were rarely held, from the close before a session to its open, account currency.
    """

    symbols: tuple[str, ...]
    annual_yield: float
    owed: float
    gain: float
    rare_gain: float

    @property
    def names(self) -> str:
        """The first few symbols."""
        more = len(self.symbols) - 3
        return ", ".join(self.symbols[:3]) + (f" and {more} more" if more > 0 else "")

    @property
    def lives_on_rare_shorts(self) -> bool:
        """Whether most of the gain may be dividends that were not charged."""
        return self.gain > 0.0 and self.rare_gain > RARE_GAIN * self.gain


def short_dividends(
    recordings: Sequence[Recording], panel: Panel, yields: Mapping[str, float]
) -> ShortDividends | None:
    """What the recorded shorts would owe; None where no such symbol was short over the start of a session.

    Parameters
    ----------
    yields : symbol whose dividends are not known -> assumed, fraction of the price a year.
    """
    asked = [s for s, symbol in enumerate(panel.symbols) if symbol in yields]
    owed = rare = 0.0
    short: set[int] = set()
    for one in recordings:
        for a, s in enumerate(np.asarray(one.symbols).tolist()):
            if s not in asked or not (one.units[:, a] < 0.0).any():
                continue
            largest, gained = _by_quarter(one, panel, a, s)
            if largest.any():
                short.add(s)
            owed += float(largest.sum()) * yields[panel.symbols[s]] / PAYMENTS
            rare += gained
    if not short:
        return None
    return ShortDividends(
        symbols=tuple(panel.symbols[s] for s in sorted(short)),
        annual_yield=max(yields[panel.symbols[s]] for s in short),
        owed=owed,
        gain=sum(float(one.equity[-1] - one.equity[0]) for one in recordings),
        rare_gain=rare,
    )


def _by_quarter(one: Recording, panel: Panel, a: int, s: int) -> tuple[FloatArray, float]:
    """(Q,) largest short notional held over the start of a session; what was gained there where it was rarely held."""
    held, into = np.asarray(one.bar)[:-1], np.asarray(one.bar)[1:]
    starts = panel.session[into] != panel.session[held]
    if not starts.any():
        return np.zeros(0), 0.0
    units = np.maximum(-one.units[:-1, a], 0.0)[starts] * float(np.asarray(one.multiplier)[a])
    mark = np.nan_to_num(panel.last_close()[held[starts], s])
    opened = panel.open[into[starts], s]
    gained = units * (mark - np.where(np.isfinite(opened), opened, mark))
    notional = units * mark
    quarter = np.unique(
        panel.bar_utc[into[starts]].astype("datetime64[M]").astype(np.int64) // 3, return_inverse=True
    )[1]
    largest = np.zeros(int(quarter.max()) + 1)
    np.maximum.at(largest, quarter, notional)
    sessions = np.bincount(quarter)
    nights = np.bincount(quarter, notional > RARE * largest[quarter])
    rarely = (sessions >= LEAST_SESSIONS) & (nights <= np.maximum(RARE * sessions, 1.0))
    return largest, float(gained[rarely[quarter]].sum())


def with_assumed_dividends(
    market: Market, config: PortfolioEnvConfig, yields: Mapping[str, float], *, cost_factor: float
) -> tuple[Market, PortfolioEnvConfig]:
    """The market and env in which shorts of the symbols pay an assumed dividend, day by day, beside the borrow fee.

    Parameters
    ----------
    yields : symbol -> fraction of the price a year.
    cost_factor : multiple of all costs that it will be scored at, by which the dividend is not multiplied.
    """
    instrument = market.instrument.copy()
    if not config.costs.borrow:
        instrument[:, c.BORROW_RATE] = 0.0
    for s, symbol in enumerate(market.symbols):
        instrument[s, c.BORROW_RATE] += yields.get(symbol, 0.0) / cost_factor
    return replace(market, instrument=instrument), replace(config, costs=replace(config.costs, borrow=True))
