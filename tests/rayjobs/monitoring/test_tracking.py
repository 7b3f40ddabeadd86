"""Tracking never prompts, stays offline without a key, and keeps its points in order."""

from __future__ import annotations

import logging

import pytest

from rayjobs.config.typed_config import ConfigError
from rayjobs.monitoring.tracking import TrackingConfig, tracker, wandb_mode


@pytest.fixture(autouse=True)
def no_key(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def config(backend, mode="auto"):
    return TrackingConfig(backend=backend, project="rayfold", mode=mode, group=None, tags=("test",))


def test_without_a_key_runs_stay_offline_and_online_is_refused_in_one_sentence():
    assert wandb_mode("auto") == "offline"
    with pytest.raises(ConfigError, match="W&B has no key; set WANDB_API_KEY"):
        wandb_mode("online")


def test_with_a_key_runs_go_online_unless_the_environment_says_otherwise(monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    assert wandb_mode("auto") == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mode("online") == "disabled"


def test_tracking_none_takes_everything_and_writes_nothing(tmp_path):
    with tracker(config("none"), run_directory=tmp_path / "run", experiment="x", values={}) as track:
        track.log({"kl": 0.1}, env_steps=1)
        track.summary({"sharpe": 1.0})
        track.attach([])
    assert not (tmp_path / "run").exists()


def test_tensorboard_files_go_into_the_run_directory(tmp_path):
    with tracker(config("tensorboard"), run_directory=tmp_path, experiment="x", values={}) as track:
        track.log({"kl": 0.1, "return": None}, env_steps=100, prefix="fold_0")
    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_an_offline_wandb_run_keeps_its_points_by_fold_and_tells_how_to_upload(tmp_path, caplog):
    wandb = pytest.importorskip("wandb")
    run = tmp_path / "20260101T000000Z-abcdef"
    run.mkdir()
    report = tmp_path / "report.html"
    report.write_text("<html></html>")
    with (
        caplog.at_level(logging.INFO, logger="rayjobs"),
        tracker(config("wandb"), run_directory=run, experiment="noise", values={"seed": 3}) as track,
    ):
        track.log({"kl": 0.1, "return": None, "loss": float("nan")}, env_steps=100, prefix="fold_0")
        track.log({"kl": 0.2}, env_steps=100, prefix="fold_1")
        track.log({"kl": 0.3}, env_steps=200, prefix="fold_0")
        track.log({"kl": 0.9}, env_steps=200, prefix="fold_0")  # a resumed job repeats itself
        assert wandb.run.summary["fold_0/kl"] == 0.3
        assert wandb.run.summary["fold_0/env_steps"] == 200
        assert wandb.run.summary["fold_1/env_steps"] == 100
        assert wandb.run.settings.run_group == "noise"
        assert wandb.run.id == run.name
        track.summary({"sharpe": 1.0})
        track.attach([report])
    assert wandb.run is None
    assert f"wandb sync {run}" in caplog.text
    assert list(run.glob("wandb/offline-run-*/*.wandb"))
