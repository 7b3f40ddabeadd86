"""Objects of a user's own code that a configuration names as ``package.module:NAME``."""

from __future__ import annotations

import importlib
from typing import Any


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


def import_callable(name: str, what: str) -> Any:
    """As `import_named`, of something that can be called."""
    found = import_named(name, what)
    if not callable(found):
        raise ValueError(f"{what} {name!r} is a {type(found).__name__}; it must be a function.")
    return found
