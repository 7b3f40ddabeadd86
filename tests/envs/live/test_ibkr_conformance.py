"""The adapter for Interactive Brokers passes the conformance suite, cut at every message of its orders' lives."""

import numpy as np
import pytest
from tws.server import TwsDouble
from tws_venue import TwsVenue

from envs.live.conformance import check_cut, check_life, check_restart


def test_the_orders_of_a_day_end_in_one_position_everywhere(tws, new_trial):
    assert check_life(new_trial(tws)) > 80


def walk(new_trial, check, numbers, hows=TwsVenue.cuts):
    with TwsDouble() as double:
        messages = check_life(new_trial(double))
    for number in numbers(messages):
        for how in hows:
            with TwsDouble() as double:
                check(new_trial(double), number, how)
                assert not double.problems, (number, how, double.problems)


@pytest.mark.parametrize("check", [check_cut, check_restart])
def test_a_cut_at_some_boundaries_doubles_no_order_and_loses_no_fill(new_trial, check):
    walk(new_trial, check, lambda messages: range(40, messages, messages // 3), ["cut_before", "cut_after"])


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_cut, check_restart])
def test_a_cut_at_every_boundary_doubles_no_order_and_loses_no_fill(new_trial, check):
    walk(new_trial, check, lambda messages: range(1, messages + 1))


@pytest.mark.slow
def test_two_cuts_one_in_the_recovery_from_the_other_double_no_order_and_lose_no_fill(new_trial):
    rng = np.random.default_rng(5)
    for _ in range(120):
        number, gap = int(rng.integers(1, 123)), int(rng.integers(1, 46))
        first, second = rng.choice(TwsVenue.cuts, 2)
        check = (check_cut, check_restart)[int(rng.integers(2))]
        with TwsDouble() as double:
            check(new_trial(double, again=(gap, second)), number, first)
            assert not double.problems, (number, gap, double.problems)
