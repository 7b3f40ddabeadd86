"""A gate that enforces everything, and evidence that passes it."""

from __future__ import annotations

import numpy as np
from gate_settings import gate_config

from envs.checks.leaks import LeakReport
from evaluation.gate.verdict import CRITERIA, GateEvidence
from evaluation.scoring.charged_costs import ChargedCost
from policies.origin import UNSEEN

CONFIG = gate_config(*CRITERIA, min_trades=30, max_overfitting=0.05)
CLEAN = LeakReport(cut_bars=(5,), bars_compared=100, findings=())


def good_evidence() -> GateEvidence:
    random = np.random.default_rng(0)
    noise = random.normal(0.0, 0.01, size=1000)
    market = noise - noise.mean()
    return GateEvidence(
        net_return=market + 0.002,  # daily Sharpe 0.2, annual 3.2
        bar_utc=np.datetime64("2020-01-01", "ns") + np.arange(1000) * np.timedelta64(1, "D"),
        periods_per_year=252.0,
        num_trades=200,
        baselines={"flat": np.zeros(1000), "buy_and_hold": market + 0.0005},
        num_trials=20,
        trial_sharpe_variance=1e-3,
        stressed=market + 0.001,
        stressed_baselines={"flat": np.zeros(1000), "buy_and_hold": market + 0.0004},
        seeds={1: market + 0.001, 2: market + 0.002},
        overfitting=0.01,
        leak_check=CLEAN,
        cost_factor=1.0,
        charged=(ChargedCost(symbol="X", notional=1e6, cost=200.0, minimum_bps=1.0),),
        delay_losses=(),
        placebo_rate=0.0,
        num_placebos=20,
        exposure=np.full(1000, UNSEEN, dtype=np.int8),
    )
