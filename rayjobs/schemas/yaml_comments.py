"""What the comments of a YAML file say of its keys: what each is, in which unit, and between what it chooses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

_NAME = r"[A-Za-z0-9][\w.+-]*"
_IN_PARENTHESES = re.compile(r"\s*\([^()]*\)")
_LAST_NAME = re.compile(rf"(?:^|[\s:,;])({_NAME})$")
_FIRST_NAME = re.compile(rf"({_NAME})(?=$|[\s,;:.])")


@dataclass(frozen=True, kw_only=True)
class Key:
    """One leaf of a file: dotted key, value as it is written and as it is read, and what the comment says."""

    name: str
    value: str
    comment: str
    read: Any = None


def head_of(text: str) -> str:
    """The comment that a file begins with, as sentences; commands in it stay on lines of their own."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("# ").rstrip()
        if words and not words.startswith("@package"):
            lines.append(words.replace("<", "&lt;"))
    return "  \n".join(lines)


def keys_of(text: str) -> Iterator[Key]:
    """Every leaf of a YAML text with its comment: of the same line, or of the lines just above it."""
    lines = text.splitlines()
    root = yaml.compose(text)
    if isinstance(root, yaml.MappingNode):
        yield from _leaves(root, lines, "")


def choices(comment: str) -> tuple[str, ...]:
    """The names that a comment offers, such as ``a`` and ``b`` of ``a | b (slower): of the fold``; none without a bar.

    Of the first and the others the name is the word beside the bar; ``a = words | b = words`` names what stands before
    the signs.
    """
    parts = [part.strip() for part in _IN_PARENTHESES.sub("", comment).split(" | ")]
    if len(parts) < 2:
        return ()
    first = parts[0].split(" = ", 1)[0].strip()
    found = [_LAST_NAME.search(first), *(_FIRST_NAME.match(part) for part in parts[1:])]
    return tuple(match.group(1) for match in found if match) if all(found) else ()


def _leaves(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Key]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if name.split(".")[0] in ("defaults", "hydra"):
            continue
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield from _leaves(value, lines, f"{name}.")
            continue
        read = yaml.SafeLoader("").construct_document(value)
        yield Key(name=name, value=_written(value, lines), comment=_comment(key, value, lines), read=read)


def _written(value: yaml.Node, lines: list[str]) -> str:
    first, last = value.start_mark, value.end_mark
    if first.line == last.line:
        return lines[first.line][first.column : last.column].strip() or "null"
    return " ".join(line.split("#")[0].strip() for line in lines[first.line : last.line + 1]).strip()


def _comment(key: yaml.Node, value: yaml.Node, lines: list[str]) -> str:
    behind = key.end_mark if value.start_mark.line > key.end_mark.line else value.end_mark
    rest = lines[behind.line][behind.column :] if behind.line < len(lines) else ""
    if "#" in rest:
        return rest.split("#", 1)[1].strip()
    above = []
    for line in reversed(lines[: key.start_mark.line]):
        if not line.strip().startswith("#"):
            break
        above.append(line.strip().lstrip("# "))
    return " ".join(reversed(above))
