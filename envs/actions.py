"""Action schemes: what a policy's action means. `ACTION_SCHEMES` is the one list of them.

    direction       MultiDiscrete([3] * A): 0 short, 1 flat, 2 long. A kept direction keeps its units.
    orders          MultiDiscrete([4] * A): 0 hold, 1 buy (be long), 2 sell (be short), 3 close.
    direction_size  Box (A, 2): [:, 0] rounds to a direction 0..2, [:, 1] in [0, 1] multiplies the size rule.
    order_entry     MultiDiscrete([4 + 4 N] * A), N the number of `entry_offsets`: 0 to 3 as `orders`; then for each
                    offset buy limit, sell limit, buy stop, sell stop: an entry that rests that far from the close.
    weights         Box (A,): target notional over equity in [-1, 1] ([0, 1] without shorts); the rest is cash.

The size rule is asked at an entry or a flip only. An action for an asset whose bar t is untradable, and an
action that is not finite, count as "keep".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from data.errors import nearest_name
from envs.kernel.columns import DIRECTION, DIRECTION_SIZE, ORDER_ENTRY, ORDERS, WEIGHTS
from envs.validation import require_choice, require_positive, require_range

SHORT, FLAT, LONG = range(3)
"""Actions of the scheme `direction`."""


@dataclass(frozen=True, kw_only=True)
class ActionConfig:
    """Meaning of actions.

    Attributes
    ----------
    scheme : a key of `ACTION_SCHEMES`.
    allow_short : False turns every short into flat.
    entry_offsets : scheme `order_entry`: distances of resting entries from the close, in `entry_unit` (ticks | atr).
    time_in_force_bars : bars in which a resting entry may be filled; then it is cancelled.
    rebalance_band : scheme `weights`: no trade while |target - decided weight| is smaller, fraction of equity.
    """

    scheme: str
    allow_short: bool
    rebalance_band: float
    entry_unit: Literal["ticks", "atr"] = "ticks"
    entry_offsets: tuple[float, ...] = ()
    time_in_force_bars: int = 1

    def __post_init__(self) -> None:
        if self.scheme not in ACTION_SCHEMES:
            known = list(ACTION_SCHEMES)
            raise ValueError(
                f"env.action.scheme is {self.scheme!r}; it must be one of {', '.join(known)}"
                f"{nearest_name(str(self.scheme), known)}"
            )
        require_range("action", "rebalance_band", self.rebalance_band, 0.0, 1.0)
        require_choice("action", "entry_unit", self.entry_unit, ("ticks", "atr"))
        for offset in self.entry_offsets:
            require_positive("action", "entry_offsets", offset)
        require_range("action", "time_in_force_bars", self.time_in_force_bars, 1, 1_000_000)
        if self.scheme == "order_entry" and not self.entry_offsets:
            raise ValueError(
                "action.scheme is 'order_entry' but action.entry_offsets is empty; give it distances, such as "
                "[0.5, 1.0]"
            )


@dataclass(frozen=True, kw_only=True)
class ActionScheme:
    """One entry of `ACTION_SCHEMES`.

    Attributes
    ----------
    code : how `envs.kernel.orders` knows it.
    space : (config, A) -> space of one env row.
    encode : (side (T, A) of -1, 0, 1, target (T, A) in [-1, 1]) -> actions for rule baselines and scripts.
    num_columns : numbers per asset.
    num_choices : N where an action is one of N that `envs.kernel.masks` can rule out, those that rest left out; None
        where it is not.
    """

    code: int
    space: Callable[[ActionConfig, int], gymnasium.Space]
    encode: Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[Any]]
    num_columns: int = 1
    num_choices: int | None = None


def num_choices(config: ActionConfig) -> int | None:
    """Choices per asset that masks can rule out; None where actions are continuous."""
    choices = ACTION_SCHEMES[config.scheme].num_choices
    resting = 4 * len(config.entry_offsets) if config.scheme == "order_entry" else 0
    return None if choices is None else choices + resting


def _direction_and_size(config: ActionConfig, num_assets: int) -> gymnasium.Space:
    high = np.tile(np.array([2.0, 1.0], dtype=np.float32), (num_assets, 1))
    return gymnasium.spaces.Box(np.zeros_like(high), high, dtype=np.float32)


def _choices(config: ActionConfig, num_assets: int) -> gymnasium.Space:
    return gymnasium.spaces.MultiDiscrete([num_choices(config) or 1] * num_assets)


def _weights(config: ActionConfig, num_assets: int) -> gymnasium.Space:
    low = -1.0 if config.allow_short else 0.0
    return gymnasium.spaces.Box(low, 1.0, (num_assets,), dtype=np.float32)


ACTION_SCHEMES: Mapping[str, ActionScheme] = {
    "direction": ActionScheme(
        code=DIRECTION,
        space=lambda config, num_assets: gymnasium.spaces.MultiDiscrete([3] * num_assets),
        encode=lambda side, target: side + FLAT,
        num_choices=3,
    ),
    "orders": ActionScheme(
        code=ORDERS,
        space=lambda config, num_assets: gymnasium.spaces.MultiDiscrete([4] * num_assets),
        encode=lambda side, target: np.where(side > 0, 1, np.where(side < 0, 2, 3)),
        num_choices=4,
    ),
    "direction_size": ActionScheme(
        code=DIRECTION_SIZE,
        space=_direction_and_size,
        encode=lambda side, target: np.stack([side + FLAT, np.abs(target)], axis=-1).astype(np.float32),
        num_columns=2,
    ),
    "order_entry": ActionScheme(
        code=ORDER_ENTRY,
        space=lambda config, num_assets: _choices(config, num_assets),
        encode=lambda side, target: np.where(side > 0, 1, np.where(side < 0, 2, 3)),
        num_choices=4,
    ),
    "weights": ActionScheme(
        code=WEIGHTS, space=_weights, encode=lambda side, target: target.astype(np.float32)
    ),
}
"""Name in `env.action.scheme` -> what the packages must know of it; the docstring above says what its numbers mean."""


def maskable_schemes() -> tuple[str, ...]:
    """Schemes of which a choice can be ruled out."""
    return tuple(name for name, scheme in ACTION_SCHEMES.items() if scheme.num_choices is not None)


def action_space(config: ActionConfig, num_assets: int) -> gymnasium.Space:
    """Build the single-env action space of a scheme."""
    return ACTION_SCHEMES[config.scheme].space(config, num_assets)
