"""The words of a command line: which are flags, which override a key, and which key that is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

QUIET = ("--quiet", "-q")
JSON = "--json"
NO_COLOR = "--no-color"
"""How a command speaks (`rayjobs.config.terminal`): options of every command, none of which takes a value."""


def command_line(given: Sequence[str] | None) -> list[str]:
    """The words after the program's name, those given or those of this process when None; how to speak comes last."""
    speech, words = split(sys.argv[1:] if given is None else given, is_output_option)
    return [*words, *speech]


def is_output_option(argument: str) -> bool:
    """Whether it says how the command speaks, rather than what it does."""
    return argument in (*QUIET, JSON, NO_COLOR)


def is_flag(argument: str) -> bool:
    """Whether it is an option of Hydra's own, such as ``--help``."""
    return argument.startswith("-")


def is_override(argument: str) -> bool:
    """Whether it sets, adds (``+``) or removes (``~``) a key."""
    return not is_flag(argument) and ("=" in argument or argument.startswith("~"))


def key_of(argument: str) -> str:
    """The group or dotted key that an override names: ``env.fee`` of ``++env.fee=2``, ``env`` of ``env@other=x``."""
    return argument.lstrip("+~").split("=", 1)[0].split("@", 1)[0]


def root_of(argument: str) -> str:
    """The first part of the key: ``env`` of ``env.fee=2``."""
    return key_of(argument).split(".", 1)[0]


def given_value(argument: str) -> str | None:
    """What an override sets its key to, as it was typed; None where it sets nothing."""
    _, equals, value = argument.partition("=")
    return value if equals else None


def split(arguments: Sequence[str], chosen: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """The arguments that are chosen, and the others, each in their order."""
    return [a for a in arguments if chosen(a)], [a for a in arguments if not chosen(a)]
