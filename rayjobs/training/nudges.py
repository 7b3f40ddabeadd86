"""Nudges: changes of the learning rate that a running job picks up at its next iteration.

``rayjobs.nudge`` appends to one file per run; each training loop notes which nudge it applied before which iteration,
so that a resumed run repeats them where they were.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

NUDGES_FILE, APPLIED_FILE = "nudges.jsonl", "nudges_applied.jsonl"
_LEARNING_RATE = re.compile(r"(x?)(\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)")


@dataclass(frozen=True, kw_only=True)
class Nudge:
    """One change of the learning rate.

    Parameters
    ----------
    learning_rate : ``x0.5`` multiplies it, on top of its schedule; ``3e-4`` makes it that now, and the schedule goes
        on in proportion.
    fold : the fold it is for; None for all.
    """

    learning_rate: str
    fold: int | None

    def __post_init__(self) -> None:
        match = _LEARNING_RATE.fullmatch(self.learning_rate)
        if match is None or float(match[2]) <= 0.0:
            raise ValueError(
                f"lr is {self.learning_rate!r}; write lr=x0.5 to multiply the learning rate or lr=3e-4 to set it"
            )

    def factor(self, current: float) -> float:
        """What the current learning rate is multiplied by."""
        number = float(self.learning_rate.removeprefix("x"))
        return number if self.learning_rate.startswith("x") else number / current


def write_nudge(checkpoints: Path, nudge: Nudge) -> Path:
    """Append a nudge to the file of a run's ``checkpoints`` directory."""
    checkpoints.mkdir(exist_ok=True)
    path = checkpoints / NUDGES_FILE
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(nudge)) + "\n")
    return path


class NudgeInbox:
    """What one training loop has yet to apply.

    Parameters
    ----------
    directory : of one policy's training; the nudges of the run lie beside it.
    fold : which nudges are meant for it.
    """

    def __init__(self, directory: Path, fold: int | None) -> None:
        self._sent = directory.parent / NUDGES_FILE
        self._applied = directory / APPLIED_FILE
        self._fold = fold
        self._history = [(line["iteration"], line["number"]) for line in _lines(self._applied)]

    def take(self, iteration: int) -> list[Nudge]:
        """Nudges to apply before an iteration: those that were applied there already, and new ones.

        Notes new ones as applied before it returns.
        """
        sent = _lines(self._sent)
        known = {number for _, number in self._history}
        new = [
            number
            for number, line in enumerate(sent)
            if number not in known and line["fold"] in (None, self._fold)
        ]
        if new:
            with self._applied.open("a", encoding="utf-8") as stream:
                stream.writelines(
                    json.dumps({"iteration": iteration, "number": number}) + "\n" for number in new
                )
            self._history += [(iteration, number) for number in new]
        return [Nudge(**sent[number]) for applied_at, number in self._history if applied_at == iteration]


def _lines(path: Path) -> list[dict[str, object]]:
    """JSON lines; one that is still being written (no line end) is left for later."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
