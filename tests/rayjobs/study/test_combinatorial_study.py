"""Combinatorial cross-validation of a study: what splits train on, what they have seen, and what a run of it leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loaded_study import study_of
from small_run import OVERRIDES, make_run

from data.features.pruning import fit_standardiser
from envs.checks.poison import poison_after
from evaluation.windows.combinatorial_windows import CombinatorialWindows
from policies.exported_policy import PolicyContract
from policies.origin import EARLIER, SEEN, UNSEEN
from rayjobs.audit import main as audit
from rayjobs.config.compose import compose
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.evaluate import main as evaluate
from rayjobs.study.config import build_train_config
from rayjobs.study.config_groups import build_windows
from rayjobs.study.fold_origin import with_origin
from rayjobs.study.fold_windows import windows_to_train
from rayjobs.study.leak_check import on_bars
from rayjobs.study.study import Study

pytestmark = pytest.mark.runs
SMALL = tuple(one for one in OVERRIDES if not one.startswith("walk_forward"))
SPLITS = (
    "walk_forward=cpcv", "walk_forward.groups=4", "walk_forward.test_groups=2", "walk_forward.embargo_days=1",
)  # fmt: skip
CONTRACT = PolicyContract(
    layout=None, feature_hash="", standardiser=None, action_scheme="", actions=None, network=None
)  # type: ignore[arg-type]
"""Only its origin matters here."""


@pytest.fixture(scope="module")
def study() -> Study:
    return study_of(*SMALL, *SPLITS)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("cpcv"), *SPLITS, base=SMALL)


def read(run: Path, name: str):
    return json.loads((run / name).read_text())


@settings(max_examples=25, deadline=None)
@given(
    groups=st.integers(2, 7),
    tested=st.integers(1, 4),
    horizon=st.integers(0, 4),
    days=st.integers(0, 2),
    share=st.sampled_from([0.0, 0.1, 0.3]),
)
def test_neither_training_nor_the_choice_of_a_checkpoint_reaches_a_tested_group(
    study, groups, tested, horizon, days, share
):
    if tested >= groups:
        return
    plan = CombinatorialWindows(groups=groups, test_groups=tested, horizon_bars=horizon, embargo_days=days)
    config = replace(
        study.config, walk_forward=plan, trainer=replace(study.config.trainer, validation_fraction=share)
    )
    try:
        folds = plan.folds_in(study.panel)
    except ValueError:
        return  # purging leaves nothing
    for fold in folds:
        try:
            training, validation = windows_to_train(config, fold, 5)
        except ValueError:
            continue  # too short to train on
        used = np.zeros(study.panel.num_bars, dtype=int)
        for window in (*training, *(() if validation is None else (validation,))):
            used[window.start_bar : window.stop_bar] += 1
        assert used.max() == 1
        assert not used[:6].any()
        embargo = 48 * days
        for _, group in fold.groups:
            assert not used[max(group.start - horizon, 0) : group.stop + horizon + embargo].any()
        if validation is not None:
            chosen_on = slice(validation.start_bar - horizon - embargo, validation.stop_bar)
            for window in training:
                assert window.stop_bar <= chosen_on.start or window.start_bar >= chosen_on.stop


def test_a_split_has_seen_its_stretches_and_no_bar_of_its_groups(study):
    for fold in study.config.walk_forward.folds_in(study.panel):
        origin = with_origin(CONTRACT, study, fold, 0, Path("nowhere")).origin
        labels = origin.exposure(study.panel, source=origin.source)
        for part in fold.training:
            assert (labels[part] == SEEN).all()
        for _, group in fold.groups:
            last_seen = fold.train.stop
            expected = np.where(np.arange(group.start, group.stop) < last_seen, EARLIER, UNSEEN)
            np.testing.assert_array_equal(labels[group], expected)


def test_other_prices_in_the_tested_groups_change_no_statistic(study):
    fold = study.config.walk_forward.folds_in(study.panel)[1]  # groups 0 and 2
    _, tested = fold.groups[1]
    other = poison_after(study.panel, tested.start - 1, 3)
    later = study.panel.slice_bars(tested.stop, study.panel.num_bars)
    changed = on_bars(study, other).features.asset.copy()
    changed[tested.stop :] = study.features.asset[tested.stop :]
    assert not np.array_equal(changed[tested], study.features.asset[tested])
    assert later.num_bars
    fitted = [
        fit_standardiser(replace(study.features, asset=asset), fold.training, clip=10.0, prune=None)
        for asset in (study.features.asset, changed)
    ]
    np.testing.assert_array_equal(fitted[0].mean, fitted[1].mean)
    np.testing.assert_array_equal(fitted[0].std, fitted[1].std)


def test_statistics_of_stretches_are_those_of_their_bars_alone(study):
    fold = study.config.walk_forward.folds_in(study.panel)[1]
    fitted = fit_standardiser(study.features, fold.training, clip=10.0, prune=None)
    rows = np.concatenate([study.features.asset[part].astype(np.float64) for part in fold.training])
    np.testing.assert_allclose(fitted.mean, np.nanmean(rows, axis=0), atol=1e-12)
    np.testing.assert_allclose(fitted.std, np.nanstd(rows, axis=0), atol=1e-9)


def test_a_run_leaves_the_distribution_in_summary_verdict_report_and_files(run):
    summary, verdict = read(run, "backtest/summary.json"), read(run, "verdict.json")
    paths = pd.read_parquet(run / "walk_forward" / "paths.parquet")
    assert summary["paths"] == verdict["paths"]
    assert summary["paths"]["num_paths"] == 3
    for path, rows in paths.groupby("path"):
        assert rows["bar_utc"].is_monotonic_increasing
        assert rows["bar_utc"].is_unique
        assert (1.0 + rows["net_return"]).prod() - 1.0 == pytest.approx(
            summary["paths"]["total_return"][path]
        )
    assert not verdict["pass"]
    assert verdict["headline"].startswith("Refused: this is combinatorial purged cross-validation")
    page = (run / "report.html").read_text()
    assert "Paths of combinatorial cross-validation" in page
    assert "Net Sharpe, median of paths" in page


def test_an_audit_derives_every_file_of_such_a_run_again(run):
    assert audit([f"run={run}"]) == ExitCode.DONE
    found = read(run, "audit_report.json")
    assert [check for check in found["checks"] if check["outcome"] == "fail"] == []
    assert {"paths", "purge and embargo"} <= {check["check"] for check in found["checks"]}


def test_an_audit_finds_a_split_that_trained_on_what_it_is_tested_on(run, tmp_path):
    import shutil

    copy = tmp_path / "small" / run.name
    shutil.copytree(run, copy)
    table = pd.read_csv(copy / "walk_forward" / "folds.csv")
    first, last = table.loc[2, ["test_first_utc", "test_last_utc"]]
    iso = lambda label: label.replace(" ", "T").replace("+00:00", "Z")  # noqa: E731
    table.loc[2, "train_stretches"] += f" {iso(first)}/{iso(last)}"
    table.to_csv(copy / "walk_forward" / "folds.csv", index=False)
    assert audit([f"run={copy}", "checks=[data]"]) == ExitCode.FAILED
    wrong = [c for c in read(copy, "audit_report.json")["checks"] if c["outcome"] == "fail"]
    assert "was trained on bars that it is tested on" in " ".join(check["detail"] for check in wrong)


def test_an_evaluation_of_such_a_run_gives_the_same_distribution(run):
    assert evaluate([f"run={run}"]) == ExitCode.DONE
    (again,) = (run.parent / "evaluations").iterdir()
    assert read(again, "backtest/summary.json")["paths"] == read(run, "backtest/summary.json")["paths"]


def test_other_bars_are_refused_for_they_have_other_splits(run):
    assert evaluate([f"run={run}", "data.seed=9"]) == ExitCode.BAD_INPUT


def test_a_script_is_refused_as_well_though_it_has_seen_nothing(tmp_path):
    verdict = read(make_run(tmp_path, *SPLITS, "policy=buy_and_hold", base=SMALL), "verdict.json")
    assert not verdict["pass"]
    assert "no walk-forward record; over 3 paths" in verdict["headline"]


def test_keys_of_other_windows_are_refused_by_name():
    with pytest.raises(ConfigError, match="windows have no train_bars"):
        build_windows({"unit": "cpcv", "groups": 4, "test_groups": 2, "train_bars": 5})


def test_the_configuration_gives_28_splits_of_8_groups():
    config = build_train_config(compose("train", ["walk_forward=cpcv"]))
    assert config.walk_forward == CombinatorialWindows(
        groups=8, test_groups=2, horizon_bars=1, embargo_days=1
    )
    assert config.walk_forward.num_splits == 28
