"""Blots out what may be a secret before anything of a configuration is shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "(hidden)"
_NAMES = re.compile(
    r"(^|_)(api_?key|secret|password|passwd|token|credentials?|private_key)($|_)", re.IGNORECASE
)
_USER = re.compile(r"(\w[\w+.-]*://[^/\s:@]*):[^/\s@]+@")
_QUERY = re.compile(r"([?&](?:[\w-]*(?:key|token|secret|password|signature)[\w-]*)=)[^&\s]+", re.IGNORECASE)


def without_secrets(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted key, with `HIDDEN` for values whose key names a secret, and no password in any address."""
    return {key: _shown(key, value) for key, value in settings.items()}


def without_passwords(text: str) -> str:
    """A text without passwords and keys of the addresses in it."""
    return _QUERY.sub(rf"\1{HIDDEN}", _USER.sub(rf"\1:{HIDDEN}@", text))


def _shown(key: str, value: Any) -> Any:
    if isinstance(value, str) and value:
        # Of all parts of the key: tracking.token.value is one as much as tracking.token.
        return HIDDEN if any(_NAMES.search(part) for part in key.split(".")) else without_passwords(value)
    return value
