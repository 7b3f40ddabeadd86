"""The gate's thresholds in tests, which name what they judge by and what differs."""

from __future__ import annotations

from typing import Any

from evaluation.gate.config import GateConfig


def gate_config(*enforced: str, **changes: Any) -> GateConfig:
    """A gate that enforces these criteria."""
    thresholds = {
        "min_sharpe": 1.0, "max_drawdown": -0.2, "min_deflated_sharpe": 0.95, "min_trades": 10,
        "track_record_confidence": 0.95, "stress_cost_factor": 2.0, "max_overfitting": 0.2, "max_placebo_rate": 0.05,
        "min_cost_bps": None, "max_plausible_sharpe": 6.0,
    }  # fmt: skip
    return GateConfig(enforced=enforced, **thresholds | changes)
