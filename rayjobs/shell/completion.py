"""Completion of the `rayfold` command: commands, experiments, groups and their choices, keys, runs.

The shell asks ``rayfold completion words WORD...`` for what may follow; that reads the YAML files alone and imports
neither Hydra nor Ray, so that an answer takes a tenth of a second.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rayjobs.config.arguments import JSON, NO_COLOR, QUIET
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.project import CONF, project_conf
from rayjobs.config.terminal import write_text
from rayjobs.config.typed_config import ConfigError

RUN_KEYS = ("run", "resume", "study")
"""Keys whose values are runs."""

SCRIPTS: Mapping[str, str] = {
    "bash": """\
_rayfold() {
    local line="${COMP_LINE:0:COMP_POINT}"
    local current="${line##* }"
    local -a typed found
    read -ra typed <<< "$line"
    [[ -z "$current" ]] && typed+=("")
    mapfile -t found < <(rayfold completion words "${typed[@]}" 2>/dev/null)
    # Readline takes '=' for a break between words: what stands before it must not be repeated.
    local before=""
    [[ "$current" == *=* && "$COMP_WORDBREAKS" == *=* ]] && before="${current%"${current##*=}"}"
    COMPREPLY=("${found[@]#"$before"}")
    [[ ${#COMPREPLY[@]} -eq 1 && "${COMPREPLY[0]}" == *= ]] && compopt -o nospace
}
complete -F _rayfold rayfold
""",
    "zsh": """\
#compdef rayfold
_rayfold() {
    local -a found
    found=("${(@f)$(rayfold completion words "${words[@]:0:$CURRENT}" 2>/dev/null)}")
    compadd -S '' -Q -- "${found[@]}"
}
compdef _rayfold rayfold
""",
    "fish": """\
complete -c rayfold -f -a '(rayfold completion words (commandline -opc) (commandline -ct) 2>/dev/null)'
""",
}


def completion(words: Sequence[str]) -> ExitCode:
    """Print a shell's script, or what may follow the words typed so far.

    Raises
    ------
    ConfigError
        If no known shell is named.
    """
    if words[:1] == ["words"]:
        sys.stdout.write("".join(f"{word}\n" for word in following(list(words[2:]))))
        return ExitCode.DONE
    if len(words) != 1 or words[0] not in SCRIPTS:
        raise ConfigError(f"completion is for {', '.join(SCRIPTS)}; write: rayfold completion bash")
    write_text(SCRIPTS[words[0]])
    return ExitCode.DONE


def following(words: Sequence[str]) -> list[str]:
    """What the last word may become.

    Parameters
    ----------
    words : after ``rayfold``, the last one as far as it is typed.
    """
    if len(words) <= 1:
        from rayjobs.shell.commands import all_commands

        return [name for name in all_commands() if name.startswith(words[0] if words else "")]
    command, typed = words[0], words[-1]
    sign = typed[:1] if typed[:1] in ("+", "~") else ""
    key, equals, _ = typed.removeprefix(sign).partition("=")
    if typed.startswith("-"):
        return [option for option in (*QUIET, JSON, NO_COLOR, "--help") if option.startswith(typed)]
    candidates = _values(key) if equals else _keys(command)
    return sorted({f"{sign}{one}" for one in candidates if f"{sign}{one}".startswith(typed)})


def _folders() -> list[Path]:
    own = project_conf()
    return [CONF] if own is None else [CONF, own]


def _groups() -> set[str]:
    return {path.name for folder in _folders() for path in folder.iterdir() if path.is_dir()}


def _keys(command: str) -> Iterator[str]:
    """``group=`` of every group, and the dotted keys of a command's root and of the groups that it chooses."""
    yield from (f"{group}=" for group in _groups())
    root = CONF / f"{command}.yaml"
    if not root.is_file():
        return
    facts = _read(root)
    yield from _dotted({key: value for key, value in facts.items() if key != "defaults"})
    for entry in facts.get("defaults", []):
        for group, name in entry.items() if isinstance(entry, dict) else ():
            file = CONF / str(group).removeprefix("override ").strip("/") / f"{name}.yaml"
            if file.is_file():
                yield from _dotted({str(group): _read(file)})


def _values(key: str) -> Iterator[str]:
    """``key=value`` of every choice of a group, and of every run for keys that name one."""
    for folder in _folders():
        yield from (f"{key}={path.stem}" for path in (folder / key).glob("*.yaml"))
    if key in RUN_KEYS:
        yield from (f"{key}={status.parent}" for status in Path("runs").glob("*/*/status.json"))


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if key in ("defaults", "hydra"):
            continue
        if isinstance(value, dict) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}="


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) or {}
