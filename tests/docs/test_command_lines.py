"""Every command line that a page or a configuration's header shows is one that the command accepts."""

from __future__ import annotations

import re
import shlex

import pytest
from pages import PAGES, ROOT, commands_of

from rayjobs.config.compose import CONF, compose_command_line
from rayjobs.config.typed_config import ConfigError

COMMAND = re.compile(r"python -m rayjobs\.(\w+)(.*)")
FILLED_IN = re.compile(r"\.\.\.|…|<\w+>")
"""A line that leaves out what a reader has to fill in."""
NOT_SAID_YET = (": missing; give it as", "refers to something that does not exist")
"""What the command reads from the run that it is given."""


def header_commands(text: str) -> list[str]:
    """Commands of a YAML file's comments, continued lines joined."""
    lines = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [match[0] for match in COMMAND.finditer(joined)]


def shown() -> list[tuple[str, str]]:
    found = [(str(page.relative_to(ROOT)), line) for page in PAGES for line in commands_of(page.read_text())]
    for path in sorted(CONF.rglob("*.yaml")):
        found += [(str(path.relative_to(ROOT)), line) for line in header_commands(path.read_text())]
    return sorted(set(found))


def overrides_of(command: str) -> tuple[str, tuple[str, ...]]:
    """The entry point's name and its arguments, up to a comment, a pipe or a second command."""
    match = COMMAND.search(command)
    assert match is not None
    words = shlex.split(re.split(r" {3,}(?![^ ]*=)", match[2])[0], comments=True)
    stop = next((i for i, word in enumerate(words) if word in ("|", "&&", ";", ">", "&")), len(words))
    return match[1], tuple(word.rstrip(",") for word in words[:stop])


PLAIN = ("train", "sweep", "screen", "features", "ingest", "bench")
"""Commands whose arguments are overrides and nothing else."""
SHOWN = {
    command: place
    for place, command in shown()
    if COMMAND.search(command)[1] in PLAIN and not FILLED_IN.search(command) and "--config-dir" not in command
}


@pytest.mark.runs
@pytest.mark.parametrize("name", PLAIN)
def test_what_is_shown_is_composed(name):
    shown_of_name = {overrides_of(command): command for command in SHOWN if overrides_of(command)[0] == name}
    assert len(shown_of_name) > 2
    wrong = []
    for (_, arguments), command in shown_of_name.items():
        try:
            compose_command_line(name, [one for one in arguments if "=" in one])
        except ConfigError as error:
            if not any(words in str(error) for words in NOT_SAID_YET):
                wrong.append(f"{SHOWN[command]} shows `{command}`: {error}")
    assert wrong == []
