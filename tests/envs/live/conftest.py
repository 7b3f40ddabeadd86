"""Trials of the adapter for Interactive Brokers against the double of TWS."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]


@pytest.fixture
def client_logs():
    """A loop for the client, whose log must stay free of decode errors."""
    from tws.clients import clean_client_logs, event_loop

    with clean_client_logs(), event_loop():
        yield


@pytest.fixture
def new_trial(tmp_path, client_logs):
    """Return make(double, again=None) -> a trial of the adapter against this double, with a journal of its own."""
    from tws_venue import TwsVenue, adapter, quick_rules

    from envs.live.conformance import Trial

    made = []

    def make(double, again=None):
        made.append(double)
        return Trial(
            venue=TwsVenue(double, again),
            make_broker=lambda: adapter(double),
            journal=tmp_path / f"journal{len(made)}.sqlite",
            now=lambda: datetime.now(UTC),
            rules=quick_rules(),
        )

    return make
