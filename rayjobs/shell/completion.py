"""Completion of the `rayfold` command: commands and their words, experiments, groups and their choices, keys, runs.

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

RUN_KEYS = ("run", "resume", "study", "trainer.start_from")
"""Keys whose values are runs; of `rayfold trade` and `deploy` policy is one too."""
TRADED = ("trade", "deploy")
WORDS: Mapping[str, tuple[str, ...]] = {
    "completion": ("bash", "zsh", "fish"),
    "deploy": ("register", "list", "show", "promote", "demote", "retire", "retrain", "watch"),
    "features": ("list", "build", "plot", "check"),
    "ingest": ("inventory", "watch", "curate"),
    "submit": ("status", "logs", "stop"),
}
"""Command -> the words that may follow it at once and say what it does."""
TAKES_RUNS = ("compare", "deploy")
"""Commands of which a word without ``=`` may be a run."""
OF_A_TRAINING = ("evaluate", "submit")
"""Commands that take a training's keys, which their own YAML does not list."""
RUNS: Mapping[str, tuple[str, ...]] = {
    "sweep": ("*/sweeps/*/status.json",),
    "trade": ("*/trading/*/status.json",),
    "compare": ("*/*/status.json", "*/sweeps/*/status.json", "*/evaluations/*/status.json"),
}
"""Command -> where the runs lie that it goes on with or looks at; of others a training, or what won a search."""
OWN_WORDS = ("new", "doctor", "completion")
"""Commands without keys."""
TRAININGS = ("*/*/status.json", "*/sweeps/*/winner/verdict.json")

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
    # A key waits for its value; behind anything else a space follows.
    compadd -S '' -Q -- ${(M)found:#*=}
    compadd -Q -- ${${found:#*=}:#}
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
        return [option for option in (*QUIET, JSON, NO_COLOR, "--help", "--cfg") if option.startswith(typed)]
    if equals:
        candidates = set(_values(command, key))
    elif command in OWN_WORDS:
        candidates = set(WORDS.get(command, ()) if len(words) == 2 else ())
    else:
        candidates = {*_words(command, words), *_keys(command)}
    return sorted({f"{sign}{one}" for one in candidates if f"{sign}{one}".startswith(typed)})


def _words(command: str, words: Sequence[str]) -> Iterator[str]:
    """What may stand without ``=``: what a command is to do, if it is the first word, and runs."""
    if len(words) == 2:
        yield from WORDS.get(command, ())
    if command in TAKES_RUNS:
        yield from _runs(command, "")


def _folders() -> list[Path]:
    own = project_conf()
    return [CONF] if own is None else [CONF, own]


def _groups() -> set[str]:
    return {path.name for folder in _folders() for path in folder.iterdir() if path.is_dir()}


def _keys(command: str) -> Iterator[str]:
    """``group=`` of every group, and the dotted keys of a command's root and of the groups that it chooses."""
    yield from (f"{group}=" for group in _groups())
    yield from _keys_of_root(command)
    if command in OF_A_TRAINING:
        yield from _keys_of_root("train")


def _keys_of_root(name: str) -> Iterator[str]:
    root = CONF / f"{name}.yaml"
    if not root.is_file():
        return
    facts = _read(root)
    yield from _dotted({key: value for key, value in facts.items() if key != "defaults"})
    for entry in facts.get("defaults", []):
        if isinstance(entry, str) and entry not in ("_self_", "hydra_setup"):
            yield from _keys_of_root(entry)  # a sweep has all that a training has
        for group, name_of_file in entry.items() if isinstance(entry, dict) else ():
            file = CONF / str(group).removeprefix("override ").strip("/") / f"{name_of_file}.yaml"
            if file.is_file():
                yield from _dotted({str(group).replace("/", "."): _read(file)})


def _values(command: str, key: str) -> Iterator[str]:
    """``key=value`` of every choice of a group, and of every run for keys that name one."""
    traded = command in TRADED and key == "policy"
    for folder in () if traded else _folders():
        yield from (f"{key}={path.stem}" for path in (folder / key).glob("*.yaml"))
    if key in RUN_KEYS or traded:
        yield from (f"{key}={run}" for run in _runs(command, key))
    if key == "resume" and command in ("train", "sweep"):
        yield f"{key}=latest"


def _runs(command: str, key: str) -> Iterator[str]:
    """Runs below ``runs`` that a command may be told of, and the experiments that they belong to."""
    patterns = TRAININGS if key == "policy" else RUNS.get(command, TRAININGS)
    for pattern in patterns:
        yield from (str(status.parent) for status in Path("runs").glob(pattern))
    if key in ("", "policy"):
        yield from {str(status.parents[1]) for status in Path("runs").glob("*/*/status.json")}


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if key in ("defaults", "hydra"):
            continue
        if isinstance(value, dict) and value:
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}="


def _read(path: Path) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(), Loader=loader) or {}
