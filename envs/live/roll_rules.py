"""How positions in dated contracts are rolled at a venue: the keys of `conf/broker/*.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from envs.validation import require_range


@dataclass(frozen=True, kw_only=True)
class RollRules:
    """What becomes of a position where the bars turn to another contract.

    Without a word the bars are refused: so it was when the trading runs were begun that have none of these keys.

    Parameters
    ----------
    roll : "close_open" closes the old contract and opens the next, "refuse" trades no series of joined contracts,
        "spread" (both in one order) is refused so far.
    late_roll : of a position that is found in a contract which the bars have left while nothing traded: "roll" rolls
        it at once, "stop" ends with a sentence.
    roll_attempts : closes in a row at which a leg that did not fill whole is sent before trading stops.
    """

    roll: Literal["close_open", "spread", "refuse"] = "refuse"
    late_roll: Literal["roll", "stop"] = "stop"
    roll_attempts: int = 1

    def __post_init__(self) -> None:
        require_range("broker", "roll_attempts", self.roll_attempts, 1, 1000)


REFUSED = RollRules()
"""Of a venue that is told nothing of rolls."""
