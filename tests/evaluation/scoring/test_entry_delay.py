"""Entries held back: exits go at once, entries wait, rows without a delay are left alone."""

from __future__ import annotations

import numpy as np
import pytest
from scoring_settings import scoring_config

from envs.actions import FLAT, LONG, SHORT
from evaluation.scoring.entry_delay import EntryDelay
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.stress import stress_scenarios
from evaluation.windows.splits import Fold
from policies.baselines import Schedule

FOLD = Fold(index=0, train=slice(0, 1000), test=slice(1100, 1200))


def carried_out(wishes: list[int], bars: int) -> list[int]:
    delay = EntryDelay(np.array([bars]))
    return [int(delay.apply(np.array([[wish]]))[0, 0]) for wish in wishes]


@pytest.mark.parametrize(
    ("bars", "wished", "expected"),
    [
        (0, [LONG, SHORT, FLAT], [LONG, SHORT, FLAT]),
        (1, [LONG, LONG, LONG], [FLAT, LONG, LONG]),
        (1, [FLAT, LONG, LONG, FLAT], [FLAT, FLAT, LONG, FLAT]),
        (1, [LONG, LONG, SHORT, SHORT], [FLAT, LONG, FLAT, SHORT]),  # out at once, in a bar later
        (1, [LONG, FLAT, LONG, FLAT], [FLAT, FLAT, FLAT, FLAT]),  # no wish stands long enough
        (2, [LONG, LONG, LONG], [FLAT, FLAT, LONG]),
    ],
)
def test_entries_wait_and_exits_do_not(bars, wished, expected):
    assert carried_out(wished, bars) == expected


def test_each_row_waits_as_long_as_it_was_told_to():
    delay = EntryDelay(np.array([0, 1]))
    assert delay.apply(np.full((2, 3), LONG)).tolist() == [[LONG] * 3, [FLAT] * 3]
    assert delay.apply(np.full((2, 3), LONG)).tolist() == [[LONG] * 3, [LONG] * 3]


def test_the_stress_of_a_policy_that_holds_misses_its_first_bar_alone(noise_world):
    held = Schedule(target_TA=np.ones((2000, 2)))
    scoring = scoring_config(momentum_bars=20, hold_bars=1, stress_cost_factor=2.0, in_sample=False)
    result = score_fold(
        FOLD, held, noise_world.panel, noise_world.market, noise_world.config, scoring, seed=0
    )
    late = result.stress["entries 1 bar later"].net_return
    assert late[0] == 0.0
    assert result.recording.net_return[0] != 0.0
    # Bought a bar later, so with other units: equal in what a bar moves, to the drift of a bar's size.
    np.testing.assert_allclose(late[2:-1], result.recording.net_return[2:-1], atol=2e-5)


def test_only_a_scheme_that_tells_entries_from_exits_is_delayed():
    assert "entries 1 bar later" in [s.name for s in stress_scenarios(2.0, "direction")]
    assert "entries 1 bar later" not in [s.name for s in stress_scenarios(2.0, "weights")]
