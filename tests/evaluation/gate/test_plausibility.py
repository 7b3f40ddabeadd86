"""What is too good: inputs held back by a bar, what a score loses, and how often an honest one is suspected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from good_evidence import CONFIG, good_evidence
from scoring_settings import scoring_config

from data.checks.followed_returns import FollowedReturns
from data.equal_runs import begins_run
from data.synthetic import NoiseConfig, PlantedSignalConfig
from envs.episodes import Window
from evaluation.gate.plausibility import DelayLoss, delay_losses, most_plausible, suspicion
from evaluation.gate.verdict import judge
from evaluation.scoring.columns_read import changes_by_session, late_by_a_value
from evaluation.scoring.delayed_inputs import DelayedInputs, delayed_tracks
from evaluation.scoring.exposures import Exposure
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.rollout import Scenario, evaluation_config, record_rows, scenario_env
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.windows.splits import Fold
from policies.baselines import SCRIPTED, Schedule

FOLD = Fold(index=0, train=slice(0, 1000), test=slice(1100, 1900))
SCORING = scoring_config(momentum_bars=20, hold_bars=1, stress_cost_factor=1.0, in_sample=False)
TEST = Window(start_bar=1100, stop_bar=1900)


class Follows:
    """Holds the sign of a weighted sum of each asset's features: a policy that is trained by being told."""

    def __init__(self, world, **weights: float) -> None:
        self.weights = np.array([weights.get(name, 0.0) for name in world.market.asset_names])
        self.shape = (world.market.num_symbols, len(self.weights))

    def initial_state(self, num_envs):
        return np.zeros((num_envs, 1))

    def act(self, observation, state):
        market = observation[:, : self.shape[0] * self.shape[1]].reshape(len(observation), *self.shape)
        return np.sign(market @ self.weights).astype(int) + 1, state


def inputs(world) -> list[Exposure]:
    return [Exposure(names=(name,), asset=(k,)) for k, name in enumerate(world.market.asset_names)]


def scored(world, policy, fold: Fold = FOLD):
    return score_fold(
        fold,
        policy,
        world.panel,
        world.market,
        world.config,
        SCORING,
        seed=0,
        find_exposures=lambda: inputs(world),
    )


def losses(world, *results):
    return delay_losses(WalkForwardResult(panel=world.panel, folds=results))


def with_future(world):
    """The world with the next bar's return, in standard deviations, as its feature `noise_00`."""
    close = world.panel.close
    ahead = np.vstack([close[1:] / close[:-1] - 1.0, np.zeros((1, close.shape[1]))]) / 0.002
    features = np.array(world.market.features)
    features[:, :, list(world.market.asset_names).index("noise_00")] = np.clip(ahead, -9, 9)
    return replace(world, market=replace(world.market, features=features))


def track(world, policy, market=None):
    scenario = [Scenario(name="late")]
    env = scenario_env(market or world.market, evaluation_config(world.config), [TEST], scenario)
    return record_rows(policy, env, (), scenario)[1][0]


def test_holding_nothing_back_changes_no_bit(signal_world):
    policy = Follows(signal_world, signal=1.0, noise_00=0.3)
    late = DelayedInputs(policy, signal_world.market, [Exposure(names=("none",))], TEST.start_bar - 1)
    np.testing.assert_array_equal(
        track(signal_world, late).net_return, track(signal_world, policy).net_return
    )


def test_a_late_feature_is_the_market_whose_feature_was_shifted_to_the_bit(signal_world):
    policy = Follows(signal_world, signal=1.0, noise_00=0.3)
    place = signal_world.market.asset_names.index("signal")
    late = DelayedInputs(
        policy, signal_world.market, [Exposure(names=("signal",), asset=(place,))], TEST.start_bar - 1
    )
    features = np.array(signal_world.market.features)
    features[1:, :, place] = features[:-1, :, place]
    shifted = replace(signal_world.market, features=features)
    expected = track(signal_world, policy, shifted).net_return
    np.testing.assert_array_equal(track(signal_world, late).net_return, expected)
    # The same as one of several rows, and through the features as computed from a late column.
    both = DelayedInputs(
        policy,
        signal_world.market,
        [
            Exposure(names=("none",)),
            Exposure(names=("x",), recomputed=features[1099:1900].copy(), first_bar=1099),
        ],
        TEST.start_bar - 1,
    )
    scenarios = [Scenario(name="late")] * 2
    env = scenario_env(signal_world.market, evaluation_config(signal_world.config), [TEST] * 2, scenarios)
    rows = record_rows(both, env, (), scenarios)[1]
    np.testing.assert_array_equal(rows[0].net_return, track(signal_world, policy).net_return)
    np.testing.assert_array_equal(rows[1].net_return, expected)


def test_a_late_schedule_decides_a_bar_later(noise_world):
    sides = np.sign(np.random.default_rng(0).normal(size=(2000, 2)))
    later = np.vstack([sides[:1], sides[:-1]])
    late = delayed_tracks(
        Schedule(target_TA=sides),
        noise_world.market,
        noise_world.config,
        TEST,
        lambda: (),
        cost_factor=1.0,
        rebalance_sessions=21,
    )
    plain = score_fold(
        FOLD,
        Schedule(target_TA=later),
        noise_world.panel,
        noise_world.market,
        noise_world.config,
        SCORING,
        seed=0,
    )
    np.testing.assert_array_equal(late["close",].net_return, plain.recording.net_return)


def test_a_policy_that_follows_the_next_return_is_found_by_the_columns_name(draw_world):
    world = with_future(draw_world(NoiseConfig, seed=11))
    (found,) = losses(world, scored(world, Follows(world, noise_00=1.0)))
    assert found.names == ("noise_00",)
    assert found.share_lost > 0.9


@pytest.mark.parametrize("flips", [0.05, 0.1])
def test_an_honest_persistent_edge_keeps_most_of_its_score(draw_world, flips):
    honest = draw_world(PlantedSignalConfig, seed=12, drift=5e-4, flip_probability=flips)
    result = scored(honest, Follows(honest, signal=1.0))
    assert set(result.delayed) == {("noise_00",), ("signal",)}
    assert losses(honest, result) == ()


def test_a_foreknown_column_beside_an_honest_edge_is_told_from_it(draw_world):
    world = with_future(draw_world(PlantedSignalConfig, seed=13, drift=5e-4, flip_probability=0.05))
    (found,) = losses(world, scored(world, Follows(world, signal=0.2, noise_00=1.0)))
    assert found.names == ("noise_00",)


def with_days_return(world, days_ahead: int):
    """The world with the whole return of a day, that day or an earlier one, on each of its bars as `noise_00`."""
    starts = begins_run(world.market.session)
    day = np.cumsum(starts) - 1
    last = np.append(np.flatnonzero(starts)[1:], len(starts)) - 1
    closes = world.panel.close[last]
    of_day = np.vstack([np.zeros((1, closes.shape[1])), closes[1:] / closes[:-1] - 1.0]) / 0.01
    told = of_day[np.clip(day + days_ahead, 0, len(last) - 1)]
    features = np.array(world.market.features)
    features[:, :, list(world.market.asset_names).index("noise_00")] = np.clip(told, -9, 9)
    return replace(world, market=replace(world.market, features=features))


def test_a_days_figure_on_every_bar_of_its_day_is_late_by_a_day(draw_world):
    world = with_days_return(draw_world(NoiseConfig, seed=11), 0)
    policy, place = Follows(world, noise_00=1.0), world.market.asset_names.index("noise_00")
    outside = Exposure(names=("noise_00",), asset=(place,), by_session=True)

    def sharpe(exposure, seen_by=world):
        late = DelayedInputs(policy, seen_by.market, [exposure], TEST.start_bar - 1)
        returns = track(seen_by, late).net_return
        return returns.mean() / returns.std()

    assert sharpe(replace(outside, by_session=False)) > 0.5 * sharpe(Exposure(names=("none",))) > 0.0
    assert sharpe(outside) < 0.2 * sharpe(Exposure(names=("none",)))
    before = track(with_days_return(world, -1), policy).net_return
    late = DelayedInputs(policy, world.market, [outside], TEST.start_bar - 1)
    np.testing.assert_array_equal(track(world, late).net_return, before)


def test_a_days_figure_of_which_a_bar_is_missing_is_late_by_a_day_and_the_verdict_says_so(draw_world):
    world = with_days_return(draw_world(NoiseConfig, seed=11), 0)
    features, place = np.array(world.market.features), world.market.asset_names.index("noise_00")
    features[700, :, place] = 0.0  # as what is unknown
    world = replace(world, market=replace(world.market, features=features))
    outside = Exposure(names=("noise_00",), asset=(place,), by_session=True)
    policy = Follows(world, noise_00=1.0)
    late = delayed_tracks(
        policy, world.market, world.config, TEST, lambda: [outside], cost_factor=1.0, rebalance_sessions=21
    )
    assert late["noise_00",].late_by == ("session",)
    result = replace(scored(world, policy), delayed=late)
    (found,) = losses(world, result)
    assert (found.delay, found.late_by) == ("one session", ("session",))
    said = plausibility(delay_losses=(found,)).reason
    assert said.startswith(
        "Too much hangs on one session: of the score, a delay by one session of 'noise_00' takes"
    )


def test_delays_of_different_lengths_are_each_named():
    bar, day = (
        DelayLoss(names=("a",), share_lost=0.9, t=5.0),
        DelayLoss(names=("b",), share_lost=0.8, t=5.0, late_by=("session",)),
    )
    both = DelayLoss(names=("a", "b"), share_lost=1.1, t=5.0, late_by=("session",))
    assert (
        suspicion((bar, day))
        == "a delay by one bar of 'a' takes 90%; a delay by one session of 'b' takes 80%"
    )
    assert suspicion((both,)) == (
        "a delay by one bar (one session for what stands so long) of 'a', 'b' together takes 110%"
    )


def test_what_changes_once_a_session_is_told_from_what_changes_within():
    session = np.repeat([1, 2, 3], 4).astype(np.int32)
    starts = begins_run(session)
    daily = np.repeat([[0.1], [np.nan], [0.3]], 4, axis=0)
    assert changes_by_session(daily, starts)
    np.testing.assert_array_equal(late_by_a_value(daily, session)[[0, 4, 8]], [[0.1], [0.1], [np.nan]])
    within = daily.copy()
    within[6] = 0.2
    assert not changes_by_session(within, starts)
    np.testing.assert_array_equal(late_by_a_value(within, session)[1:], within[:-1])
    assert not changes_by_session(np.ones((12, 1)), starts)  # a bar late, as it always was
    assert not changes_by_session(daily, np.ones(12, dtype=bool))  # daily bars


def test_where_there_is_no_score_nothing_is_run_again(noise_world):
    result = scored(noise_world, Follows(noise_world, noise_00=1.0))  # pays costs every other bar
    assert result.delayed == {}
    assert losses(noise_world, result) == ()


def test_one_fold_of_several_is_run_again_whatever_it_earned(noise_world):
    result = score_fold(
        FOLD,
        Follows(noise_world, noise_00=1.0),
        noise_world.panel,
        noise_world.market,
        noise_world.config,
        SCORING,
        seed=0,
        find_exposures=lambda: inputs(noise_world),
        alone=False,
    )
    assert list(result.delayed) == [one.names for one in inputs(noise_world)]


def test_a_fold_that_was_not_measured_leaves_all_of_them_unmeasured(noise_world):
    policy = SCRIPTED["flip"](noise_world.panel)
    plain = score_fold(
        FOLD, policy, noise_world.panel, noise_world.market, noise_world.config, SCORING, seed=0
    )
    assert losses(noise_world, plain) is None


def test_a_loss_in_one_fold_only_counts_where_it_carries_the_score(draw_world):
    world = with_future(draw_world(NoiseConfig, seed=14))
    early = Fold(index=0, train=slice(0, 200), test=slice(300, 900))
    folds = [scored(world, Follows(world, noise_00=1.0), fold) for fold in (early, FOLD)]
    quiet = replace(folds[0], delayed={})  # not run again: nothing is counted as lost there
    assert losses(world, quiet, folds[1])[0].names == ("noise_00",)


@pytest.mark.parametrize("name", sorted(SCRIPTED))
def test_scripted_policies_on_noise_are_not_suspected(noise_world, name):
    result = scored(noise_world, SCRIPTED[name](noise_world.panel))
    assert losses(noise_world, result) == ()


def test_a_synthetic_market_is_exempt_and_says_why():
    evidence = replace(
        good_evidence(), net_return=good_evidence().net_return + 0.01, synthetic=True, delay_losses=None
    )
    (found,) = (c for c in judge(CONFIG, evidence).criteria if c.name == "plausibility")
    assert found.passed
    assert "drawn from a law" in found.reason


def plausibility(**changed):
    verdict = judge(CONFIG, replace(good_evidence(), **changed))
    return next(c for c in verdict.criteria if c.name == "plausibility")


def test_a_statement_lifts_the_doubt_and_stays_in_the_verdict():
    lost = (DelayLoss(names=("vendor_score",), share_lost=0.9, t=5.0),)
    doubted = plausibility(delay_losses=lost)
    assert doubted.passed is False
    assert (doubted.value, doubted.threshold) == (0.9, 0.5)
    assert "'vendor_score' takes 90%" in doubted.reason
    stated = plausibility(delay_losses=lost, known_after={"vendor_score": "0 bars"})
    assert stated.passed
    assert "vendor_score is known after 0 bars" in stated.reason


def test_no_statement_makes_a_sharpe_ratio_beyond_belief_believed():
    found = plausibility(
        net_return=good_evidence().net_return + 0.004, known_after={"vendor_score": "0 bars"}
    )
    assert found.passed is False
    assert "too good for real bars" in found.reason


def test_of_a_long_record_the_limit_itself_is_believed_and_of_a_short_one_what_luck_adds():
    # A month: 3 + 2.326 * sqrt(12) = 11.06. From (2.326 / 3)^2 = 0.601 years on 6 is more.
    assert most_plausible(6.0, 1.0 / 12.0) == pytest.approx(11.06, abs=0.005)
    assert most_plausible(6.0, 0.60) > 6.0
    assert most_plausible(6.0, 0.602) == 6.0
    assert most_plausible(6.0, 3.0) == 6.0


def test_at_most_one_lucky_short_record_in_a_hundred_is_called_too_good():
    random, bars = np.random.default_rng(0), 28 * 48
    true = 3.0 / np.sqrt(365 * 48)  # per bar, of an annual Sharpe ratio of 3
    records = true + random.standard_normal((4000, bars))
    sharpe = records.mean(axis=1) / records.std(axis=1, ddof=1) * np.sqrt(365 * 48)
    assert (sharpe > 6.0).mean() > 0.15  # which 6 itself would refuse
    assert (sharpe > most_plausible(6.0, 28 / 365)).mean() < 0.015


def test_the_sentence_on_a_short_record_says_how_much_is_believed_and_why():
    short = good_evidence()
    bars = 100  # 0.4 years of 252
    changed = {
        "net_return": short.net_return[:bars],
        "bar_utc": short.bar_utc[:bars],
        "exposure": None,
        "stressed": None,
        "baselines": {k: v[:bars] for k, v in short.baselines.items()},
        "delay_losses": (),
    }
    found = plausibility(**changed)
    days = 365 * bars / short.periods_per_year
    assert found.threshold == pytest.approx(most_plausible(6.0, days / 365))
    assert f"is believed of {days:.1f} days, in which luck alone does much." in found.reason


def test_several_inputs_together_need_a_statement_of_each():
    twins = (DelayLoss(names=("a", "b"), share_lost=0.9, t=5.0),)
    assert plausibility(delay_losses=twins, known_after={"a": "0 bars"}).passed is False
    assert plausibility(delay_losses=twins, known_after={"a": "0 bars", "b": "1 bar"}).passed


def test_prices_that_look_like_averages_are_refused_until_it_is_stated_that_they_were_traded_at():
    followed = FollowedReturns(symbol="NAV", bars=2, correlation=0.3, t=20.0)
    evidence = replace(good_evidence(), untraded=(followed,))
    found = next(c for c in judge(CONFIG, evidence).criteria if c.name == "plausibility")
    assert found.passed is False
    assert "NAV: returns follow those of the 2 bars before" in found.reason
    assert "data.columns.close: {known_after: 0 bars, traded: true}" in found.reason
    drawn = next(
        c for c in judge(CONFIG, replace(evidence, synthetic=True)).criteria if c.name == "plausibility"
    )
    assert drawn.passed is True
