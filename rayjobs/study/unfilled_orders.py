"""Orders that did not fill because their bar was taken out for what was known at its close: what that spared a record.

An order at the open of a bar that a repair takes out, that is inconsistent or has prices without volume, is carried on
to the next bar. Its file says that the bar opened, and nobody knew more at that instant; so a bar that falls by a tenth
and is then taken out as an outlier is a loss that was dodged with hindsight. Such orders are found in the record and
valued from open to close of their bar as the file has it. What each repair of `data.repair` does to fills:

| repair | fills |
|---|---|
| `outlier_score`, `island_bars` | decided by the bar's own prices or by what follows: the orders are counted here |
| `fill_bars` | none: a bar that is made was missing and is not tradable, and is marked as it was |
| `duplicates`, `outside_sessions` | none: decided by labels, and by the order of rows |

Axes: N bars of a window, A asset slot, M rows of one symbol.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.array_types import BoolArray, FloatArray
from data.taken_out import TakenOut
from envs.recording import Recording
from evaluation.scoring.walk_forward import WalkForwardResult
from rayjobs.study.study import Study

MOST_UNFILLED = 0.001
"""Share of the orders, and of the scored bars, from which on bars that a repair took out are no few wrong ones."""
SPARED_SHARE = 0.1
"""Share of the gain from which on what was spared is no by-product."""
CHANCE_SPREADS = 2.6
"""Standard deviations of a sum of gains and losses of either sign that luck hardly reaches (one in 200)."""
DUST = 1e-9


@dataclass(frozen=True, kw_only=True)
class Unfilled:
    """Orders at the opens of bars that could not be traded.

    Attributes
    ----------
    bars : of all symbols in the scored windows. scored : bars of all symbols in these windows.
    spared : (R,) what each order would have lost from open to close of its bar, account currency; a gain is negative.
    orders : orders at an open, filled or not. gain : of the record, account currency.
    """

    bars: int
    scored: int
    spared: FloatArray
    orders: int
    gain: float

    @property
    def spared_share(self) -> float:
        """Of the gain; above 0 the record is better for what did not fill. inf where there is no gain."""
        total = float(self.spared.sum())
        return total / self.gain if self.gain > 0.0 else math.copysign(math.inf, total) if total else 0.0

    @property
    def is_luck(self) -> bool:
        """Whether as much is spared by chance where bars are taken out whatever they hold."""
        return float(self.spared.sum()) <= CHANCE_SPREADS * math.sqrt(float((self.spared**2).sum()))

    @property
    def phrase(self) -> str:
        """How many, and what it did."""
        number = len(self.spared)
        if not number:
            return ""
        spared = self.spared_share
        did = (
            f", which spared the record {spared:.0%} of its gain"
            if math.isfinite(spared) and spared > 0.005
            else ""
        )
        return f"{number:,} order{' was' if number == 1 else 's were'} not filled{did}"


def repaired_bars(study: Study, result: WalkForwardResult) -> Unfilled:
    """Orders at the opens of bars that ``data.repair`` took out."""
    return _unfilled(study, result, by_repair=True)


def untradable_bars(study: Study, result: WalkForwardResult) -> Unfilled:
    """Orders at the opens of bars that are inconsistent, or whose prices move without volume."""
    return _unfilled(study, result, by_repair=False)


def lowered_by_unfilled(study: Study, result: WalkForwardResult) -> list[str]:
    """Phrases on orders that hindsight kept from filling.

    Bars that a repair took out are the user's decision, and are named where they are many, too. Inconsistent bars are
    what a vendor sent: they are named only where what they spared is beyond luck. A bar's move is valued at the last
    close before it.
    """
    found = []
    repaired = repaired_bars(study, result)
    if not _are_few(repaired):
        found.append(_repaired_phrase(repaired))
    others = untradable_bars(study, result)
    if others.spared_share > SPARED_SHARE and not others.is_luck:
        found.append(
            f"at the opens of bars without volume, or whose high and low do not bound them, {others.phrase}"
        )
    return found


def told_of_repairs(study: Study, result: WalkForwardResult) -> tuple[str, ...]:
    """A sentence on bars that a repair took out, however few they are."""
    repaired = repaired_bars(study, result)
    return (f"{_repaired_phrase(repaired)}.",) if repaired.bars else ()


def _are_few(repaired: Unfilled) -> bool:
    return (
        len(repaired.spared) <= MOST_UNFILLED * repaired.orders
        and repaired.bars <= MOST_UNFILLED * repaired.scored
        and repaired.spared_share <= SPARED_SHARE
    ) or not repaired.bars


def _repaired_phrase(repaired: Unfilled) -> str:
    orders = f", at whose opens {repaired.phrase}" if repaired.phrase else ""
    return (
        f"{repaired.bars:,} of {repaired.scored:,} scored bars were taken out by data.repair, for what their closes "
        f"or later bars showed{orders}"
    )


def _unfilled(study: Study, result: WalkForwardResult, *, by_repair: bool) -> Unfilled:
    spared, bars, scored, orders, gain = [np.zeros(0)], 0, 0, 0, 0.0
    last_close = study.panel.last_close()
    latency = study.config.env.costs.latency_bars
    for fold in result.folds:
        r = fold.recording
        gain += float(r.equity[-1] - r.equity[0])
        scored += r.units.size
        ordered = _ordered(r, latency)
        orders += int((r.fills.place == 0).sum())
        for slot, there, move in _not_traded(study, r, by_repair):
            bars += int(there.sum())
            quantity = np.where(there, ordered[:, slot], 0.0)
            working = quantity != 0.0
            before = last_close[np.maximum(r.bar - 1, 0), r.symbols[slot]]
            notional = quantity * np.abs(np.nan_to_num(before)) * r.multiplier[slot]
            spared.append(-(notional * move)[working])
    lost = np.concatenate(spared)
    return Unfilled(bars=bars, scored=scored, spared=lost, orders=orders + len(lost), gain=gain)


def _ordered(r: Recording, latency: int) -> FloatArray:
    """(N, A) signed units between what is held before each bar and the target that works in it."""
    none = np.zeros((1, r.units.shape[1]))
    held = np.concatenate([none, r.units[:-1]])
    late = min(latency, len(r.units))
    target = np.concatenate([np.repeat(none, late, axis=0), r.target_units[: len(r.units) - late]])
    quantity = target - held
    return np.where(np.abs(quantity) > DUST * np.maximum(np.abs(target), np.abs(held)), quantity, 0.0)


def _not_traded(
    study: Study, r: Recording, by_repair: bool
) -> Iterator[tuple[int, BoolArray, NDArray[np.float64]]]:
    """Asset slot, (N,) where its bar is one of these, and (N,) that bar's gain from open to close over its open."""
    panel = study.panel
    for slot, s in enumerate(r.symbols.tolist()):
        there, move = np.zeros(len(r.bar), dtype=np.bool_), np.zeros(len(r.bar))
        if not by_repair:
            prices = panel.open[r.bar, s], panel.close[r.bar, s]
            there = np.isfinite(prices[1]) & ~panel.tradable[r.bar, s] & (prices[0] != prices[1])
            move = np.where(there, _gain(*prices), 0.0)
        for taken in study.taken_out:
            if taken.symbol == panel.symbols[s]:
                _add_rows(taken, taken.by_repair == by_repair, panel.bar_utc[r.bar], there, move)
        if there.any():
            yield slot, there, move


def _add_rows(
    taken: TakenOut, which: BoolArray, bar_utc: NDArray[np.datetime64], there: BoolArray, move: FloatArray
) -> None:
    """Note in `there` and `move` (N,) which of the rows lie at the bars of a window, and what they did; in place."""
    labels = taken.bar_utc[which]
    at = np.minimum(np.searchsorted(bar_utc, labels), len(bar_utc) - 1)
    here = bar_utc[at] == labels
    there[at[here]] = True
    move[at[here]] = _gain(taken.open, taken.close)[which][here]


def _gain(opened: FloatArray, close: FloatArray) -> FloatArray:
    """(N,) what a long gains from open to close over the size of the open; 0 where that is 0, for it has no size."""
    return np.divide(close - opened, np.abs(opened), out=np.zeros(len(opened)), where=opened != 0.0)
