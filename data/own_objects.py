"""Objects of a user's own code that a configuration names as ``package.module:NAME``."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

OWN_NAME = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""How a configuration names an object of a user's own."""


def import_named(name: str, what: str) -> Any:
    """The object of this name.

    Parameters
    ----------
    name : ``package.module:NAME``; the module must be importable where the job runs.
    what : the key that names it, for messages.

    Raises
    ------
    ValueError
        If the name has another form, or module or object is not there.
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise ValueError(f"{what} is {name!r}; name your own as package.module:NAME.")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{what} {name!r} cannot be imported ({error}); check module and name.") from error


def own_code(values: Any) -> dict[str, str]:
    """Objects of one's own that a configuration names -> sha256 of the file of their module; where it is found."""
    digests = {}
    for name in sorted(set(_own_names(values))):
        try:
            spec = find_spec(name.partition(":")[0])
        except (ImportError, ValueError):
            spec = None
        if spec is not None and spec.has_location and spec.origin is not None:
            digests[name] = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
    return digests


def _own_names(values: Any) -> Iterator[str]:
    if isinstance(values, str) and OWN_NAME.fullmatch(values):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _own_names(value)
    elif isinstance(values, Sequence) and not isinstance(values, str):
        for value in values:
            yield from _own_names(value)


def import_callable(name: str, what: str) -> Any:
    """As `import_named`, of something that can be called."""
    found = import_named(name, what)
    if not callable(found):
        raise ValueError(f"{what} {name!r} is a {type(found).__name__}; it must be a function.")
    return found
