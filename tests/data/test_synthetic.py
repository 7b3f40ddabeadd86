"""Synthetic markets: the law they claim, consistent bars, and an oracle that nothing beats."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from data.sources import NoiseConfig, PlantedMemoryConfig, PlantedSignalConfig, describe, load
from data.synthetic import due_pulses

SHAPE = {
    "num_bars": 40_000,
    "num_assets": 3,
    "bar_seconds": 1800,
    "start_utc": "2018-01-01",
    "volatility": 2e-3,
}
SHAPE |= {"noise_features": 2, "cost_bps": 2.0}


def signal(seed=1, **changes):
    return load(
        PlantedSignalConfig(**{**SHAPE, "seed": seed, "drift": 5e-4, "flip_probability": 0.05, **changes})
    )


def memory(seed=1, **changes):
    law = {"drift": 2e-3, "pulse_probability": 0.04, "delay_bars": 8, "pay_bars": 8}
    return load(PlantedMemoryConfig(**{**SHAPE, "seed": seed, **law, **changes}))


def noise(seed=1, **changes):
    return load(NoiseConfig(**{**SHAPE, "seed": seed, **changes}))


def earned(dataset):
    """Return (T - 1, A) returns from the open to the close of the bar after each decision."""
    panel = dataset.panel
    return panel.close[1:] / panel.open[1:] - 1.0


def net_return(position, returns, cost_bps=2.0):
    """Return the summed return of holding position[t] over bar t + 1, less the cost of each change."""
    changes = np.abs(np.diff(position, axis=0, prepend=0.0))
    return float((position * returns).sum() - changes.sum() * cost_bps * 1e-4)


@pytest.mark.parametrize("make", [signal, memory, noise])
def test_the_same_seed_gives_the_same_market_and_another_seed_another(make):
    assert make(1).panel.fingerprint == make(1).panel.fingerprint
    assert make(1).panel.fingerprint != make(2).panel.fingerprint
    assert make(1).hygiene.clean


@pytest.mark.parametrize("make", [signal, memory, noise])
def test_each_bar_opens_where_the_last_one_closed(make):
    panel = make().panel
    np.testing.assert_array_equal(panel.open[1:], panel.close[:-1])
    assert panel.tradable.all()


def test_more_noise_features_do_not_move_the_market():
    few, many = signal(), signal(noise_features=16)
    np.testing.assert_array_equal(few.panel.close, many.panel.close)
    np.testing.assert_array_equal(few.panel.exogenous["noise_01"], many.panel.exogenous["noise_01"])
    assert "noise_15" in many.panel.exogenous


def test_the_visible_sign_earns_a_quarter_of_a_standard_deviation_a_bar():
    dataset = signal()
    along = dataset.panel.exogenous["signal"][:-1] * earned(dataset)
    # 120,000 bars: the standard error of the mean is 2e-3 / sqrt(120,000) = 5.8e-6.
    assert along.mean() == pytest.approx(5e-4, abs=4 * 5.8e-6)
    assert along.std() == pytest.approx(2e-3, rel=0.02)
    flips = dataset.panel.exogenous["signal"][1:] != dataset.panel.exogenous["signal"][:-1]
    assert flips.mean() == pytest.approx(0.05, abs=0.003)


def test_the_signal_says_nothing_about_the_bar_it_stands_on_that_the_bar_before_did_not():
    dataset = signal()
    sign, returns = dataset.panel.exogenous["signal"], earned(dataset)
    turned = sign[1:] != sign[:-1]
    # In the bar of a flip the return still follows the old sign.
    assert (sign[:-1] * returns)[turned].mean() == pytest.approx(5e-4, abs=1.5e-4)


def test_of_several_rules_each_symbol_is_paid_by_its_own_sign_and_by_no_other():
    dataset = signal(rules=2, num_assets=4)
    signs = np.stack([dataset.panel.exogenous[name] for name in ("signal_00", "signal_01")])
    pay = (signs[:, :-1] * earned(dataset)).mean(axis=1)  # (rule, asset)
    # 40,000 bars each: the standard error of a mean is 1e-5; a sign that means nothing pays 0.
    np.testing.assert_allclose(pay, [[5e-4, 0, 5e-4, 0], [0, 5e-4, 0, 5e-4]], atol=6e-5)
    np.testing.assert_array_equal(dataset.oracle_direction[:, 0], signs[0, :, 0])
    np.testing.assert_array_equal(dataset.oracle_direction[:, 3], signs[1, :, 3])


def test_one_rule_is_the_market_that_it_was_and_is_told_as_it_was():
    one, several = signal(), signal(rules=3)
    np.testing.assert_array_equal(one.panel.exogenous["signal"], several.panel.exogenous["signal_00"])
    np.testing.assert_array_equal(one.panel.exogenous["noise_01"], several.panel.exogenous["noise_01"])
    config = PlantedSignalConfig(**{**SHAPE, "seed": 1, "drift": 5e-4, "flip_probability": 0.05})
    assert "rules" not in describe(config)
    assert "rules=3" in describe(replace(config, rules=3))


def test_pulses_pay_from_nine_to_sixteen_bars_later_and_at_no_other_time():
    dataset = memory(delay_bars=8)
    pulse, returns = dataset.panel.exogenous["pulse"], earned(dataset)
    # returns[t] is that of bar t + 1; a pulse of bar u pays in bars u + 9 to u + 16, so returns[u + 8 : u + 16].
    size = 0.04 * pulse.size
    for lag in range(20):
        paid = (pulse[: len(returns) - lag] * returns[lag:]).sum() / size
        assert paid == pytest.approx(2e-3 if 8 <= lag < 16 else 0.0, abs=3e-4), lag


def test_overlapping_pulses_add_up():
    pulse = np.zeros((12, 1))
    pulse[0], pulse[2] = 1.0, -1.0
    # With k = 3 and n = 4, the first is due at the closes of bars 3 to 6 and the second of bars 5 to 8.
    assert due_pulses(pulse, 3, 4)[:, 0].tolist() == [0, 0, 0, 1, 1, 0, 0, -1, -1, 0, 0, 0]


def test_the_oracle_of_noise_stays_out():
    assert not noise().oracle_direction.any()


@pytest.mark.parametrize("make", [signal, memory])
def test_the_oracle_earns_what_theory_says(make):
    dataset = make()
    position = dataset.oracle_direction[:-1].astype(float)
    got = net_return(position, earned(dataset)) / position.size
    # Signal: 5 bps, less 5 % flips of 2 sides of 2 bps. Memory: 4 % pulses of 8 bars of 20 bps, less 2 sides of
    # 2 bps each (overlaps take a little away from both).
    expected = 5e-4 - 0.05 * 4e-4 if make is signal else 0.04 * (8 * 2e-3 - 4e-4)
    assert got == pytest.approx(expected, rel=0.13 if make is memory else 0.05)


def best_of_all_paths(drift_units, drift, cost, horizon):
    """Return the best net return of all paths of positions -1, 0, 1, the expected returns being known."""
    best = -np.inf
    for path in itertools.product((-1, 0, 1), repeat=horizon):
        position = np.array(path, dtype=float)
        value = drift * (position * drift_units).sum() - cost * np.abs(np.diff(position, prepend=0.0)).sum()
        best = max(best, value)
    return best


@pytest.mark.parametrize("seed", range(5))
def test_no_policy_beats_following_the_sign_even_if_it_knew_all_signs_to_come(seed):
    # Every one of the 3^7 paths of positions is tried against the sign, with the sign's future known.
    rng = np.random.default_rng(seed)
    sign = np.cumprod(np.where(rng.random(7) < 0.3, -1.0, 1.0))
    followed = 5e-4 * 7 - 2e-4 * np.abs(np.diff(sign, prepend=0.0)).sum()
    assert followed == pytest.approx(best_of_all_paths(sign, 5e-4, 2e-4, 7), abs=1e-15)


def test_changing_single_decisions_of_the_oracle_loses_on_average():
    dataset = signal(num_bars=5_000)
    position = dataset.oracle_direction[:-1].astype(float)
    expected = 5e-4 * dataset.panel.exogenous["signal"][:-1]
    best = net_return(position, expected)
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = position.copy()
        start = rng.integers(0, len(other) - 5)
        other[start : start + rng.integers(1, 5), rng.integers(0, 3)] = rng.integers(-1, 2)
        assert net_return(other, expected) <= best + 1e-12


@pytest.mark.parametrize(
    ("make", "changes", "said"),
    [
        (signal, {"cost_bps": 2.5}, "not above twice the cost"),
        (signal, {"flip_probability": 0.0}, "flip_probability"),
        (signal, {"rules": 0}, "rules is 0; it must be at least 1"),
        (memory, {"pay_bars": 0}, "pay_bars"),
        (memory, {"pulse_probability": 1.5}, "pulse_probability"),
        (noise, {"num_bars": 1}, "at least 2 bars"),
        (noise, {"num_assets": 0}, "1 asset"),
        (noise, {"seed": -1}, "negative"),
        (noise, {"volatility": 0.0}, "volatility"),
        (noise, {"bar_seconds": 7}, "divide a day"),
    ],
)
def test_a_market_that_cannot_be_drawn_is_refused(make, changes, said):
    with pytest.raises(ValueError, match=said):
        make(**changes)
