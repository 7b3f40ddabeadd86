"""Bars straight from a vendor are refused where those of the policy's run were prepared beforehand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data.futures.roll_decisions import FuturesConfig, RollConfig
from rayjobs.config.typed_config import ConfigError
from rayjobs.trading.market_ground import refuse_unprepared


def run_of(rule=None, universe=None):
    roll = RollConfig(rule=rule, days=5, delay_sessions=1, adjust="difference")
    return SimpleNamespace(data=SimpleNamespace(futures=FuturesConfig(roll=roll), universe=universe))


def test_joined_contracts_and_universes_are_refused_and_nothing_else():
    with pytest.raises(ConfigError, match=r"data\.futures\.roll\.rule.*data=lake and source=null"):
        refuse_unprepared(run_of(rule="volume"))
    with pytest.raises(ConfigError, match=r"data\.universe"):
        refuse_unprepared(run_of(universe="members.csv"))
    refuse_unprepared(run_of())
    refuse_unprepared(SimpleNamespace(data=SimpleNamespace()))
