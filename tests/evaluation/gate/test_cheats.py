"""Ways to fool oneself, each of which must show: in an error, in another number, or at the gate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from gate_settings import gate_config
from scoring_settings import scoring_config

from data.features import Standardiser
from data.features.compute import FeatureSet
from envs.episodes import Window
from evaluation.artefacts.summary import summarise
from evaluation.gate.verdict import GateEvidence, judge
from evaluation.scoring.fold_scoring import score_fold
from evaluation.scoring.rollout import evaluation_config, record_rows, run_policy, whole_window_env
from evaluation.scoring.walk_forward import WalkForwardResult
from evaluation.statistics.metrics import sharpe_ratio, total_return
from evaluation.statistics.significance import deflated_sharpe_ratio, sharpe_moments
from evaluation.windows.splits import WalkForward
from policies.baselines import Schedule, ScheduledPolicy

SCORING = scoring_config(momentum_bars=20, hold_bars=1, stress_cost_factor=2.0, in_sample=False)
GATE = gate_config("sharpe", "deflated_sharpe", "all_seeds_positive", "overfitting", max_overfitting=0.05)


def noise_evidence(returns: np.ndarray, **known) -> GateEvidence:
    bars = np.datetime64("2020-01-01", "ns") + np.arange(len(returns)) * np.timedelta64(1, "D")
    return GateEvidence(
        net_return=returns, bar_utc=bars, periods_per_year=365.0, num_trades=500, baselines={}, **known
    )


def test_a_standardiser_of_the_whole_sample_gives_other_numbers_than_the_honest_one(noise_world):
    values = np.cumsum(np.random.default_rng(0).normal(size=(400, 2, 1)), axis=0)  # its mean drifts
    features = FeatureSet(
        asset=values.astype(np.float32),
        clock=np.zeros((400, 1), dtype=np.float32),
        asset_names=("walk",),
        clock_names=("none",),
        lookback_bars=0,
        feature_hash="walk",
    )
    train = slice(0, 200)
    honest = Standardiser.fit(features, train)
    cheat = Standardiser.fit(features, slice(0, 400))
    assert not np.allclose(honest.mean, cheat.mean)
    # The honest one does not move when the test bars do: this is what a fold relies on.
    poisoned = replace(features, asset=np.where(np.arange(400)[:, None, None] >= 200, 1e3, values))
    np.testing.assert_array_equal(Standardiser.fit(poisoned, train).mean, honest.mean)


def test_hyperparameters_chosen_on_the_test_window_are_deflated_away():
    # 200 settings without skill, scored on the test window itself; the best looks splendid.
    returns = np.random.default_rng(1).normal(0.0, 0.01, size=(500, 200))
    sharpes = np.array([sharpe_ratio(column) for column in returns.T])
    best = int(sharpes.argmax())
    assert sharpes[best] * np.sqrt(365) > 1.0
    claimed = judge(
        replace(GATE, enforced=("sharpe", "deflated_sharpe")), noise_evidence(returns[:, best], num_trials=1)
    )
    told = noise_evidence(returns[:, best], num_trials=200, trial_sharpe_variance=float(sharpes.var(ddof=1)))
    assert claimed.passed  # what a count of one trial would have let through
    assert not judge(replace(GATE, enforced=("sharpe", "deflated_sharpe")), told).passed


class RemembersEverything:
    """Adds up all it ever saw; a state that leaked from one episode into the next would change its trades."""

    def initial_state(self, num_envs):
        return np.zeros((num_envs, 2))

    def act(self, observation, state):
        total = state + observation[:, [0, 2]]
        return (np.sign(total) + 1).astype(int), total


def test_state_does_not_travel_from_training_into_the_test_window(noise_world):
    world, config = noise_world, evaluation_config(noise_world.config)
    policy = RemembersEverything()
    test = Window(start_bar=900, stop_bar=1000)
    run_policy(policy, world.market, config, [Window(start_bar=10, stop_bar=890)])  # "training" first
    (after_training,) = run_policy(policy, world.market, config, [test])
    (fresh,) = run_policy(RemembersEverything(), world.market, config, [test])
    np.testing.assert_array_equal(after_training.net_return, fresh.net_return)


def test_overlapping_labels_are_purged():
    for fold in WalkForward(50, 30, horizon_bars=7).folds(300):
        assert fold.train.stop - 1 + 7 < fold.test.start + 1


def test_the_best_of_several_seeds_does_not_speak_for_the_others():
    random = np.random.default_rng(2)
    seeds = {k: random.normal(0.0, 0.01, size=400) for k in range(8)}
    best = max(seeds, key=lambda k: total_return(seeds[k]))
    verdict = judge(GATE, noise_evidence(seeds[best], seeds=seeds, num_trials=8))
    outcome = next(c for c in verdict.criteria if c.name == "all_seeds_positive")
    assert outcome.passed is False
    assert "worst of 8 seeds" in outcome.reason


def test_costs_dropped_in_evaluation_show_in_the_summary_and_in_the_stress(signal_world):
    world = signal_world
    free = replace(world.config, costs=replace(world.config.costs, half_spread_bps=0.0, fee_bps=0.0))
    studies = {}
    for name, config in (("honest", world.config), ("free", free)):
        folds = tuple(
            score_fold(fold, RemembersEverything(), world.panel, world.market, config, SCORING, seed=0)
            for fold in WalkForward(800, 500).folds(2000)
        )
        studies[name] = WalkForwardResult(panel=world.panel, folds=folds)
    assert summarise(studies["honest"])["total_cost"] > 0
    assert summarise(studies["free"])["total_cost"] == 0
    # With costs at zero, doubling them changes nothing: the stress column gives the cheat away.
    np.testing.assert_array_equal(studies["free"].stressed_return(), studies["free"].net_return)
    assert (studies["honest"].stressed_return() != studies["honest"].net_return).any()


def test_the_cost_curriculum_of_training_is_off_in_every_scored_env(signal_world):
    env = whole_window_env(
        signal_world.market, evaluation_config(signal_world.config), [Window(start_bar=10, stop_bar=20)]
    )
    assert env.cost_scale == 1.0
    record_rows(RemembersEverything(), env, [])
    assert (env.rows.account[:, 4] == 1.0).all()  # cost factor of every row


def test_shaped_reward_is_in_no_headline_number(signal_world):
    world = signal_world
    shaped = replace(world.config, reward=replace(world.config.reward, turnover=50.0, holding=9.0, scale=1e4))
    runs = [
        run_policy(
            RemembersEverything(), world.market, evaluation_config(c), [Window(start_bar=10, stop_bar=200)]
        )[0]
        for c in (world.config, shaped)
    ]
    np.testing.assert_array_equal(runs[0].net_return, runs[1].net_return)
    assert not np.array_equal(runs[0].reward, runs[1].reward)


def test_a_fill_at_the_decision_bar_would_earn_what_nobody_can(signal_world):
    # Foresight: the sign of the next return, known one bar early. Filled at the next open it earns that return;
    # the same sides decided one bar later, from what is then known, earn next to nothing.
    world = signal_world
    growth = np.zeros(world.panel.close.shape)
    growth[:-1] = np.sign(np.diff(np.log(world.panel.close), axis=0))
    late = np.vstack([np.zeros((1, 2)), growth[:-1]])
    window = [Window(start_bar=10, stop_bar=1500)]
    earned = {}
    for name, target in (("foresight", growth), ("honest", late)):
        policy = ScheduledPolicy(target_TA=target, first_bar_E=np.array([9]))
        (recording,) = run_policy(policy, world.market, evaluation_config(world.config), window)
        signals = recording.fills.reason == "signal"
        assert (recording.fills.filled_bar[signals] > recording.fills.decided_bar[signals]).all()
        earned[name] = recording.net_return.sum()
    assert earned["foresight"] > 10 * abs(earned["honest"])


def test_deflation_uses_trials_that_failed(tmp_path):
    returns = np.random.default_rng(3).normal(0.0008, 0.01, size=1500)
    moments = sharpe_moments(returns)
    few, many = (
        deflated_sharpe_ratio(moments.sharpe, 1500, num_trials=n, sharpe_variance=5e-4) for n in (5, 105)
    )
    assert many < few


def test_a_symbol_that_dies_takes_its_loss_with_it(signal_world):
    from envs.instruments import CRYPTO_SPOT
    from envs.market import Market

    world = signal_world
    died = str(world.panel.bar_utc[40].astype("datetime64[s]")) + "Z"
    values = FeatureSet(
        asset=np.zeros((2000, 2, 1), dtype=np.float32),
        clock=np.zeros((2000, 1), dtype=np.float32),
        asset_names=("none",),
        clock_names=("none",),
        lookback_bars=0,
        feature_hash="none",
    )
    falling = replace(
        world.panel,
        **{
            n: np.where((np.arange(2000)[:, None] >= 39) & (np.arange(2) == 0), 1.0, getattr(world.panel, n))
            for n in ("open", "high", "low", "close")
        },
    )
    market = Market.build(
        falling, values, {"SYN0": replace(CRYPTO_SPOT, delisted_utc=died), "SYN1": CRYPTO_SPOT}
    )
    policy = ScheduledPolicy(target_TA=np.ones((2000, 2)), first_bar_E=np.array([9]))
    (recording,) = run_policy(
        policy, market, evaluation_config(world.config), [Window(start_bar=10, stop_bar=80)]
    )
    assert "delisting" in recording.fills.reason.tolist()
    assert total_return(recording.net_return) < -0.45  # half of the equity was in it, and it fell by 99 %


def test_a_schedule_longer_than_its_window_trades_inside_it_only(signal_world):
    world = signal_world
    policy = ScheduledPolicy(
        target_TA=Schedule(target_TA=np.ones((2000, 2))).target_TA, first_bar_E=np.array([99])
    )
    (recording,) = run_policy(
        policy, world.market, evaluation_config(world.config), [Window(start_bar=100, stop_bar=120)]
    )
    assert recording.fills.filled_bar.min() == 100
    assert recording.fills.filled_bar.max() == 119
