"""How a command speaks: words for a person, nothing (``--quiet``), or one JSON object for a script (``--json``).

Every command takes these options, at any place among its words: `speaking` reads them, for all of them alike. What a
command prints on standard output goes through `rayjobs.monitoring.result_tables` or `write_text`, and lands in the
object where one was asked for. What others print meanwhile (Ray, W&B, a library in C) goes to standard error then, so
that standard output holds the object alone.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from rayjobs.config.arguments import JSON, NO_COLOR, QUIET, is_output_option, split
from rayjobs.config.exit_codes import ExitCode

if TYPE_CHECKING:  # not for what completes a word at each press of a key
    from rich.console import Console

HOW_TO_SPEAK = "--quiet: errors alone; --json: one object on standard output; --no-color"
"""The options of every command, for a page of help."""
WIDTH_OF_FILES = 140
"""Columns of a table that goes into a file or a pipe, where COLUMNS does not say otherwise."""


@dataclass(kw_only=True)
class Speech:
    """One command's way of speaking, and what it has said so far.

    Attributes
    ----------
    command : its name. words : its command line without the options that are read here.
    quiet : only errors are told, on standard error. as_json : one object is told, on standard output.
    code : how it ended; None while it runs. error : the sentence that it ended with.
    directory : of the run, where the job left one. verdict, numbers : the run's.
    tables, sentences, paths : what was printed. facts : entries of the object beside these.
    out : where the object goes; None without one, and once it is told.
    """

    command: str = ""
    words: tuple[str, ...] = ()
    quiet: bool = False
    as_json: bool = False
    code: ExitCode | None = None
    error: str | None = None
    directory: Path | None = None
    verdict: Mapping[str, Any] | None = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    tables: list[dict[str, Any]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    out: TextIO | None = None

    def tell(self) -> None:
        """Write the object, once: at the end, or from a command that serves until it is stopped as soon as it does."""
        if self.out is not None:
            self.out.write(self.to_json() + "\n")
            self.out.flush()
            self.out = None

    def to_json(self) -> str:
        """The object: how the command ended, and all that it said; what is not a finite number is null."""
        from data.plain_values import plain  # numpy: not before a typo is told

        record = {
            "command": self.command,
            "code": self.code,
            "outcome": None if self.code is None else self.code.name.lower().replace("_", " "),
            "error": self.error,
            "run_directory": None if self.directory is None else str(self.directory),
            "verdict": self.verdict,
            "numbers": self.numbers,
            "tables": self.tables,
            "sentences": self.sentences,
            "paths": self.paths,
            **self.facts,
        }
        return json.dumps(plain(record), indent=2, allow_nan=False, default=str)


_SPEECH = Speech()


def speech() -> Speech:
    """That of the command that runs; in other programs, such as a notebook, words for a person."""
    return _SPEECH


@contextmanager
def speaking(command: str, words: Sequence[str]) -> Iterator[Speech]:
    """Read the options among the words and speak so for the length of the block; the object is told at its end."""
    global _SPEECH
    options, rest = split(words, is_output_option)
    chosen = Speech(
        command=command,
        words=tuple(rest),
        quiet=any(option in QUIET for option in options),
        as_json=JSON in options,
    )
    before = _SPEECH
    with ExitStack() as stack:
        if NO_COLOR in options:
            stack.enter_context(_variable("NO_COLOR", "1"))
        if chosen.as_json:
            chosen.out = stack.enter_context(_standard_output_led_to(sys.stderr))
        elif chosen.quiet:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(_standard_output_led_to(nowhere))
        if chosen.quiet:
            stack.enter_context(_warnings_logged())
        _SPEECH = chosen
        try:
            yield chosen
        finally:
            _SPEECH = before
            chosen.tell()


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment, which processes that are started meanwhile inherit."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


@contextmanager
def _standard_output_led_to(target: TextIO) -> Iterator[TextIO]:
    """Lead what anyone prints elsewhere, other processes and libraries too; gives the real standard output."""
    real = sys.stdout
    real.flush()
    with ExitStack() as stack:
        out = real
        # A test or a notebook may have put an object without a file in the place of standard output.
        if _file_number(real) == 1 and _file_number(target) is not None:
            kept = os.dup(1)
            os.dup2(target.fileno(), 1)
            stack.callback(_put_back, kept)
            out = stack.enter_context(open(os.dup(kept), "w", encoding="utf-8"))
        sys.stdout = target
        try:
            yield out
        finally:
            sys.stdout = real


def _put_back(kept: int) -> None:
    os.dup2(kept, 1)
    os.close(kept)


def _file_number(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):
        return None


@contextmanager
def _warnings_logged() -> Iterator[None]:
    """Python's warnings become log lines, which `--quiet` leaves out as it does others below an error."""
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)


def write_text(text: str) -> None:
    """Write text to standard output as it is; in an object it is the entry ``text``."""
    if _SPEECH.as_json:
        _SPEECH.facts["text"] = _SPEECH.facts.get("text", "") + text
    else:
        sys.stdout.write(text)


def output_console() -> Console:
    """Standard output: as wide as the terminal or as COLUMNS says, and `WIDTH_OF_FILES` in a file."""
    from rich.console import Console

    console = Console(color_system=_colors(), highlight=False)
    if console.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return console
    return Console(color_system=_colors(), highlight=False, width=WIDTH_OF_FILES)


def progress_console() -> Console:
    """Standard error, for what is told while a job runs; silent under ``--quiet``."""
    from rich.console import Console

    return Console(stderr=True, color_system=_colors(), quiet=_SPEECH.quiet)


def error_console() -> Console:
    """Standard error, for sentences and log lines."""
    from rich.console import Console

    return Console(stderr=True, color_system=_colors(), soft_wrap=True, highlight=False)


def _colors() -> Any:
    """Rich's name for what a terminal can show; nothing at all, bold print included, where NO_COLOR is set."""
    return None if os.environ.get("NO_COLOR") else "auto"
