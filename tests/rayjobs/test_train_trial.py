"""A training job in the ledger: what counts as another trial, how it ends, and what the gate is told."""

from __future__ import annotations

import shutil
from copy import deepcopy
from functools import lru_cache

import numpy as np
import pytest
import yaml

from evaluation.ledger import Ledger
from rayjobs.build import build_train_config
from rayjobs.entry import compose
from rayjobs.fold_job import Study
from rayjobs.train_trial import code_version, identity, train_trial

BARS = 200


composed = lru_cache(lambda overrides: compose("train", overrides))


class Setting:
    """A study whose bars do not matter, in a folder of its own."""

    def __init__(self, folder, *overrides: str, commit: str = "c0") -> None:
        self.values = deepcopy(composed(overrides))
        self.values["run"]["directory"] = f"{folder}/runs"
        self.values["ledger"] = f"{folder}/{self.values['ledger']}"
        self.run = folder / "runs" / "train" / "r1"
        self.run.mkdir(parents=True, exist_ok=True)
        provenance = {"provenance": {"git_commit": commit, "git_dirty": False}}
        (self.run / "config.yaml").write_text(yaml.safe_dump(provenance))

    def study(self, fingerprint: str = "bars"):
        class Bars:
            pass

        bars = Bars()
        bars.fingerprint = fingerprint
        return Study(config=build_train_config(self.values), panel=bars, features=None, oracle_direction=None)


class Result:
    """What `TrainTrial.finish` reads of a record."""

    def __init__(self, net_return, first_bar: int = 50) -> None:
        self.net_return = np.asarray(net_return)
        self.bar = np.arange(first_bar, first_bar + len(self.net_return))
        self.panel = type("Bars", (), {"periods_per_year": 252.0})()


def noise(seed: int, mean: float = 0.0):
    return np.random.default_rng(seed).normal(mean, 0.01, BARS)


def enter(folder, *overrides: str, returns=None, fingerprint: str = "bars", commit: str = "c0"):
    """Run a job that earns `returns`; its evidence."""
    setting = Setting(folder, *overrides, commit=commit)
    with train_trial(setting.study(fingerprint), setting.values, setting.run) as trial:
        return trial.finish({}, Result(noise(1) if returns is None else returns))


def test_the_same_job_again_is_the_same_trial_and_gives_the_same_evidence(tmp_path):
    first, again = enter(tmp_path), enter(tmp_path)
    assert first.num_trials == again.num_trials == 1
    assert first.sharpe_variance is again.sharpe_variance is None
    np.testing.assert_array_equal(first.returns_TN, again.returns_TN)


@pytest.mark.parametrize(
    "changed",
    [
        ["trainer.total_env_steps=1000"],
        ["algo.gamma=0.9"],
        ["seed=1"],
        ["policy=gru"],
        ["scoring.cost_factor=0.5"],
        ["run.experiment=another_name"],
    ],
)
def test_anything_else_that_is_tried_on_the_same_bars_is_another_trial(tmp_path, changed):
    enter(tmp_path)
    assert enter(tmp_path, *changed).num_trials == 2


def test_other_code_is_another_trial(tmp_path):
    enter(tmp_path)
    assert enter(tmp_path, commit="c1").num_trials == 2


@pytest.mark.parametrize(
    "changed",
    [
        ["tracking=tensorboard"],
        ["walk_forward.fold_order=[1,0]"],
        ["walk_forward.only_fold=1"],
        ["gate.enforce=true"],
        ["trainer.num_seeds=3"],
        ["scoring.placebo_runs=2"],
    ],
)
def test_looking_at_the_same_trial_differently_is_no_other_trial(tmp_path, changed):
    enter(tmp_path)
    assert enter(tmp_path, *changed).num_trials == 1


def test_other_bars_begin_a_count_of_their_own(tmp_path):
    enter(tmp_path)
    assert enter(tmp_path, fingerprint="others").num_trials == 1


def test_failed_trials_count_and_keep_their_error(tmp_path):
    setting = Setting(tmp_path, "algo.gamma=0.5")
    with pytest.raises(RuntimeError), train_trial(setting.study(), setting.values, setting.run):
        raise RuntimeError("the loss is nan")
    ledger = Ledger(tmp_path / "runs" / "ledger.sqlite")
    assert ledger.count(ledger.study("train")).failed == 1
    assert enter(tmp_path).num_trials == 2


def test_an_interrupted_trial_counts(tmp_path):
    setting = Setting(tmp_path, "algo.gamma=0.5")
    with pytest.raises(KeyboardInterrupt), train_trial(setting.study(), setting.values, setting.run):
        raise KeyboardInterrupt
    assert enter(tmp_path).num_trials == 2


def test_a_failed_trial_that_is_run_again_and_finishes_is_one_trial(tmp_path):
    setting = Setting(tmp_path)
    with pytest.raises(RuntimeError), train_trial(setting.study(), setting.values, setting.run):
        raise RuntimeError("out of memory")
    assert enter(tmp_path).num_trials == 1


def test_an_error_after_the_trial_is_finished_does_not_undo_it(tmp_path):
    setting = Setting(tmp_path)
    with pytest.raises(OSError), train_trial(setting.study(), setting.values, setting.run) as trial:
        trial.finish({}, Result(noise(1)))
        raise OSError("the disk is full")
    ledger = Ledger(tmp_path / "runs" / "ledger.sqlite")
    assert ledger.count(ledger.study("train")).finished == 1


def test_deleting_the_run_directories_does_not_reset_the_count(tmp_path):
    enter(tmp_path)
    shutil.rmtree(tmp_path / "runs" / "train")
    assert enter(tmp_path, "algo.gamma=0.9").num_trials == 2


def test_the_spread_is_that_of_trained_trials_on_the_same_bars(tmp_path):
    enter(tmp_path, returns=noise(1, 0.002))
    enter(tmp_path, "policy=flip", returns=noise(9, -0.05))  # a script is counted but is no rival
    enter(tmp_path, "algo.gamma=0.8", returns=noise(4)[:50])  # other bars: counted, not compared
    found = enter(tmp_path, "algo.gamma=0.9", returns=noise(2, 0.001))
    assert found.num_trials == 4
    np.testing.assert_array_equal(found.returns_TN, np.column_stack([noise(2, 0.001), noise(1, 0.002)]))
    sharpes = [returns.mean() / returns.std(ddof=1) for returns in found.returns_TN.T]
    assert found.sharpe_variance == pytest.approx(max(np.var(sharpes, ddof=1), 1 / (BARS - 1)))


def test_copies_of_one_trial_do_not_make_the_spread_smaller_than_luck(tmp_path):
    for gamma in (0.8, 0.81, 0.82):
        found = enter(tmp_path, f"algo.gamma={gamma}", returns=noise(1))
    assert found.sharpe_variance == 1 / (BARS - 1)


def test_the_ledger_lies_where_the_configuration_says(tmp_path):
    enter(tmp_path, "ledger=elsewhere/count.sqlite")
    assert (tmp_path / "elsewhere" / "count.sqlite").exists()
    assert not (tmp_path / "runs" / "ledger.sqlite").exists()


def test_the_identity_holds_the_whole_configuration_but_what_changes_nothing(tmp_path):
    setting = Setting(tmp_path)
    kept = identity(setting.study().config, setting.values)["config"]
    assert {"data", "features", "env", "costs", "policy", "algo", "walk_forward", "trainer"} <= set(kept)
    assert not {"run", "seed", "gate", "tracking", "ledger"} & set(kept)
    assert "num_seeds" not in kept["trainer"]
    assert "total_env_steps" in kept["trainer"]


def test_changed_source_is_told_from_its_commit():
    assert code_version({"git_commit": "abc", "git_dirty": True}) == "abc-changed"
    assert code_version({"git_commit": "abc", "git_dirty": False}) == "abc"
    assert code_version({"git_commit": None, "git_dirty": None}) == "unknown"
