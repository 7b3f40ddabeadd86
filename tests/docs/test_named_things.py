"""What the pages name is there: commands, targets of make, modules and what stands in them, files, keys of conf/."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import yaml
from pages import FENCE, FILE_NAME, PAGES, ROOT

CONF = ROOT / "conf"
PACKAGES = ("data", "envs", "policies", "evaluation", "rayjobs")
MODULES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
WRITTEN_OUT = [*PAGES, *CONF.rglob("*.yaml"), ROOT / "Makefile", *MODULES, *(ROOT / "docs").rglob("*.ipynb")]
COMMAND = re.compile(r"python -m (rayjobs(?:\.[a-z_]+)*)")
TARGET = re.compile(r"(?:`|^    (?:\$ )?)make ([a-z-]+)", re.MULTILINE)
ANY_PACKAGE = "|".join(PACKAGES)
PLACE = re.compile(rf"`((?:{ANY_PACKAGE})(?:\.\w+)+)`")
FILE = re.compile(rf"`((?:{ANY_PACKAGE}|conf|docs|tests)/[\w/]+\.(?:py|md|yaml))`")
KEY = re.compile(r"(?<![\w./@])([a-z_]+(?:\.[a-z_0-9]+)+)(?==|`)")
OPEN = ("features.specs.", "search.space.", "data.columns.", "instruments.symbols.", "run.")
"""Groups whose keys are the user's own names; `run` is also a finished run from Python."""
NO_KEYS = {"env.market", "env.rows.account", "env.step", "costs.dividend"}
"""Attributes of an env, a field of summary.json."""
SUFFIXES = (".py", ".json", ".csv", ".yaml", ".sqlite", ".md", ".parquet", ".html")
PACKAGE = re.compile(r"# @package (\S+)")


def is_run(name: str) -> bool:
    """Whether `python -m name` runs something."""
    place = ROOT / name.replace(".", "/")
    if place.is_dir():
        return (place / "__main__.py").is_file()
    file = place.with_suffix(".py")
    return file.is_file() and '\nif __name__ == "__main__":' in file.read_text()


def is_there(dotted: str) -> bool:
    """Whether a module is there, and in its text the last of the names that follow it."""
    place, names = ROOT, dotted.split(".")
    for at, name in enumerate(names):
        file = place / f"{name}.py"
        if file.is_file():
            return at == len(names) - 1 or re.search(rf"\b{names[-1]}\b", file.read_text()) is not None
        if not (place / name).is_dir():
            init = place / "__init__.py"
            return init.is_file() and re.search(rf"\b{name}\b", init.read_text()) is not None
        place /= name
    return True


@lru_cache
def keys() -> frozenset[str]:
    """Every dotted key of conf/, and every group."""
    found: set[str] = set()

    def add(prefix: str, value: object) -> None:
        found.add(prefix)
        for key, inner in value.items() if isinstance(value, dict) else ():
            add(f"{prefix}.{key}".lstrip("."), inner)

    for path in CONF.rglob("*.yaml"):
        text = path.read_text()
        stated = PACKAGE.search(text)
        group = ".".join(path.relative_to(CONF).parts[:-1]) if stated is None else stated[1]
        for base in {
            "labels": ("labels", "policy.labels"),
            "positions": ("policy.position",),
            "_global_": ("",),
        }.get(group, (group,)):
            add(base, yaml.load(text, yaml.CSafeLoader))
    return frozenset(found)


def line_of(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def unknown(pages: list[Path], pattern: re.Pattern[str], known) -> list[str]:
    """Where a page names something that is not known."""
    wrong = []
    for page in pages:
        text = page.read_text()
        found = pattern.finditer(text)
        wrong += [f"{page.relative_to(ROOT)}:{line_of(text, m)}: {m[1]}" for m in found if not known(m[1])]
    return wrong


def test_every_command_that_is_written_out_anywhere_runs():
    assert unknown(WRITTEN_OUT, COMMAND, is_run) == []
    assert not is_run("rayjobs.study")
    assert not is_run("rayjobs.storage.uri")


def test_every_target_of_make_that_a_page_names_is_in_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert unknown(PAGES, TARGET, targets.__contains__) == []


def test_every_module_and_what_a_page_names_of_it_is_there():
    def known(dotted: str) -> bool:
        return is_there(dotted) or dotted in keys() or dotted.startswith(OPEN)

    assert unknown(PAGES, PLACE, known) == []
    assert not is_there("rayjobs.study.report.write_nothing")


def test_every_file_that_a_page_names_is_there():
    example = {
        match[1] for page in PAGES for block in FENCE.finditer(page.read_text())
        if (match := FILE_NAME.match(block[2]))
    }  # fmt: skip

    def known(path: str) -> bool:
        return (
            (ROOT / path).is_file()
            or path in example
            or any(part.isupper() for part in re.split(r"\W", path))
        )

    assert unknown(PAGES, FILE, known) == []


def test_every_key_that_a_page_names_is_in_a_file_of_conf():
    groups = {key.partition(".")[0] for key in keys()}

    def known(key: str) -> bool:
        elsewhere = key.partition(".")[0] not in groups or key in NO_KEYS or key.endswith(SUFFIXES)
        return elsewhere or key in keys() or f"{key}.".startswith(OPEN) or ".options." in key or is_there(key)

    assert unknown(PAGES, KEY, known) == []
