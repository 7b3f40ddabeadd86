"""`--help` of each command: one screen, three examples, every group with its default."""

from __future__ import annotations

import pytest

from rayjobs.config.compose import CONF
from rayjobs.config.help_page import help_page

ROOTS = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "hydra_setup")


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("root", ROOTS)
def test_a_page_is_one_screen_with_three_examples(root, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    page = help_page(root, CONF)
    lines = page.splitlines()
    assert len(lines) <= 48
    assert max(map(len, lines)) <= width
    examples = page.split("examples:")[1].split("\n\n")[0]
    found = [" ".join(part.split()) for part in examples.split("  python -m ")[1:]]
    assert len(found) == 3
    assert len(set(found)) == 3
    assert all(one.startswith(f"rayjobs.{root}") for one in found)


def test_groups_name_their_default_and_what_is_left_out(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    page = help_page("sweep", CONF)
    assert "  policy        lstm*, attention" in page
    assert "  search        optuna*, " in page
    (data,) = [line for line in page.splitlines() if line.startswith("  data ")]
    named = data.split("  data")[1].split(", +")[0].split(", ")
    assert len(named) + int(data.split(", +")[1].split()[0]) == len(list((CONF / "data").glob("*.yaml")))
