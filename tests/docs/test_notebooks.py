"""Every notebook runs as it stands, and says again what it says in the repository.

Cells that are tagged ``varies`` (times, run ids, trained numbers) must run and say something; the others must say the
same to the letter.
"""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
STARTS_RAY = ("api.train(", "api.sweep(")


def marks(path: Path) -> list[pytest.MarkDecorator]:
    ray = any(word in path.read_text() for word in STARTS_RAY)
    return [pytest.mark.ray if ray else pytest.mark.runs]


def said(cell) -> list[str]:
    """What a cell printed or showed as text, without what goes to standard error."""
    texts = []
    for output in cell.get("outputs", []):
        assert output.output_type != "error", output.evalue
        if output.output_type == "stream":
            texts += [output.text] if output.name == "stdout" else []
        else:
            texts.append(output.data.get("text/plain", ""))
    return texts


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem, marks=marks(p)) for p in NOTEBOOKS])
def test_a_notebook_says_again_what_it_says(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    recorded = nbformat.read(path, as_version=4)
    run = NotebookClient(
        nbformat.read(path, as_version=4), timeout=900, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert len(run.cells) == len(recorded.cells)
    for before, after in zip(recorded.cells, run.cells):
        if before.cell_type != "code":
            continue
        if "varies" in before.metadata.get("tags", []):
            assert bool(said(after)) == bool(said(before)), before.source
        else:
            assert said(after) == said(before), before.source


def test_there_are_notebooks_and_each_is_named_where_a_reader_looks():
    assert len(NOTEBOOKS) >= 5
    page = (ROOT / "docs" / "python.md").read_text()
    assert [path.name for path in NOTEBOOKS if path.name not in page] == []
