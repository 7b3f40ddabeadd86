"""Nothing that docs/extending.md lists was forgotten, and what was forgotten is named by its file."""

from __future__ import annotations

from dataclasses import replace

import places
import pytest

from data.sources import SamplesConfig
from envs.actions import ACTION_SCHEMES
from envs.kernel.reward import TERMS
from evaluation.gate.criteria import CRITERIA
from policies.cores import CORES, Core
from policies.window_attention import AttentionConfig
from rayjobs.config.compose import compose
from rayjobs.study.config import build_train_config


@pytest.fixture(scope="module")
def network():
    return replace(
        build_train_config(compose("train")).policy, attention=AttentionConfig(window_bars=4, heads=2)
    )


def test_no_place_of_any_extension_was_forgotten(network):
    assert places.of_reward_terms() == []
    assert places.of_cores(network) == []
    assert places.of_action_schemes() == []
    assert places.of_sources() == []
    assert places.of_vendors() == []
    assert places.of_criteria() == []
    assert places.of_features() == []


REWARD_FILES = {
    "terms": "envs/kernel/reward.py",
    "weights": "envs/rewards.py",
    "defaults": "conf/reward/log_equity.yaml",
    "in_numpy": "rayjobs/bench/numpy_env/account.py",
}


@pytest.mark.parametrize("only", REWARD_FILES)
def test_a_reward_term_in_one_place_alone_names_the_three_others(only):
    sentences = places.of_reward_terms(**{only: [*TERMS, "calmness"]})
    others = [file for place, file in REWARD_FILES.items() if place != only]
    assert [sentence.split(":")[0] for sentence in sentences] == others
    assert all("calmness" in sentence for sentence in sentences)


def test_a_core_that_is_no_entry_of_the_table_is_told_where_to_enter(network):
    classes = {**places.core_classes(), "MovingAverage": "policies/moving_average.py"}
    sentence = "policies/cores.py: CORES builds no MovingAverage of policies/moving_average.py"
    assert places.of_cores(network, classes=classes) == [sentence]


def test_a_core_without_a_policy_file_or_a_field_for_its_settings_is_told_where_both_belong(network):
    cores = {**CORES, "mean": Core(build=CORES["gru"].build, settings=AttentionConfig)}
    assert [sentence.split(":")[0] for sentence in places.of_cores(network, cores=cores)] == [
        "conf/policy/mean.yaml",
        "policies/networks.py",
    ]
    sentences = places.of_cores(network, files={*CORES, "mean"})
    assert sentences == ["policies/cores.py: CORES has no mean"]


def test_all_four_cores_are_found_by_their_form():
    assert set(places.core_classes()) == {"NoMemory", "LstmMemory", "GruMemory", "WindowAttention"}


def test_a_scheme_that_the_kernel_or_the_configuration_does_not_know_is_told_where_it_belongs():
    schemes = {**ACTION_SCHEMES, "by_votes": replace(ACTION_SCHEMES["orders"], code=4)}
    assert [sentence.split(":")[0] for sentence in places.of_action_schemes(schemes)] == [
        "envs/kernel/columns.py",
        "envs/kernel/orders.py",
        "conf/env/by_votes.yaml",
    ]
    (sentence,) = places.of_action_schemes(files={*ACTION_SCHEMES, "by_votes"})
    assert sentence.startswith("envs/actions.py: ")


def test_a_vendor_is_told_where_it_belongs():
    assert places.of_vendors(
        classes={"Massive": "data/vendors/massive.py", "Bank": "data/vendors/bank.py"}
    ) == ["data/vendors/__init__.py: VENDORS lacks Bank of data/vendors/bank.py"]
    (sentence,) = places.of_vendors(classes={}, vendors={"bank": places.VENDORS["massive"]})
    assert sentence == "docs/vendors.md: the table lacks the vendor bank"


def test_a_source_a_criterion_and_a_feature_are_told_where_they_belong():
    assert places.of_sources(
        classes={"SamplesConfig": "data/sources/samples.py", "Bank": "data/sources/bank.py"}
    ) == ["data/sources/__init__.py: RECORDED lacks Bank of data/sources/bank.py"]
    (sentence,) = places.of_sources(configs={"samples": SamplesConfig, "bank": SamplesConfig})
    assert sentence.startswith("conf/data/bank.yaml: ")
    (sentence,) = places.of_criteria(criteria=[*CRITERIA, "worst_month"])
    assert sentence.startswith("conf/gate/default.yaml: neither enforces worst_month")
    assert [
        s.split(":")[0] for s in places.of_criteria(thresholds=["worst_month"], strict=["min_sharpe"])
    ] == [
        "evaluation/gate/standard.py",
        "evaluation/gate/config.py",
    ]
    assert places.of_features(["gap"]) == ["docs/features.md: the table lacks the feature gap"]
