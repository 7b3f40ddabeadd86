"""The documentation's pages as tests read them: fenced blocks by section, and the commands of indented lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "data").rglob("*.md"),
    ]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"(?:# @package \S+\n)?# ([\w/]+\.(?:py|yaml|csv))\b")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its language, text, the line it begins at, and the file that its first line names, if any."""

    language: str
    text: str
    line: int
    file: str | None


@dataclass(frozen=True, kw_only=True)
class Section:
    """What stands under one heading of the second level."""

    page: Path
    title: str
    blocks: tuple[Block, ...]
    commands: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}: {self.title}"


def blocks_of(text: str, first_line: int) -> tuple[Block, ...]:
    found = []
    for match in FENCE.finditer(text):
        file = FILE_NAME.match(match[2])
        line = first_line + text.count("\n", 0, match.start()) + 1
        found.append(Block(language=match[1], text=match[2], line=line, file=file and file[1]))
    return tuple(found)


def commands_of(text: str) -> tuple[str, ...]:
    """Indented lines that begin with `python -m rayjobs`, continued lines joined."""
    joined = FENCE.sub("", text).replace("\\\n", " ")
    return tuple(match[1] for match in re.finditer(r"^    (python -m rayjobs\..*)$", joined, re.MULTILINE))


def sections(page: Path) -> list[Section]:
    text = page.read_text()
    starts = [0, *(match.start() for match in re.finditer(r"^## ", text, re.MULTILINE)), len(text)]
    parts = [(text[start:stop], text.count("\n", 0, start) + 1) for start, stop in zip(starts, starts[1:])]
    return [
        Section(
            page=page,
            title=part.splitlines()[0].lstrip("# ") if part else "",
            blocks=blocks_of(part, line),
            commands=commands_of(part),
        )
        for part, line in parts
    ]


SECTIONS = [section for page in PAGES for section in sections(page)]


def unfenced_python(page: Path) -> list[str]:
    """Lines of indented blocks that are Python: no test would run them."""
    outside = FENCE.sub(lambda match: "\n" * match[0].count("\n"), page.read_text())
    python = re.compile(r"^    (?:from [\w.]+ import |import \w+|def \w+\(|class \w+|@\w+)")
    return [
        f"{page.relative_to(ROOT)}:{number}: {line.strip()}"
        for number, line in enumerate(outside.splitlines(), 1)
        if python.match(line)
    ]
