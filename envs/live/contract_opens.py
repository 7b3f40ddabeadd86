"""What opens a bar at a scripted venue: the symbols themselves, and of a series of contracts each at its own price.

Recorded bars hold one contract of a series at a time. One that they have left is taken to move as the one that they
show does: it opens at that one's open less the steps of the rolls since. In the bar of a roll its own open is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from data.futures.contract_series import ContractSeries, by_symbol
from data.traded_prices import ROLL, traded_at
from envs.live.growing_market import ClosedBar
from envs.live.traded_contracts import Listed


def contract_opens(symbols: Sequence[str], listed: Listed) -> Callable[[ClosedBar], dict[str, float]]:
    """A function of a bar: name at the venue -> open as it was traded at. A contract to come is not there yet.

    symbols : of the bars' asset axis. listed : the series among them.
    """

    def opens(bar: ClosedBar) -> dict[str, float]:
        series = by_symbol(listed())
        found: dict[str, float] = {}
        prices = traded_at(bar.open, bar.exogenous)
        for a, symbol in enumerate(symbols):
            if symbol in series:
                found |= _of_series(series[symbol], bar, a, float(prices[a]))
            else:
                found[symbol] = float(prices[a])
        return found

    return opens


def _of_series(series: ContractSeries, bar: ClosedBar, a: int, opened: float) -> dict[str, float]:
    count, held = series.num_rolls(bar.bar_utc), series.held
    names = [series.contracts[place].name for place in held]
    found = {names[count]: opened}
    left_at = bar.exogenous.get(ROLL)
    price = opened
    for k in range(count - 1, -1, -1):
        first = k == count - 1 and left_at is not None and bool(np.isfinite(left_at[a]))
        price = float(left_at[a]) if first and left_at is not None else price - series.rolls[k].step
        found.setdefault(names[k], price)
    return found
