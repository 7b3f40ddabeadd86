"""What one symbol may be traded at most, whatever the account has: units, account currency, what can be borrowed.

Of one asset slot, in the rows of a block. Limits are columns of the instrument, infinite where they are off.
"""

from __future__ import annotations

import math

from envs.kernel.columns import MAX_NOTIONAL, MAX_UNITS, SHORT_SHARE
from envs.kernel.jit import inner
from envs.kernel.lanes import where


@inner
def within_slot_limits(target, unit_notional, instrument):
    """Nearest target (units) within the symbol's limits in units and in account currency."""
    most = min(instrument[MAX_UNITS], instrument[MAX_NOTIONAL] / abs(unit_notional))
    return where(abs(target) > most, math.copysign(most, target), target)


@inner
def borrowed(wish, instrument):
    """What of a wish, a side or a weight, can be had: of a short the share that can be borrowed."""
    return where(wish < 0.0, wish * instrument[SHORT_SHARE], wish)


@inner
def borrowed_side(side, instrument):
    """The side that an action asks for: a short of which nothing can be borrowed is flat, as where shorts are off."""
    return where(instrument[SHORT_SHARE] <= 0.0, max(side, 0.0), side)
