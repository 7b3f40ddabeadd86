"""The guard's limits where the simulator fills: what a broker's guard refuses is not filled on paper either."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from test_guard_limits import limits
from test_live_account import FIRST, small_account

from envs.live.account import VenueFill
from envs.live.growing_market import ClosedBar
from envs.live.guard_folder import GuardFolder
from envs.live.paper import PaperVenue
from envs.live.paper_guard import PaperGuard

pytestmark = pytest.mark.runs
NOW = datetime(2024, 6, 3, 14, tzinfo=UTC)


@pytest.fixture
def paper(tmp_path):
    """Return make(**limits) -> (step, account, folder): step(action) trades a bar on paper and returns what closed."""

    def make(**given):
        panel, market, account = small_account()
        folder = GuardFolder(tmp_path / "guard")
        guard = PaperGuard(
            replace(limits(**given), var_bars=20),
            account,
            panel.symbols,
            folder,
            "trial",
            today=lambda: NOW,
            now=lambda: NOW,
        )
        venue = PaperVenue(account, guard)
        at = iter(range(FIRST, panel.num_bars))

        def step(*action):
            account.decide(np.array(action, np.float32))
            venue.send(NOW, entries=True)
            bar = ClosedBar.of(panel, next(at))
            market.append(bar)
            venue.settle(bar)
            return account.close()

        return step, account, folder

    return make


def test_without_a_limit_that_is_reached_it_changes_nothing(paper):
    free, free_account, _ = paper()
    held, held_account, _ = paper(max_gross_exposure=1e6, max_order_notional=1e12)
    for action in ((2, 0), (2, 1), (1, 1), (0, 2)):
        assert free(*action).equity == held(*action).equity
    assert free_account.units.tolist() == held_account.units.tolist()
    assert np.abs(free_account.units).sum() > 0.0


def test_an_order_beyond_a_limit_is_not_filled_and_an_exit_is(paper):
    step, account, folder = paper(max_order_exposure=1e-9)
    step(2, 2)
    assert account.units.tolist() == [0.0, 0.0]
    free, account, _ = paper()
    free(2, 2)
    assert (account.units != 0.0).all()
    assert folder.halted() is None


def test_a_halt_lets_positions_shrink_and_enters_nothing(paper):
    step, account, folder = paper()
    step(2, 1)
    assert account.units[0] != 0.0
    folder.halt("drill")
    step(2, 2)
    assert account.units[1] == 0.0
    step(1, 1)
    assert account.units.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("on_breach", ["flatten", "halt"])
def test_an_account_that_passes_a_limit_is_closed_or_halted_as_the_configuration_says(paper, on_breach):
    step, account, folder = paper(max_daily_loss=0.3, on_breach=on_breach)
    step(2, 1)
    held = account.units[0]
    assert held != 0.0
    account.book(VenueFill(asset=0, units=1e-6, price=1.0, commission=0.5 * account.equity))
    step(2, 1)  # it is seen at the close
    step(2, 1)
    assert "max_daily_loss" in folder.halted()
    assert bool(account.units[0] == 0.0) is (on_breach == "flatten")
