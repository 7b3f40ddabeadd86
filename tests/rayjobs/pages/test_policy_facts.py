"""What the market page is told of the policy: bar by bar over folds, once computed, or a sentence."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rayjobs.config.typed_config import ConfigError
from rayjobs.pages import market_facts, policy_facts, policy_process
from rayjobs.replay.decisions_again import decided_again
from rayjobs.replay.finished_run import first_path, open_run

sys.path.insert(0, str(Path(__file__).parents[1]))
from small_run import make_run

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), "env=triple_barrier", "env.barriers.stop_loss=0.3")


@pytest.fixture
def in_process(monkeypatch, tmp_path):
    """Windows that were asked for, each computed in this process; through the file that the other one leaves."""
    asked = []

    def think_again(directory, windows):
        asked.append(list(windows))
        file = tmp_path / "thoughts.npz"
        policy_process._write(file, dict(zip(windows, decided_again(open_run(directory), windows))))
        return policy_process._read(file)

    monkeypatch.setattr(policy_facts, "think_again", think_again)
    policy_facts._kept.clear()
    return asked


def answer(run, symbol="", start=None, count=300):
    return json.loads(policy_facts.thoughts_answer(str(run), 0, symbol, start, count))


def test_a_stretch_over_two_folds_has_the_thoughts_of_both_at_the_bars_that_the_candles_have(run, in_process):
    finished = open_run(run)
    first = market_facts.stretch(str(run), 0, "", None, 300)
    boundary = first.market.panel.bar_utc.searchsorted(
        np.datetime64(first_path(finished.folds_table)["test_first_utc"][1][:19])
    )
    symbol = first.market.panel.symbols[1]
    found = answer(run, symbol, int(boundary) - 100, 200)
    candles = json.loads(market_facts.market_answer(str(run), 0, symbol, int(boundary) - 100, 200))
    assert (found["symbol"], found["start"], found["exact"]) == (symbol, candles["start"], True)
    assert in_process == [[0, 1]]
    told = decided_again(finished, [0, 1])
    for index, second in enumerate(candles["utc"]):
        label = np.datetime64(second, "s")
        one = next((one for one in told if label in one.decided_utc), None)
        assert one is not None  # the last bar of a fold is that of the next one's first decision
        at = one.decided_utc.searchsorted(label)
        shares = [found["parameters"][name][index] for name in ("short", "flat", "long")]
        np.testing.assert_allclose(shares, one.parameters[at, 1], rtol=1e-5)
        assert found["value"][index] == pytest.approx(one.value[at], rel=1e-5)
        assert (found["stop"][index] is None) == np.isnan(one.stop[at, 1])
        assert (found["closes"][index] is None) == np.isnat(one.closes_utc[at, 1])
    assert any(found["stop"])
    assert any(found["closes"])


def test_a_window_is_run_once_and_bars_that_no_policy_was_tested_on_are_empty(run, in_process):
    answer(run)
    answer(run, "", None, 100)
    answer(run, market_facts.stretch(str(run), 0, "", None, 20).market.panel.symbols[1])
    before = answer(run, "", 0, 100)
    assert before["parameters"] == {}
    assert before["value"] == [None] * 100
    assert sum(map(len, in_process)) == len({number for windows in in_process for number in windows})


def test_the_candles_of_a_run_with_symbols_held_out_are_of_those_that_it_traded(tmp_path, in_process):
    run = make_run(
        tmp_path,
        "data.num_assets=3",
        "data.test_symbols=[SYN1]",
        "features.standardise=pooled",
        "policy.symbol_embedding=false",
    )
    shown = json.loads(market_facts.market_answer(str(run), 0, "", None, 50))
    assert shown["warning"] == ""
    assert "SYN1" not in shown["symbols"]
    assert answer(run)["exact"]


@pytest.mark.slow
def test_the_process_beside_gives_the_same_and_its_refusal_is_one_sentence(run, tmp_path):
    policy_facts._kept.clear()
    found = policy_process.think_again(str(run), [0])[0]
    (own,) = decided_again(open_run(run), [0])
    for name, value in vars(own).items():
        np.testing.assert_array_equal(found[name], np.asarray(value))
    harmed = tmp_path / run.name
    shutil.copytree(run, harmed)
    path = harmed / "walk_forward" / "decisions.parquet"
    decisions = pd.read_parquet(path)
    decisions["target"] += 1.0
    decisions.to_parquet(path)
    with pytest.raises(
        ConfigError, match=r"^the policy of fold 0, run again, does not do what the run recorded"
    ):
        policy_process.think_again(str(harmed), [0])
