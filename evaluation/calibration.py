"""How often the gate is right: whole studies on markets whose truth is known, judged as real ones are.

A study is a market, `num_trials` cheap policies in place of trained ones, and the search's choice of the best of them.
On a noise market no policy has skill; on a planted one every trial follows a visible sign that predicts the next
return, some more faithfully than others. Everything runs through the simulator, with costs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.features.compute import FeatureSet
from data.synthetic import NoiseConfig, PlantedSignalConfig, SyntheticConfig, SyntheticMarket, make_market
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.instruments import CRYPTO_SPOT
from envs.market import Market
from evaluation.gate import GateConfig, GateEvidence, Verdict, judge
from evaluation.metrics import sharpe_ratio
from evaluation.overfitting import cscv
from evaluation.rollout import run_schedules
from policies.baselines import Schedule, flat, momentum

FloatArray = NDArray[np.float64]
DAY_SECONDS = 86_400
FLIP_PROBABILITY = 0.05


@dataclass(frozen=True, kw_only=True)
class StudyLaw:
    """What kind of study is drawn.

    Attributes
    ----------
    num_bars : daily bars of a market that never closes (365 a year) on which every trial is scored.
    num_trials : policies tried.
    annual_sharpe : of following the planted sign faithfully, before costs; 0 plants nothing.
    least_faithful : the trials follow the sign in a share of bars drawn between this and 1, and a sign of their own in
        the others.
    num_blocks : blocks of CSCV.
    num_placebos : strategies without skill that pad the matrix of CSCV; needed by a study of one trial.
    """

    num_bars: int
    num_trials: int
    annual_sharpe: float
    least_faithful: float = 0.6
    num_blocks: int = 10
    num_placebos: int = 0

    def market(self, seed: int) -> SyntheticMarket:
        """The seeded market: one asset with 1 % volatility a day."""
        common = {
            "seed": seed, "num_bars": self.num_bars + 60, "num_assets": 1, "bar_seconds": DAY_SECONDS,
            "start_utc": "2010-01-01", "volatility": 0.01, "noise_features": 1, "cost_bps": 2.0,
        }  # fmt: skip
        law: SyntheticConfig = NoiseConfig(**common)  # type: ignore[arg-type]
        if self.annual_sharpe:
            drift = 0.01 * self.annual_sharpe / math.sqrt(365.0)
            law = PlantedSignalConfig(**common, drift=drift, flip_probability=FLIP_PROBABILITY)  # type: ignore[arg-type]
        return make_market(law)


@dataclass(frozen=True, kw_only=True)
class StudyOutcome:
    """One study's verdict, and what simpler rules would have said of the same trials.

    Attributes
    ----------
    verdict : of the gate, on the best trial.
    best_sharpe : annual, of the best trial over all bars.
    best_validation_sharpe : annual, the largest over the first quarter of the bars: what a naive search looks at.
    overfitting : PBO as published. probability_of_loss : the form that the gate enforces.
    """

    verdict: Verdict
    best_sharpe: float
    best_validation_sharpe: float
    overfitting: float
    probability_of_loss: float


def trial_directions(law: StudyLaw, market: SyntheticMarket, random: np.random.Generator) -> FloatArray:
    """(T, K) sides held by the trials: the planted sign where a trial follows it, else a persistent sign of its own."""
    num_bars = market.panel.num_bars
    own = _persistent_signs(num_bars, law.num_trials, random)
    if not law.annual_sharpe:
        return own
    faithful = random.uniform(law.least_faithful, 1.0, size=law.num_trials)
    spell = np.arange(num_bars) // 20  # follows or strays for 20 bars at a time
    follows = random.random((spell[-1] + 1, law.num_trials))[spell] < faithful
    return np.where(follows, market.oracle_direction.astype(np.float64), own)


def _persistent_signs(num_bars: int, count: int, random: np.random.Generator) -> FloatArray:
    turns = np.where(random.random((num_bars, count)) < FLIP_PROBABILITY, -1.0, 1.0)
    turns[0] = np.where(random.random(count) < 0.5, -1.0, 1.0)
    return np.cumprod(turns, axis=0, dtype=np.float64)


def run_study(law: StudyLaw, seed: int, env: PortfolioEnvConfig, gate: GateConfig) -> StudyOutcome:
    """Draw a market and its trials from the seed, score all of them, pick the best, and ask the gate."""
    synthetic = law.market(seed)
    panel = synthetic.panel
    random = np.random.default_rng([seed, 20])
    directions = trial_directions(law, synthetic, random)
    schedules = {f"trial {k}": Schedule(target_TA=directions[:, [k]]) for k in range(law.num_trials)}
    baselines = {
        "flat": flat(panel),
        "buy_and_hold": np.ones((panel.num_bars, 1)),
        "momentum": momentum(panel, lookback_bars=20),
        "mean_reversion": -momentum(panel, lookback_bars=20),
    }
    schedules |= {name: Schedule(target_TA=target) for name, target in baselines.items()}
    placebos = _persistent_signs(panel.num_bars, law.num_placebos, random)
    schedules |= {f"placebo {k}": Schedule(target_TA=placebos[:, [k]]) for k in range(law.num_placebos)}
    window = Window(start_bar=50, stop_bar=50 + law.num_bars)
    market = _plain_market(synthetic)
    tracks = run_schedules(schedules, market, env, [window])
    dearer = run_schedules(schedules, market, env, [window], cost_factor=gate.stress_cost_factor)
    columns = {name: _whole(rows[0].net_return, law) for name, rows in tracks.items()}
    returns_TN = np.column_stack([columns[f"trial {k}"] for k in range(law.num_trials)])
    padding = [columns[f"placebo {k}"] for k in range(law.num_placebos)]
    sharpes = np.array([sharpe_ratio(column) for column in returns_TN.T])
    best = int(np.nanargmax(sharpes))
    blocks = cscv(np.column_stack([returns_TN, *padding]), law.num_blocks)
    periods = panel.periods_per_year
    evidence = GateEvidence(
        net_return=returns_TN[:, best],
        bar_utc=panel.bar_utc[window.start_bar : window.stop_bar],
        periods_per_year=periods,
        num_trades=int(np.count_nonzero(np.diff(directions[window.start_bar : window.stop_bar, best]))),
        baselines={name: columns[name] for name in baselines},
        num_trials=law.num_trials,
        trial_sharpe_variance=float(np.nanvar(sharpes, ddof=1)) if law.num_trials > 1 else None,
        stressed=_whole(dearer[f"trial {best}"][0].net_return, law),
        stressed_baselines={name: _whole(dearer[name][0].net_return, law) for name in baselines},
        overfitting=blocks.probability_of_loss,
    )
    early = returns_TN[: law.num_bars // 4]
    return StudyOutcome(
        verdict=judge(gate, evidence),
        best_sharpe=float(sharpes[best] * math.sqrt(periods)),
        best_validation_sharpe=float(np.nanmax([sharpe_ratio(c, periods_per_year=periods) for c in early.T])),
        overfitting=blocks.probability_of_overfitting,
        probability_of_loss=blocks.probability_of_loss,
    )


def _whole(net_return: FloatArray, law: StudyLaw) -> FloatArray:
    return np.concatenate([net_return, np.zeros(law.num_bars - len(net_return))])


def _plain_market(synthetic: SyntheticMarket) -> Market:
    panel = synthetic.panel
    features = FeatureSet(
        asset=np.zeros((panel.num_bars, 1, 1), dtype=np.float32),
        clock=np.zeros((panel.num_bars, 1), dtype=np.float32),
        asset_names=("none",),
        clock_names=("none",),
        lookback_bars=0,
        feature_hash="none",
    )
    return Market.build(panel, features, dict.fromkeys(panel.symbols, CRYPTO_SPOT))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Rates over many studies of one law.

    Attributes
    ----------
    num_studies : studies run.
    gate_rate : share that the gate passed.
    naive_rate : share with a best validation Sharpe ratio of at least 1.
    sharpe_rate : share whose best trial has a Sharpe ratio of at least 1 over all bars.
    criteria_rates : criterion -> share of studies in which it held.
    mean_overfitting, mean_probability_of_loss : of CSCV.
    """

    num_studies: int
    gate_rate: float
    naive_rate: float
    sharpe_rate: float
    criteria_rates: dict[str, float]
    mean_overfitting: float
    mean_probability_of_loss: float


def calibrate(law: StudyLaw, seeds: Iterable[int], env: PortfolioEnvConfig, gate: GateConfig) -> Calibration:
    """Run a study per seed and count."""
    outcomes = [run_study(law, seed, env, gate) for seed in seeds]
    names = [c.name for c in outcomes[0].verdict.criteria if c.passed is not None]
    held = [{c.name: bool(c.passed) for c in outcome.verdict.criteria} for outcome in outcomes]
    return Calibration(
        num_studies=len(outcomes),
        gate_rate=float(np.mean([o.verdict.passed for o in outcomes])),
        naive_rate=float(np.mean([o.best_validation_sharpe >= 1.0 for o in outcomes])),
        sharpe_rate=float(np.mean([o.best_sharpe >= 1.0 for o in outcomes])),
        criteria_rates={name: float(np.mean([row[name] for row in held])) for name in names},
        mean_overfitting=float(np.mean([o.overfitting for o in outcomes])),
        mean_probability_of_loss=float(np.mean([o.probability_of_loss for o in outcomes])),
    )
