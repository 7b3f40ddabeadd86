"""The `rayfold` command: ``rayfold train +experiment=NAME`` is ``python -m rayjobs.train +experiment=NAME``.

Commands are the modules of this package that can be run; each describes itself in its first line.
"""

from __future__ import annotations

import ast
import importlib.util
import runpy
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rayjobs.config.arguments import command_line, is_output_option
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.terminal import HOW_TO_SPEAK, write_text
from rayjobs.config.typed_config import ConfigError, did_you_mean

PACKAGE = Path(__file__).resolve().parents[1]
EXAMPLES = """\
  rayfold train +experiment=crypto_portfolio
  rayfold sweep +experiment=crypto_portfolio search.num_trials=16
  rayfold compare runs/crypto_portfolio"""


def _new(words: Sequence[str]) -> ExitCode:
    from rayjobs.shell.new_project import new_project

    return new_project(words)


def _doctor(words: Sequence[str]) -> ExitCode:
    from rayjobs.shell.doctor import doctor

    return doctor(words)


def _completion(words: Sequence[str]) -> ExitCode:
    from rayjobs.shell.completion import completion

    return completion(words)


OWN: Mapping[str, tuple[str, Callable[[Sequence[str]], ExitCode]]] = {
    "new": ("Write a project of your own that uses Rayfold as a library: rayfold new my_project.", _new),
    "doctor": (
        "Look at this machine: versions, memory, threads, keys, ports, disk; a cure for each trouble.",
        _doctor,
    ),
    "completion": ("Print the completion of bash, zsh or fish: rayfold completion bash.", _completion),
}
"""Commands of the shell alone: what they say of themselves, and what they run."""


def module_commands() -> dict[str, str]:
    """Name of each command that is a module -> the first line of its docstring."""
    found = {}
    for path in sorted([*PACKAGE.glob("*.py"), *PACKAGE.glob("*/__main__.py")]):
        name = path.stem if path.parent == PACKAGE else path.parent.name
        text = path.read_text()
        if not name.startswith("_") and '\nif __name__ == "__main__":' in text:
            found[name] = (ast.get_docstring(ast.parse(text)) or "").split("\n", 1)[0]
    return found


def all_commands() -> dict[str, str]:
    """Name of each command -> one line."""
    return {**module_commands(), **{name: line for name, (line, _) in OWN.items()}}


def usage() -> str:
    """One screen: the commands, and three examples."""
    width = max(map(len, all_commands()))
    room = max(shutil.get_terminal_size().columns, width + 24)
    lines = [
        textwrap.fill(line, room, initial_indent=f"  {name:{width}}  ", subsequent_indent=" " * (width + 4))
        for name, line in all_commands().items()
    ]
    return (
        "usage: rayfold COMMAND [key=value ...]   (= python -m rayjobs.COMMAND)\n\n"
        + "\n".join(lines)
        + f"\n\nexamples:\n{EXAMPLES}\n\nrayfold COMMAND --help shows its settings.\n{HOW_TO_SPEAK}\n"
    )


def run(words: Sequence[str]) -> ExitCode:
    """Run a command that is a module, which ends the process itself.

    Raises
    ------
    ConfigError
        If there is no such command.
    """
    name, *rest = words
    if name not in module_commands():
        raise ConfigError(f"there is no command {name!r}; {did_you_mean(name, list(all_commands()))}")
    sys.argv = [f"rayjobs.{name}", *rest]
    sys.path.insert(0, "")  # as `python -m` has it: features of a project are found in the current directory
    module = f"rayjobs.{name}"
    spec = importlib.util.find_spec(module)
    package = spec is not None and spec.submodule_search_locations is not None
    runpy.run_module(f"{module}.__main__" if package else module, run_name="__main__", alter_sys=True)
    return ExitCode.DONE


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point."""
    typed = list(sys.argv[1:] if argv is None else argv)
    if typed[:2] == ["completion", "words"]:  # at each press of a key: without the imports of a job
        return _completion(typed[1:])
    words = command_line(typed)
    name = words[0] if words and not is_output_option(words[0]) else ""
    if name in module_commands():
        return run(words)
    from rayjobs.entry import run_words

    if name in OWN:
        line, command = OWN[name]
        return run_words(command, name, words[1:], help_text=line)
    return run_words(_usage if name in ("", "-h", "--help", "help") else run, name, words)


def _usage(words: Sequence[str]) -> ExitCode:
    write_text(usage())
    return ExitCode.DONE if words else ExitCode.BAD_INPUT
