"""What the simulator would have filled of the very orders that went to a venue: its prediction, bar by bar.

A second account of the same market takes over the first one's state as it was decided, and lets the simulator fill
the bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from envs.kernel import columns as c
from envs.live.account import LiveAccount


@dataclass(frozen=True, kw_only=True)
class PredictedFill:
    """A fill at the open of a bar as the simulator makes it.

    Attributes
    ----------
    bar : of the market. asset : place on the asset axis. units : signed. price : the open.
    commission, spread, slippage, impact : account currency, positive is paid.
    """

    bar: int
    asset: int
    units: float
    price: float
    commission: float
    spread: float
    slippage: float
    impact: float


class SimulatedTwin:
    """An account of its own that predicts the fills of another one's decisions.

    account : of the same market, config and window; used by nobody else.
    """

    def __init__(self, account: LiveAccount) -> None:
        self._account, self._decided = account, None
        account.env.set_logging(True)

    _decided: dict[str, Any] | None

    def note(self, state: dict[str, Any]) -> None:
        """Take over the state of the traded account just after a decision."""
        self._decided = state

    def predict(self) -> list[PredictedFill]:
        """Fill the bar that was appended last; empty where nothing was decided for it."""
        if self._decided is None:
            return []
        self._account.set_state(self._decided)
        self._decided = None
        self._account.env.fill_log[...] = 0.0  # which a decision clears, and this account takes none
        self._account.simulate()
        log = self._account.env.fill_log[0, :, c.AT_OPEN]
        return [
            PredictedFill(
                bar=self._account.bar + 1,
                asset=int(a),
                units=float(log[a, c.FILL_UNITS]),
                price=float(log[a, c.FILL_PRICE]),
                commission=float(log[a, c.FILL_COMMISSION]),
                spread=float(log[a, c.FILL_SPREAD]),
                slippage=float(log[a, c.FILL_SLIPPAGE]),
                impact=float(log[a, c.FILL_IMPACT]),
            )
            for a in np.flatnonzero(log[:, c.FILL_UNITS])
        ]
