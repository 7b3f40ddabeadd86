"""Settings of all runs, kept between starts of the dashboard in the user's cache: parsing two thousand takes seconds.

They are kept as they are shown, secrets blotted out, each with the time of change of the file that it came from.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from pathlib import Path
from typing import Any

from rayjobs.storage.uri import CACHE_VARIABLE

LOG = logging.getLogger(__name__)
FORMAT = 1


class SettingsCache:
    """Run -> settings, by the time of change of its ``config.yaml``.

    Parameters
    ----------
    root : of all runs; each root has a file of its own.
    folder : of the cache; None for the user's.
    """

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        if folder is None:
            folder = Path(os.environ.get(CACHE_VARIABLE, "~/.cache/rayfold")).expanduser() / "dashboard"
        self._path = folder / f"{hashlib.sha256(f'{FORMAT} {root}'.encode()).hexdigest()[:24]}.jsonl"
        self._known: dict[str, tuple[int, bytes]] = {}
        self._writes = True
        self._read()

    def get(self, run: str, stamp: int) -> dict[str, Any] | None:
        """The settings that were kept of a run whose file changed at ``stamp`` (ns); None where there are none."""
        known = self._known.get(run)
        return None if known is None or known[0] != stamp else dict(json.loads(zlib.decompress(known[1])))

    def put(self, run: str, stamp: int, settings: dict[str, Any]) -> None:
        """Keep settings; a cache that cannot be written is kept in memory alone."""
        self._known[run] = stamp, zlib.compress(json.dumps(settings).encode())
        if not self._writes:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps([run, stamp, settings]) + "\n")
        except OSError as error:
            self._writes = False
            LOG.warning(
                "%s cannot be written (%s); settings will be read anew at each start", self._path, error
            )

    def _read(self) -> None:
        """What an earlier dashboard kept; a line that is damaged or was cut off is left out."""
        try:
            with self._path.open(encoding="utf-8") as stream:
                for line in stream:
                    try:
                        run, stamp, settings = json.loads(line)
                        self._known[str(run)] = int(stamp), zlib.compress(json.dumps(dict(settings)).encode())
                    except (ValueError, TypeError):
                        continue
        except (OSError, UnicodeDecodeError):
            return
