"""The docs site: every page is in it, every link leads somewhere, and every key of the configuration is described."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "site"))

from config_reference import CONF, head_of, keys_of, page  # noqa: E402

FILES = sorted(path for path in CONF.rglob("*.yaml") if path.stem != "hydra_setup")


def leaves(values, prefix=""):
    for key, value in values.items():
        if f"{prefix}{key}".split(".")[0] in ("defaults", "hydra"):
            continue
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_every_key_of_every_file_is_a_row():
    """A mapping written in one line is one row, as it is in the file."""
    for path in FILES:
        text = path.read_text()
        named = [key.name for key in keys_of(text)]
        for leaf in leaves(yaml.safe_load(text) or {}):
            assert any(leaf == name or leaf.startswith(f"{name}.") for name in named), (path, leaf)
        assert len(set(named)) == len(named)
    assert page().count("\n### ") >= len(FILES) - 20


def test_a_key_has_its_value_and_its_comment():
    text = "# A file.\n# Run: it\na: 1_000  # one, units\nb:\n  # above\n"
    text += "  c: [x, 'y # z']\n  d: {e: 2, f: g}   # flow\nh:\n"
    rows = {key.name: (key.value, key.comment) for key in keys_of(text)}
    assert rows == {
        "a": ("1_000", "one, units"),
        "b.c": ("[x, 'y # z']", "above"),
        "b.d": ("{e: 2, f: g}", "flow"),
        "h": ("null", ""),
    }
    assert head_of(text) == "A file.  \nRun: it"


def test_roots_leave_no_key_without_a_word():
    """What a command can be told is described where it is written; choices of a group may refer to its first file."""
    bare = [
        (path.name, key.name)
        for path in sorted(CONF.glob("*.yaml"))
        for key in keys_of(path.read_text())
        if not key.comment
    ]
    named = {name for _, name in bare}
    assert len(named) <= 12, bare


@pytest.mark.runs
def test_the_site_is_built_without_a_warning_and_fetches_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    pages = list((tmp_path / "site").rglob("*.html"))
    assert {"index.html", "glossary.html", "python.html"} <= {path.name for path in pages}
    loaded = re.compile(r"""<(?:script|link|img)\b[^>]*?(?:src|href)=["']?(https?:)?//""")
    for path in pages:
        assert not loaded.search(path.read_text().replace('rel="canonical"', "")), path
