"""What `--help` prints: one screen with the command's purpose, three examples, its groups and its own settings."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from rayjobs.config.terminal import HOW_TO_SPEAK

_EXAMPLE = re.compile(r"python -m rayjobs\.\S+(?: \S+)*")
NUM_EXAMPLES = 3
LEAST_WIDTH = 60


def help_page(config_name: str, conf: Path) -> str:
    """The page of ``conf/<config_name>.yaml``.

    Parameters
    ----------
    conf : folder of the configurations.
    """
    width = max(shutil.get_terminal_size().columns, LEAST_WIDTH)
    head, examples = _head((conf / f"{config_name}.yaml").read_text())
    groups = dict(_groups(config_name, conf))
    experiment = " [+experiment=NAME]" if "data" in groups else ""
    lines = [f"usage: rayfold {config_name}{experiment} [group=CHOICE] [key=value]", ""]
    lines += [*textwrap.wrap(head, width), "", "examples:"]
    lines += [line for one in examples for line in _wrapped("  ", one, width)]
    if groups:
        longest = max(map(len, groups))
        lines += ["", "groups, * the default:"]
        lines += [
            _fitted(f"  {group:{longest}}  {', '.join(names)}", width) for group, names in groups.items()
        ]
    own = [key for key in _read(conf / f"{config_name}.yaml") if key not in ("defaults", "hydra")]
    if own:
        lines += ["", *_wrapped("keys: ", ", ".join(own), width)]
    lines += [
        "",
        "--cfg job shows every setting and runs nothing; docs/ says what each does.",
        *_wrapped("", HOW_TO_SPEAK, width),
        "",
    ]
    return "\n".join(lines)


def _head(text: str) -> tuple[str, list[str]]:
    """The purpose, which is the first comment, and the first examples of the comments at the top."""
    comments = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.lstrip("# ").rstrip())
    examples = [re.split(r"  +", found.group())[0] for line in comments if (found := _EXAMPLE.search(line))]
    return comments[0], [example.rstrip(".,") for example in examples[:NUM_EXAMPLES]]


def _groups(config_name: str, conf: Path) -> Iterator[tuple[str, list[str]]]:
    """Groups that a root chooses from, those of the roots beneath it first; each with its choices."""
    for entry in _read(conf / f"{config_name}.yaml").get("defaults", []):
        if isinstance(entry, str) and (conf / f"{entry}.yaml").is_file() and entry != "hydra_setup":
            yield from _groups(entry, conf)
        elif isinstance(entry, dict):
            for group, chosen in entry.items():
                name = str(group).removeprefix("override ").strip("/").split("@")[0]
                others = sorted(path.stem for path in (conf / name).glob("*.yaml"))
                default = str(chosen)
                rest = [other for other in others if other != default]
                yield name, [f"{default}*", *rest] if default in others else rest


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) or {}


def _fitted(line: str, width: int) -> str:
    """One line that ends with how many words are left out."""
    if len(line) <= width:
        return line
    kept = line[: width - 10].rsplit(", ", 1)[0]
    return f"{kept}, +{line.count(', ') - kept.count(', ')} more"


def _wrapped(before: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=before, subsequent_indent=" " * (len(before) + 2), break_on_hyphens=False
    )
