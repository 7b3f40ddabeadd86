"""RLlib still has the private names that the package depends on, and ours take the arguments that RLlib gives."""

from __future__ import annotations

import ast
import inspect
import textwrap

import pytest

pytest.importorskip("ray.rllib")
from ray.tune.registry import register_env

from policies.algorithm import PortfolioPPO, PortfolioPPOConfig
from policies.learner import SequencePPOLearner
from policies.module import PortfolioModule
from policies.rllib_private import OVERRIDDEN, READ, registered_env
from policies.sampler import FragmentEnvRunner

OURS = (SequencePPOLearner, PortfolioModule, PortfolioPPOConfig, PortfolioPPO, FragmentEnvRunner)


def rllib_bases(ours):
    return [base for base in ours.__mro__[1:] if base.__module__.startswith("ray.")]


def listed(table, ours):
    return {name for base, names in table.items() if issubclass(ours, base) for name in names}


def read_on_self(cls):
    """Private names that a class reads on itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and node.attr.startswith("_")
    }


@pytest.mark.parametrize("ours", OURS)
def test_every_private_name_of_rllib_is_listed_and_still_there(ours):
    own = {name for name in vars(ours) if name.startswith("_") and not name.startswith("__")}
    of_rllib = {name for base in rllib_bases(ours) for name in vars(base)}
    assert own & of_rllib - {"_abc_impl"} == listed(OVERRIDDEN, ours)
    of_rllib |= {name for base in rllib_bases(ours) for name in read_on_self(base)}
    assert listed(READ, ours) <= of_rllib
    assert read_on_self(ours) & of_rllib - own - written_on_self(ours) == listed(READ, ours)


def written_on_self(cls):
    """Names that a class gives itself."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }


@pytest.mark.parametrize(("theirs", "names"), OVERRIDDEN.items())
def test_what_is_overridden_is_called_with_arguments_that_ours_takes(theirs, names):
    (ours,) = [one for one in OURS if issubclass(one, theirs)]
    for name in names:
        wanted, given = getattr(theirs, name), getattr(ours, name)
        if callable(wanted):
            accepted = inspect.signature(given).parameters
            if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values()):
                assert set(inspect.signature(wanted).parameters) == set(accepted), name


def test_an_env_is_found_under_the_name_it_was_registered_with():
    register_env("an_env_of_this_test", lambda context: ["made with", context])
    assert registered_env("an_env_of_this_test")("x") == ["made with", "x"]
    assert registered_env("CartPole-v1") is None
