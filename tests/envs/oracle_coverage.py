"""Counts what the comparisons of kernel and oracle have been through: config choices drawn, fills made, costs paid."""

from __future__ import annotations

from collections import Counter
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np

from envs.actions import ACTION_SCHEMES, ActionConfig
from envs.barriers import BarrierConfig
from envs.costs import COST_NAMES, CostConfig
from envs.kernel import columns as c
from envs.rewards import REWARD_TERMS
from envs.risk import RiskConfig
from envs.sizing import SizingConfig

SECTIONS = {
    "action": ActionConfig,
    "sizing": SizingConfig,
    "costs": CostConfig,
    "barriers": BarrierConfig,
    "risk": RiskConfig,
}
SWITCHES = {
    "costs": ("half_spread_bps", "fee_bps", "impact_coefficient", "linear_impact_bps", "max_participation",
              "latency_bars", "borrow", "funding"),
    "sizing": ("risk_budget", "max_units"),
    "barriers": ("profit_target", "stop_loss", "trailing_stop", "time_limit_bars"),
    "risk": ("max_position_exposure", "margin", "max_daily_loss", "max_drawdown", "max_var",
             "max_entries_per_session", "min_holding_bars", "no_trade_open_bars", "no_trade_close_bars",
             "max_position_units", "max_position_notional", "max_gross_notional", "max_daily_loss_amount",
             "max_drawdown_amount", "max_entries_per_symbol", "max_sector_exposure", "max_sector_net_exposure",
             "max_concentration", "target_volatility"),
    "action": ("allow_short", "rebalance_band"),
    "episode": ("warmup_bars", "liquidate_at_end"),
    "observation": ("equity_ratio", "initial_capital_ratio", "utilisation"),
}  # fmt: skip
"""Fields that are on or off (None, False or 0 is off)."""


def choices() -> dict[str, tuple[str, ...]]:
    """Section and field -> members, of every field of the env's config that is a choice between words."""
    found = {"action.scheme": tuple(ACTION_SCHEMES)}
    for section, kind in SECTIONS.items():
        for name, hint in get_type_hints(kind).items():
            if get_origin(hint) is Literal:
                found[f"{section}.{name}"] = get_args(hint)
    return found


def single() -> set[str]:
    """Every member, switch, reward term, reason of a fill and part of the costs."""
    members = choices()
    keys = {f"{field}={member}" for field, names in members.items() for member in names}
    keys |= {
        f"{s}.{name} {state}" for s, names in SWITCHES.items() for name in names for state in ("on", "off")
    }
    keys |= {f"reward.{term}" for term in REWARD_TERMS}
    keys |= {f"filled by {reason}" for reason in c.REASON_NAMES}
    return keys | {f"paid {name}" for name in COST_NAMES}


def pairs() -> set[str]:
    """Every action scheme with every size rule, and every kind of level in every unit."""
    members = choices()
    keys = {
        f"{scheme} with {rule}"
        for scheme in members["action.scheme"]
        for rule in members["sizing.rule"]
        if scheme != "weights"  # weights are their own size
    }
    return keys | {
        f"{unit} {level}" for unit in members["barriers.unit"] for level in SWITCHES["barriers"][:3]
    }


def drawn(config) -> Counter:
    """What one config asks for."""
    seen: Counter = Counter()
    for field in choices():
        section, name = field.split(".")
        if getattr(config, section) is not None:
            seen[f"{field}={getattr(getattr(config, section), name)}"] += 1
    for section, names in SWITCHES.items():
        part = getattr(config, section)
        for name in names:
            seen[f"{section}.{name} {'on' if part is not None and getattr(part, name) else 'off'}"] += 1
    seen[f"{config.action.scheme} with {config.sizing.rule}"] += 1
    if config.barriers is not None:
        for level in SWITCHES["barriers"][:3]:
            seen[f"{config.barriers.unit} {level}"] += getattr(config.barriers, level) is not None
    for term in REWARD_TERMS:
        seen[f"reward.{term}"] += getattr(config.reward, term) > 0.0
    return seen


def happened(env, recorded_reasons) -> Counter:
    """What one bar of the kernel did: fills by reason, costs by part."""
    seen: Counter = Counter(f"filled by {reason}" for reason in recorded_reasons)
    paid = np.abs(env.rows.flow[0, c.COMMISSION : c.DIVIDEND_PAID + 1])
    seen.update(f"paid {name}" for name, amount in zip(COST_NAMES, paid, strict=True) if amount > 0.0)
    return seen
