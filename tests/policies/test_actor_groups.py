"""Who acts: each symbol has one actor, whatever the order in which groups are written; mistakes are named."""

from __future__ import annotations

import itertools

import pytest

from policies.actor_groups import Actor, actors_of, groups_in_words

SYMBOLS = ("SPY", "TSLA", "GLD", "NVDA")


def test_a_shared_policy_has_no_actors():
    assert actors_of("shared", SYMBOLS) == ()


def test_one_for_each_symbol_stands_where_the_symbol_stands():
    assert actors_of("symbol", SYMBOLS) == tuple(
        Actor(name=symbol, slots=(slot,)) for slot, symbol in enumerate(SYMBOLS)
    )


@pytest.mark.parametrize("order", list(itertools.permutations(("calm", "wild", "gold"))))
def test_no_order_of_the_groups_hands_one_actors_weights_to_another(order):
    groups = {"calm": ("NVDA", "SPY"), "wild": ("TSLA",), "gold": ("GLD",)}
    found = actors_of({name: groups[name] for name in order}, SYMBOLS)
    assert found == (
        Actor(name="calm", slots=(0, 3)), Actor(name="wild", slots=(1,)), Actor(name="gold", slots=(2,))
    )  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ("symbols", r"policy.actors is 'symbols' \(did you mean 'symbol'\?\); choose shared"),
        ({}, "names no group"),
        ({"calm": ()}, "policy.actors.calm holds no symbol"),
        ({"calm": ("SPY", "GLD"), "wild": ("TSLA", "NVDA", "GLD")}, "has GLD in calm and in wild"),
        ({"calm": ("SPY", "SPY"), "wild": ("TSLA", "GLD", "NVDA")}, "has SPY in calm and in calm"),
        ({"calm": ("SPY", "GLD"), "wild": ("TSLA",)}, "has no actor for NVDA"),
        ({"all": (*SYMBOLS, "SPX")}, "policy.actors.all: the data have no symbol SPX"),
    ],
)
def test_what_leaves_a_symbol_without_one_actor_is_refused(groups, words):
    with pytest.raises(ValueError, match=words):
        actors_of(groups, SYMBOLS)


def test_groups_are_told_on_one_line():
    assert groups_in_words("symbol") == "symbol"
    assert groups_in_words({"calm": ("SPY", "GLD"), "wild": ("TSLA",)}) == "calm: SPY GLD; wild: TSLA"
