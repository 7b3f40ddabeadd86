"""The gate's criteria: each measures one number of the evidence against one threshold and says so in a sentence.

The table is `CRITERIA`, at the end; the functions stand in `record_criteria`, `study_criteria`, `cost_criterion` and
`plausibility_criterion`, each with a sentence from `measured`. Which of them decide stands in conf/gate/default.yaml,
thresholds in `gate.config`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from evaluation.gate.config import GateConfig
from evaluation.gate.cost_criterion import costs_charged
from evaluation.gate.evidence import GateEvidence
from evaluation.gate.measured import Measured, measured, missing
from evaluation.gate.plausibility_criterion import plausibility
from evaluation.gate.record_criteria import (
    deflated,
    drawdown,
    lead_over_baselines,
    lead_under_stress,
    sharpe,
    track_record,
    trades,
)
from evaluation.gate.study_criteria import leak_check, overfitting, placebo_passes, unseen_bars, worst_seed
from evaluation.statistics.metrics import sharpe_ratio

__all__ = ["CRITERIA", "OF_A_RECORD", "UNSEEN_SYMBOLS", "Measured", "criteria_of", "measured", "missing"]

UNSEEN_SYMBOLS = "unseen_symbols"
"""The criterion of symbols held out of training: shown where there are some, or where it is demanded."""
OF_A_RECORD = (
    "unseen", "full_costs", "plausibility", "sharpe", "max_drawdown", "deflated_sharpe", "beats_baselines",
    "beats_baselines_stressed", "num_trades", "track_record",
)  # fmt: skip
"""Criteria that are asked of the record on such symbols as well, where they decide; the others are of the study."""


def _unseen_symbols(config: GateConfig, evidence: GateEvidence) -> Measured:
    """How many of the enforced criteria that a record alone decides fail on the symbols held out of training."""
    other = evidence.unseen_symbols
    if other is None:
        return missing(0.0, "<=", "The record on symbols held out of training (data.test_symbols)")
    names = [name for name in OF_A_RECORD if name in config.enforced or name == "unseen"]
    found = [CRITERIA[name][1](config, other) for name in names]
    failed = [one for one in found if not one.passed]
    value = sharpe_ratio(other.net_return, periods_per_year=other.periods_per_year)
    who = f"On {', '.join(other.symbols)}, held out of training,"
    shown = (
        "the annual Sharpe ratio is not defined"
        if math.isnan(value)
        else f"the annual Sharpe ratio is {value:.2f}"
    )
    if failed:
        first = failed[0].reason
        reason = (
            f"{who} {shown} and {len(failed)} of {len(found)} criteria fail: {first[0].lower()}{first[1:]}"
        )
    else:
        reason = f"{who} {shown} and all {len(found)} criteria that a record alone decides hold as well."
    return Measured(
        value=float(len(failed)), threshold=0.0, comparison="<=", passed=not failed, reason=reason
    )


Measure = Callable[[GateConfig, GateEvidence], Measured]
CRITERIA: Mapping[str, tuple[str, Measure]] = {
    "sharpe": ("Sharpe ratio, annual, net", sharpe),
    "max_drawdown": ("Maximum drawdown", drawdown),
    "deflated_sharpe": ("Deflated Sharpe ratio", deflated),
    "beats_baselines": ("Confidence in the lead over baselines", lead_over_baselines),
    "beats_baselines_stressed": ("Sharpe lead under higher costs", lead_under_stress),
    "num_trades": ("Closed trades", trades),
    "track_record": ("Track record, bars", track_record),
    "all_seeds_positive": ("Worst seed, net return", worst_seed),
    "overfitting": ("Overfitting: loss after selection", overfitting),
    "leak_check": ("Leak check", leak_check),
    "full_costs": ("Share of the least cost charged", costs_charged),
    "placebo": ("Passes on placebo markets", placebo_passes),
    "plausibility": ("Plausible: not too good, no input foreknown", plausibility),
    "unseen": ("Scored bars that the policy had seen", unseen_bars),
}
"""Name of each criterion -> its label and the function that measures it."""


def criteria_of(config: GateConfig, evidence: GateEvidence) -> Mapping[str, tuple[str, Measure]]:
    """`CRITERIA`, and that of symbols held out of training where there are some, or the gate demands it."""
    if evidence.unseen_symbols is None and not config.unseen_symbols:
        return CRITERIA
    return {**CRITERIA, UNSEEN_SYMBOLS: ("Criteria that fail on symbols held out", _unseen_symbols)}
