"""What is sent of a trial: its whole configuration, its curves, final numbers without noise."""

from __future__ import annotations

import struct

import pytest
from made_study import MadeTrial, make_study
from optuna.trial import TrialState
from tensorboardX.proto.event_pb2 import Event

from rayjobs.monitoring.tracking import RunLabel, TrackingConfig, tracker
from rayjobs.search.page.study_view import view_study
from rayjobs.search.plan.objective import FoldScore
from rayjobs.search.sweep.tracked_trials import TrackedTrial, TrialTracking, _OpenTrial, tracked
from rayjobs.search.trial.record import load_progress, save_progress
from rayjobs.storage.run_directory import RunDirectory

NAME = "20260101T000000Z-aaaaaa"
NOWHERE = TrackingConfig(backend="none", project="p", mode="auto", group=None, tags=())


def test_a_trials_configuration_is_the_whole_one_with_what_it_changed(tmp_path):
    made = make_study(tmp_path, NAME, [MadeTrial(scores=(1.0,), returns=((0.1,), (0.2,)))], "algo.gamma=0.5")
    view = view_study(made)
    values = RunDirectory(made).config()
    tracking = TrialTracking(NOWHERE, view.study, made, (1.0,), values=values, space=view.space)
    sent = tracking._configuration(0, {"kl_stop": 0.03})
    assert sent["algo"]["gamma"] == 0.5
    assert sent["algo"]["kl_stop"] == 0.03
    assert sent["trainer"] == values["trainer"]
    assert sent["search"]["seeds"] == [0]
    assert sent["trial"] == {"study": NAME, "number": 0, "params": {"kl_stop": 0.03}}


def test_final_numbers_are_named_as_in_the_ranking_and_rungs_have_their_env_steps(tmp_path):
    complete = MadeTrial(scores=(1.0, 2.0, 3.0), returns=((-0.5, 0.0), (0.0, 1.0)))
    failed = MadeTrial(
        scores=(), returns=((0.0, 0.0), (0.0, 0.0)), state=TrialState.FAIL, attributes={"error": "no"}
    )
    made = make_study(tmp_path, NAME, [complete, failed])
    first, second = view_study(made).study.get_trials()
    found = tracked(first, made, (0.125, 0.5, 1.0), {})
    # 3,000 env steps in all: an eighth and a half of them at the rungs before.
    assert found.rungs == ((0, 375, 1.0), (1, 1500, 2.0), (2, 3000, 3.0))
    assert found.summary["state"] == "complete"
    assert found.summary["score"] == 3.0
    assert found.summary["chained_return"] == pytest.approx(0.0)  # halved, then doubled
    assert found.summary["chained_drawdown"] == pytest.approx(-0.5)
    assert found.summary["sharpe"] == pytest.approx((-0.25 + 0.5) / 2)  # the mean of what the folds say
    assert not [name for name in found.summary if name.startswith(("mean_", "objective_"))]
    assert not {"fold", "seed", "train_seconds"} & set(found.summary)
    lost = tracked(second, made, (0.125, 0.5, 1.0), {}).summary
    assert (lost["state"], lost["error"]) == ("failed", "no")


def test_learning_curves_of_every_fold_and_seed_are_kept_with_the_trial(tmp_path):
    def score(fold, seed):
        rows = (
            {"iteration": 1, "env_steps": 100, "approx_kl": 0.1 * fold},
            {"iteration": 2, "env_steps": 200},
        )
        return FoldScore(
            fold=fold, seed=seed, env_steps=200, net_return=[], metrics={}, seconds=(0, 0), iterations=rows
        )

    save_progress(tmp_path, 7, [score(0, 0), score(1, 4)])
    rows = load_progress(tmp_path, 7)
    assert [(row["fold"], row["seed"], row["env_steps"]) for row in rows] == [
        (0, 0, 100), (0, 0, 200), (1, 4, 100), (1, 4, 200),
    ]  # fmt: skip
    assert rows[2]["approx_kl"] == 0.1
    assert load_progress(tmp_path, 8) == []


class Recorded:
    """A tracker that keeps what it is told."""

    def __init__(self):
        self.points, self.summaries = [], []

    def log(self, metrics, *, env_steps, prefix):
        self.points.append((prefix, env_steps, dict(metrics)))

    def summary(self, values):
        self.summaries.append(values)

    def table(self, name, rows):
        return

    curve = parameters = table


def test_a_trial_shows_its_curves_by_fold_and_each_rung_once(tmp_path, monkeypatch):
    recorded = Recorded()

    class opened:
        def __init__(self, *_, **named):
            assert named["label"] == RunLabel(
                run_id=f"{NAME}-t00007", name="aaaaaa-t007", job_type="trial", side_by_side=True
            )

        def __enter__(self):
            return recorded

        def __exit__(self, *_):
            return

    monkeypatch.setattr("rayjobs.search.sweep.tracked_trials.tracker", opened)
    rows = ({"fold": 0, "seed": 0, "iteration": 1, "env_steps": 100, "kl": 0.1},)
    under_way = TrackedTrial(number=7, values={}, params={}, rungs=((0, 100, 1.0),), progress=rows)
    trial = _OpenTrial(NOWHERE, tmp_path / f"{NAME}-t00007", NAME, under_way)
    trial.show(under_way)
    assert recorded.points == [("fold_0", 100, {"kl": 0.1}), ("trial", 100, {"score": 1.0})]
    ended = TrackedTrial(
        number=7, values={}, params={}, rungs=((0, 99, 1.0), (1, 200, 2.0)), summary={"state": "complete"}
    )
    trial.end(ended)
    assert recorded.points[2:] == [("trial", 200, {"score": 2.0})]
    assert recorded.summaries == [{"state": "complete"}]
    assert (tmp_path / f"{NAME}-t00007" / "sent").exists()


def written_tags(folder):
    """Tags of a TensorBoard file, with the plugin that shows each; records are length, checksum, event, checksum."""
    found = {}
    (path,) = folder.glob("events.*")
    data, at = path.read_bytes(), 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        event = Event.FromString(data[at + 12 : at + 12 + length])
        found |= {
            value.tag: value.metadata.plugin_data.plugin_name or "scalars" for value in event.summary.value
        }
        at += 12 + length + 4
    return found


def test_tensorboard_has_searched_parameters_as_such_and_no_index_as_a_curve(tmp_path):
    board = TrackingConfig(backend="tensorboard", project="p", mode="auto", group=None, tags=())
    with tracker(board, run_directory=tmp_path, experiment="e", values={}) as log:
        log.log({"kl": 0.1}, env_steps=100, prefix="fold_0")
        log.table("folds", [{"fold": 0, "seed": 0, "sharpe": 1.0}])
        log.parameters({"kl_stop": 0.03, "core": "lstm"}, {"score": 1.5, "state": "complete"})
        log.summary({"score": 1.5})
    tags = written_tags(tmp_path / "tensorboard")
    assert {tag for tag, shown in tags.items() if shown == "scalars"} == {"fold_0/kl", "result/score"}
    assert {tag for tag, shown in tags.items() if shown == "hparams"} >= {"_hparams_/session_start_info"}
    assert {tag for tag, shown in tags.items() if shown == "text"} == {
        "folds/text_summary",
        "summary/text_summary",
    }
