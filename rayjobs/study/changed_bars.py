"""Whether bars are still what was loaded, where code of one's own ran beside them: features, envs, rewards, sources.

A panel's arrays lie in memory that Python lets nobody write to (`data.locked_arrays.locked`). What writes all the same
(`torch.from_numpy`, `ctypes`, a kernel) leaves another fingerprint than the one that was taken before it ran. The bars
of a job without such code are not hashed again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from data.schema import Panel
from envs.kernel import columns as c
from envs.market import Market, write_prices
from rayjobs.study.patched_code import takes_own_code

if TYPE_CHECKING:
    from rayjobs.study.study import Study

CHANGED = (
    "own code changed the bars: they are not what was loaded, and nothing that was computed from them counts; let "
    "features, envs and rewards of your own write to copies"
)


def bars_changed(study: Study) -> bool:
    """Whether the arrays of the study's bars hold something else than before its own code ran.

    Of a study without code of its own this is False, unasked.
    """
    if not takes_own_code(study.config):
        return False
    panels = [study.panel] if study.unseen is None else [study.panel, study.unseen.panel]
    return any(panel.fingerprint_now() != panel.fingerprint for panel in panels)


def require_same_bars(study: Study) -> None:
    """Refuse bars that were changed.

    Raises
    ------
    ValueError
        In one sentence.
    """
    if bars_changed(study):
        raise ValueError(CHANGED)


def require_market_of(panel: Panel, market: Market) -> None:
    """Refuse a market whose prices, volumes or tradable bars are not those of the panel that it was built from.

    Raises
    ------
    ValueError
        In one sentence.
    """
    bars = np.zeros((panel.num_bars, panel.num_assets, c.NUM_PRICE_COLUMNS))
    write_prices(bars, panel)
    if not np.array_equal(bars, market.bars[..., : c.NUM_PRICE_COLUMNS]):
        raise ValueError(CHANGED)
