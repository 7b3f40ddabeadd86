"""Whether two sets of numbers agree: what was recorded, and what was computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from evaluation.files import plain


class Difference(NamedTuple):
    """A number that is not what was recorded; None where a side has none."""

    name: str
    recorded: Any
    again: Any


def differences(
    recorded: Mapping[str, Any], again: Mapping[str, Any], *, relative: float = 0.0
) -> list[Difference]:
    """What differs among the recorded numbers; what is new in `again` is left out.

    Parameters
    ----------
    recorded, again : nested mappings, such as summary.json. Not finite and missing count as None.
    relative : largest relative difference that still counts as equal; 0 demands the same bits.
    """
    other = entries(again)
    return [
        Difference(name, value, other.get(name))
        for name, value in entries(recorded).items()
        if not agree(value, other.get(name), relative)
    ]


def agree(a: Any, b: Any, relative: float) -> bool:
    """Whether two entries are the same: numbers up to a relative difference, whole ones and truth values exactly."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    numbers = all(isinstance(x, (int, float)) for x in (a, b))
    return a == b or (numbers and math.isclose(a, b, rel_tol=relative, abs_tol=0.01 * relative))


def entries(values: Any) -> dict[str, Any]:
    """Every entry of nested mappings and lists by its path, such as ``criteria[sharpe].bars.num_bars``.

    Parameters
    ----------
    values : as for `differences`. What has a name is called by it in a list; an empty mapping or list is an entry too.
    """
    return dict(_flat(plain(values)))


def _flat(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, Mapping) and values:
        for key, value in values.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(values, list) and values:
        names = [value.get("name") if isinstance(value, Mapping) else None for value in values]
        named = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        for index, value in enumerate(values):
            yield from _flat(value, f"{path}[{names[index] if named else index}]")
    else:
        yield path, values
