"""Action schemes: what a policy's action means.

    direction       MultiDiscrete([3] * A): 0 short, 1 flat, 2 long. A kept direction keeps its units.
    orders          MultiDiscrete([4] * A): 0 hold, 1 buy (be long), 2 sell (be short), 3 close.
    direction_size  Box (A, 2): [:, 0] rounds to a direction 0..2, [:, 1] in [0, 1] multiplies the size rule.
    weights         Box (A,): target notional over equity in [-1, 1] ([0, 1] without shorts); the rest is cash.

The size rule is asked at an entry or a flip only. An action for an asset whose bar t is untradable, and an
action that is not finite, count as "keep".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import gymnasium
import numpy as np

from envs.validation import require_choice, require_range

ACTION_SCHEMES: tuple[str, ...] = ("direction", "orders", "direction_size", "weights")


@dataclass(frozen=True, kw_only=True)
class ActionConfig:
    """Meaning of actions.

    Attributes
    ----------
    scheme : one of `ACTION_SCHEMES`.
    allow_short : False turns every short into flat.
    rebalance_band : scheme `weights`: no trade while |target - decided weight| is smaller, fraction of equity.
    """

    scheme: Literal["direction", "orders", "direction_size", "weights"]
    allow_short: bool
    rebalance_band: float

    def __post_init__(self) -> None:
        require_choice("action", "scheme", self.scheme, ACTION_SCHEMES)
        require_range("action", "rebalance_band", self.rebalance_band, 0.0, 1.0)


def action_space(config: ActionConfig, num_assets: int) -> gymnasium.Space:
    """Build the single-env action space of a scheme (see the module's table)."""
    if config.scheme == "direction":
        return gymnasium.spaces.MultiDiscrete([3] * num_assets)
    if config.scheme == "orders":
        return gymnasium.spaces.MultiDiscrete([4] * num_assets)
    if config.scheme == "direction_size":
        high = np.tile(np.array([2.0, 1.0], dtype=np.float32), (num_assets, 1))
        return gymnasium.spaces.Box(np.zeros_like(high), high, dtype=np.float32)
    low = -1.0 if config.allow_short else 0.0
    return gymnasium.spaces.Box(low, 1.0, (num_assets,), dtype=np.float32)
