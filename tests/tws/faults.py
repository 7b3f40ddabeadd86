"""What goes wrong and when, as data, and the record of every message that passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Action = Literal["cut_before", "cut_half", "cut_after", "drop", "duplicate", "hold"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong with one message.

    Parameters
    ----------
    do : cut_before closes the connection in place of the message (one from a client is then not acted on); cut_half
        closes it after half of an outgoing frame; cut_after closes it when the message was sent or acted on (answers
        to it are lost); drop loses the message alone; duplicate sends it twice; hold keeps it until `release`.
    message : its name, as in `tws.wire.REQUESTS` and `ANSWERS`; None for any.
    direction : "in" from a client, "out" to it; None for both.
    nth : the how-manieth such message since the fault was planned, from 1.
    """

    do: Action
    message: str | None = None
    direction: Literal["in", "out"] | None = None
    nth: int = 1

    def __post_init__(self) -> None:
        if self.nth < 1:
            raise ValueError(f"nth is {self.nth}; the first message is number 1")
        if self.direction == "in" and self.do in ("cut_half", "duplicate", "hold"):
            raise ValueError(f"{self.do} is for messages to a client")


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message that passed. fate : "passed" or the action that befell it."""

    number: int
    direction: Literal["in", "out"]
    client_id: int
    name: str
    fields: tuple[str, ...]
    fate: str


class FaultPlan:
    """Faults that are still to come; each befalls one message."""

    def __init__(self) -> None:
        self._waiting: list[list] = []

    def plan(self, *faults: Fault) -> None:
        """Add faults, each counting from now on."""
        self._waiting += [[fault, fault.nth] for fault in faults]

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._waiting.clear()

    @property
    def pending(self) -> int:
        """Faults that have not happened."""
        return len(self._waiting)

    def next(self, direction: str, name: str) -> Action | None:
        """What befalls this message; counts it for every fault that waits for its kind."""
        hit: Action | None = None
        for entry in list(self._waiting):
            fault = entry[0]
            if fault.direction not in (None, direction) or fault.message not in (None, name):
                continue
            if direction == "in" and fault.do in ("cut_half", "duplicate", "hold"):
                continue
            entry[1] -= 1
            if entry[1] == 0 and hit is None:
                hit = fault.do
                self._waiting.remove(entry)
        return hit
