"""Placebo markets: the same bars in another order, in which nothing can be predicted from one block to the next.

A policy class that is trained again on placebos, and passes the gate there, would have passed on noise. Training is
injected; this module makes the markets and counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data.dividends import DIVIDEND
from data.schema import Panel
from data.traded_prices import without_rolls
from evaluation.gate.config import GateConfig
from evaluation.gate.evidence import GateEvidence
from evaluation.gate.verdict import judge


def permuted_bars(num_bars: int, block_bars: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Bar indices after blocks of `block_bars` were shuffled; bar 0 stays, for its return is not known."""
    if not 1 <= block_bars < num_bars:
        raise ValueError(f"block_bars is {block_bars}; it must lie between 1 and the {num_bars} bars")
    starts = range(1, num_bars, block_bars)
    blocks = [np.arange(start, min(start + block_bars, num_bars)) for start in starts]
    return np.concatenate([[0], *(blocks[index] for index in random.permutation(len(blocks)))])


def placebo_panel(panel: Panel, block_bars: int, random: np.random.Generator) -> Panel:
    """A panel whose bar-to-bar moves are those of `panel`, in blocks, in another order; labels and sessions stay.

    Every bar keeps its shape relative to the last known close before it, its volume and its exogenous columns; all
    assets move together, so their correlations stay. Joined contracts are one that is never rolled.
    """
    panel = without_rolls(panel).positive()
    order = permuted_bars(panel.num_bars, block_bars, random)
    close = panel.last_close()
    before = np.vstack([np.full((1, panel.num_assets), np.nan), close[:-1]])
    base = np.where(np.isfinite(before), before, panel.open)  # an asset's first bar is its own reference
    with np.errstate(invalid="ignore"):
        growth = np.where(np.isfinite(panel.close), panel.close / base, 1.0)[order]
    first = np.array(
        [column[np.isfinite(column)][0] if np.isfinite(column).any() else np.nan for column in panel.open.T]
    )
    path = first * np.cumprod(growth, axis=0)
    reference = np.vstack([first[None], path[:-1]])
    prices = {
        name: (getattr(panel, name) / base)[order] * reference for name in ("open", "high", "low", "close")
    }
    # Rounding may put a close a hair outside its bar's range.
    prices["high"] = np.fmax(prices["high"], np.fmax(prices["open"], prices["close"]))
    prices["low"] = np.fmin(prices["low"], np.fmin(prices["open"], prices["close"]))
    moved = {name: values[order] for name, values in panel.exogenous.items()}
    if DIVIDEND in moved:  # cash in proportion to the price beside it
        moved[DIVIDEND] = np.nan_to_num(panel.exogenous[DIVIDEND] / base)[order] * np.nan_to_num(reference)
    return replace(
        panel, **prices, volume=panel.volume[order], tradable=panel.tradable[order], exogenous=moved
    )


def placebo_pass_rate(
    panel: Panel,
    run_study: Callable[[Panel, int], GateEvidence],
    gate: GateConfig,
    *,
    num_placebos: int,
    block_bars: int,
    seed: int,
) -> float:
    """Share of placebo markets on which the gate passes.

    Parameters
    ----------
    run_study : trains and scores the policy class on a panel, in short form; gets the placebo's number as well.
    """
    if num_placebos < 1:
        raise ValueError(f"num_placebos is {num_placebos}; at least one is needed")
    passed = 0
    for number in range(num_placebos):
        placebo = placebo_panel(panel, block_bars, np.random.default_rng([seed, number]))
        passed += judge(gate, run_study(placebo, number)).passed
    return passed / num_placebos
