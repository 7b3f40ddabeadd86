"""What a score was spared by settings is named in the verdict, where the policy made use of it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from exported_market import noise, write_files
from small_run import OVERRIDES, make_run

from rayjobs.config.compose import compose
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.lowered_settings import _contracts, _delisted_shorts, _funding, lowered_criteria

pytestmark = pytest.mark.runs


def config(*overrides: str):
    return build_train_config({k: v for k, v in compose("train", overrides).items() if k in TRAIN_KEYS})


def test_the_shipped_settings_lower_nothing():
    for experiment in ("crypto_portfolio", "spy_intraday", "planted_signal"):
        assert lowered_criteria(config(f"+experiment={experiment}")) == ()


@pytest.mark.parametrize(
    ("override", "phrase"),
    [
        ("scoring.momentum_bars=100000", "the baselines' momentum_bars is 100000 instead of 48"),
        ("scoring.target_volatility=1e-6", "the baselines' target_volatility is 1e-06 instead of 0.1"),
        ("scoring.supervised_fit.threshold=1e9", "supervised_fit.threshold is 1e+09 instead of 1"),
        ("scoring.placebo_strategies=1", "placebo_strategies is 1 instead of 4"),
        ("env.factory=own_code:TwiceAsLong", "code of your own that no check reads, env.factory=own_code"),
        ("reward.function=own_code:calm", "code of your own that no check reads, reward.function=own_code"),
    ],
)
def test_a_weaker_baseline_fewer_placebos_and_own_code_are_named(override, phrase):
    assert any(phrase in found for found in lowered_criteria(config(override)))


def test_shorts_without_a_fee_and_fills_beyond_the_volume_are_named(tmp_path):
    overrides = write_files(noise(), tmp_path / "bars")
    base = tuple(o for o in OVERRIDES if not o.startswith(("+experiment", "data."))) + tuple(overrides)
    given = ("features=exogenous", "policy=flip", "instruments=crypto_spot", "env.initial_equity=1e9")
    spared = make_run(
        tmp_path / "spared", *given, "costs.borrow=false", "costs.max_participation=null", base=base
    )
    lowered = json.loads((spared / "verdict.json").read_text())["lowered"]
    assert "shorts of SYN0 paid 0.00% a year to borrow instead of 5.00%" in lowered
    assert any("took more than 10% of their bar's volume" in phrase for phrase in lowered)
    charged = make_run(tmp_path / "charged", *given, base=base)
    lowered = json.loads((charged / "verdict.json").read_text())["lowered"]
    assert not any("borrow" in phrase or "volume" in phrase.replace("volatility", "") for phrase in lowered)


def test_a_symbol_that_is_called_a_future_and_is_none_is_named_and_other_futures_are_not():
    def found(*overrides: str) -> list[str]:
        given = config("+experiment=crypto_portfolio", *overrides)
        return _contracts(SimpleNamespace(config=given, panel=SimpleNamespace(symbols=("BTC",))))

    assert found("instruments=mes") == []
    assert found() == []
    assert found(
        "instruments=mes", "+instruments.symbols={BTC: {kind: MES, multiplier: 1.0, lot_step: 0.001}}"
    ) == ["BTC is called MES, but with multiplier 1 and lots of 0.001 it is no futures contract"]
    # Crude oil: a future that the catalogue lacks.
    crude = "+instruments.symbols={BTC: {kind: MES, multiplier: 1000.0, tick_size: 0.01}}"
    assert found("instruments=mes", crude) == []


def recording(funding: float, gain: float) -> SimpleNamespace:
    costs = np.zeros((2, 6))
    costs[1, 4] = funding
    return SimpleNamespace(costs=costs, equity=np.array([100.0, 100.0, 100.0 + gain]))


def test_a_gain_that_is_funding_at_an_assumed_rate_is_named():
    # 6 of 10 are received; a column of real rates is data, and paying is no gain.
    study = SimpleNamespace(panel=SimpleNamespace(exogenous={}))
    assert _funding(study, [recording(-6.0, 10.0)])[0].startswith("60% of the gain is funding received")
    assert _funding(study, [recording(6.0, 10.0)]) == []
    assert _funding(study, [recording(-0.5, 10.0)]) == []
    real = SimpleNamespace(panel=SimpleNamespace(exogenous={"funding_rate": np.zeros(2)}))
    assert _funding(real, [recording(-6.0, 10.0)]) == []


def test_shorts_that_were_closed_below_the_last_price_are_named():
    reason, units = np.array(["delisting", "signal", "delisting"]), np.array([5.0, 3.0, -2.0])
    fills = [SimpleNamespace(fills=SimpleNamespace(reason=reason, units=units))]

    def study(recovery: float) -> SimpleNamespace:
        costs = SimpleNamespace(delisting_recovery=recovery)
        return SimpleNamespace(config=SimpleNamespace(env=SimpleNamespace(costs=costs)))

    (found,) = _delisted_shorts(study(0.25), fills)
    assert found.startswith("1 short of names that end closed at 25% of the last price")
    assert _delisted_shorts(study(1.0), fills) == []


def test_unscored_bars_between_the_test_windows_are_named(tmp_path):
    run = make_run(tmp_path, "policy=flip", "data.num_bars=1900", "walk_forward.step_bars=600")
    lowered = json.loads((run / "verdict.json").read_text())["lowered"]
    assert "300 bars between the test windows are not scored" in lowered
