"""What a job tells the shell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """What a job tells the shell. An interrupted job ends with 130, the shell's own code for Ctrl-C."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    GATE_SAID_NO = 3
    INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """How a job ended that did not raise.

    Attributes
    ----------
    code : what it tells the shell.
    directory : where its results lie; None for a job that left none, such as a dry run.
    """

    code: ExitCode
    directory: Path | None = None
