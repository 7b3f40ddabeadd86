"""The gate on markets where nothing can be earned: at most one of twenty is approved, whatever is held."""

from __future__ import annotations

import json

import pytest
from small_run import make_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("leak_check_aside")]
DRAWS = 40


@pytest.mark.parametrize("script", ["buy_and_hold", "equal_weight", "momentum_sign"])
def test_of_forty_stand_ins_at_most_two_are_approved(tmp_path, script):
    approved = []
    for seed in range(1, DRAWS + 1):
        # A ledger for each draw, as each is another market.
        run = make_run(
            tmp_path / str(seed),
            f"data.seed={seed}",
            f"policy={script}",
            base=("+experiment=equities_cross_section",),
            sealed=False,
        )
        if json.loads((run / "verdict.json").read_text())["pass"]:
            approved.append(seed)
    assert len(approved) <= 0.05 * DRAWS, f"approved with data.seed in {approved}"
