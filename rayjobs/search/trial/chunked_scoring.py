"""Scores one long test window as several rows that run side by side: the work of a step is spread over all of them.

Each row but the first begins ``overlap_bars`` before its part of the window and trades through them; by then its memory
and its positions are those of a single run through the whole window, to rounding. What it earned in the overlap is
dropped. The last training, on the holdout, is scored in one piece by `evaluation.scoring.fold_scoring`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.market import Market
from evaluation.scoring.rollout import run_policy
from policies.protocol import Policy

EQUITY_RULES = ("equity_schedule", "fractional_kelly", "money_budget")
"""Rules of sizing that look back over the whole account, so that its history cannot be cut."""


@dataclass(frozen=True, kw_only=True)
class ScoredWindow:
    """What a policy did on a test window of N bars.

    Attributes
    ----------
    net_return, turnover : (N,) per bar; turnover is traded notional over equity.
    """

    net_return: NDArray[np.float64]
    turnover: NDArray[np.float64]


def score_window(
    policy: Policy,
    market: Market,
    config: PortfolioEnvConfig,
    window: Window,
    *,
    rows: int,
    overlap_bars: int,
) -> ScoredWindow:
    """Run the policy over the window; bars after a ruin earn 0.

    Parameters
    ----------
    config : as `evaluation_config` makes it.
    rows : parts of the window; 1 runs it in one piece, as do accounts whose history decides (see `is_local`).
    overlap_bars : bars that each part but the first runs before its own.
    """
    windows, parts = chunk(window, rows if is_local(config) else 1, overlap_bars)
    net_return = np.zeros(window.stop_bar - window.start_bar)
    turnover = np.zeros_like(net_return)
    for recording, part in zip(run_policy(policy, market, config, windows), parts):
        bars = np.asarray(recording.bar)
        kept = (bars >= part.start) & (bars < part.stop)
        net_return[bars[kept] - window.start_bar] = np.asarray(recording.net_return)[kept]
        turnover[bars[kept] - window.start_bar] = np.asarray(recording.turnover)[kept]
    return ScoredWindow(net_return=net_return, turnover=turnover)


def chunk(window: Window, rows: int, overlap_bars: int) -> tuple[list[Window], list[slice]]:
    """Windows to run, and the bars of each that count.

    A part runs one bar past its end, so that the sale at the end of its episode falls on a bar that does not count.
    """
    num_bars = window.stop_bar - window.start_bar
    rows = max(1, min(rows, num_bars // max(overlap_bars, 1)))
    edges = np.linspace(window.start_bar, window.stop_bar, rows + 1).astype(int).tolist()
    parts = [slice(start, stop) for start, stop in zip(edges[:-1], edges[1:])]
    windows = [
        Window(
            start_bar=max(part.start - overlap_bars, window.start_bar),
            stop_bar=min(part.stop + 1, window.stop_bar),
        )
        for part in parts
    ]
    return windows, parts


def is_local(config: PortfolioEnvConfig) -> bool:
    """Whether an account forgets: no limit or size that depends on its equity or trades of long ago."""
    risk, sizing = config.risk, config.sizing
    limits = (
        *(risk.max_drawdown, risk.max_daily_loss, risk.max_drawdown_amount, risk.max_daily_loss_amount),
        *(risk.max_entries_per_session, risk.max_entries_per_symbol),
        # What is counted in units or money is another share of an account that has grown.
        *(risk.max_position_units, risk.max_position_notional, risk.max_gross_notional),
        *(sizing.risk_budget, sizing.max_units),
    )
    return sizing.rule not in EQUITY_RULES and all(limit is None for limit in limits)
