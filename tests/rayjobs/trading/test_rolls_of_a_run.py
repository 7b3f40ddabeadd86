"""`python -m rayjobs.trade` over a roll of contracts: by script as in the backtest, also after a stop between legs."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sealed_run import make_sealed_run

from envs.live.journal import Journal
from envs.live.scripted_exchange import ScriptedExchange
from rayjobs.config.exit_codes import ExitCode
from rayjobs.trade import main

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
FEE_BPS = 2.0
SCRIPT = (
    "broker.script={delay_bars: 0, partial_share: 0.0, reject_share: 0.0, half_spread_bps: 0.0, "
    f"commission_bps: {FEE_BPS}, seed: 0}}"
)
WINDOW = ("feed.start_utc=2024-03-04", "feed.stop_utc=2024-03-14")


def contracts_of(folder, last="2024-03-20"):
    """Hourly bars of ESH4 and ESM4, around the clock; June about fifty points above March."""
    rng, folder_ = np.random.default_rng(3), folder
    hours = pd.date_range("2024-02-01", last, freq="h", inclusive="left")
    close = 5000.0 + np.cumsum(np.round(rng.normal(0.0, 2.0, len(hours)) * 4.0) / 4.0)
    spread = 50.0 + np.round(rng.normal(0.0, 0.5, len(hours)) * 4.0) / 4.0
    folder_.mkdir()
    for symbol, prices, first, end in (
        ("ESH4", close, "2024-02-01", "2024-03-15"),
        ("ESM4", close + spread, "2024-02-20", last),
    ):
        opened = np.append(prices[:1], prices[:-1])
        rows = pd.DataFrame(
            {
                "timestamp": hours.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "open": opened,
                "high": np.maximum(opened, prices) + 1.0,
                "low": np.minimum(opened, prices) - 1.0,
                "close": prices,
                "volume": 1000.0,
            }
        )
        rows[(hours >= first) & (hours < end)].to_csv(folder_ / f"{symbol}.csv", index=False)
    return folder_


@pytest.fixture(scope="module")
def run(tmp_path_factory, leak_check_aside):
    root = tmp_path_factory.mktemp("rolled")
    base = (
        "data=files", f"data.path={contracts_of(root / 'bars')}", "data.symbols=[ES]", "data.calendar='24/7'",
        "data.bar_seconds=3600", "data.futures.roll.rule=days_before_expiry", "data.futures.roll.days=5",
        "instruments=es", "env=weights", "env.initial_equity=1e8",
        "features.specs=null", "+features.specs.r1={name: log_return, params: {horizon_bars: 1}}",
        "+features.specs.r5={name: log_return, params: {horizon_bars: 5}}", "walk_forward.train_bars=500",
        "walk_forward.test_bars=300", "env.episode.bars=48", "policy=mlp", "policy.encoder_units=4",
        "policy.core_units=4", "scoring.supervised=[]",
        "scoring.placebo_strategies=0", "gate.min_trades=1",
        "costs=flat_2bps", "costs.max_participation=null",
    )  # fmt: skip
    return make_sealed_run(root, base=base)


def traded(run, root, *arguments):
    before = set((root / "trading").glob("*"))
    code = main([f"policy={run}", f"directory={root}", "broker=replay", *WINDOW, *arguments])
    (new,) = set((root / "trading").iterdir()) - before
    return code, new


def legs(trading):
    executions = pd.read_csv(trading / "executions.csv")
    intents = executions["client_order_id"].str.rpartition("/")[2]
    rows = zip(intents, executions["contract"], executions["units"], executions["price"])
    return [row for row in rows if "roll" in row[0]]


def test_a_replay_by_script_rolls_by_two_orders_and_earns_what_the_simulator_earns(run, tmp_path):
    simulated = traded(run, tmp_path, "broker.script=null")[1]
    code, scripted = traded(run, tmp_path, SCRIPT)
    assert code is ExitCode.DONE
    fills = pd.read_parquet(simulated / "fills.parquet")
    rolled = fills[fills["reason"] == "roll"]
    assert len(rolled) == 2, "the policy holds nothing over the roll"
    (out, old, sold, left_at), (into, new, bought, begun_at) = legs(scripted)
    assert (out, old, into, new) == ("roll_out", "ES:202403", "roll_in", "ES:202406")
    assert [sold, bought] == rolled["units"].tolist()
    assert [left_at, begun_at] == rolled["price"].tolist()
    mine, theirs = (pd.read_csv(place / "equity.csv")["equity"].to_numpy() for place in (scripted, simulated))
    np.testing.assert_allclose(mine[:-1], theirs[:-1], rtol=1e-9)
    trades = pd.read_csv(scripted / "trades.csv")
    assert (trades["exit_reason"] == "roll").sum() == 1
    with Journal(scripted / "journal.sqlite", f"replay/{scripted.name}") as journal:
        months = {tracked.order.symbol for tracked in journal.orders()}
    assert months == {"ES:202403", "ES:202406"}


def test_a_run_that_ends_between_the_legs_opens_the_next_contract_when_it_goes_on(run, tmp_path, monkeypatch):
    whole = traded(run, tmp_path / "whole", SCRIPT)[1]
    submit = ScriptedExchange.submit

    def dies(exchange, orders):
        if orders[0].order.client_order_id.endswith("roll_in"):
            raise KeyboardInterrupt
        submit(exchange, orders)

    with monkeypatch.context() as patch:
        patch.setattr(ScriptedExchange, "submit", dies)
        code, cut = traded(run, tmp_path / "cut", SCRIPT)
    assert code is ExitCode.INTERRUPTED
    assert main([f"resume={cut}"]) is ExitCode.DONE
    assert legs(cut) == legs(whole)
    for name in ("equity.csv", "decisions.parquet", "returns.parquet"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize(
    ("how", "sentence"), [("refuse", "broker.roll is refuse"), ("spread", "broker.roll is spread")]
)
def test_bars_that_roll_are_refused_in_one_sentence_where_it_is_asked_for(
    run, tmp_path, capsys, how, sentence
):
    code = main([f"policy={run}", f"directory={tmp_path}", "broker=replay", SCRIPT, f"broker.roll={how}"])
    assert code is ExitCode.BAD_INPUT
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert sentence in line
    assert "broker.roll=close_open" in line


def test_what_a_run_began_with_says_how_it_rolls(run, tmp_path):
    _, trading = traded(run, tmp_path, SCRIPT, "broker.late_roll=stop")
    facts = (trading / "config.yaml").read_text()
    assert "late_roll: stop" in facts
    assert json.loads((trading / "trading.json").read_text())["end"] == "ended"
