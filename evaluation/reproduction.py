"""Whether two sets of numbers agree: what was recorded, and what was computed again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from evaluation.artefacts import plain


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
    other = dict(_flat(plain(again)))
    return [
        Difference(name, value, other.get(name))
        for name, value in _flat(plain(recorded))
        if not _equal(value, other.get(name), relative)
    ]


def _equal(a: Any, b: Any, relative: float) -> bool:
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (a, b))
    return a == b or (numbers and math.isclose(a, b, rel_tol=relative, abs_tol=0.01 * relative))


def _flat(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from _flat(value, f"{path}[{index}]")
    else:
        yield path, values
