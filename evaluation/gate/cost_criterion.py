"""The criterion of costs: that trades were charged what they must cost, and shorts what they owe."""

from __future__ import annotations

from evaluation.gate.config import GateConfig
from evaluation.gate.evidence import GateEvidence
from evaluation.gate.measured import Measured, missing
from evaluation.scoring.charged_costs import ChargedCost, in_total
from evaluation.scoring.short_dividends import ShortDividends


def costs_charged(config: GateConfig, evidence: GateEvidence) -> Measured:
    """The share that was charged of what trades must cost at least, of the symbol where it is least."""
    factor, charged = evidence.cost_factor, evidence.charged
    if factor is None or charged is None:
        return missing(1.0, ">=", "The share of costs charged")
    total = in_total(charged)
    least = min([total, *charged], key=lambda one: one.share)
    value = min(factor, least.share)
    if factor < 1.0:
        reason = f"The multiple of the configured costs charged is {factor:.2f}; at least 1.00 is required."
    elif not total.notional > 0.0:
        reason = f"Nothing was traded, so that no cost was due (all costs x{factor:g})."
    elif evidence.short_dividends is not None and evidence.short_dividends.lives_on_rare_shorts:
        value, reason = 0.0, _rare_shorts_sentence(evidence.short_dividends)
    else:
        reason = _charge_sentence(total, least, by_kind=config.min_cost_bps is None)
    return Measured(value=value, threshold=1.0, comparison=">=", passed=value >= 1.0, reason=reason)


def _rare_shorts_sentence(unknown: ShortDividends) -> str:
    return (
        f"Shorts of {unknown.names} that were held over few nights of a quarter gained "
        f"{unknown.rare_gain / unknown.gain:.0%} of the gain between a close and the next open, and the data do not "
        "know the dividends that shorts owe on the morning of an ex-date: give a column dividend, or "
        "data.prices=total_return."
    )


def _charge_sentence(total: ChargedCost, least: ChargedCost, *, by_kind: bool) -> str:
    whose = "" if by_kind else " by gate.min_cost_bps"
    short = least.share < 1.0
    place = f" on {least.symbol}" if short and least is not total else ""
    shown = least if place else total
    reason = (
        f"The cost charged{place} is {shown.bps:.2f} bps of the notional traded; "
        f"at least {shown.minimum_bps:.2f} bps is required{whose}"
    )
    if place:
        reason += f" ({total.bps:.2f} bps over all symbols, where {total.minimum_bps:.2f} is)"
    return reason + (": charge fee, spread and slippage of a market order there." if short else ".")
