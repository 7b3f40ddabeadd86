"""A configuration that an earlier release stored is read with the settings that came later."""

from __future__ import annotations

import copy

from rayjobs.config.compose import compose
from rayjobs.config.later_settings import with_later_settings


def test_settings_that_came_later_take_their_shipped_value_and_no_other_changes():
    now = compose("sweep", ["search=pbt", "search.retries=7"])
    stored = copy.deepcopy(now)
    del (
        stored["search"]["time_budget_s"],
        stored["search"]["scheduler"]["patience"],
        stored["cluster"]["wait_s"],
    )
    assert with_later_settings(stored) == now
    assert "search" not in with_later_settings({"cluster": stored["cluster"]})
