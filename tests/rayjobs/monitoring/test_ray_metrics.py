"""What a training tells Ray's metrics, with their tags."""

from __future__ import annotations

import pytest

from rayjobs.monitoring import ray_metrics
from rayjobs.monitoring.ray_metrics import TrainingMetrics


@pytest.fixture
def told(monkeypatch):
    """name -> values in order; Ray's metrics need a runtime to go anywhere."""
    values: dict[str, list[float]] = {}

    class Metric:
        def __init__(self, name, description, tag_keys):
            self.name, self.keys = name, tag_keys

        def set_default_tags(self, tags):
            assert tuple(tags) == tuple(self.keys)
            assert tags == {"experiment": "crypto", "fold": "3"}

        def set(self, value):
            values.setdefault(self.name, []).append(value)

        inc = set

    monkeypatch.setattr(ray_metrics, "Gauge", Metric)
    monkeypatch.setattr(ray_metrics, "Counter", Metric)
    return values


def test_speed_is_the_batch_over_sampling_and_learning(told):
    row = {"iteration": 4, "env_steps": 4_000, "sample_seconds": 1.0, "learn_seconds": 3.0}
    TrainingMetrics(experiment="crypto", fold=3).record(row)
    assert told == {
        "rayfold_env_steps": [1_000],  # one iteration of four
        "rayfold_env_steps_per_second": [250.0],  # 1,000 steps in 4 s
        "rayfold_sample_seconds": [1.0],
        "rayfold_learn_seconds": [3.0],
    }


def test_a_training_that_was_resumed_does_not_count_its_past_again(told):
    training = TrainingMetrics(experiment="crypto", fold=3)
    for iteration in (7, 8):
        training.record(
            {
                "iteration": iteration,
                "env_steps": 512 * iteration,
                "sample_seconds": 1.0,
                "learn_seconds": 1.0,
            }
        )
    assert told["rayfold_env_steps"] == [512, 512]
