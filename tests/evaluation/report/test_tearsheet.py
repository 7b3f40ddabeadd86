"""The tearsheet: daily returns compound what was scored, and a missing package is one sentence."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from evaluation.report.tearsheet import daily_returns, require_quantstats, write_tearsheet
from evaluation.scoring.walk_forward import FoldResult, WalkForwardResult
from evaluation.windows.splits import WalkForward


@pytest.fixture(scope="module")
def study(signal_world):
    """One fold of 480 half-hour bars from 2024-01-11 at noon on: two half days and nine whole ones."""
    (fold,) = WalkForward(504, 480).folds(1000)
    from evaluation.scoring.fold_scoring import scored_window
    from evaluation.scoring.rollout import evaluation_config, run_policy

    class Long:
        def initial_state(self, num_envs):
            return np.zeros(num_envs)

        def act(self, observation, state):
            return np.full((len(state), 2), 2), state

    config = evaluation_config(signal_world.config)
    (recording,) = run_policy(Long(), signal_world.market, config, [scored_window(fold)])
    return WalkForwardResult(panel=signal_world.panel, folds=(FoldResult(fold=fold, recording=recording),))


def test_days_compound_their_bars(study):
    daily = daily_returns(study, study.net_return)
    assert len(daily) == 11
    assert daily.index[0].isoformat() == "2024-01-11T00:00:00"
    assert daily.iloc[0] == pytest.approx(np.prod(1 + study.net_return[:24]) - 1)
    assert np.prod(1 + daily) == pytest.approx(np.prod(1 + study.net_return))


def test_without_quantstats_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install -c requirements\.lock -e '\.\[tearsheet\]'"):
        require_quantstats()


@pytest.mark.slow
def test_the_file_is_whole_and_names_the_study(study, tmp_path):
    pytest.importorskip("quantstats")
    page = write_tearsheet(tmp_path / "tearsheet.html", study, title="A study").read_text()
    assert "A study" in page
    assert page.rstrip().endswith("</html>")
    assert "<svg" in page
    assert [path.name for path in tmp_path.iterdir()] == ["tearsheet.html"]
