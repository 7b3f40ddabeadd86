"""Returns and lengths of episodes across fragments."""

from __future__ import annotations

import numpy as np

from policies.episode_log import EpisodeLog

ALL = np.ones(2, dtype=bool)


def test_means_look_back_on_the_latest_finished_episodes():
    log = EpisodeLog(2, window=2)
    assert log.means() is None
    log.add(np.array([1.0, 10.0]), np.array([False, True]), ALL)
    log.add(np.array([2.0, 20.0]), np.array([True, False]), ALL)
    # Finished: env 1 with 10 after one step, env 0 with 3 after two.
    assert log.means() == (6.5, 1.5)
    log.add(np.array([0.0, 30.0]), np.array([False, True]), ALL)
    # The window of two has dropped the first; env 1 finished 50 in two steps.
    assert log.means() == (26.5, 2.0)
    assert log.take_new() == 3
    assert log.take_new() == 0


def test_steps_that_are_no_transition_do_not_count():
    log = EpisodeLog(2, window=10)
    log.add(np.array([5.0, 5.0]), np.zeros(2, dtype=bool), np.array([True, False]))
    log.add(np.array([1.0, 1.0]), ALL, ALL)
    assert log.means() == (3.5, 1.5)


def test_a_log_with_another_ones_state_goes_on_the_same():
    first, second = EpisodeLog(2, window=3), EpisodeLog(2, window=3)
    first.add(np.array([1.0, 2.0]), np.array([True, False]), ALL)
    first.add_statistics({"cost": np.array([7.0, 1.0]), "fills": np.array([2.0, 1.0])})
    second.set_state(first.get_state())
    for log in (first, second):
        log.add(np.array([4.0, 4.0]), ALL, ALL)
        log.add_statistics({"cost": np.array([3.0, 8.0]), "fills": np.array([0.0, 9.0])})
    assert first.means() == second.means()
    assert first.statistic_means() == second.statistic_means() == {"cost": 4.0, "fills": 10 / 3}
    assert first.take_new() == second.take_new() == 3
