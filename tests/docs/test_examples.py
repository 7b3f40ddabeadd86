"""The examples under docs/ learn something: other projects' trainers are handed what they need."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_stable_baselines3_ppo_learns_on_the_planted_signal():
    pytest.importorskip("stable_baselines3")
    returns = example("stable_baselines3_ppo").train(40_000)
    # Random trading pays about -49 an episode of 128 bars in costs.
    assert returns[0] < -40.0
    assert returns[-1] > returns[0] + 10.0


@pytest.mark.ray
def test_stock_rllib_ppo_learns_on_the_planted_signal():
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        returns = example("stock_rllib_ppo").train(60_000)
    finally:
        ray.shutdown()
    assert returns[0] < -35.0
    assert returns[-1] > returns[0] + 20.0
