"""What a job tells the shell."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a job tells the shell. An interrupted job ends with 130, the shell's own code for Ctrl-C."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    GATE_SAID_NO = 3
    INTERRUPTED = 130
