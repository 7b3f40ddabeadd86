"""The schemas of a folder of configurations: one for each file at its top, one for each group, one for experiments.

Types come from the dataclasses (`rayjobs.schemas.groups`), what a key is and its default from the comments and values
of the files themselves, and the choices of each group from the files that are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from rayjobs.schemas.groups import PLACES, WHOLE, command_schemas, others
from rayjobs.schemas.json_types import DEFERRED, Schema, object_schema
from rayjobs.schemas.yaml_comments import Key, choices, keys_of

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SETUP = "hydra_setup"
"""The file at the top that is no command's."""
_OF_EXPERIMENTS = ("train", "sweep", "screen")
"""Commands whose keys an experiment may set."""


def file_schemas(folders: Sequence[Path]) -> dict[str, Schema]:
    """Place of the files below a folder of configurations, as a pattern -> their schema.

    Parameters
    ----------
    folders : of configurations: Rayfold's own first, then those of a project.
    """
    groups = groups_in(folders)
    commands = command_schemas()
    commands["bench"] = {
        key: _inferred(value) for key, value in _read(folders[0] / "bench.yaml").items() if key != "defaults"
    }
    said = {group: list(_keys_of_group(group, folders[0], names)) for group, names in groups.items()}
    for name, keys in commands.items():
        _annotate(keys, (folders[0] / f"{name}.yaml").read_text(), said)
    whole = {key: schema for name in _OF_EXPERIMENTS for key, schema in commands[name].items()}
    apart = others()
    for name, schema in apart.items():
        _note(schema, "", said[name])
    found = {
        f"{name}.yaml": _file(f"rayfold {name}", keys, groups, siblings=tuple(commands))
        for name, keys in commands.items()
    }
    for group in groups:
        if group in WHOLE:
            found[f"{group}/*.yaml"] = _file(f"{group} of rayfold", whole, groups, siblings=groups[group])
            continue
        taken = _group_keys(group, [*commands.values(), apart])
        if taken is not None:
            found[f"{group}/*.yaml"] = _group_file(group, taken, groups)
    return found


def groups_in(folders: Sequence[Path]) -> dict[str, tuple[str, ...]]:
    """Group, such as ``search/space`` -> the names of its files."""
    names: dict[str, set[str]] = {}
    for folder in folders:
        for path in folder.rglob("*.yaml"):
            if path.parent != folder:
                names.setdefault(path.parent.relative_to(folder).as_posix(), set()).add(path.stem)
    return {group: tuple(sorted(found)) for group, found in sorted(names.items())}


def _group_keys(group: str, commands: Sequence[Mapping[str, Schema]]) -> Schema | None:
    """The schema of the mapping that the files of a group fill; None for a group that nothing reads."""
    first, *rest = PLACES.get(group, tuple(group.split("/")))
    for keys in commands:
        schema = _mapping(keys.get(first))
        for name in rest:
            schema = _mapping(None if schema is None else _child(schema, name))
        if schema is not None:
            return schema
    return None


def _mapping(schema: Schema | None) -> Schema | None:
    """The branch of a schema that takes a mapping."""
    if schema is None:
        return None
    branches = [schema, *schema.get("anyOf", ())]
    return next((one for one in branches if "object" in one.get("type", ())), None)


def _child(schema: Schema, name: str) -> Schema | None:
    """The schema of a key; None of one that is the user's own name."""
    for branch in (schema, *schema.get("anyOf", ())):
        if name in branch.get("properties", ()):
            child: Schema = branch["properties"][name]
            return child
    return None


def _annotate(keys: Mapping[str, Schema], command: str, said: Mapping[str, Sequence[Key]]) -> None:
    """Write into the schemas what files say of their keys: that of the command first, then those of each group.

    Parameters
    ----------
    command : text of its file. said : group -> keys of its files.
    """
    schema = {"properties": keys}
    _note(schema, "", keys_of(command))
    for group, found in said.items():
        place = PLACES.get(group, tuple(group.split("/")))
        if group not in WHOLE and place[0] in keys:
            _note(schema, ".".join(place), found)


def _keys_of_group(group: str, conf: Path, names: tuple[str, ...]) -> Iterator[Key]:
    """Keys of a group's files, those of the file that commands choose by default first."""
    chosen = _defaults(conf).get(group)
    for name in sorted(names, key=lambda name: name != chosen):
        path = conf / group / f"{name}.yaml"
        if path.is_file():  # a project's own file states values of one study, not what is usual
            yield from keys_of(path.read_text())


@cache
def _defaults(conf: Path) -> dict[str, str]:
    """Group -> what the files at the top choose of it."""
    entries = [entry for path in sorted(conf.glob("*.yaml")) for entry in _read(path).get("defaults", ())]
    return {group: str(name) for entry in entries if isinstance(entry, dict) for group, name in entry.items()}


def _note(schema: Schema, prefix: str, keys: Iterable[Key]) -> None:
    """Give each key its comment, its default and, for a text, its choices; what was noted first stays."""
    for key in keys:
        found: Schema | None = schema
        for name in [*(prefix.split(".") if prefix else ()), *key.name.split(".")]:
            found = None if found is None else _child(found, name)
        if found is None or "default" in found:
            continue
        value = key.read
        _narrow(found, value, choices(key.comment))
        if key.comment:
            found["description"] = key.comment
        if not isinstance(value, str) or not re.match(DEFERRED, value):
            found["default"] = value


def _narrow(schema: Schema, value: Any, names: tuple[str, ...]) -> None:
    """Take only the names that a comment offers, where the type would take any text."""
    given = value if isinstance(value, list) else [value]
    if not names or any(one is not None and one not in names for one in given):
        return
    plain = schema.get("items", {}) if isinstance(value, list) else schema
    if set(plain.get("type", ())) | {"null"} != {"string", "null"} or "pattern" in plain:
        return
    taken: list[str | None] = [*names, *([None] if "null" in plain["type"] else [])]
    plain.clear()
    plain["anyOf"] = [{"enum": taken}, {"type": "string", "pattern": DEFERRED}]


def _inferred(value: Any) -> Schema:
    """The schema of a key that no dataclass reads: values of the same kind as its default."""
    if isinstance(value, dict):
        return object_schema({str(key): _inferred(one) for key, one in value.items()})
    if isinstance(value, list):
        return {"type": "array"}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, (int, float)):
        return {"type": "number"}
    return {} if value == "auto" or value is None else {"type": ["string"]}


def _file(
    title: str,
    keys: Mapping[str, Schema],
    groups: Mapping[str, tuple[str, ...]],
    *,
    siblings: tuple[str, ...],
) -> Schema:
    return {
        "$schema": DRAFT,
        "title": title,
        "type": "object",
        "properties": {"defaults": _defaults_schema(groups, siblings, ""), **keys, "hydra": {}},
        "additionalProperties": False,
    }


def _group_file(group: str, keys: Schema, groups: Mapping[str, tuple[str, ...]]) -> Schema:
    defaults = _defaults_schema(groups, groups[group], group)
    return {
        "$schema": DRAFT,
        "title": f"the group {group} of rayfold",
        **{name: value for name, value in keys.items() if name not in ("default", "description", "pattern")},
        "type": "object",
        "properties": {"defaults": defaults, **keys.get("properties", {})},
    }


def _defaults_schema(groups: Mapping[str, tuple[str, ...]], siblings: tuple[str, ...], inside: str) -> Schema:
    """A defaults list: files beside this one, and one file or several of a group.

    Parameters
    ----------
    inside : group whose file it is in; a group within it may be named without that one.
    """
    named = {}
    for group, names in groups.items():
        short = group.removeprefix(f"{inside}/") if inside else group
        for one in {group, short}:
            named[rf"^((override|optional) )*/?{re.escape(one)}(@.+)?$"] = _chosen(names)
    entry = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "patternProperties": {**named, r"^((override|optional) )*/?hydra/.+$": {}},
        "additionalProperties": False,
    }
    text = {
        "anyOf": [{"enum": ["_self_", SETUP, *siblings]}, {"type": "string", "pattern": "^(optional |/)|@"}]
    }
    return {
        "type": "array",
        "description": "Which files this one builds on, in this order; _self_ is this file itself",
        "items": {"anyOf": [text, entry]},
    }


def _chosen(names: tuple[str, ...]) -> Schema:
    return {
        "anyOf": [
            {"enum": [*names, None]},
            {"type": "array", "items": {"enum": list(names)}},
            {"type": "string", "pattern": DEFERRED},
        ]
    }


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) or {}
