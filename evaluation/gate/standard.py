"""How a gate differs from the one that Rayfold ships: an approval under lowered criteria says so in its headline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from evaluation.gate.config import GateConfig

STRICTER: Mapping[str, int] = {
    "min_sharpe": 1,
    "max_drawdown": 1,
    "min_deflated_sharpe": 1,
    "min_trades": 1,
    "track_record_confidence": 1,
    "min_lead_confidence": 1,
    "stress_cost_factor": 1,
    "max_overfitting": -1,
    "max_placebo_rate": -1,
    "min_cost_bps": 1,
    "max_plausible_sharpe": -1,
    "unseen_symbols": 1,
    "assumed_dividend_yield": 1,
}
"""Threshold -> whether a larger value (1) or a smaller one (-1) is stricter; a drawdown is negative."""


def lowered_thresholds(config: GateConfig, standard: GateConfig) -> tuple[str, ...]:
    """What a gate demands less of than the standard one, a phrase each; empty when it is as strict or stricter."""
    found = [f"{name} is not enforced" for name in standard.enforced if name not in config.enforced]
    for field in fields(GateConfig):
        if field.name not in STRICTER:
            continue
        ours, theirs = getattr(config, field.name), getattr(standard, field.name)
        if theirs is None:  # by the instrument's kind: any one number is lower for some
            found += [] if ours is None else [f"{field.name} is {ours:g} instead of the kind's own"]
        elif ours is None or STRICTER[field.name] * (ours - theirs) < 0.0:
            found.append(f"{field.name} is {ours:g} instead of {theirs:g}")
    return tuple(found)
