"""Holding is charged what such an instrument costs at the least, whatever it is called and whichever key was set."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from exported_market import noise, write_files
from small_run import OVERRIDES

from envs.costs import COST_NAMES
from envs.episodes import Window
from evaluation.scoring.rollout import evaluation_config, run_policy
from policies.baselines import ScheduledPolicy
from rayjobs.config.compose import compose
from rayjobs.study.config import TRAIN_KEYS, build_train_config
from rayjobs.study.fold_market import fold_market
from rayjobs.study.least_financing import _borrowed_cash, holdings, lacking_financing
from rayjobs.study.load import load_study
from rayjobs.study.study import Study

SPOT, PERPETUAL, FUTURE, STOCK = (
    ("instruments=crypto_spot",),
    ("instruments=crypto_perpetual",),
    ("instruments=mes", "env.sizing.fraction=0.9", "env.initial_equity=1e6"),
    ("instruments=us_stock",),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(noise(num_assets=1, noise_features=1), tmp_path_factory.mktemp("bars"))


@pytest.fixture(scope="module")
def held(files):
    """Overrides -> the study, and what a script that is long and short by turns was charged on it."""

    def of(*overrides: str):
        base = [o for o in OVERRIDES if not o.startswith(("+experiment", "data."))]
        given = [
            *base,
            *files,
            "features=exogenous",
            "costs=venue",
            "costs.max_participation=null",
            *overrides,
        ]
        values = {k: v for k, v in compose("train", given).items() if k in TRAIN_KEYS}
        study, _, folds = load_study(build_train_config(values))
        market, _ = fold_market(study, folds[0])
        env, start = evaluation_config(study.config.env), folds[0].test.start
        window = Window(start_bar=start, stop_bar=folds[0].test.stop)
        # Forty bars long, forty bars short.
        target_TA = np.where(np.arange(study.panel.num_bars) // 40 % 2, 1.0, -1.0)[:, None]
        first = np.array([start - 1 - env.episode.warmup_bars])
        policy = ScheduledPolicy(target_TA=target_TA, first_bar_E=first, scheme=env.action.scheme)
        return study, run_policy(policy, market, env, [window])

    return of


@pytest.mark.parametrize("kind", [SPOT, PERPETUAL])
def test_the_shipped_kinds_are_charged_no_less_than_the_least(held, kind):
    assert lacking_financing(*held(*kind)) == []


def test_the_least_borrow_is_what_the_simulator_charges_at_the_usual_rate(held):
    study, recordings = held(*SPOT)
    (one,) = holdings(study, recordings)
    paid = sum(float(r.costs[:, COST_NAMES.index("borrow")].sum()) for r in recordings)
    assert one.short
    assert one.long
    assert paid > 0.0
    assert one.short_years * 0.05 == pytest.approx(paid, rel=1e-6)


@pytest.mark.parametrize(
    ("overrides", "phrase"),
    [
        ((*SPOT, "costs.borrow=false"), "shorts of SYN0 paid 0.00% a year to borrow instead of 5.00%"),
        ((*SPOT, "+instruments.symbols={SYN0: {borrow_rate: 0.049}}"), "paid 4.90% a year to borrow"),
        (FUTURE, "instead of 5.00%, for it is called MES but trades on Saturdays"),
        (
            (*FUTURE, "+instruments.symbols={SYN0: {kind: MES, commission_per_unit: 0.07}}"),
            "for it is called MES but trades on Saturdays",
        ),
        (STOCK, "paid 0.30% a year to borrow instead of 5.00%"),
        ((*PERPETUAL, "costs.funding=false"), "SYN0 is a perpetual without funding: costs.funding is off"),
        (
            (*PERPETUAL, "+instruments.symbols={SYN0: {funding_rate: 0.0}}"),
            "funded at 0.000% a day instead of 0.030%",
        ),
        ((*PERPETUAL, "+instruments.symbols={SYN0: {funding_rate: -0.0001}}"), "funded at -0.030% a day"),
        (
            (*PERPETUAL, "+instruments.symbols={SYN0: {funding_hours: 80}}"),
            "funded at 0.003% a day instead of 0.030%",
        ),
        (
            (*PERPETUAL, "+instruments.symbols={SYN0: {funding_hours: 0}}"),
            "perpetual without funding: funding_hours is 0",
        ),
    ],
)
def test_positions_that_are_held_for_less_are_named(held, overrides, phrase):
    assert any(phrase in found for found in lacking_financing(*held(*overrides)))


def with_column(study: Study) -> Study:
    panel = study.panel
    exogenous = {"funding_rate": np.zeros((panel.num_bars, panel.num_assets))}
    return SimpleNamespace(
        config=study.config,
        panel=SimpleNamespace(
            exogenous=exogenous,
            **{
                name: getattr(panel, name)
                for name in ("symbols", "bar_utc", "tradable", "num_assets", "last_close")
            },
        ),
    )


def test_rates_of_the_data_are_taken_as_they_are_if_they_are_charged_as_often(held):
    study, recordings = held(*PERPETUAL, "+instruments.symbols={SYN0: {funding_rate: 0.0}}")
    assert lacking_financing(with_column(study), recordings) == []
    for key, phrase in (
        ("+instruments.symbols={SYN0: {funding_hours: 0}}", "without funding: funding_hours is 0"),
        ("costs.funding=false", "without funding: costs.funding is off"),
        ("+instruments.symbols={SYN0: {funding_hours: 24}}", "funded every 24 hours instead of 8"),
    ):
        study, recordings = held(*PERPETUAL, key)
        assert phrase in lacking_financing(with_column(study), recordings)[0]


def test_shorts_that_were_charged_less_than_the_rates_say_are_found_in_the_recorded_costs(held):
    study, recordings = held(*SPOT)
    for one in recordings:
        one.costs[:, COST_NAMES.index("borrow")] *= 0.5
    (found,) = lacking_financing(study, recordings)
    assert found.startswith("shorts were charged")


@pytest.mark.parametrize(
    ("kind", "net", "share"),
    [
        # 1.5 of the equity is borrowed for half a year at 5 %: 3.75 of a gain of 10.
        ("crypto_spot", 2.5, "longs of up to 250% of the equity paid no interest on what they borrowed; at 5% a year "
         "it is 38% of the gain"),
        ("crypto_spot", 1.0, None),
        ("crypto_spot", 1.2, None),  # half of one of ten
        ("crypto_perpetual", 2.5, None),
        ("MES", 2.5, None),
    ],
)  # fmt: skip
def test_longs_on_borrowed_cash_are_named_where_interest_is_much_of_the_gain(kind, net, share):
    num = 1000
    study = SimpleNamespace(
        config=SimpleNamespace(instruments=SimpleNamespace(kind_of=lambda symbol: kind)),
        panel=SimpleNamespace(symbols=("A", "B"), bar_utc=hours_of(num)),
    )
    recording = SimpleNamespace(
        symbols=np.array([0, 1]),
        bar=np.arange(num + 1),
        equity=np.append(np.full(num + 1, 100.0), 110.0),
        exposure=np.tile([net + 0.5, -0.5], (num + 1, 1)),
    )
    assert _borrowed_cash(study, [recording]) == ([] if share is None else [share])


def hours_of(num: int) -> np.ndarray:
    """Labels of bars that fill half a year."""
    half_a_year = 365.25 * 86400 / 2
    seconds = (np.arange(num + 1) * half_a_year / num).astype(np.int64)
    return np.datetime64("2024-01-01", "ns") + seconds.astype("timedelta64[s]")
