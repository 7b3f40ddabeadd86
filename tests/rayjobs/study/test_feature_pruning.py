"""`features.prune` in a job: each fold's window decides, contract and report say so, an audit asks again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_run import OVERRIDES, make_run

from data.features import Standardiser
from data.sources import load
from evaluation.audit.normalisation import check_normalisation
from policies.exports import load_export
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError
from rayjobs.replay.finished_run import open_run
from rayjobs.study.config import build_train_config
from rayjobs.study.feature_coverage import coverage_rows
from rayjobs.study.feature_pruning import doubts_of
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.fold_market import fold_market
from rayjobs.study.load import load_study
from rayjobs.study.study import Study

SCREENED = (
    "+features/prune=consensus", "features.prune.consensus.models=[ridge]", "features.prune.consensus.min_t=2.0",
    "features.prune.consensus.embargo_bars=5", "features.prune.consensus.num_blocks=5",
)  # fmt: skip


def study_and_folds(*overrides: str):
    config = build_train_config(compose("train", [*OVERRIDES, *overrides]))
    study = Study.of(config, load(config.data))
    return study, config.walk_forward.folds_in(study.panel)


def test_a_fold_keeps_what_its_training_window_agrees_on_and_its_contract_says_so():
    study, folds = study_and_folds(*SCREENED)
    noise = tuple(name for name in study.features.asset_names if name.startswith("noise"))
    for fold in folds:
        market, contract = fold_market(study, fold)
        assert tuple(contract.standardiser["pruned"]) == noise
        places = [market.asset_names.index(name) for name in noise]
        assert not market.features[:, :, places].any()


def test_an_audit_screens_again_and_finds_what_was_left_out_otherwise():
    study, folds = study_and_folds(*SCREENED)
    config = study.config.features
    exported = {fold.index: fold_market(study, fold)[1].standardiser for fold in folds}

    def audited(facts):
        return check_normalisation(
            study.features, folds, facts, config.clip, config.prune, config.standardise,
            lambda fold: doubts_of(study.config, study.panel, study.features, fold),
        )  # fmt: skip

    assert {check.outcome for check in audited(exported)} == {"pass"}
    everything = {k: {**facts, "pruned": []} for k, facts in exported.items()}
    assert {check.outcome for check in audited(everything)} == {"fail"}


def test_the_sets_of_pruning_are_chosen_by_name_on_top_of_any_set_of_features():
    chosen = ["+experiment=crypto_portfolio", "features=portfolio_full"]
    copies = build_train_config(compose("train", [*chosen, "+features/prune=copies"])).features.prune
    assert (copies.max_correlation, copies.consensus) == (0.95, None)
    agreed = build_train_config(compose("train", [*chosen, "+features/prune=consensus"])).features.prune
    assert agreed.consensus.models == ("ridge", "forest")
    plain = {"max_correlation": 0.9, "min_known": 0.5, "max_same": 1.0}
    as_ever = [*chosen, f"features.prune={{{', '.join(f'{k}: {v}' for k, v in plain.items())}}}"]
    assert build_train_config(compose("train", as_ever)).features.prune.consensus is None


def test_a_training_window_too_short_to_be_screened_is_refused_before_anything_starts():
    config = build_train_config(
        compose("train", [*OVERRIDES, *SCREENED, "features.prune.consensus.num_folds=60"])
    )
    with pytest.raises(ValueError, match="is too short: features.prune.consensus.num_folds is 60"):
        load_study(config)
    with pytest.raises(ConfigError, match="features.prune.consensus.models"):
        build_train_config(compose("train", [*OVERRIDES, *SCREENED, "features.prune.consensus.models=[x]"]))


def outcomes_of(study, folds):
    """Folds as they were scored, without the scores: their windows and statistics."""

    class Scored:
        def __init__(self, fold):
            self.fold = fold

    found = []
    for fold in folds:
        standardiser = fold_market(study, fold)[1].standardiser
        found.append(FoldOutcome(result=Scored(fold), iterations=(), policy=None, standardiser=standardiser))
    return found


def test_the_coverage_of_features_is_counted_on_the_test_windows():
    study, folds = study_and_folds("features.clip=1.0", "walk_forward.test_bars=100", "data.noise_features=2")
    asset = study.features.asset.copy()
    first = folds[0].test.start
    asset[first : first + 25, 0, 0] = np.nan  # 25 of 100 bars of one of two assets, in one fold
    asset[:, :, 1] = 4.0  # constant everywhere
    study = replace(study, features=replace(study.features, asset=asset))
    outcomes = outcomes_of(study, folds)
    rows = {row["feature"]: row for row in coverage_rows(study, outcomes)}
    names = study.features.asset_names
    cells = 200 * len(folds)
    assert rows[names[0]]["nan"] == pytest.approx(25 / cells)
    assert rows[names[0]]["known"] == pytest.approx(1 - 25 / cells)
    assert (rows[names[1]]["constant"], rows[names[1]]["of_folds"]) == (len(folds), len(folds))
    assert rows[names[1]]["clipped"] == 0.0
    beyond = 0
    for fold in folds:
        trained = asset[fold.train, :, 2].astype(np.float64)
        z = (asset[fold.test, :, 2] - trained.mean(axis=0)) / trained.std(axis=0)
        beyond += int((np.abs(z) >= 1.0).sum())
    assert rows[names[2]]["clipped"] == pytest.approx(beyond / cells)
    assert all(rows[name]["clipped"] is None for name in study.features.clock_names)


def test_a_script_reads_no_feature_so_that_none_is_told_of():
    study, _ = study_and_folds("policy=flat")
    nothing = [FoldOutcome(result=None, iterations=(), policy=None)]
    assert coverage_rows(study, nothing) == []


@pytest.mark.runs
@pytest.mark.usefixtures("leak_check_aside")
def test_the_report_and_the_exports_of_a_run_tell_what_was_left_out(tmp_path):
    run = open_run(make_run(tmp_path, "policy=ridge", "env=weights", *SCREENED))
    page = (run.path / "report.html").read_text()
    assert "What was known of each feature" in page
    assert "<th>Clipped</th>" in page
    policy = load_export(run.policy(0))
    kept = Standardiser.from_dict(policy.contract.standardiser)
    assert all(name.startswith("noise") for name in kept.pruned)
    assert kept.pruned
