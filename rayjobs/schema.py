"""Write JSON Schemas of the YAML files, so that an editor completes keys, shows what they are and marks what is wrong.

Run: python -m rayjobs.schema
Elsewhere: python -m rayjobs.schema FOLDER
In a project of one's own its files count as choices too: run it again once one is added.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rayjobs.config.arguments import command_line
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.project import CONF, project_conf
from rayjobs.config.typed_config import ConfigError
from rayjobs.entry import reading_input, run_words

FOLDER = Path(".rayfold") / "schemas"
SETTINGS = "vscode-settings.json"
"""What the YAML extension of VS Code is told: which schema is for which files."""


def schema(words: Sequence[str]) -> ExitCode:
    """Write a schema for each kind of file, and the settings that name them.

    Raises
    ------
    ConfigError
        For a second word, or a folder that cannot be written.
    """
    if len(words) > 1 or any(word.startswith("-") or "=" in word for word in words):
        raise ConfigError(f"schema takes one word, the folder to write to; got {' '.join(words)}")
    from rayjobs.monitoring.result_tables import print_paths, print_sentence
    from rayjobs.schemas.files import file_schemas

    own = project_conf()
    found = file_schemas([CONF] if own is None else [CONF, own])
    folder = Path(words[0]).expanduser() if words else FOLDER
    with reading_input():
        paths = {files: _write(folder / _file_name(files), content) for files, content in found.items()}
        settings = _write(folder / SETTINGS, editor_settings(paths, CONF if own is None else own))
    print_paths([*paths.values(), settings])
    print_sentence(
        f"{len(paths)} schemas; copy the lines of {settings} into .vscode/settings.json (docs/command_line.md)"
    )
    return ExitCode.DONE


def editor_settings(schemas: dict[str, Path], conf: Path) -> dict[str, Any]:
    """Settings of VS Code's YAML extension, with paths as they are seen from the current directory."""
    place = _from_here(conf)
    return {
        # Rayfold reads YAML 1.1, in which 400_000 is a number.
        "yaml.yamlVersion": "1.1",
        "yaml.schemas": {_from_here(path): f"{place}/{files}" for files, path in schemas.items()},
    }


def _from_here(path: Path) -> str:
    """Relative to the current directory where it lies in it."""
    here = Path(os.path.abspath(path))
    return f"./{here.relative_to(Path.cwd())}" if here.is_relative_to(Path.cwd()) else here.as_posix()


def _file_name(files: str) -> str:
    """``search.space.json`` of ``search/space/*.yaml``, ``command.train.json`` of ``train.yaml``."""
    group = files.removesuffix("/*.yaml")
    name = f"command.{files.removesuffix('.yaml')}" if group == files else group.replace("/", ".")
    return f"{name}.json"


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """The entry point."""
    return run_words(schema, "schema", command_line(argv), help_text=__doc__)


if __name__ == "__main__":
    sys.exit(main())
