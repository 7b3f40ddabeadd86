"""``policy.actors`` in a study: who is placed where, what is refused, and weights that another run begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from loaded_study import study_of
from small_run import OVERRIDES, make_run

from rayjobs.config.compose import compose
from rayjobs.config.exit_codes import ExitCode
from rayjobs.config.typed_config import ConfigError
from rayjobs.entry import run_entry_point
from rayjobs.search.trial.policy_trials import _of_trial
from rayjobs.study.config import build_train_config
from rayjobs.study.fold import training_spec
from rayjobs.study.fold_market import fold_market
from rayjobs.study.fold_origin import start_of
from rayjobs.study.warm_start import encoders_of
from rayjobs.train import train

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
OWN = (*OVERRIDES, "policy=multi_agent")
ONE_GROUP = "policy.actors={both: [SYN1, SYN0]}"


def contract_of(study):
    fold = study.config.walk_forward.folds_in(study.panel)[0]
    return fold_market(study, fold)[1]


def carried(study):
    fold = study.config.walk_forward.folds_in(study.panel)[0]
    return start_of(study, fold).carried(contract_of(study))


@pytest.fixture(scope="module")
def own_run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("own"), "policy=multi_agent")


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("shared"))


def test_one_for_each_symbol_is_placed_by_the_data():
    network = contract_of(study_of(*OWN, "data.num_assets=3")).network
    assert [(actor.name, actor.slots) for actor in network.placed] == [
        ("SYN0", (0,)), ("SYN1", (1,)), ("SYN2", (2,))
    ]  # fmt: skip
    network = contract_of(
        study_of(*OWN, "data.num_assets=3", "policy.actors={a: [SYN2, SYN0], b: [SYN1]}")
    ).network
    assert [(actor.name, actor.slots) for actor in network.placed] == [("a", (0, 2)), ("b", (1,))]


def test_any_core_may_have_actors():
    for overrides in (("policy=gru", "policy.actors=symbol"), ("policy=attention", "policy.actors=symbol")):
        study = study_of(*OVERRIDES, *overrides)
        assert len(contract_of(study).network.placed) == 2


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("policy.actors=each",), "policy.actors is 'each'"),
        (("policy.actors={a: [SYN0], b: [SYN0]}",), "has SYN0 in a and in b"),
        (("policy.actors={a: SYN0}",), "policy.actors.a is 'SYN0'; it must be a list"),
        (("data.test_symbols=[SYN1]", "features.standardise=pooled"), "a symbol that is held out of training"),
        (("env=randomised", "env.episode.num_assets=1"), "not drawn for an episode"),
        (("env=weights", "env.action.allow_short=false", "policy.weights_distribution=dirichlet"),
         "divides one budget among all"),
    ],
)  # fmt: skip
def test_a_configuration_that_leaves_a_symbol_without_an_actor_is_refused(overrides, words):
    with pytest.raises(ConfigError, match=words):
        build_train_config(compose("train", [*OWN, *overrides]))


@pytest.mark.parametrize(
    ("actors", "words"),
    [
        ("{a: [SYN0], b: [SYN7]}", "policy.actors.b: the data have no symbol SYN7"),
        ("{a: [SYN0]}", "policy.actors has no actor for SYN1"),
    ],
)
def test_groups_that_do_not_fit_the_data_are_one_sentence_before_anything_starts(
    actors, words, capsys, tmp_path
):
    place = [f"run.directory={tmp_path}", "run.experiment=refused"]
    code = run_entry_point(train, "train", [*OWN, f"policy.actors={actors}", *place])
    assert code is ExitCode.BAD_INPUT
    assert words in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("refused/*/progress.csv"))


def test_a_run_tells_who_acted(own_run):
    table = pd.read_csv(own_run / "walk_forward" / "folds.csv")
    assert set(table["param_actors"]) == {"symbol"}


def test_a_trial_that_changes_the_actors_has_them_placed():
    study = study_of(*OVERRIDES)
    base = contract_of(study)
    assert base.network.actors == "shared"
    own = replace(study, config=replace(study.config, policy=replace(study.config.policy, actors="symbol")))
    assert [actor.name for actor in _of_trial(base, own).network.placed] == ["SYN0", "SYN1"]
    assert _of_trial(_of_trial(base, own), study) == base


def test_every_actor_may_begin_with_weights_that_all_symbols_shared(shared_run):
    study = study_of(*OWN, f"trainer.start_from={shared_run}")
    (start, *_), found = study.starts, carried(study)
    shapes = (
        contract_of(study).actions.network(contract_of(study).layout, contract_of(study).network).state_dict()
    )
    assert set(found) == set(shapes)
    for name, values in found.items():
        assert values.shape == tuple(shapes[name].shape)
        np.testing.assert_array_equal(values, start.weights[name.split(".", 2)[2]])


def test_actors_begin_with_those_of_the_same_symbols_wherever_they_stand(own_run):
    study = study_of(*OWN, f"trainer.start_from={own_run}")
    (start, *_), found = study.starts, carried(study)
    assert set(found) == set(start.weights)
    for name, values in found.items():
        np.testing.assert_array_equal(values, start.weights[name])


@pytest.mark.parametrize("overrides", [("policy=lstm",), (ONE_GROUP,), ("data.num_assets=3",)])
def test_weights_of_actors_are_refused_for_other_symbols(own_run, overrides):
    study = study_of(*OWN, *overrides, f"trainer.start_from={own_run}")
    with pytest.raises(ValueError, match="an actor's weights are for its symbols alone"):
        carried(study)


def test_frozen_encoders_are_those_of_every_actor(own_run, monkeypatch):
    study = study_of(*OWN, f"trainer.start_from={own_run}", "trainer.freeze=encoder")
    fold = study.config.walk_forward.folds_in(study.panel)[0]
    market, contract = fold_market(study, fold)
    monkeypatch.setattr("rayjobs.study.fold.ray.get", lambda reference: market)
    config = replace(study.config, trainer=replace(study.config.trainer, validation_fraction=0.0))
    spec = training_spec(config, fold, None, contract, Path("nowhere"), start=start_of(study, fold))
    assert spec.frozen == encoders_of(contract.network)
    names = contract.actions.network(contract.layout, contract.network).state_dict()
    frozen = {name for name in names if name.startswith(spec.frozen)}
    assert frozen == {name for name in names if "encode_" in name}
    assert len(frozen) == 2 * 4  # weight and bias of two encoders, of each actor
