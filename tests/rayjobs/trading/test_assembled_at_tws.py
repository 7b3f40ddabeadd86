"""The command and its guard as processes of their own, at a TWS on loopback, by the real clock.

Bars, quotes and fills come from the double; it loses its line, restarts, stays away for a night; a person trades too
much, and the guard makes the account flat; the loop is stopped, and the kill switch works all the same.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clocked_market import ClockedMarket, wait_until
from priced_run import at_tws, live_bars, make_priced_run
from test_killed_at_tws import assert_agree, fills_of
from trade_process import TradeProcess, guard_of, stop, trading_run

from envs.live.guard_folder import GUARD_STATE
from rayjobs.guarding.process import end_guard, living_guard

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("leak_check_aside")]
ACCOUNT = "DU1234567"


@pytest.fixture(scope="module")
def policy(tmp_path_factory, leak_check_aside) -> Path:
    return make_priced_run(tmp_path_factory.mktemp("priced"))


@pytest.fixture
def market():
    with ClockedMarket() as made:
        yield made
    assert not made.tws.problems, "\n".join(made.tws.problems)


@pytest.fixture
def started(market, policy, tmp_path):
    """Return start(*words) -> a trading process at the market; what is left of it and its guard is ended."""
    processes = []

    def start(*words: str) -> TradeProcess:
        processes.append(TradeProcess(tmp_path / "said.log", *words))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
    run = trading_run(tmp_path)
    if run is not None and (run / "guard").is_dir():
        end_guard(guard_of(run))


def begun(started, market, policy, tmp_path, *words: str) -> tuple[TradeProcess, Path]:
    """A process that has traded, and its run."""
    port = market.tws.port
    process = started(f"policy={policy}", f"directory={tmp_path}", *at_tws(port), *live_bars(port), *words)
    run = process.until(lambda: trading_run(tmp_path), 90.0)
    process.until(lambda: len(market.executions()) >= 2, 90.0)
    return process, run


def traded_on(process: TradeProcess, market: ClockedMarket, timeout_s: float = 60.0) -> None:
    """Wait until the loop's next order has filled."""
    before = len(market.executions())
    process.until(lambda: len(market.executions()) > before, timeout_s)


def written(root: Path, run: Path) -> bytes:
    """All that a run said and wrote."""
    paths = [root / "said.log", *(path for path in run.rglob("*") if path.is_file())]
    return b"".join(path.read_bytes() for path in paths)


def test_a_loop_lives_through_outages_a_restart_and_a_night_and_its_guard_through_a_persons_trade(
    started, market, policy, tmp_path
):
    process, run = begun(started, market, policy, tmp_path)
    tws = market.tws
    tws.do(lambda venue: venue.lose_connectivity())
    time.sleep(7.0)  # a bar closes meanwhile, of which TWS tells nothing
    tws.restore_connectivity(data_lost=False, deliver=False)
    traded_on(process, market)
    tws.do(lambda venue: venue.lose_connectivity())
    time.sleep(2.0)
    tws.restore_connectivity(data_lost=True)
    traded_on(process, market)
    tws.restart()
    traded_on(process, market)
    tws.nightly_reset()
    time.sleep(15.0)
    tws.come_up()
    traded_on(process, market, 90.0)
    tws.do(lambda venue: venue.manual_order(market.listings[0], "BUY", 50_000.0) and None)
    process.until(lambda: not market.units(), 20.0)
    assert process.ended(60.0) == 130
    folder = guard_of(run)
    assert "exposure" in folder.killed()
    wait_until(lambda: living_guard(folder) is None, 10.0)
    assert not market.units()
    bars = pd.read_csv(run / "latency.csv", parse_dates=["bar_utc"])
    assert (np.diff(bars["bar_utc"]) == np.timedelta64(5, "s")).all()  # none is missing, none comes twice
    assert "is missing for" not in process.said()
    assert len([name for name in market.order_names() if name]) == len(
        {name for name in market.order_names() if name}
    )
    (run / "guard" / "KILL").unlink()
    before = len(market.executions())
    again = started(f"resume={run}", "broker=ibkr", f"broker.account={ACCOUNT}")
    again.until(lambda: len(market.executions()) > before, 90.0)
    wait_until(lambda: not market.tws.do(lambda venue: venue.open_orders()), 10.0)
    time.sleep(1.0)
    assert stop(again) == 130
    assert_agree(market, run)
    told = json.loads((run / "trading.json").read_text())
    assert told["num_bars"] == len(pd.read_csv(run / "latency.csv"))
    comparison = pd.read_csv(run / "venue_comparison.csv")
    assert comparison["filled_notional"].sum() > 0.0
    assert ACCOUNT.encode() not in written(tmp_path, run)


@pytest.mark.parametrize("network", ["up", "cut"])
def test_a_loop_that_hangs_is_flattened_within_two_seconds_also_after_a_cut_network(
    started, market, policy, tmp_path, network
):
    process, run = begun(started, market, policy, tmp_path)
    wait_until(market.units, 30.0)
    process.signal(signal.SIGSTOP)
    if network == "cut":
        market.tws.go_down()
        (run / "KILL").touch()
        time.sleep(2.0)
        assert market.units()
        market.tws.come_up()
    else:
        (run / "KILL").touch()
    since = time.monotonic()
    wait_until(lambda: not market.units(), 20.0)
    took_s = time.monotonic() - since
    assert took_s < 2.0, took_s
    wait_until(lambda: guard_of(run).read(GUARD_STATE).get("flat") is True, 5.0)
    process.signal(signal.SIGCONT)
    assert process.ended(60.0) == 130
    assert not market.units()
    refused = started(f"resume={run}", "broker=ibkr", f"broker.account={ACCOUNT}")
    assert refused.ended(60.0) == 2
    assert "kill switch is thrown" in refused.said()
    assert len(fills_of(run)) >= 2


def test_a_loop_that_was_killed_is_flattened_by_its_guard_at_a_signal(started, market, policy, tmp_path):
    process, run = begun(started, market, policy, tmp_path)
    wait_until(market.units, 30.0)
    process.kill()
    folder = guard_of(run)
    os.kill(living_guard(folder), signal.SIGUSR1)
    since = time.monotonic()
    wait_until(lambda: not market.units(), 20.0)
    assert time.monotonic() - since < 2.0
    end_guard(folder)


def test_a_read_only_loop_decides_and_sends_nothing(started, market, policy, tmp_path):
    port = market.tws.port
    process = started(
        f"policy={policy}", f"directory={tmp_path}", *at_tws(port), *live_bars(port), "broker.read_only=true"
    )
    run = process.until(lambda: trading_run(tmp_path), 90.0)
    process.until(lambda: "nothing is sent" in process.said(), 90.0)
    time.sleep(6.0)
    assert stop(process) == 130
    assert market.order_names() == []
    assert len(pd.read_csv(run / "latency.csv")) >= 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["broker.live=true", "broker.account=''"], "real money needs the account by name"),
        (["broker.live=true"], "no leave to trade real money"),
        (["broker.account=DU7654321"], "broker.account is not one of the accounts"),
        (["broker.live=true", "feed.kind=history"], "orders of real money follow live bars alone"),
    ],
)
def test_what_an_account_may_not_do_is_refused_in_one_sentence(
    started, market, policy, tmp_path, words, sentence
):
    port = market.tws.port
    place = [f"policy={policy}", f"directory={tmp_path}", *at_tws(port), *live_bars(port)]
    process = started(*place, *words)
    assert process.ended(90.0) == 2
    assert sentence in process.said()
    assert market.order_names() == []
    assert "DU7654321" not in process.said()
