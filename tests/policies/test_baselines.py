"""Schedules look at the past only, and say the same thing in every action scheme."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.schema import Panel
from policies import baselines
from policies.protocol import Policy, restart_rows


def panel_of(close: list[list[float]]) -> Panel:
    values = np.array(close)
    times = np.datetime64("2024-01-01", "ns") + np.arange(len(values)) * np.timedelta64(1800, "s")
    known = np.isfinite(values)
    return Panel(
        symbols=tuple(f"S{i}" for i in range(values.shape[1])),
        bar_utc=times,
        open=values,
        high=values,
        low=values,
        close=values,
        volume=np.where(known, 1.0, 0.0),
        tradable=known,
        session=times.astype("datetime64[D]").astype(np.int32),
        calendar="24/7",
        bar_seconds=1800,
    )


RISING_FALLING = panel_of([[1.0, 4.0], [2.0, 3.0], [3.0, 3.5], [2.5, 2.0]])


def test_momentum_is_the_sign_of_the_return_over_the_lookback():
    assert baselines.momentum(RISING_FALLING, lookback_bars=2).tolist() == [[0, 0], [0, 0], [1, -1], [1, -1]]
    assert baselines.momentum_sign(RISING_FALLING).tolist() == [[0, 0], [1, -1], [1, 1], [-1, -1]]
    assert baselines.mean_reversion(RISING_FALLING, lookback_bars=1).tolist()[3] == [1, 1]


def test_momentum_keeps_its_side_for_the_holding_period():
    held = baselines.momentum(RISING_FALLING, lookback_bars=1, hold_bars=2)
    assert held.tolist() == [[0, 0], [0, 0], [1, 1], [1, 1]]


def test_flip_turns_at_every_bar_and_buy_and_hold_never():
    assert baselines.flip(RISING_FALLING)[:, 0].tolist() == [1, -1, 1, -1]
    assert (baselines.buy_and_hold(RISING_FALLING) == 1).all()
    assert (baselines.flat(RISING_FALLING) == 0).all()


def test_equal_weight_shares_out_among_the_assets_known_so_far():
    late = panel_of([[1.0, np.nan], [1.0, np.nan], [1.0, 2.0], [1.0, np.nan]])
    assert baselines.equal_weight(late).tolist() == [[1, 0], [1, 0], [0.5, 0.5], [0.5, 0.5]]


def test_minimum_variance_gives_the_calmer_asset_the_larger_weight():
    random = np.random.default_rng(0)
    close = np.exp(np.cumsum(random.normal(0, [0.01, 0.03], size=(400, 2)), axis=0))
    weights = baselines.minimum_variance(panel_of(close.tolist()), lookback_bars=200, hold_bars=50)
    assert (weights[:200] == 0).all()
    # Independent assets: weights go with the inverse variances, 9 to 1.
    assert weights[399] == pytest.approx([0.9, 0.1], abs=0.04)
    assert weights[200:].sum(axis=1) == pytest.approx(1.0)
    poisoned = close.copy()
    poisoned[300:] *= 3.0
    again = baselines.minimum_variance(panel_of(poisoned.tolist()), lookback_bars=200, hold_bars=50)
    np.testing.assert_array_equal(weights[:300], again[:300])


def test_minimum_variance_does_not_flee_into_an_asset_that_is_no_longer_traded():
    random = np.random.default_rng(0)
    close = np.exp(np.cumsum(random.normal(0, 0.01, size=(400, 3)), axis=0))
    close[250:, 1] = np.nan  # delisted: its last price stands still from here on
    weights = baselines.minimum_variance(panel_of(close.tolist()), lookback_bars=100, hold_bars=10)
    assert weights[240, 1] == pytest.approx(1 / 3, abs=0.1)
    assert (weights[310:, 1] == 0.0).all()
    assert weights[310:, [0, 2]] == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("name", list(baselines.SCRIPTED))
def test_no_schedule_moves_when_the_future_is_poisoned(name):
    random = np.random.default_rng(0)
    close = np.exp(np.cumsum(random.normal(0, 0.01, size=(60, 3)), axis=0))
    poisoned = close.copy()
    poisoned[40:] *= random.uniform(0.5, 2.0, size=(20, 3))
    honest = baselines.SCRIPTED[name](panel_of(close.tolist())).target_TA
    after = baselines.SCRIPTED[name](panel_of(poisoned.tolist())).target_TA
    np.testing.assert_array_equal(honest[:40], after[:40])


@pytest.mark.parametrize(
    "name",
    ["buy_and_hold", "equal_weight", "volatility_targeted", "minimum_variance", "momentum", "mean_reversion"],
)
def test_no_baseline_moves_when_the_future_is_poisoned(name):
    random = np.random.default_rng(0)
    close = np.exp(np.cumsum(random.normal(0, 0.01, size=(200, 3)), axis=0))
    close[:70, 1] = np.nan  # lists later
    poisoned = close.copy()
    poisoned[120:] *= random.uniform(0.5, 2.0, size=(80, 3))
    poisoned[120:, 2] = np.nan
    asked = {"momentum_bars": 5, "hold_bars": 2, "rebalance_sessions": 1, "target_volatility": 0.1}
    honest = baselines.standard_baselines(panel_of(close.tolist()), **asked)[name].target_TA
    after = baselines.standard_baselines(panel_of(poisoned.tolist()), **asked)[name].target_TA
    np.testing.assert_array_equal(honest[:120], after[:120])
    assert (honest[100:120] != 0).any()


def test_an_asset_is_listed_while_it_has_traded_in_the_last_five_sessions():
    close = np.ones((48 * 9, 2))
    close[:60, 0] = np.nan
    close[48 * 2 + 1 :, 1] = np.nan  # last bar: the first of session 2
    known = baselines.listed(panel_of(close.tolist()))
    assert np.flatnonzero(known[:, 0])[0] == 60
    assert np.flatnonzero(known[:, 1])[-1] == 48 * 7 - 1  # sessions 2 to 6


def test_targeted_volatility_is_the_wanted_share_of_what_was_seen():
    # One asset that moves by 1 % up and down at every bar: 17,520 or so bars a year.
    close = np.where(np.arange(300) % 2 == 0, 1.0, 1.01)[:, None]
    panel = panel_of(close.tolist())
    weights = baselines.volatility_targeted(panel, target_volatility=0.1, window_sessions=1)
    assert (weights[:48] == 0.0).all()
    assert weights[200, 0] == pytest.approx(0.1 / (0.00995 * panel.periods_per_year**0.5), rel=1e-3)
    bold = baselines.volatility_targeted(panel, target_volatility=9.0, window_sessions=1)
    assert bold[200, 0] == 1.0
    with pytest.raises(ValueError, match="must be positive"):
        baselines.volatility_targeted(panel, target_volatility=0.0, window_sessions=1)


@pytest.mark.parametrize("scheme", ["direction", "orders", "weights", "direction_size"])
def test_what_is_not_known_is_flat_or_kept_as_asked(scheme):
    target = np.array([[np.nan, 1.0]])
    start = {"target_TA": target, "first_bar_E": np.array([0]), "scheme": scheme}
    flat, _ = baselines.ScheduledPolicy(**start).act(np.zeros((1, 1), np.float32), np.array([0]))
    kept, _ = baselines.ScheduledPolicy(**start, unknown="keep").act(
        np.zeros((1, 1), np.float32), np.array([0])
    )
    assert np.isfinite(flat).all()
    assert np.isnan(kept[0, 0]).all()
    np.testing.assert_array_equal(flat[0, 1], kept[0, 1])


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("direction", [[0, 1, 2]]),
        ("orders", [[2, 3, 1]]),
        ("weights", [[-1.0, 0.0, 0.5]]),
        ("direction_size", [[[0.0, 1.0], [1.0, 0.0], [2.0, 0.5]]]),
    ],
)
def test_targets_are_written_in_the_codes_of_each_action_scheme(scheme, expected):
    assert baselines.encode_targets(np.array([[-1.0, 0.0, 0.5]]), scheme).tolist() == expected


def test_unknown_schemes_and_targets_beyond_one_are_refused():
    with pytest.raises(ValueError, match="unknown action scheme 'wishes'"):
        baselines.encode_targets(np.zeros((1, 1)), "wishes")
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        baselines.encode_targets(np.array([[2.0]]), "weights")


def test_a_scheduled_policy_follows_its_rows_from_their_own_start_bars():
    targets = np.array([[-1.0], [0.0], [1.0], [-1.0]])
    policy = baselines.ScheduledPolicy(target_TA=targets, first_bar_E=np.array([0, 2]))
    assert isinstance(policy, Policy)
    state = policy.initial_state(2)
    actions, state = policy.act(np.zeros((2, 1), dtype=np.float32), state)
    assert actions.tolist() == [[0], [2]]
    actions, _ = policy.act(np.zeros((2, 1), dtype=np.float32), state)
    assert actions.tolist() == [[1], [0]]


def test_a_scheduled_policy_refuses_rows_and_bars_it_has_no_schedule_for():
    with pytest.raises(ValueError, match="outside the schedule's 3 bars"):
        baselines.ScheduledPolicy(target_TA=np.zeros((3, 1)), first_bar_E=np.array([3]))
    policy = baselines.ScheduledPolicy(target_TA=np.zeros((3, 1)), first_bar_E=np.array([0]))
    with pytest.raises(ValueError, match="starts 1 rows but the env has 2"):
        policy.initial_state(2)


def test_the_random_baseline_matches_frequencies_and_turnover():
    random = np.random.default_rng(1)
    # Long 60 %, flat 30 %, short 10 %; redrawn at one bar in twenty.
    draws = random.choice([1.0, 0.0, -1.0], p=[0.6, 0.3, 0.1], size=40_000)
    kept = np.maximum.accumulate(np.where(random.random(40_000) < 0.05, np.arange(40_000), 0))
    like = draws[kept][:, None]
    schedule = baselines.random_matched_turnover(like, 40_000, np.random.default_rng(2))
    turnover = np.abs(np.diff(schedule, axis=0)).mean()
    assert turnover == pytest.approx(np.abs(np.diff(like, axis=0)).mean(), rel=0.06)
    for side in (-1.0, 0.0, 1.0):
        assert np.mean(schedule == side) == pytest.approx(np.mean(like == side), abs=0.03)
    assert abs(np.corrcoef(schedule[:, 0], like[:, 0])[0, 1]) < 0.1


def test_the_random_baseline_of_a_policy_that_never_trades_never_trades():
    schedule = baselines.random_matched_turnover(np.zeros((10, 2)), 50, np.random.default_rng(0))
    assert (schedule == 0).all()


def test_restarted_rows_take_the_fresh_state_and_the_others_keep_theirs():
    state = {"hidden": (np.ones((3, 2)), [np.arange(3)]), "nothing": None}
    fresh = {"hidden": (np.zeros((3, 2)), [np.full(3, -1)]), "nothing": None}
    mixed = restart_rows(state, fresh, np.array([False, True, False]))
    assert mixed["hidden"][0].tolist() == [[1, 1], [0, 0], [1, 1]]
    assert mixed["hidden"][1][0].tolist() == [0, -1, 2]
    assert state["hidden"][0].tolist() == [[1, 1]] * 3  # the old state is untouched


def test_a_state_that_changes_its_structure_is_refused():
    with pytest.raises(ValueError, match="changed its structure"):
        restart_rows({"a": np.zeros(2)}, {"a": np.zeros(3)}, np.array([True, False]))


def test_schedules_ignore_missing_bars():
    gap = replace(RISING_FALLING)
    broken = panel_of([[1.0, 4.0], [np.nan, 3.0], [3.0, 3.5], [2.5, 2.0]])
    assert baselines.momentum_sign(broken)[1, 0] == 0.0  # the last known close did not change
    assert baselines.momentum_sign(gap)[1, 0] == 1.0
