"""Supervised policies are trained, judged, audited and scored again like any other."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_run import OVERRIDES, make_run

from data.sources import load
from policies.exports import load_export
from policies.supervised.policy import SupervisedPolicy
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError
from rayjobs.replay.audit import examine
from rayjobs.replay.contract_audit import check_contracts
from rayjobs.replay.finished_run import open_run
from rayjobs.replay.rescoring import EvaluateConfig, plan_rescoring, rescore
from rayjobs.replay.trained_again import check_retraining
from rayjobs.study.config import build_train_config
from rayjobs.study.evidence import chained
from rayjobs.study.load import load_study
from rayjobs.study.study import Study

AS_IS = EvaluateConfig(
    run="", cost_factor=1.0, extra_latency_bars=0, windows="folds", fold=None, tearsheet=False, directory=None
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    # The oracle trades every bar at half of equity (env.sizing.fraction), and so does this.
    sized = (
        "policy.position.threshold=0.5",
        "policy.position.fraction=0.5",
        "policy.position.max_fraction=0.5",
    )
    return open_run(make_run(tmp_path_factory.mktemp("runs"), "policy=logistic", "env=weights", *sized))


@pytest.fixture(scope="module")
def study(run):
    config = build_train_config(run.values)
    return Study.of(config, load(config.data))


@pytest.mark.runs
def test_a_run_of_a_fitted_policy_has_what_any_run_has(run):
    verdict = json.loads((run.path / "verdict.json").read_text())
    assert run.summary["oracle_fraction"] > 0.9
    assert "supervised: logistic fitted on each training window" in (run.path / "report.html").read_text()
    seen = next(c for c in verdict["criteria"] if "seen" in c["name"] or "seen" in str(c))
    assert seen["value"] == 0.0
    table = pd.read_csv(run.path / "walk_forward" / "folds.csv")
    assert (table["policy_hash"].str.len() == 64).all()
    assert table["policy_hash"].nunique() == len(table)
    assert set(table["param_model"]) == {"logistic"}


@pytest.mark.runs
def test_its_contract_names_the_bars_it_was_fitted_on_and_it_is_fitted_again_to_the_bit(run, study):
    folds = run.folds(study.panel)
    checks = check_contracts(run, study, folds, searched=False) + check_retraining(run, study, folds)
    assert len(checks) == 3 * len(folds)
    assert all(check.outcome == "pass" for check in checks), [str(check) for check in checks]
    policy = load_export(run.policy(folds[0].index))
    assert isinstance(policy, SupervisedPolicy)
    assert [entry.role for entry in policy.contract.origin.seen] == ["standardiser", "training"]
    last = policy.contract.origin.trained_on[1]
    close = study.panel.bar_utc[folds[0].train.stop - 1] + np.timedelta64(study.panel.bar_seconds, "s")
    assert last == close.astype("datetime64[s]")


@pytest.mark.runs
def test_other_settings_than_the_recorded_ones_are_found_by_fitting_again(run, study):
    folds = run.folds(study.panel)[:1]
    other = replace(study.config.supervised.parameters, penalty=0.5)
    changed = replace(study.config, supervised=replace(study.config.supervised, parameters=other))
    (check,) = check_retraining(run, replace(study, config=changed), folds)
    assert check.outcome == "fail"


@pytest.mark.runs
def test_its_exports_scored_again_earn_the_recorded_returns_to_the_bit(run):
    plan = plan_rescoring(run, run.values, AS_IS)
    again = chained(plan.study, rescore(plan, run)).net_return
    recorded = pd.read_parquet(run.path / "walk_forward" / "returns.parquet")
    out_of_sample = recorded[~recorded["in_sample"]] if "in_sample" in recorded else recorded
    np.testing.assert_array_equal(again, out_of_sample["net_return"].to_numpy())


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["policy=ridge", "positions@policy.position=threshold"],
            "rule is threshold, of a probability, but ridge",
        ),
        (["policy=lstm", "+policy.scope=symbol"], "policy.scope: only a supervised policy has it"),
        (["policy=logistic", "policy.model=logistics"], "there is no such model; did you mean logistic"),
        (["policy=logistic", "+policy.parameters.penalti=1"], "policy.parameters.penalti: unknown key"),
        (
            ["policy=lightgbm_rank", "policy.labels.primary=rsi"],
            "labels.primary is 'rsi', which takes a side for each symbol by itself",
        ),
        (
            ["policy=ridge", "positions@policy.position=rank", "policy.net_labels=true"],
            "net_labels is true, but policy.position.rule=rank orders the symbols",
        ),
    ],
)
def test_settings_that_cannot_be_fitted_are_refused_before_anything_starts(overrides, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build_train_config(compose("train", [*OVERRIDES[:4], *overrides]))


def test_a_ranking_of_one_symbol_is_refused():
    values = compose("train", [*OVERRIDES, "data.num_assets=1", "policy=lightgbm_rank"])
    with pytest.raises(ValueError, match="rank, of the symbols of a bar, but the data have 1"):
        load_study(build_train_config(values))


def test_barriers_and_horizon_are_chosen_by_name():
    overrides = ["policy=logistic", "labels@policy.labels=triple_barrier", "policy.labels.horizon_bars=60"]
    labels = build_train_config(compose("train", overrides)).supervised.labels
    assert (labels.kind, labels.horizon_bars) == ("triple_barrier", 60)


@pytest.mark.runs
@pytest.mark.usefixtures("leak_check_aside")
def test_a_run_of_meta_labels_net_of_costs_takes_the_rules_side_alone_and_is_fitted_again_to_the_bit(
    tmp_path,
):
    meta = ("policy=logistic", "env=weights", "policy.labels.primary=signal", "policy.net_labels=true")
    found = open_run(make_run(tmp_path, *meta, "policy.position.threshold=0.5"))
    config = build_train_config(found.values)
    study = Study.of(config, load(config.data))
    folds = found.folds(study.panel)
    checks = check_contracts(found, study, folds, searched=False) + check_retraining(found, study, folds)
    assert all(check.outcome == "pass" for check in checks), [str(check) for check in checks]
    untrained = examine(found, ["ppo", "callbacks"]).checks
    assert [(check.outcome, check.detail) for check in untrained] == [("skip", "no network was trained")] * 2
    page = (found.path / "report.html").read_text()
    assert (
        "logistic fitted on each training window (net return over 1 bar from the next open, of the sign"
        in page
    )
    decisions = pd.read_parquet(found.path / "walk_forward" / "decisions.parquet")
    bar = {utc: t for t, utc in enumerate(study.panel.bar_utc)}
    signal = study.features.asset[:, :, study.features.asset_names.index("signal")]
    rows = [bar[np.datetime64(utc, "ns")] for utc in decisions["decided_utc"].dt.tz_localize(None)]
    side = signal[rows, [study.panel.symbols.index(symbol) for symbol in decisions["symbol"]]]
    assert (np.sign(decisions["target"]).isin([0.0]) | (np.sign(decisions["target"]) == side)).all()
    assert (decisions["target"] != 0.0).any()


def test_a_primary_rule_that_is_no_feature_or_has_no_sign_is_refused_before_anything_is_fitted():
    unknown = [*OVERRIDES, "policy=logistic", "policy.labels.primary=sinal"]
    with pytest.raises(
        ValueError, match="which no feature of assets in features.specs gives .did you mean 'signal'"
    ):
        load_study(build_train_config(compose("train", unknown)))
    own_past = [
        *OVERRIDES,
        "policy=logistic",
        "policy.labels.primary=signal",
        "features.standardise=own_past",
    ]
    with pytest.raises(ValueError, match="standardised by each symbol's own past"):
        load_study(build_train_config(compose("train", own_past)))
