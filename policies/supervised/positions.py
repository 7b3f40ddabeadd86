"""From predictions to positions: sides and sizes by threshold, share, edge over cost, or rank.

Axes: N bars or envs, A asset, S side (0 long, 1 short).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.supervised.settings import PositionConfig

FloatArray = NDArray[np.float64]
LONG, SHORT = 0, 1


def target_positions(
    strength: FloatArray,
    edge: FloatArray,
    tradable: NDArray[np.bool_],
    config: PositionConfig,
    *,
    bound: float,
    allow_short: bool,
    net: bool = False,
) -> FloatArray:
    """(N, A) target notional over equity, signed.

    Parameters
    ----------
    strength : (N, A, S) what sides are compared by: probabilities, expected returns or scores; -inf for a side that
        may not be taken.
    edge : (N, A, S) expected return of each side, fraction of notional; read by rule edge alone.
    tradable : (N, A); a symbol that cannot be traded takes no part in a ranking.
    bound : least strength of rules threshold and share.
    allow_short : False takes no short side. net : `edge` is what is left after the costs of a round trip.
    """
    sides = "long" if not allow_short else config.sides
    if not allow_short and config.sides == "short":
        return np.zeros(strength.shape[:2])
    if config.rule == "rank":
        return config.fraction * _ranked(strength[..., LONG], tradable, config.share, sides)
    compared = np.array(edge if config.rule == "edge" else strength)
    for place, name in ((SHORT, "long"), (LONG, "short")):
        if sides == name:
            compared[..., place] = -np.inf
    long, short = compared[..., LONG], compared[..., SHORT]
    side = np.where(long > short, 1.0, np.where(short > long, -1.0, 0.0))
    best = compared.max(axis=2)
    if config.rule != "edge":
        return np.where(best >= bound, side, 0.0) * config.fraction
    # At two round trips of expected return a position is `fraction`; at one, where it earns nothing, none.
    size = config.fraction * (best / config.round_trip_cost - (0.0 if net else 1.0))
    return side * np.clip(size, 0.0, config.max_fraction)


def _ranked(score: FloatArray, tradable: NDArray[np.bool_], share: float, sides: str) -> FloatArray:
    """(N, A) 1 for the best share of the tradable symbols of a row, -1 for the worst; 0 for all where scores are equal.

    At least one symbol each way where there are two.
    """
    known = np.where(tradable, score, np.nan)
    count = tradable.sum(axis=1, keepdims=True)
    taken = np.where(count > 1, np.maximum(np.floor(share * count), 1.0), 0.0)
    place = np.argsort(np.argsort(np.where(tradable, score, np.inf), axis=1, kind="stable"), axis=1)
    highest = np.where(tradable, score, -np.inf).max(axis=1, keepdims=True)
    lowest = np.where(tradable, score, np.inf).min(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        top = tradable & (place >= count - taken) & (known > lowest)
        bottom = tradable & (place < taken) & (known < highest)
    return np.where(top & (sides != "short"), 1.0, 0.0) - np.where(bottom & (sides != "long"), 1.0, 0.0)


def held(
    wanted: FloatArray, before: FloatArray, age: NDArray[np.int64], hold_bars: int
) -> tuple[FloatArray, NDArray[np.int64]]:
    """(N, A) positions and for how many bars their side was held, where a side is kept for at least ``hold_bars``.

    Parameters
    ----------
    wanted, before : (N, A) signed positions, of now and of the bar before. age : (N, A) bars that `before` was held.
    """
    turned = np.sign(wanted) != np.sign(before)
    kept = turned & (before != 0.0) & (age < hold_bars)
    position = np.where(kept, before, wanted)
    return position, np.where(turned & ~kept, 1, age + 1)


def on_side(compared: FloatArray, side: FloatArray) -> FloatArray:
    """(N, A, S) with -inf where a primary rule does not take that side.

    Parameters
    ----------
    compared : (N, A, S). side : (N, A) -1, 0 or 1.
    """
    taken = np.stack([side > 0.0, side < 0.0], axis=2)
    return np.where(taken, compared, -np.inf)
