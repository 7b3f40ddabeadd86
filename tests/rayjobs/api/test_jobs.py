"""Jobs from Python: the same run as the command's, and its sentences as exceptions."""

from __future__ import annotations

import pytest

from rayjobs import api

SHORT = (
    "data.num_bars=2600", "walk_forward.train_bars=1000", "walk_forward.test_bars=400", "env.episode.bars=48",
    "walk_forward.embargo_bars=10", "policy=momentum_sign", "scoring.supervised=[]",
)  # fmt: skip


@pytest.mark.parametrize(
    ("experiment", "override", "words"),
    [
        ("planted_signa", "seed=1", "planted_signal"),
        ("planted_signal", "trainer.total_env_step=1", "total_env_steps"),
        ("planted_signal", "seed=-1", "seed is -1"),
        ("planted_signal", "--help", "option of the command line"),
    ],
)
def test_bad_settings_are_the_commands_sentences(experiment, override, words):
    with pytest.raises(api.ConfigError, match=words):
        api.train(experiment, override)
    with pytest.raises(api.ConfigError, match=words):
        api.sweep(experiment, override)


@pytest.mark.ray
def test_a_run_trained_from_python_is_the_commands(tmp_path, monkeypatch):
    from rayjobs.entry import run_entry_point
    from rayjobs.train import train

    monkeypatch.chdir(tmp_path)
    run = api.train("planted_signal", *SHORT)
    run_entry_point(train, "train", ["+experiment=planted_signal", *SHORT, "run.directory=others"])
    other = api.load("others/planted_signal")
    assert run.summary == other.summary
    assert run.verdict["criteria"] == other.verdict["criteria"]
    assert run.path.parent.name == "planted_signal"
