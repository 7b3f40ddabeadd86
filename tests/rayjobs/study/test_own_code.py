"""A reward and an env of a user's own work from the configuration alone; what cannot work is told before training."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import own_code
import pytest

from envs.kernel.columns import NET_RETURN
from evaluation.scoring.rollout import evaluation_config
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import ConfigError
from rayjobs.replay.contract_audit import check_own_code
from rayjobs.storage.run_directory import RunConfig, RunDirectory
from rayjobs.study.config import build_train_config
from rayjobs.study.config_groups import build_source
from rayjobs.study.load import load_study
from rayjobs.study.looks.entered import code_version
from rayjobs.study.training_env import training_env

SMALL = (
    "+experiment=planted_signal", "data.num_bars=1400", "data.num_assets=2", "data.noise_features=1",
    "walk_forward.train_bars=500", "walk_forward.test_bars=300", "env.episode.bars=48",
)  # fmt: skip


def study_of(*overrides):
    return load_study(build_train_config(compose("train", [*SMALL, *overrides])))


def test_a_reward_of_ones_own_replaces_the_terms_in_training_and_is_off_in_scoring():
    env = training_env([*SMALL, "reward.function=own_code:calm"], num_envs=8, seed=0)
    env.reset(seed=0)
    random = np.random.default_rng(0)
    for _ in range(20):
        _, reward, *_ = env.step(random.integers(0, 3, size=(8, 2)))
        net_return = env.rows.flow[:, NET_RETURN]
        np.testing.assert_allclose(reward, 100.0 * net_return - 500.0 * net_return**2)
    assert evaluation_config(env.config).reward.function is None


def test_an_env_of_ones_own_is_trained_on_and_never_scored_on():
    before = own_code.TwiceAsLong.resets
    env = training_env([*SMALL, "env.factory=own_code:TwiceAsLong"], num_envs=8, seed=0)
    assert isinstance(env, own_code.TwiceAsLong)
    env.reset(seed=0)
    assert own_code.TwiceAsLong.resets == before + 1
    assert evaluation_config(env.config).factory is None


def test_a_run_keeps_the_digest_of_own_code_and_other_code_is_another_look(tmp_path):
    values = {
        "reward": {"function": "own_code:calm"},
        "hours": ["09:30"],
        "features": [{"name": "no_module:X"}],
    }
    place = RunConfig(experiment="x", directory=str(tmp_path))
    run = RunDirectory.create(place, values, seed=0, data_fingerprint="f00d")
    provenance = dict(run.started.provenance)
    digest = hashlib.sha256(Path(own_code.__file__).read_bytes()).hexdigest()
    assert provenance["own_code"] == {"own_code:calm": digest}
    changed = provenance | {"own_code": {"own_code:calm": "0" * 64}}
    assert code_version(provenance) != code_version(changed)
    found = [check_own_code(SimpleNamespace(values=values, provenance=p)) for p in (provenance, changed, {})]
    assert [[check.outcome for check in checks] for checks in found] == [["pass"], ["fail"], []]


def test_an_env_with_other_spaces_is_refused_before_anything_is_trained():
    sentence = r"own_code:Blind builds an env whose single_observation_space \(shape \(1,\)\)"
    with pytest.raises(ValueError, match=sentence):
        study_of("env.factory=own_code:Blind")


@pytest.mark.parametrize("key", ["reward.function", "env.factory"])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("calm", "name your own as package.module:NAME"),
        ("no_such_module:calm", "cannot be imported"),
        ("own_code:no_such_name", "cannot be imported"),
        ("own_code:NUMBER", "is a int; it must be a function"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_sentence(key, name, sentence):
    with pytest.raises(ConfigError, match=f"{key} .*{sentence}"):
        build_train_config(compose("train", [*SMALL, f"{key}={name}"]))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("file", r"data.source is 'file'; it must be one of samples, files, .* \(did you mean 'files'\?\)"),
        ("own_code:Law", r"data.source 'own_code:Law' must be a class that derives from .*RecordedBars"),
        ("own_code:calm", "must be a class that derives from"),
        ("no_such_module:Bars", "cannot be imported"),
    ],
)
def test_a_source_that_is_none_or_claims_to_be_a_made_market_is_one_sentence(name, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build_source({"data": {"source": name}})
