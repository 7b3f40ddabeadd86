"""Groups of splits put together into paths, each bar once, and the distribution that they give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scoring_settings import scoring_config

from evaluation.artefacts.summary import summarise
from evaluation.artefacts.tables import folds_table, paths_table
from evaluation.gate.criteria import CRITERIA
from evaluation.gate.evidence import GateEvidence, SupportingEvidence
from evaluation.scoring.fold_scoring import in_sample_windows, score_fold
from evaluation.scoring.path_distribution import PathDistribution
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.windows.combinatorial_windows import CombinatorialWindows, scored_groups

PLAN = CombinatorialWindows(groups=4, test_groups=2, horizon_bars=1)
SCORING = scoring_config(momentum_bars=20, hold_bars=1, stress_cost_factor=1.0, in_sample=False)


class Constant:
    """Holds every asset long, short or not at all; another constant for each split, so that paths differ."""

    def __init__(self, number):
        self.direction = number % 3

    def initial_state(self, num_envs):
        return None

    def act(self, observation, state):
        return np.full((len(observation), 2), self.direction), None


@pytest.fixture(scope="module")
def results(signal_world):
    world = signal_world
    return [
        score_fold(group, Constant(split.index), world.panel, world.market, world.config, SCORING, seed=1)
        for split in PLAN.folds_in(world.panel)
        for group in scored_groups(split, world.market.first_bar + 1)
    ]


def test_each_path_has_every_group_once_from_the_splits_that_the_book_names(results, signal_world):
    study = WalkForwardResult.of(signal_world.panel, results)
    assert [[one.fold.index for one in path] for path in study.paths] == [
        [0, 0, 1, 2],
        [1, 3, 3, 4],
        [2, 4, 5, 5],
    ]
    for path in study.by_path:
        np.testing.assert_array_equal(path.bar, np.arange(path.bar[0], signal_world.panel.num_bars))
        assert [one.fold.group for one in path.folds] == [0, 1, 2, 3]
    np.testing.assert_array_equal(study.net_return, study.by_path[0].net_return)


def test_the_order_in_which_splits_come_changes_nothing(results, signal_world):
    study = WalkForwardResult.of(signal_world.panel, results)
    again = WalkForwardResult.of(signal_world.panel, results[::-1])
    for one, other in zip(study.by_path, again.by_path):
        np.testing.assert_array_equal(one.net_return, other.net_return)


def test_a_split_alone_is_scored_on_its_groups_and_gives_no_path(results, signal_world):
    alone = WalkForwardResult.of(signal_world.panel, [one for one in results if one.fold.index == 3])
    assert alone.paths == ()
    assert [one.fold.group for one in alone.folds] == [1, 2]
    assert PathDistribution.of(alone) is None


def test_the_summary_holds_the_sharpe_ratio_of_every_path(results, signal_world):
    study = WalkForwardResult.of(signal_world.panel, results)
    paths = summarise(study)["paths"]
    table = paths_table(study)
    # From the returns of each path's own rows, by hand.
    periods = signal_world.panel.periods_per_year
    by_hand = [
        rows["net_return"].mean() / rows["net_return"].std(ddof=1) * math.sqrt(periods)
        for _, rows in table.groupby("path")
    ]
    np.testing.assert_allclose(paths["sharpe"], by_hand, rtol=1e-12)
    assert paths["sharpe_quantiles"]["0.5"] == pytest.approx(sorted(by_hand)[1])
    assert paths["share_above_zero"] == pytest.approx(sum(value > 0 for value in by_hand) / 3)
    assert (paths["num_paths"], paths["num_splits"], paths["num_groups"]) == (3, 6, 4)


def test_folds_csv_has_a_row_for_every_group_of_every_split(results, signal_world):
    table = folds_table(WalkForwardResult.of(signal_world.panel, results))
    assert list(zip(table["fold"], table["group"], table["path"]))[:5] == [
        (0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 2, 0), (2, 0, 2)
    ]  # fmt: skip
    assert len(table) == 12
    assert (table["train_bars"] > 0).all()
    assert (
        table["train_stretches"].iloc[2].count("/") == 2
    )  # split 1 tests groups 0 and 2: two stretches are left


@pytest.mark.parametrize("seen", ["hindsight", "nothing"])
def test_no_distribution_is_leave_to_deploy_and_the_verdict_says_what_it_is(results, signal_world, seen):
    study = WalkForwardResult.of(signal_world.panel, results)
    exposure = np.full(len(study.bar), 1 if seen == "hindsight" else 0, dtype=np.int8)
    object.__setattr__(study, "exposure", exposure)
    evidence = GateEvidence.of(study, SupportingEvidence())
    found = CRITERIA["unseen"][1](None, evidence)
    assert found.passed is False
    assert found.reason.startswith("This is combinatorial purged cross-validation, no walk-forward record")
    assert "no leave to deploy" in found.reason
    assert ("all but one of its 6 policies" in found.reason) == (seen == "hindsight")


def test_paths_on_which_nothing_was_held_are_undefined_and_count_as_such():
    flat = PathDistribution(
        num_splits=2, num_groups=2, sharpe=(math.nan,), total_return=(0.0,), max_drawdown=(0.0,), baselines={}
    )
    assert math.isnan(flat.median)
    assert math.isnan(flat.to_json()["sharpe_mean"])
    assert "nothing was held" in flat.spread


def test_windows_in_sample_lie_in_the_stretches_of_a_split(signal_world):
    world = signal_world
    split = PLAN.folds_in(world.panel)[1]
    (group, *_) = scored_groups(split, world.market.first_bar + 1)
    windows = in_sample_windows(group, world.market, world.config)
    assert len(windows) == 1 or len({w.num_bars for w in windows}) == 1
    for window in windows:
        assert any(part.start <= window.start_bar and window.stop_bar <= part.stop for part in split.training)


def test_a_path_by_itself_is_measured_like_any_record(results, signal_world):
    study = WalkForwardResult.of(signal_world.panel, results)
    periods = signal_world.panel.periods_per_year
    expected = [sharpe_ratio(path.net_return, periods_per_year=periods) for path in study.by_path]
    found = PathDistribution.of(study)
    assert found is not None
    assert list(found.sharpe) == expected
