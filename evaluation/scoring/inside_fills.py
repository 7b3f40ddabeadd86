"""What a score owes to fills at prices beyond a bar's open and close: the same policy where no bar reaches further.

A profit target, or an entry that rests, fills when a bar's high or low reaches it. In a market that costs a little
time: what rises through a target is as likely to stand there a little later, so a bar that ends at the target or beyond
fills it soon after. But a high or low at which nobody traded (a bad tick, an odd lot, an average of quotes) fills what
the market never reached, and a score that hangs on such prices loses all of it where bars reach no further than their
open and close.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data.known_columns import HIGH, LOW
from envs.config import PortfolioEnvConfig
from envs.kernel import columns as c
from envs.market import Market

REACH = ("inside fills",)
"""Name, among what a score may hang on, of the range of bars beyond their open and close."""
REACH_COLUMNS = (HIGH, LOW)
"""Of which it is stated that trades took place there."""


def fills_inside(config: PortfolioEnvConfig) -> bool:
    """Whether orders may fill at other prices than a bar's open: at barriers, or where entries rest."""
    levels = config.barriers is not None and config.barriers.has_levels
    return levels or config.action.scheme == "order_entry"


def without_reach(market: Market) -> Market:
    """The market with each bar's high and low at its open and close; features and context stay as they were."""
    bars = market.bars.copy()
    body = bars[..., [c.OPEN, c.MARK]]
    bars[..., c.HIGH] = np.minimum(bars[..., c.HIGH], body.max(axis=-1))
    bars[..., c.LOW] = np.maximum(bars[..., c.LOW], body.min(axis=-1))
    return replace(market, bars=bars)
