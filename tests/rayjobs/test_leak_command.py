"""`python -m rayjobs.audit +experiment=NAME checks=leak`: silent on what ships, and a cheat is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from rayjobs.audit import main
from rayjobs.config.compose import CONF
from rayjobs.config.exit_codes import ExitCode

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
SMALL = ("data.num_bars=2000", "walk_forward.train_bars=900", "walk_forward.test_bars=400")
FEATURE = """
import numpy as np

from data.features.definition import Feature


def looks_ahead(panel):
    return np.roll(panel.close, -3, axis=0)


PEEK = Feature(name="peek", kind="asset", function=looks_ahead)
"""


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_no_experiment_that_ships_leaks(experiment, capsys):
    assert main([f"+experiment={experiment}", "checks=leak"]) is ExitCode.DONE
    assert f"{experiment}: no leak: " in capsys.readouterr().out


def test_a_clean_experiment_ends_with_code_0_and_says_how_much_was_compared(capsys):
    assert main(["+experiment=noise", "checks=leak", "leak_cuts=1", *SMALL]) is ExitCode.DONE
    assert "noise: no leak: 80 bars compared" in capsys.readouterr().out


def test_a_feature_that_looks_ahead_ends_with_code_1_and_its_name(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "peeking_features.py").write_text(FEATURE)
    monkeypatch.syspath_prepend(str(tmp_path))
    feature = "+features.specs.peek={name: 'peeking_features:PEEK', params: {}}"
    assert main(["+experiment=noise", "checks=leak", "leak_cuts=1", *SMALL, feature]) is ExitCode.FAILED
    told = capsys.readouterr().out
    assert "leak found" in told
    assert "'peek' moved" in told
    assert "reads up to 3 bar(s) ahead" in told
