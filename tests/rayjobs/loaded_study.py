"""A study loaded from overrides of ``conf/train.yaml``, and windows short enough for a test."""

from __future__ import annotations

from rayjobs.config.compose import compose
from rayjobs.study.config import build_train_config
from rayjobs.study.load import load_study

SMALL = ("walk_forward.train_bars=900", "walk_forward.test_bars=400")


def study_of(*overrides: str):
    return load_study(build_train_config(compose("train", overrides)))[0]
