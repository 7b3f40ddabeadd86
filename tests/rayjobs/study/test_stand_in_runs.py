"""A run on a stand-in market names it in verdict and report, owes the costs of the kind, and is no leave to deploy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_run import make_run

from data.sources import load
from rayjobs.config.compose import compose
from rayjobs.study.config import TrainConfig, build_train_config
from rayjobs.study.least_costs import is_stand_in, is_synthetic, least_costs
from rayjobs.study.load import STAND_IN

pytestmark = pytest.mark.usefixtures("leak_check_aside")
SMALL = (
    "+experiment=equities_cross_section", "policy=buy_and_hold", "data.num_bars=800", "walk_forward.train=12",
    "walk_forward.test=12", "scoring.supervised=[]", "scoring.placebo_strategies=0", "env.episode.bars=60",
)  # fmt: skip


def configured(*overrides: str) -> TrainConfig:
    return build_train_config(compose("train", list(overrides)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("stand_in"), base=SMALL)


@pytest.mark.runs
def test_the_verdict_says_that_the_bars_stand_in_and_is_marked_as_of_a_made_market(run):
    verdict = json.loads((run / "verdict.json").read_text())
    assert verdict["headline"].endswith(STAND_IN)
    assert verdict["synthetic"] is True


@pytest.mark.runs
def test_the_report_says_so_above_its_tables_and_no_symbol_has_a_real_name(run):
    page = (run / "report.html").read_text()
    assert "The bars are a stand-in: drawn from published stylised facts" in page[: page.index("<table")]
    assert "SYN_TECH1" in page


@pytest.mark.runs
def test_the_ledger_and_the_run_know_it_as_drawn(run):
    assert "synthetic: stand_in, seed=1" in json.dumps(json.loads((run / "scored_bars.json").read_text()))


@pytest.mark.runs
def test_an_approval_on_a_stand_in_is_of_a_made_market_and_no_leave_to_deploy(tmp_path):
    nothing = "gate.enforced=[unseen]"  # one criterion that holds, so that the gate approves
    run = make_run(tmp_path, nothing, base=SMALL)
    verdict = json.loads((run / "verdict.json").read_text())
    assert verdict["pass"]
    assert verdict["synthetic"]
    assert verdict["headline"].endswith(STAND_IN)
    assert "It may be deployed." not in (run / "report.html").read_text()


def test_a_stand_in_owes_the_least_cost_of_what_it_stands_for_and_a_planted_market_that_of_any_kind():
    stand_in = configured("+experiment=bybit_perps", "data.num_bars=700")
    assert is_synthetic(stand_in)
    assert is_stand_in(stand_in)
    assert set(least_costs(stand_in, load(stand_in.data).panel).values()) == {5.0}
    planted = configured("+experiment=noise", "data.num_bars=700")
    assert is_synthetic(planted)
    assert not is_stand_in(planted)
    assert set(least_costs(planted, load(planted.data).panel).values()) == {1.0}


def test_recorded_bars_are_neither():
    recorded = configured("+experiment=spy_intraday")
    assert not is_synthetic(recorded)
    assert not is_stand_in(recorded)
