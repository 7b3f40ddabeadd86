"""The settings of a run as its ``config.yaml`` has them, in sections that runs share.

Of two thousand configurations most parts are alike. Each is cut at its top-level keys, and a part that was seen before
is not parsed again. Where a file could mean anything else than its parts do, it is parsed whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rayjobs.config.typed_config import ConfigError
from rayjobs.pages.secrets import without_secrets
from rayjobs.storage.started_run import CONFIG_FILE, PROVENANCE, StartedRun

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KEY = re.compile(r"^(?=[A-Za-z_])", re.MULTILINE)
_CHILD = re.compile(r"^(?=  [A-Za-z_])", re.MULTILINE)
_NOT_DEEPER = re.compile(r"\n(?=.)(?!   |  - )")
"""A further line of a key's value that is not deeper than the key: it may belong to something else."""
_MARGIN = re.compile(r"^(?:[^A-Za-z_\s#-]|---|\t)", re.MULTILINE)
"""A line at the margin that is neither a key nor goes on with the one before."""
_ANCHOR = re.compile(r"[&*]\w")
"""What another part may stand for, or mean."""


@dataclass(frozen=True)
class Section:
    """Settings by dotted key, secrets blotted out, and the same as JSON, which tells equal sections."""

    settings: Mapping[str, Any]
    text: str

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Section:
        shown = without_secrets(settings)
        return cls(shown, json.dumps(shown))

    @classmethod
    def from_text(cls, text: str) -> Section:
        """What `text` was made of.

        Raises
        ------
        ValueError
            If it is no JSON object.
        """
        return cls(dict(json.loads(text)), text)


@dataclass(frozen=True)
class SeenParts:
    """Parts of files that were parsed: text at a top-level key -> its section, text at a key below -> its value."""

    sections: dict[str, Section] = field(default_factory=dict)
    children: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_sections(run: Path, seen: SeenParts) -> tuple[Section, ...]:
    """The sections of a run's configuration, without its provenance; none where it cannot be read.

    Parameters
    ----------
    run : its directory. seen : of files read before; it grows.
    """
    try:
        text = (run / CONFIG_FILE).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ()
    found = _by_parts(text, seen)
    if found is not None:
        return found
    try:
        return (Section.of(dict(leaves(StartedRun.read(run).values))),)
    except (OSError, ValueError, AttributeError, ConfigError):
        return ()


def _by_parts(text: str, seen: SeenParts) -> tuple[Section, ...] | None:
    """The sections of a file that is the sum of its parts; None for another one, or one without provenance."""
    head, *parts = _KEY.split(text)
    if head.strip():
        return None
    names = [part.partition(":")[0] for part in parts]
    if PROVENANCE not in names or len(set(names)) < len(names):
        return None
    sections = []
    for name, part in zip(names, parts):
        if name == PROVENANCE:
            if _MARGIN.search(part):
                return None
            continue
        if part not in seen.sections:
            values = _of_children(name, part, seen)
            values = _parsed(part) if values is None else values
            if values is None or list(values) != [name] or _MARGIN.search(part) or _ANCHOR.search(part):
                return None
            seen.sections[part] = Section.of(dict(leaves(values)))
        sections.append(seen.sections[part])
    return tuple(sections)


def _of_children(name: str, part: str, seen: SeenParts) -> dict[str, Any] | None:
    """A part as the sum of its own keys' lines; None where it is not made so."""
    head, *children = _CHILD.split(part)
    if head != f"{name}:\n" or not children:
        return None
    values: dict[str, Any] = {}
    for child in children:
        if child not in seen.children:
            parsed = None if _NOT_DEEPER.search(child) else _parsed(child)
            if parsed is None or len(parsed) != 1:
                return None
            seen.children[child] = parsed
        if not values.keys().isdisjoint(seen.children[child]):
            return None
        values |= seen.children[child]
    return {name: values}


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        values = yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def leaves(values: Mapping[Any, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of a nested configuration; a list is its JSON, an empty group too."""
    for key, value in values.items():
        here = f"{path}.{key}" if path else str(key)
        if isinstance(value, Mapping) and value:
            yield from leaves(value, here)
        elif isinstance(value, (str, int, float, bool, type(None))):
            yield here, value
        else:
            yield here, json.dumps(value, default=str)
