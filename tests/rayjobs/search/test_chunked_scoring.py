"""A window that is run in parts counts every bar once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from envs.episodes import Window
from rayjobs.config.compose import compose
from rayjobs.search.trial.chunked_scoring import chunk, is_local
from rayjobs.study.config_groups import build_env


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_the_parts_cover_the_window_once(rows):
    window = Window(start_bar=100, stop_bar=900)
    windows, parts = chunk(window, rows, 50)
    assert np.array_equal(np.concatenate([np.arange(p.start, p.stop) for p in parts]), np.arange(100, 900))
    for run, part in zip(windows, parts):
        assert run.start_bar == max(part.start - 50, 100)
        assert run.stop_bar == min(part.stop + 1, 900)


def test_a_short_window_is_run_in_one_piece():
    windows, parts = chunk(Window(start_bar=1, stop_bar=61), 8, 50)
    assert (len(windows), parts) == (1, [slice(1, 61)])


def test_an_account_with_a_long_memory_is_not_cut():
    config = build_env(compose("train", ["+experiment=noise"]))
    assert is_local(config)
    assert not is_local(dataclasses.replace(config, risk=dataclasses.replace(config.risk, max_drawdown=0.1)))
    schedule = dataclasses.replace(config.sizing, rule="fractional_kelly")
    assert not is_local(dataclasses.replace(config, sizing=schedule))
