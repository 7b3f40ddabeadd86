"""What the docs site adds to the pages of this folder: the README as its start, and pages that follow from the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import config_reference  # noqa: E402

from rayjobs.shell.commands import all_commands  # noqa: E402


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for name, text in {
        "index.md": start(),
        "reference/configuration.md": config_reference.page(),
        "reference/commands.md": commands(),
    }.items():
        files.append(File.generated(config, name, content=text))
    return files


def start() -> str:
    """The README, its links as they are from this folder."""
    text = (ROOT / "README.md").read_text()
    return re.sub(r"\]\(docs/", "](", text).replace('src="docs/', 'src="')


def commands() -> str:
    """A line of each command."""
    rows = [f"| `{name}` | {line} |" for name, line in all_commands().items()]
    return "\n".join(
        ["# Commands\n", "`rayfold NAME` is `python -m rayjobs.NAME`.\n", "| | |", "|---|---|", *rows, ""]
    )
