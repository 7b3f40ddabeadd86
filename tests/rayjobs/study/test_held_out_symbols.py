"""Symbols held out of training: nothing of them is learnt from, and both kinds are told side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from loaded_study import study_of
from small_run import OVERRIDES, make_run

from data.sources import load
from evaluation.gate.criteria import CRITERIA, OF_A_RECORD
from policies.exported_policy import TrainedPolicy
from policies.origin import SEEN
from rayjobs.audit import main as audit
from rayjobs.config.compose import compose
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.study.config import build_train_config
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import with_origin
from rayjobs.study.held_out import parted
from rayjobs.study.placebo import placebo_study

pytestmark = pytest.mark.runs
HELD_OUT = (
    "data.num_assets=5", "data.test_symbols=[SYN1,SYN4]", "features.standardise=pooled", "env=randomised",
    "env.episode.num_assets=2", "env.episode.randomisation.tickers=true", "env.sizing.fraction=0.2",
    "policy.symbol_embedding=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("held_out"), *HELD_OUT, "gate.unseen_symbols=true")


def read(run: Path, name: str):
    return json.loads((run / name).read_text())


def config_of(*overrides: str):
    return build_train_config(compose("train", [*OVERRIDES, *overrides]))


def test_no_feature_statistic_or_market_of_the_training_reads_a_bar_of_a_symbol_held_out():
    study = study_of(*OVERRIDES, *HELD_OUT)
    assert study.panel.symbols == ("SYN0", "SYN2", "SYN3")
    assert study.unseen is not None
    assert study.unseen.panel.symbols == ("SYN1", "SYN4")
    fold = study.config.walk_forward.folds_in(study.panel)[0]
    market, contract = fold_market(study, fold)
    whole = load(study.config.data)
    other = replace(
        whole.panel,
        close=np.where(np.isin(whole.panel.symbols, ("SYN1", "SYN4")), whole.panel.open, whole.panel.close),
        exogenous={
            k: v * np.where(np.isin(whole.panel.symbols, ("SYN1", "SYN4")), 9.0, 1.0)
            for k, v in whole.panel.exogenous.items()
        },
    )
    seen, _ = parted(replace(whole, panel=other), ("SYN1", "SYN4"))
    changed = type(study).of(replace(study.config, test_symbols=()), seen)
    again, same = fold_market(changed, fold)
    np.testing.assert_array_equal(market.features, again.features)
    np.testing.assert_array_equal(market.bars, again.bars)
    assert contract.standardiser == same.standardiser


def test_the_oracle_of_each_symbol_goes_with_it():
    study = study_of(*OVERRIDES, *HELD_OUT)
    oracle = load(study.config.data).oracle_direction
    np.testing.assert_array_equal(study.oracle_direction, oracle[:, [0, 2, 3]])
    np.testing.assert_array_equal(study.unseen.oracle_direction, oracle[:, [1, 4]])


def test_a_policy_of_two_slots_decides_alike_for_any_number_of_assets(run):
    policy = TrainedPolicy.load(run / "checkpoints" / "fold_00" / "best")
    assert policy.contract.layout.num_assets == 2
    wide = policy.for_assets(6)
    assert wide.policy_hash == policy.policy_hash
    random = np.random.default_rng(0)
    layout = policy.contract.layout
    two = random.standard_normal((4, layout.size)).astype(np.float32)
    blocks = [two[:, layout.slices[name]].reshape(4, 2, -1) for name in ("market", "position")]
    rest = two[:, layout.slices["account"].start :]
    # Three times the same pair: means over assets are the same, so each decides as in its pair.
    six = np.concatenate([np.tile(block, (1, 3, 1)).reshape(4, -1) for block in blocks] + [rest], axis=1)
    few, _ = policy.act(two, policy.initial_state(4))
    many, _ = wide.act(six, wide.initial_state(4))
    np.testing.assert_array_equal(many, np.tile(few, (1, 3)))


def test_both_records_stand_side_by_side_in_summary_files_and_report(run):
    both = read(run, "backtest/summary.json")["unseen_symbols"]
    assert both["seen"]["symbols"] == ["SYN0", "SYN2", "SYN3"]
    assert both["unseen"]["symbols"] == [
        "SYN1",
        "SYN4",
    ]
    folder = run / "backtest" / "unseen_symbols"
    returns = pd.read_parquet(folder / "walk_forward" / "returns.parquet")
    assert both["unseen"]["total_return"] == pytest.approx((1.0 + returns["net_return"]).prod() - 1.0)
    fills = pd.read_parquet(folder / "walk_forward" / "fills.parquet")
    assert set(fills["symbol"]) <= {"SYN1", "SYN4"}
    assert not returns["in_sample"].any()
    own = pd.read_parquet(run / "walk_forward" / "returns.parquet")
    np.testing.assert_array_equal(returns["bar_utc"], own["bar_utc"])
    assert "Symbols trained on, and held out of training" in (run / "report.html").read_text()


def test_the_verdict_names_what_fails_on_the_symbols_held_out(run):
    (criterion,) = [c for c in read(run, "verdict.json")["criteria"] if c["name"] == "unseen_symbols"]
    assert criterion["enforced"]
    assert criterion["pass"] is False
    assert criterion["reason"].startswith("On SYN1, SYN4, held out of training, the annual Sharpe ratio is")


def test_an_audit_derives_the_record_of_the_symbols_held_out_again(run):
    assert audit([f"run={run}"]) == ExitCode.DONE
    path = run / "backtest" / "unseen_symbols" / "walk_forward" / "returns.parquet"
    table = pd.read_parquet(path)
    kept = path.read_bytes()
    table.loc[7, "net_return"] += 1e-3
    table.to_parquet(path, index=False)
    assert audit([f"run={run}", "checks=[reproduction]"]) == ExitCode.FAILED
    path.write_bytes(kept)


def test_a_symbol_held_out_that_is_one_trained_on_under_another_name_counts_as_seen():
    study = study_of(*OVERRIDES, *HELD_OUT)
    fold = study.config.walk_forward.folds_in(study.panel)[0]
    market, contract = fold_market(study, fold)
    origin = with_origin(contract, study, fold, market.first_bar, Path("nowhere")).origin
    bars = study.panel.slice_bars(fold.train.start, fold.train.stop)
    renamed = replace(bars.select(["SYN3"]), symbols=("NEW",))
    assert (origin.exposure(renamed, source="files: elsewhere") == SEEN).all()


def test_a_look_covers_the_symbols_held_out_too(run):
    coverage = read(run, "scored_bars.json")
    assert sorted(one["symbol"] for one in coverage["symbols"]) == [f"SYN{i}" for i in range(5)]


def test_without_such_symbols_the_gate_that_demands_them_refuses(tmp_path):
    verdict = read(make_run(tmp_path, "gate.unseen_symbols=true"), "verdict.json")
    (criterion,) = [c for c in verdict["criteria"] if c["name"] == "unseen_symbols"]
    assert criterion["enforced"]
    assert criterion["pass"] is None
    assert "was not measured" in criterion["reason"]


def test_a_gate_that_does_not_ask_has_no_such_row(tmp_path):
    verdict = read(make_run(tmp_path), "verdict.json")
    assert "unseen_symbols" not in [c["name"] for c in verdict["criteria"]]


def test_a_placebo_market_has_no_symbols_held_out():
    study = study_of(*OVERRIDES, *HELD_OUT)
    assert placebo_study(study, study.panel).unseen is None


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("data.test_symbols=[SYN1]", "policy.symbol_embedding=false"), "set features.standardise=pooled"),
        (("data.test_symbols=[SYN1]", "features.standardise=own_past"), "policy.symbol_embedding"),
        (("data.test_symbols=[SYN1,SYN1]",), "names a symbol twice"),
    ],
)  # fmt: skip
def test_what_would_tell_symbols_apart_is_refused(overrides, words):
    with pytest.raises(ConfigError, match=words):
        config_of(*overrides)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("data.test_symbols=[SYN0,SYN1]",), "leave at least one to train on"),
        (("data.test_symbols=[SYN7]",), "'SYN7' is not in the data"),
        (("data.num_assets=3", "env.episode.num_assets=2"), "let every episode draw its own"),
        (("data.num_assets=3", "env.episode.num_assets=4"), "there are 3 symbols to train on"),
    ],
)  # fmt: skip
def test_symbols_that_the_data_do_not_hold_are_refused(overrides, words):
    with pytest.raises(ValueError, match=words):
        study_of(*OVERRIDES, "features.standardise=pooled", "policy.symbol_embedding=false", *overrides)


def test_every_criterion_that_is_asked_of_such_symbols_exists():
    assert set(OF_A_RECORD) <= set(CRITERIA)


def test_symbols_without_an_edge_show_their_sign_and_pay_nothing_for_it():
    config = config_of("data.num_assets=2", "data.num_bars=40000", "data.without_edge=[SYN1]")
    market = load(config.data)
    returns = market.panel.close[1:] / market.panel.close[:-1] - 1.0
    signal = market.panel.exogenous["signal"][:-1]
    earned = (returns * signal).mean(axis=0)
    error = 0.002 / np.sqrt(len(returns))  # standard deviation of a bar over the root of the bars
    assert earned[0] == pytest.approx(5e-4, abs=4 * error)
    assert abs(earned[1]) < 4 * error
    assert (market.oracle_direction[:, 1] == 0).all()
