"""A training that is killed and gone on with ends where one that was never stopped ends, to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import ray
from small_training import (
    at_random,
    attempt,
    before_the_old_one_is_dropped,
    in_iteration,
    never,
    small_config,
    small_spec,
    while_writing,
)

from policies.exported_policy import TrainedPolicy
from rayjobs.training import checkpoints
from rayjobs.training.nudges import Nudge, write_nudge
from rayjobs.training.policy_training import TrainingOutcome, train_policy

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def runtime():
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parents[1])}},
    )
    yield
    ray.shutdown()


def outcome_of(outcome: TrainingOutcome):
    return TrainedPolicy.load(outcome.policy).policy_hash, repr(outcome.iterations)


def test_a_training_killed_again_and_again_ends_with_the_same_bits(runtime, tmp_path):
    config = small_config()
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    spec = small_spec(config, tmp_path / "whole" / "fold_00")
    whole = outcome_of(ray.get(attempt.remote(spec, never)))
    killed = small_spec(config, tmp_path / "killed" / "fold_00")
    moments = [
        in_iteration(1, 0.0),  # before there is a checkpoint
        in_iteration(3, 0.15),
        while_writing,
        before_the_old_one_is_dropped,
    ]
    for moment in moments:
        with pytest.raises(ray.exceptions.WorkerCrashedError):
            ray.get(attempt.remote(killed, moment))
    seen = []
    again = outcome_of(train_policy(killed, lambda row: seen.append(row["iteration"])))
    assert again == whole
    assert 0 < len(seen) < 12
    assert [path.name for path in killed.directory.glob("iteration_*")] == ["iteration_000012"]
    # A training that is finished is not trained again.
    assert outcome_of(train_policy(killed, lambda row: seen.append("again"))) == whole
    assert "again" not in seen


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_kills_at_random_moments_change_no_bit(runtime, tmp_path):
    config = small_config("trainer.total_env_steps=30720")  # 60 iterations
    whole = outcome_of(ray.get(attempt.remote(small_spec(config, tmp_path / "whole"), never)))
    killed = small_spec(config, tmp_path / "killed")
    reached = []
    for seed in range(10):
        with pytest.raises(ray.exceptions.WorkerCrashedError):  # it dies before it ends
            ray.get(attempt.remote(killed, at_random(seed)))
        reached.append(sorted(path.name for path in killed.directory.glob("iteration_*")))
    assert len({str(names) for names in reached}) > 1  # they did not all die at the start
    assert outcome_of(ray.get(attempt.remote(killed, never))) == whole


def test_a_nudge_changes_the_learning_rate_once_and_is_repeated_after_a_crash(runtime, tmp_path):
    config = small_config(
        "algo.learning_rate_control={kl_target: null, plateau_validations: null}",
        "algo.learning_rate.kind=constant",
        "trainer.checkpoint_every=6",
    )
    spec = small_spec(config, tmp_path / "fold_00")
    write_nudge(tmp_path, Nudge(learning_rate="x0.1", fold=None))  # while the fold was still starting

    def nudging(row):
        if row["iteration"] == 7:
            write_nudge(tmp_path, Nudge(learning_rate="x0.5", fold=None))
            write_nudge(tmp_path, Nudge(learning_rate="x0.5", fold=3))
        if row["iteration"] == 8:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train_policy(spec, nudging)
    # Gone on from iteration 6: the nudge waits for iteration 8 again.
    rows = train_policy(spec, never).iterations
    rates = [row["learning_rate"] for row in rows]
    assert rates == pytest.approx([1e-4] * 7 + [5e-5] * 5)
    assert [row["nudges"] for row in rows] == ["lr=x0.1"] + [""] * 6 + ["lr=x0.5"] + [""] * 4


def test_training_ends_early_when_validation_no_longer_gets_better(runtime, tmp_path, monkeypatch):
    scores = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    monkeypatch.setattr("rayjobs.training.policy_training._validation_sharpe", lambda *_: next(scores))
    config = small_config(
        "algo.early_stop_validations=2",
        "algo.cost_curriculum={free_fraction: 0.0, ramp_fraction: 0.0}",
        "algo.learning_rate_control={kl_target: null, plateau_validations: 1}",
        "algo.learning_rate.kind=constant",
    )
    rows = train_policy(small_spec(config, tmp_path / "fold_00"), never).iterations
    # Validations after iterations 2, 4, 6, 8: the best is the second, and two more bring nothing better.
    assert [row["validation_sharpe"] for row in rows] == [None, 0.1, None, 0.3, None, 0.2, None, 0.3]
    # The third is a plateau: the learning rate halves from iteration 7 on.
    assert [row["learning_rate"] for row in rows] == pytest.approx([1e-3] * 6 + [5e-4] * 2)


def test_a_directory_that_cannot_be_written_to_is_one_clear_error(runtime, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    spec = small_spec(small_config(), tmp_path / "fold_00")
    monkeypatch.setattr(checkpoints.Path, "rename", full)
    with pytest.raises(
        checkpoints.CheckpointNotWritten, match="No space left on device.*none yet.*resume=DIR"
    ):
        train_policy(spec, never)
    monkeypatch.undo()
    assert not list(spec.directory.glob("*iteration*"))


def test_a_diverging_training_stops_and_names_the_last_good_checkpoint(runtime, tmp_path):
    from rayjobs.training.policy_training import TrainingDiverged

    wild = (
        "algo.kl_stop=null",
        "algo.kl_limit=0.5",
        "algo.learning_rate={kind: constant, initial: 3.0, final: 3.0}",
    )
    spec = small_spec(small_config(*wild), tmp_path / "fold_00")
    with pytest.raises(TrainingDiverged, match="fold 0: .*last good checkpoint: .*lower algo.learning_rate"):
        train_policy(spec, never)
    assert isinstance(spec.directory, Path)
