"""How often the gate is right: whole studies on markets whose truth is known, judged as real ones are.

A study is a market, `num_trials` cheap policies in place of trained ones, and the search's choice of the best of them.
On a noise market no policy has skill; on a planted one every trial follows a visible sign that predicts the next
return, some more faithfully than others. Everything runs through the simulator, with costs.

The market is judged as a real one that never closes: it is not exempt from plausibility as drawn from a law, and
must be charged the least cost of crypto. Fills, turnover-matched placebos, baselines, stress and the delay by one bar
come from `evaluation.scoring.fold_scoring.score_fold`; looks are clustered, counted and deflated for as a job's are. By
construction clean are what a policy had seen (the trials are schedules, which are fitted on nothing) and the leak
check (there are no features to compare).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from data.features.compute import FeatureSet
from data.schema import Panel
from data.synthetic import NoiseConfig, PlantedSignalConfig, SyntheticConfig, SyntheticMarket, make_market
from envs.checks.leaks import LeakReport
from envs.config import PortfolioEnvConfig
from envs.episodes import Window
from envs.instruments import CRYPTO_SPOT, MINIMUM_COST_BPS
from envs.market import Market
from evaluation.gate.config import GateConfig
from evaluation.gate.evidence import GateEvidence, SupportingEvidence
from evaluation.gate.plausibility import delay_losses
from evaluation.gate.search_evidence import MIN_COLUMNS, padded_overfitting
from evaluation.gate.verdict import Verdict, judge
from evaluation.ledger.looks import Counted, count_looks
from evaluation.ledger.records import Look, Record, record_hashes
from evaluation.ledger.return_sketch import Sketch
from evaluation.scoring.charged_costs import charged_costs
from evaluation.scoring.fold_scoring import ScoringConfig, score_fold
from evaluation.scoring.rollout import run_schedules
from evaluation.scoring.walk_forward import FoldResult, WalkForwardResult, window_return
from evaluation.statistics.metrics import sharpe_ratio
from evaluation.statistics.overfitting import CscvResult
from evaluation.windows.splits import Fold
from policies.baselines import Schedule
from policies.origin import UNSEEN

FloatArray = NDArray[np.float64]
DAY_SECONDS = 86_400
FLIP_PROBABILITY = 0.05
FIRST_BAR = 50
"""First scored bar."""


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
    """

    num_bars: int
    num_trials: int
    annual_sharpe: float
    least_faithful: float = 0.6

    def market(self, seed: int) -> SyntheticMarket:
        """The seeded market: one asset with 1 % volatility a day."""
        common = {
            "seed": seed,
            "num_bars": self.num_bars + FIRST_BAR + 10,
            "num_assets": 1,
            "bar_seconds": DAY_SECONDS,
            "start_utc": "2010-01-01",
            "volatility": 0.01,
            "noise_features": 1,
            "cost_bps": MINIMUM_COST_BPS["crypto_spot"],
        }
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


def run_study(
    law: StudyLaw, seed: int, env: PortfolioEnvConfig, gate: GateConfig, scoring: ScoringConfig
) -> StudyOutcome:
    """Draw a market and its trials from the seed, score all of them, pick the best, and ask the gate.

    Parameters
    ----------
    env : charges its costs. scoring : baselines, placebos and stress beside the best trial.
    """
    synthetic = law.market(seed)
    panel, market = synthetic.panel, _plain_market(synthetic)
    fold = Fold(index=0, train=slice(0, FIRST_BAR - 1), test=slice(FIRST_BAR, FIRST_BAR + law.num_bars))
    directions = trial_directions(law, synthetic, np.random.default_rng([seed, 20]))
    trials = [Schedule(target_TA=directions[:, [k]]) for k in range(law.num_trials)]
    window = Window(start_bar=fold.test.start, stop_bar=fold.test.stop)
    tracks = run_schedules({f"{k}": trial for k, trial in enumerate(trials)}, market, env, [window])
    returns_TN = np.column_stack([window_return(tracks[f"{k}"][0], fold.test) for k in range(law.num_trials)])
    sharpes = np.array([sharpe_ratio(column) for column in returns_TN.T])
    best = int(np.nanargmax(sharpes))
    chosen = score_fold(
        fold,
        trials[best],
        panel,
        market,
        env,
        scoring,
        seed=seed,
        find_exposures=tuple,
        least_cost_bps=_least_costs(gate, panel),
    )
    counted = _counted(returns_TN, best, panel, fold)
    blocks = _overfitting(counted, chosen)
    periods = panel.periods_per_year
    early = returns_TN[: law.num_bars // 4]
    return StudyOutcome(
        verdict=judge(gate, _evidence(gate, panel, chosen, counted, blocks)),
        best_sharpe=float(sharpes[best] * math.sqrt(periods)),
        best_validation_sharpe=float(np.nanmax([sharpe_ratio(c, periods_per_year=periods) for c in early.T])),
        overfitting=blocks.probability_of_overfitting,
        probability_of_loss=blocks.probability_of_loss,
    )


def _least_costs(gate: GateConfig, panel: Panel) -> dict[str, float]:
    asked = gate.min_cost_bps
    return dict.fromkeys(panel.symbols, MINIMUM_COST_BPS["crypto_spot"] if asked is None else asked)


def _counted(returns_TN: FloatArray, best: int, panel: Panel, fold: Fold) -> Counted:
    """The trials as looks of a ledger, counted at the scored bars."""
    bars = panel.bar_utc[fold.test]
    records = [Record.of(column, bars, panel.bar_seconds) for column in returns_TN.T]
    looks, sketches = [], {}
    for number, record in enumerate(records):
        returns, instants = record_hashes(record)
        sketch = Sketch.of(record)
        assert sketch is not None
        sketches[returns] = sketch
        looks.append(
            Look(
                number=number + 1,
                kind="sweep trial" if len(records) > 1 else "training",
                study="calibration",
                data_fingerprint=panel.fingerprint,
                runs=(),
                coverages=(),
                status="finished",
                sharpe=sharpe_ratio(record.net_return),
                num_bars=len(bars),
                bar_seconds=panel.bar_seconds,
                returns=returns,
                instants=instants,
                sketch=returns,
            )
        )
    by_hash = {look.returns: record.net_return for look, record in zip(looks, records)}
    return count_looks(
        looks,
        records[best],
        sketches,
        lambda names: {name: by_hash[name] for name in names},
        own_instants=looks[best].instants,
        own_returns=looks[best].returns,
    )


def _overfitting(counted: Counted, chosen: FoldResult) -> CscvResult:
    """CSCV over the looks, padded as a job's where there are few."""
    missing = max(MIN_COLUMNS - counted.rivals_TN.shape[1], 0)
    assert chosen.placebo_return is not None
    blocks = padded_overfitting(counted.rivals_TN, chosen.placebo_return[:, :missing])
    assert blocks is not None
    return blocks


def _evidence(
    gate: GateConfig, panel: Panel, chosen: FoldResult, counted: Counted, blocks: CscvResult
) -> GateEvidence:
    unseen = np.full(chosen.fold.test.stop - chosen.fold.test.start, UNSEEN, dtype=np.int8)
    result = WalkForwardResult(panel=panel, folds=(replace(chosen, exposure=unseen),))
    supporting = SupportingEvidence(
        **counted.looks.for_gate(),
        seeds={chosen.seed: result.net_return},
        overfitting=blocks.probability_of_loss,
        overfitting_published=blocks.probability_of_overfitting,
        leak_check=LeakReport(cut_bars=(), bars_compared=0, findings=()),
        charged=charged_costs(
            [chosen.recording],
            panel.symbols,
            dict.fromkeys(panel.symbols, CRYPTO_SPOT.multiplier),
            _least_costs(gate, panel),
        ),
        delay_losses=delay_losses(result),
    )
    return GateEvidence.of(result, supporting)


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


def calibrate(
    law: StudyLaw, seeds: Iterable[int], env: PortfolioEnvConfig, gate: GateConfig, scoring: ScoringConfig
) -> Calibration:
    """Run a study per seed and count."""
    outcomes = [run_study(law, seed, env, gate, scoring) for seed in seeds]
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
