"""The command of a trial: what was typed to begin the study, less its search, with the trial's settings."""

from __future__ import annotations

import json
import shlex

import pytest
import yaml
from made_study import MadeTrial, make_study

from rayjobs.config.compose import compose
from rayjobs.config.dotted_keys import value_at
from rayjobs.pages.study_facts import trial_answer

TYPED = ("features.clip=9", "trainer.total_env_steps=4_000", "algo.kl_stop=0.02")


@pytest.fixture
def began(tmp_path):
    """A study that was begun by a command line, and what the page tells of its only trial."""

    def make(*typed: str, **changed: str) -> dict:
        made = make_study(
            tmp_path, "20260101T000000Z-aaaaaa", [MadeTrial(scores=(1.0,), returns=((0.1,), (0.2,)))], *typed
        )
        stored = yaml.safe_load((made / "config.yaml").read_text()) | changed
        places = [f"run.directory={tmp_path}", f"ledger={tmp_path}/ledger.sqlite"]
        stored["provenance"]["command"] = ["sweep.py", "+experiment=planted_signal", *places, *typed]
        (made / "config.yaml").write_text(yaml.safe_dump(stored))
        return json.loads(trial_answer(str(made), 0))

    return make


def composed(told: dict) -> dict:
    first, *words = shlex.split(told["command"].splitlines()[-1])[2:]
    assert first == "rayjobs.train"
    return compose("train", words)


def test_the_command_trains_with_what_the_study_was_begun_with_and_what_the_trial_tried(began):
    told = began(*TYPED, "search.num_trials=3", "search/space=kl_and_lr", "+features.specs.a={name: adx}")
    values = composed(told)
    assert value_at(values, "features.clip") == 9
    assert value_at(values, "features.specs.a.name") == "adx"
    assert value_at(values, "trainer.total_env_steps") == 4000
    for setting in told["diff"]:
        assert value_at(values, setting["key"]) == setting["tried"] != setting["study"]
    assert "algo.kl_stop" in {setting["key"] for setting in told["diff"]}


def test_a_command_that_would_train_something_else_is_not_told_as_the_trials(began):
    told = began(*TYPED, seed=5)  # as if what is shipped had changed since
    assert told["command"].startswith("# what else the study was begun with stands in ")
    for setting in told["diff"]:
        assert value_at(composed(told), setting["key"]) == setting["tried"]


def test_a_secret_that_was_typed_is_not_shown(began):
    told = began("+tracking.api_key=geheim")
    assert "geheim" not in json.dumps(told)
