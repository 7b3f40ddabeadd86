"""Stress: the same policy and the same bars under other costs and later fills."""

from __future__ import annotations

from evaluation.scoring.rollout import Scenario

COST_FACTORS = (0.0, 2.0, 4.0)
EXTRA_LATENCY_BARS = (1, 2)
ENTRY_DELAY_BARS = 1


def cost_name(factor: float) -> str:
    """Name of the scenario in which all costs are multiplied by `factor`."""
    return f"costs x{factor:g}"


def stress_scenarios(gate_factor: float, scheme: str | None = None) -> list[Scenario]:
    """The scenarios that are run beside the configured one; none when the gate asks for no stress (factor 1).

    Parameters
    ----------
    gate_factor : multiple of costs at which the gate compares with the baselines; always among the scenarios.
    scheme : action scheme; entries can be told from exits, and held back, in `direction` only.
    """
    if gate_factor == 1.0:
        return []
    factors = sorted({*COST_FACTORS, gate_factor})
    costs = [Scenario(name=cost_name(factor), cost_factor=factor) for factor in factors]
    later = [
        Scenario(name=f"fills {bars} bar{'s' if bars > 1 else ''} later", extra_latency_bars=bars)
        for bars in EXTRA_LATENCY_BARS
    ]
    if scheme == "direction":
        later.append(
            Scenario(name=f"entries {ENTRY_DELAY_BARS} bar later", entry_delay_bars=ENTRY_DELAY_BARS)
        )
    return costs + later
