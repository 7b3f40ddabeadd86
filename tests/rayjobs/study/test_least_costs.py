"""Net of costs needs costs: whole studies whose trading is free, or too cheap for what is traded, are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_run import make_run

from rayjobs.config.compose import compose
from rayjobs.config.exit_codes import ExitCode
from rayjobs.evaluate import main
from rayjobs.study.config import build_train_config
from rayjobs.study.least_costs import least_costs
from rayjobs.study.load import load_study
from rayjobs.study.study import Study

pytestmark = [pytest.mark.runs, pytest.mark.usefixtures("leak_check_aside")]
PLAIN = (
    "policy=momentum_sign",
    "env.episode.bars=48",
    "scoring.supervised=[]",
    "scoring.placebo_strategies=0",
)
CRYPTO = (
    "+experiment=crypto_portfolio",
    "data.start_utc=2019-03-01",
    "data.stop_utc=2019-04-01",
    "data.symbols=[BTC,ETH]",
    "walk_forward.train_bars=600",
    "walk_forward.test_bars=300",
    *PLAIN,
)
SPY = (
    "+experiment=spy_intraday",
    "data.start_utc=2019-06-03",
    "data.stop_utc=2019-06-29",
    "walk_forward.train_bars=3000",
    "walk_forward.test_bars=1500",
    "walk_forward.embargo_bars=0",
    *PLAIN,
)
PLANTED = (
    "+experiment=planted_signal",
    "data.num_bars=1400",
    "walk_forward.train_bars=500",
    "walk_forward.test_bars=300",
    *PLAIN,
)


def full_costs(run) -> dict:
    verdict = json.loads((run / "verdict.json").read_text())
    return next(row for row in verdict["criteria"] if row["name"] == "full_costs")


@pytest.mark.parametrize(
    ("base", "overrides", "says"),
    [
        (CRYPTO, ("costs.fee_bps=0", "costs.half_spread_bps=0"), "is 0.00 bps of the notional traded; at least 5.00"),
        (CRYPTO, ("costs=flat_2bps",), "is 2.00 bps"),
        (CRYPTO, ("costs=flat_2bps", "instruments=us_stock"), "at least 5.00"),  # it trades on Saturdays
        (CRYPTO, ("+instruments.symbols.BTC={taker_fee_bps: 0, half_spread_bps: 0}",), "charged on BTC is 0.00 bps"),
        (CRYPTO, ("+instruments.symbols.BTC={kind: us_stock}",), "charged on BTC is 0.02 bps of the notional traded"),
        (CRYPTO, ("gate.min_cost_bps=7",), "is 6.00 bps of the notional traded; at least 7.00 bps is required by gate"),
        (SPY, ("costs.slippage=none",), "at least 1.00"),
        (SPY, ("costs.slippage_value=0", "costs.fee_bps=0"), "at least 1.00"),
    ],
)  # fmt: skip
def test_trading_below_the_least_cost_of_its_kind_is_refused(tmp_path, base, overrides, says):
    row = full_costs(make_run(tmp_path, *overrides, base=base))
    assert row["pass"] is False
    assert says in row["reason"]
    assert row["value"] < row["threshold"] == 1.0


@pytest.mark.parametrize("base", [CRYPTO, SPY, PLANTED])
def test_the_bundled_experiments_charge_enough(tmp_path, base):
    row = full_costs(make_run(tmp_path, base=base))
    assert row["pass"] is True
    assert "of the notional traded" in row["reason"]


def test_an_evaluation_without_costs_is_refused_too(tmp_path):
    run = make_run(tmp_path, base=CRYPTO)
    assert full_costs(run)["pass"] is True
    assert (
        main([f"run={run}", f"directory={tmp_path}", "costs.fee_bps=0", "costs.half_spread_bps=0"])
        is ExitCode.DONE
    )
    assert full_costs(max((tmp_path / "evaluations").iterdir()))["pass"] is False


@pytest.mark.parametrize(
    "bad", ["gate.min_cost_bps=-1", "gate.min_cost_bps=20000", "gate.max_plausible_sharpe=0"]
)
def test_a_threshold_that_makes_no_sense_is_one_sentence(bad):
    with pytest.raises(ValueError, match=bad.split("=")[0]):
        build_train_config(compose("train", [bad]))


def test_the_least_cost_is_told_by_kind_by_weekend_and_by_law():
    study, _, _ = load_study(build_train_config(compose("train", list(CRYPTO))))
    assert isinstance(study, Study)
    assert least_costs(study.config, study.panel) == {"BTC": 5.0, "ETH": 5.0}
    shares = build_train_config(compose("train", [*CRYPTO, "instruments=us_stock"]))
    weekdays = study.panel.slice_bars(3 * 48, 7 * 48)  # 2019-03-01 was a Friday: from Monday to Thursday
    assert not np.isin(weekdays.bar_utc.astype("datetime64[D]").astype(int) % 7, [2, 3]).any()
    assert least_costs(shares, weekdays) == {"BTC": 1.0, "ETH": 1.0}
    assert least_costs(shares, study.panel) == {"BTC": 5.0, "ETH": 5.0}
