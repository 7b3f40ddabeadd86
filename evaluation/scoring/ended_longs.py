"""What a record owes to longs of names whose bars end: they are paid the last close, and what came after it is unknown.

A vendor's file often ends on the day before a name collapses, is halted or moves off its exchange. Who held it long
lost more than the file shows; after a take-over for cash nothing is lost. Nothing in the bars tells the two apart. So
what was paid is taken off again, bar by bar, for the return that the record has where nothing is recovered.

Axes: N bars of all test windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.schema import NEVER_ENDS, Panel
from envs.recording import Recording
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.statistics.metrics import sharpe_ratio

FloatArray = NDArray[np.float64]
ENDINGS = ("delisting", "window_end")
"""Reasons of exits at a name's last close: its end, or that of a window that ends with it."""


@dataclass(frozen=True, kw_only=True)
class EndedLongs:
    """Longs that were paid the last close of names whose bars end before the data do.

    Attributes
    ----------
    count : exits. symbols : names, in the order of the market. recovered, gain : account currency, of these exits and
    of the record. sharpe, without : annual Sharpe ratio as scored, and where nothing is recovered; nan where undefined.
    """

    count: int
    symbols: tuple[str, ...]
    recovered: float
    gain: float
    sharpe: float
    without: float

    @property
    def share(self) -> float:
        """Of the gain that was paid so; inf where there is no gain."""
        return self.recovered / self.gain if self.gain > 0.0 else np.inf

    @property
    def named(self) -> str:
        """``AAA, BBB, CCC and 6 more``."""
        more = len(self.symbols) - 3
        return ", ".join(self.symbols[:3]) + (f" and {more} more" if more > 0 else "")


def ended_longs(result: WalkForwardResult, *, stated: frozenset[str] = frozenset()) -> EndedLongs | None:
    """The longs that ended with their names; None where there was none.

    Parameters
    ----------
    stated : symbols of which the user states when they were delisted: their last price is taken as paid.
    """
    panel, gone, lost, gain = result.panel, [], [], 0.0
    for fold in result.folds:
        r = fold.recording
        gain += float(r.equity[-1] - r.equity[0])
        ends = _ends_long(r, panel, stated)
        paid = np.zeros(len(r.bar))
        at = r.fills.filled_bar[ends] - int(r.bar[0]) if len(r.bar) else np.zeros(0, dtype=np.int64)
        slot = r.fills.asset[ends]
        np.add.at(paid, at, np.abs(r.fills.units[ends]) * np.abs(r.fills.price[ends]) * r.multiplier[slot])
        gone += [panel.symbols[s] for s in r.symbols[slot].tolist()]
        lost.append((paid, r.equity[:-1]))
    if not gone:
        return None
    returns, start = result.net_return.copy(), 0
    for fold, (paid, equity) in zip(result.folds, lost, strict=True):
        returns[start : start + len(paid)] -= paid / np.maximum(equity, 1e-12)
        start += fold.fold.test.stop - fold.fold.test.start
    year = result.periods_per_year
    return EndedLongs(
        count=len(gone),
        symbols=tuple(name for name in panel.symbols if name in set(gone)),
        recovered=float(sum(paid.sum() for paid, _ in lost)),
        gain=gain,
        sharpe=sharpe_ratio(result.net_return, periods_per_year=year),
        without=sharpe_ratio(returns, periods_per_year=year),
    )


def _ends_long(r: Recording, panel: Panel, stated: frozenset[str]) -> NDArray[np.bool_]:
    """(R,) which fills sold a long at the last close of a name that ends."""
    symbol = r.symbols[r.fills.asset]
    asked = np.array([name not in stated for name in panel.symbols], dtype=np.bool_)
    ending = (panel.end_bar != NEVER_ENDS) & asked
    last = ending[symbol] & (r.fills.filled_bar == panel.end_bar[symbol] - 1)
    return np.asarray(last & np.isin(r.fills.reason, ENDINGS) & (r.fills.units < 0.0))
