"""Search spaces: what may vary, in which order it is drawn, and what is refused before anything starts."""

from __future__ import annotations

import dataclasses

import optuna
import pytest

from rayjobs.config.compose import CONF, compose
from rayjobs.config.dotted_keys import value_at, with_values
from rayjobs.config.typed_config import ConfigError
from rayjobs.search.proposal.studies import enqueue_first
from rayjobs.search.space.parameter import Parameter
from rayjobs.search.space.search_space import Space
from rayjobs.study.config import build_train_config

CORE = Parameter(key="policy.core", kind="categorical", choices=("lstm", "mlp"))
UNITS = Parameter(key="policy.core_units", kind="integer", low=16, high=64, step=16)
GAMMA = Parameter(key="algo.gamma", kind="uniform", low=0.9, high=0.99)
KL = Parameter(key="algo.kl_stop", kind="log_uniform", low=0.01, high=0.1)


@pytest.fixture(scope="module")
def values():
    return {key: value for key, value in compose("sweep", ["+experiment=noise"]).items() if key != "search"}


def test_every_space_of_the_configuration_fits_the_configuration(values):
    for name in sorted(path.stem for path in (CONF / "search" / "space").glob("*.yaml")):
        of_model = [f"policy={name}"] if (CONF / "policy" / f"{name}.yaml").is_file() else []
        composed = compose("sweep", [f"search/space={name}", *of_model])
        parameters = {
            label: Parameter(**_tuples(facts)) for label, facts in composed["search"]["space"].items()
        }
        Space(parameters).check({**values, "policy": composed["policy"]}, build_train_config)


def test_spaces_can_be_combined():
    chosen = compose("sweep", ["search/space=[kl_and_lr,network]"])["search"]["space"]
    assert {"kl_stop", "core_units"} <= set(chosen)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (
            "algo.kl_stp",
            "search.space.x: algo.kl_stp is not a key of the configuration; did you mean algo.kl_stop?",
        ),
        ("algo", "search.space.x: algo is a group of keys; name one of them"),
        ("seed", "search.space.x: seed may not be searched: seeds are averaged"),
        (
            "costs.fee_bps",
            "search.space.x: costs.fee_bps may not be searched: a search may not choose its own costs",
        ),
        ("data.num_bars", "scores on other bars cannot be compared"),
        ("gate.min_sharpe", "a search may not choose its own gate"),
    ],
)
def test_a_key_that_cannot_vary_is_one_sentence(values, key, sentence):
    space = Space({"x": Parameter(key=key, kind="uniform", low=0.1, high=0.2)})
    with pytest.raises(ConfigError) as caught:
        space.check(values, build_train_config)
    assert sentence in str(caught.value)


def test_a_bound_that_the_configuration_refuses_is_found_before_anything_starts(values):
    space = Space({"gamma": Parameter(key="algo.gamma", kind="uniform", low=0.9, high=1.1)})
    with pytest.raises(ConfigError, match=r"search\.space\.gamma: .*gamma is 1.1; it must lie in \[0, 1\]"):
        space.check(values, build_train_config)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"kind": "uniform", "low": 1.0, "high": 1.0}, "low must be below high"),
        ({"kind": "uniform", "low": 1.0}, "needs low and high"),
        ({"kind": "log_uniform", "low": 0.0, "high": 1.0}, "needs it above 0"),
        ({"kind": "integer", "low": 0.5, "high": 2.0}, "whole numbers"),
        ({"kind": "categorical"}, "at least one value"),
        ({"kind": "categorical", "choices": ("a", "a")}, "names a value twice"),
        ({"kind": "uniform", "low": 0.0, "high": 1.0, "choices": (1,)}, "takes low and high, not choices"),
        ({"kind": "uniform", "low": 0.0, "high": 1.0, "step": -1.0}, "must be positive"),
    ],
)
def test_a_parameter_without_sense_is_refused(facts, words):
    with pytest.raises(ValueError, match=words):
        Parameter(key="algo.gamma", **facts)


def test_a_conditional_parameter_exists_only_where_its_condition_holds():
    heads = Parameter(key="algo.gamma", kind="uniform", low=0.9, high=0.99, when={"core": ("lstm",)})
    space = Space({"gamma": heads, "core": CORE})  # given before what it depends on
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [space.suggest(study.ask()) for _ in range(20)]
    assert all(("gamma" in chosen) == (chosen["core"] == "lstm") for chosen in drawn)
    assert len({chosen["core"] for chosen in drawn}) == 2


def test_conditions_that_lead_nowhere_are_refused():
    with pytest.raises(ConfigError, match=r"names 'kore', which is no other parameter; did you mean core\?"):
        Space(
            {
                "core": CORE,
                "gamma": Parameter(key="algo.gamma", kind="uniform", low=0, high=1, when={"kore": (1,)}),
            }
        )
    with pytest.raises(ConfigError, match="core is never 'gru'; its choices are lstm, mlp"):
        Space(
            {
                "core": CORE,
                "gamma": Parameter(key="a.b", kind="uniform", low=0, high=1, when={"core": ("gru",)}),
            }
        )
    a = Parameter(key="a.a", kind="uniform", low=0, high=1)
    b = Parameter(key="a.b", kind="integer", low=0, high=1, when={"a": (1,)})
    with pytest.raises(ConfigError, match="a is any number from 0 to 1 and so hardly ever exactly 1"):
        Space({"a": a, "b": b})
    a = dataclasses.replace(a, kind="integer", when={"b": (1,)})
    with pytest.raises(ConfigError, match="in a circle"):
        Space({"a": a, "b": b})
    with pytest.raises(ConfigError, match=r"search\.space is empty"):
        Space({"a": None})


def test_the_size_counts_continuous_parameters_and_combinations():
    assert Space({"core": CORE, "units": UNITS}).size() == "2 parameters, 8 combinations"
    size = Space({"core": CORE, "units": UNITS, "gamma": GAMMA}).size()
    assert size == "3 parameters, 1 of them continuous, 8 combinations of the others"


def test_a_grid_holds_every_combination_once():
    # 2 cores x 3 values of gamma (0.9, 0.945, 0.99); gamma exists for lstm only, so mlp is one point: 3 + 1.
    gamma = Parameter(key="algo.gamma", kind="uniform", low=0.9, high=0.99, when={"core": ("lstm",)})
    points = Space({"core": CORE, "gamma": gamma}).grid(3)
    assert [point.get("gamma") for point in points] == [0.9, pytest.approx(0.945), 0.99, None]
    assert len(Space({"core": CORE, "units": UNITS}).grid(10)) == 8
    # 0.01 and 0.1 and, evenly on a logarithmic scale, their geometric mean sqrt(0.001).
    assert KL.grid(3) == pytest.approx([0.01, 0.001**0.5, 0.1])
    assert UNITS.grid(2) == [16, 64]


def test_a_known_point_must_lie_in_the_space():
    space = Space({"core": CORE, "gamma": GAMMA})
    space.check_point({"core": "mlp", "gamma": 0.95}, "search.enqueue[0]")
    with pytest.raises(ConfigError, match=r"search\.enqueue\[0\]: gamma is 0.5, outside 0.9 to 0.99"):
        space.check_point({"gamma": 0.5}, "search.enqueue[0]")
    with pytest.raises(ConfigError, match=r"gama is no parameter of the space; did you mean gamma\?"):
        space.check_point({"gama": 0.95}, "search.enqueue[0]")


def test_points_that_a_killed_driver_had_not_queued_are_queued_on_resume():
    study = optuna.create_study()
    points = [{"x": 0.1}, {"x": 0.2}, {"x": 0.3}]
    enqueue_first(study, points[:1])  # killed here
    enqueue_first(study, points)
    enqueue_first(study, points)
    assert [trial.system_attrs["fixed_params"] for trial in study.get_trials()] == points


def test_values_are_changed_in_a_copy():
    values = {"a": {"b": 1, "c": 2}}
    assert with_values(values, {"a.b": 3}) == {"a": {"b": 3, "c": 2}}
    assert value_at(values, "a.b") == 1


def _tuples(facts):
    return {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
