"""Weights of another run: which of its policies, what must fit, and that all its bars count as seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from loaded_study import study_of
from small_run import OVERRIDES, make_run

from policies.origin import SEEN, UNSEEN
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError
from rayjobs.study.config import build_train_config
from rayjobs.study.fold import training_spec
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import start_of, with_origin
from rayjobs.study.warm_start import ENCODER, start_policies

pytestmark = pytest.mark.runs


@pytest.fixture(scope="module")
def earlier(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("earlier"))


def test_each_fold_begins_with_the_latest_policy_that_has_not_seen_its_test_window(earlier):
    study = study_of(*OVERRIDES, f"trainer.start_from={earlier}")
    folds = study.config.walk_forward.folds_in(study.panel)
    chosen = [start_of(study, fold) for fold in folds]
    hashes = [start.policy_hash for start in study.starts]
    assert [
        start.policy_hash for start in chosen
    ] == hashes  # the later ones were trained on earlier test windows


def test_the_contract_names_every_bar_that_the_other_policy_had_seen(earlier):
    study = study_of(*OVERRIDES, f"trainer.start_from={earlier}")
    fold = study.config.walk_forward.folds_in(study.panel)[1]
    market, contract = fold_market(study, fold)
    origin = with_origin(contract, study, fold, market.first_bar, Path("nowhere")).origin
    start = start_of(study, fold)
    warm = [entry.coverage for entry in origin.seen if entry.role == "warm_start"]
    assert warm == [entry.coverage for entry in start.contract.origin.seen]


def test_a_score_on_bars_that_the_other_policy_was_trained_on_is_in_sample(earlier):
    # One export alone, the last: it was trained on bars 300 to 800, of which fold 0 tests 550 to 800.
    last = earlier / "checkpoints" / "fold_01" / "best"
    study = study_of(*OVERRIDES, f"trainer.start_from={last}")
    fold = study.config.walk_forward.folds_in(study.panel)[0]
    market, contract = fold_market(study, fold)
    origin = with_origin(contract, study, fold, market.first_bar, Path("nowhere")).origin
    scored = study.panel.slice_bars(fold.test.start, fold.test.stop)
    assert (origin.exposure(scored, source=origin.source) == SEEN).any()
    plain = study_of(*OVERRIDES)
    origin = with_origin(contract, plain, fold, market.first_bar, Path("nowhere")).origin
    assert (origin.exposure(scored, source=origin.source) == UNSEEN).all()


def test_weights_are_carried_over_and_vectors_of_symbols_are_not(earlier):
    study = study_of(*OVERRIDES, f"trainer.start_from={earlier}", "trainer.freeze=encoder")
    fold = study.config.walk_forward.folds_in(study.panel)[0]
    _, contract = fold_market(study, fold)
    start = start_of(study, fold)
    carried = start.carried(contract)
    assert set(start.weights) - set(carried) == {"symbols"}
    for name, values in carried.items():
        np.testing.assert_array_equal(values, start.weights[name])
    assert any(name.startswith(ENCODER) for name in carried)


def test_another_number_of_symbols_takes_the_same_weights(earlier):
    study = study_of(*OVERRIDES, f"trainer.start_from={earlier}", "data.num_assets=3", "data.seed=4")
    fold = study.config.walk_forward.folds_in(study.panel)[0]
    _, contract = fold_market(study, fold)
    assert contract.layout.num_assets == 3
    assert start_of(study, fold).carried(contract)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("policy.core_units=8",), "policy.core_units=4, this training 8"),
        (("data.noise_features=2",), "reads other inputs"),
        (("env.action.scheme=orders",), "decides by env.action.scheme=direction"),
    ],
)  # fmt: skip
def test_a_policy_of_another_make_is_refused(earlier, overrides, words):
    study = study_of(*OVERRIDES, f"trainer.start_from={earlier}", *overrides)
    fold = study.config.walk_forward.folds_in(study.panel)[0]
    _, contract = fold_market(study, fold)
    with pytest.raises(ValueError, match=words):
        start_of(study, fold).carried(contract)


def test_a_run_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no such directory"):
        start_policies(str(tmp_path / "nothing"))


def test_freezing_weights_that_were_drawn_is_refused():
    with pytest.raises(ConfigError, match="give trainer.start_from=RUN"):
        build_train_config(compose("train", [*OVERRIDES, "trainer.freeze=encoder"]))


def test_a_training_is_told_its_weights_and_what_is_frozen(earlier, monkeypatch):
    study = study_of(*OVERRIDES, f"trainer.start_from={earlier}", "trainer.freeze=encoder")
    fold = study.config.walk_forward.folds_in(study.panel)[0]
    market, contract = fold_market(study, fold)
    monkeypatch.setattr("rayjobs.study.fold.ray.get", lambda reference: market)
    config = replace(study.config, trainer=replace(study.config.trainer, validation_fraction=0.0))
    spec = training_spec(config, fold, None, contract, Path("nowhere"), start=start_of(study, fold))
    assert spec.frozen == ENCODER
    assert "symbols" not in spec.weights
