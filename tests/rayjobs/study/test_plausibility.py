"""Whole runs on a user's own files: a column that holds the next bar's return, in several dresses, does not pass."""

from __future__ import annotations

import json

import numpy as np
import own_features
import pytest
from exported_market import next_return, noise, write_files
from taught_run import taught_criteria, taught_run

from data.synthetic import make_market
from rayjobs.config.exit_codes import ExitCode
from rayjobs.evaluate import main

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
LAW = noise()
FUTURE = next_return(make_market(LAW).panel)
BELIEVED = "gate.max_plausible_sharpe=1000"  # so that the delay alone decides


@pytest.fixture(scope="module")
def bars(tmp_path_factory) -> list[str]:
    weak = 0.3 * FUTURE / 0.002 + np.random.default_rng(0).normal(size=FUTURE.shape)
    one = np.random.default_rng(1).normal(size=FUTURE.shape) * 0.002
    one[:, 1] = FUTURE[:, 1]
    return write_files(
        LAW, tmp_path_factory.mktemp("bars"), vendor_score=FUTURE, twin=FUTURE, weak=weak, one_symbol=one
    )


def plausibility(run) -> dict:
    verdict = json.loads((run / "verdict.json").read_text())
    return next(row for row in verdict["criteria"] if row["name"] == "plausibility")


def taught_plausibility(*given, rule):
    return taught_criteria(*given, rule=rule)["plausibility"]


def test_the_next_bars_return_as_a_column_is_too_good(bars, tmp_path):
    found = taught_plausibility(tmp_path, *bars, rule={"one_symbol": 1.0})
    assert found.passed is False
    assert found.enforced
    assert "too good for real bars" in found.reason
    assert "a delay by one bar of 'one_symbol' takes" in found.reason


@pytest.mark.parametrize("name", ["weak", "one_symbol"])
def test_a_foreknown_column_is_refused_by_its_name_until_it_is_stated(bars, tmp_path, name):
    found = taught_plausibility(tmp_path, *bars, BELIEVED, rule={name: 1.0})
    assert found.passed is False
    assert f"a delay by one bar of '{name}' takes" in found.reason
    assert f"data.columns.{name}.known_after" in found.reason


def test_two_columns_that_say_the_same_do_not_hide_each_other(bars, tmp_path):
    rule = {"vendor_score": 1.0, "twin": 1.0}
    found = taught_plausibility(tmp_path, *bars, BELIEVED, rule=rule)
    assert found.passed is False
    assert "'vendor_score'" in found.reason
    assert "'twin'" in found.reason
    assert "noise_00" not in found.reason


def test_a_statement_is_kept_in_the_config_and_the_verdict_and_evaluations_ask_again(bars, tmp_path):
    run = taught_run(tmp_path, *bars, BELIEVED, "walk_forward.test_bars=800", rule={"weak": 1.0})
    arguments = [f"run={run}", f"directory={tmp_path}"]
    assert main(arguments) is ExitCode.DONE
    again = max((tmp_path / "evaluations").iterdir())
    assert plausibility(again) == plausibility(run)
    assert plausibility(run)["pass"] is False
    assert main([*arguments, "data.columns.weak.known_after=0 bars"]) is ExitCode.DONE
    stated = max((tmp_path / "evaluations").iterdir())
    assert plausibility(stated)["pass"] is True, plausibility(stated)["reason"]
    assert "weak is known after 0 bars" in plausibility(stated)["reason"]
    assert "known_after: 0 bars" in (stated / "config.yaml").read_text()


def test_a_stated_delay_takes_the_foreknowledge_away(bars, tmp_path):
    late = "data.columns.one_symbol.known_after=1 bar"
    found = taught_plausibility(tmp_path, *bars, late, rule={"one_symbol": 1.0})
    assert found.value < 1.0  # the Sharpe ratio of trading on the last bar's return
    assert "one_symbol is known after 1 bar" in found.reason


def test_a_feature_of_ones_own_that_reads_a_foreknown_column_is_found_by_both_names(bars, tmp_path):
    features = "+features.specs.own={name: 'own_features:DOUBLED', params: {}}"
    only = "features.specs.columns=null"
    found = taught_plausibility(tmp_path, *bars, BELIEVED, only, features, rule={"doubled": 1.0})
    assert found.passed is False
    assert "'vendor_score' takes" in found.reason
    assert "'doubled' takes" in found.reason


def test_an_honest_column_is_not_suspected(bars, tmp_path):
    assert taught_plausibility(tmp_path, *bars, rule={"noise_00": 1.0}).passed


def test_foreknowledge_that_is_spread_over_several_columns_is_refused_by_their_names(tmp_path):
    # Six columns that correlate by 0.3 with what is to come and by 0.09 with each other: none takes half alone, and
    # no two are like each other.
    law = noise(num_bars=1500)
    future, random = next_return(make_market(law).panel) / 0.002, np.random.default_rng(0)
    parts = {f"part_{k}": 0.3 * future + random.normal(size=future.shape) for k in range(6)}
    overrides = write_files(law, tmp_path / "bars", **parts)
    found = taught_plausibility(tmp_path, *overrides, BELIEVED, rule=dict.fromkeys(parts, 1.0))
    assert found.passed is False
    assert "'part_0'" in found.reason
    assert "more together takes" in found.reason


def test_a_label_of_the_next_day_is_refused_until_it_is_stated(tmp_path):
    law = noise(num_bars=2400)
    close = np.log(make_market(law).panel.close)
    label = np.zeros(close.shape)
    label[:-48] = close[48:] - close[:-48]
    overrides = [*write_files(law, tmp_path / "bars", label=label), BELIEVED, "walk_forward.test_bars=1800"]
    found = taught_plausibility(tmp_path, *overrides, rule={"label": 1.0})
    assert found.passed is False
    assert "An input ranks what is still to come" in found.reason
    assert "data.columns.label.known_after" in found.reason
    stated = taught_plausibility(
        tmp_path, *overrides, "data.columns.label.known_after=0 bars", rule={"label": 1.0}
    )
    assert stated.passed


def test_a_table_of_dates_in_a_feature_of_ones_own_is_found_by_what_it_ranks(tmp_path, monkeypatch):
    law = noise(num_bars=2400)
    panel = make_market(law).panel
    label = np.zeros(panel.num_bars)
    label[:-48] = np.log(panel.close[48:, 0] / panel.close[:-48, 0])
    monkeypatch.setattr(own_features, "TABLE", dict(zip(panel.bar_utc.tolist(), label.tolist())))
    overrides = [*write_files(law, tmp_path / "bars"), BELIEVED, "walk_forward.test_bars=1800"]
    found = taught_plausibility(
        tmp_path, *overrides, "+features.specs.own={name: 'own_features:DATES', params: {}}", rule={}
    )
    assert found.passed is False
    assert "feature 'dates' (SYN0) ranks the return 48 bars ahead" in found.reason
