"""The adapter for Interactive Brokers passes the conformance suite, cut at every message of its orders' lives."""

import pytest
from tws.server import TwsDouble

from envs.live.conformance import check_cut, check_life, check_restart


def test_the_orders_of_a_day_end_in_one_position_everywhere(tws, new_trial):
    assert check_life(new_trial(tws)) > 80


def walk(new_trial, check, numbers, hows=TwsDouble):
    with TwsDouble() as double:
        messages = check_life(new_trial(double))
    for number in numbers(messages):
        for how in ("cut_before", "cut_half", "cut_after"):
            with TwsDouble() as double:
                check(new_trial(double), number, how)
                assert not double.problems, (number, how, double.problems)


@pytest.mark.parametrize("check", [check_cut, check_restart])
def test_a_cut_at_some_boundaries_doubles_no_order_and_loses_no_fill(new_trial, check):
    walk(new_trial, check, lambda messages: range(30, messages, messages // 3))


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_cut, check_restart])
def test_a_cut_at_every_boundary_doubles_no_order_and_loses_no_fill(new_trial, check):
    walk(new_trial, check, lambda messages: range(1, messages + 1))
