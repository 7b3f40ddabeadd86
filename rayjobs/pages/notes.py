"""Tags and notes on runs. They lie beside the runs, not in them: the files of a finished run are sealed."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from rayjobs.storage.run_directory import write_atomically

NOTES_FILE = ".dashboard/notes.json"
MAX_NOTE = 4000
_TAG = re.compile(r"[\w .:/+-]{1,40}")


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a person wrote to a run.

    Parameters
    ----------
    tags : short words, sorted, each once.
    text : free text.
    """

    tags: tuple[str, ...] = ()
    text: str = ""

    def __post_init__(self) -> None:
        for tag in self.tags:
            if not _TAG.fullmatch(tag):
                raise ValueError(
                    f"{tag!r} is no tag; take up to 40 letters, digits, spaces and . : / + - characters"
                )
        if len(self.text) > MAX_NOTE:
            raise ValueError(f"the note has {len(self.text):,} characters; at most {MAX_NOTE:,} are kept")


class Notes:
    """The notes on the runs of one root.

    Parameters
    ----------
    root : of all runs; the file is ``.dashboard/notes.json`` below it.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / NOTES_FILE
        self._lock = threading.Lock()
        self._stamp = -1
        self._known: dict[str, Note] = {}

    def all(self) -> dict[str, Note]:
        """Run -> note, of the runs that have one; a file that cannot be read is as good as none."""
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                content = json.loads(self._path.read_text(encoding="utf-8"))
                self._known = {
                    str(run): Note(tags=tuple(map(str, one["tags"])), text=str(one["text"]))
                    for run, one in content.items()
                }
                self._stamp = stamp
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return dict(self._known)
        return dict(self._known)

    def write(self, run: str, note: Note) -> None:
        """Put a note on a run; an empty one takes it away."""
        with self._lock:
            notes = {**self.all(), run: note}
            if not (note.tags or note.text):
                del notes[run]
            self._path.parent.mkdir(parents=True, exist_ok=True)
            content = {name: asdict(one) for name, one in sorted(notes.items())}
            write_atomically(self._path, json.dumps(content, indent=2) + "\n")
