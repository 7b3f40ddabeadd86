"""What of a policy's run no order of this loop stands for at a venue, and so is refused there in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.futures.contract_series import ContractSeries, by_symbol
from data.schema import Panel
from data.traded_prices import ROLL
from envs.config import PortfolioEnvConfig
from envs.live.broker import BrokerError
from envs.live.roll_rules import REFUSED, RollRules


def refuse_rolls(
    panel: Panel, rules: RollRules = REFUSED, series: Sequence[ContractSeries] | None = None
) -> None:
    """Refuse series of joined contracts where the rules say so, or where nobody says which contracts they are.

    series : the dated contracts behind the bars; None where that is not to be looked at.

    Raises
    ------
    BrokerError
        With the key.
    """
    rolls = panel.exogenous.get(ROLL)
    if rolls is None:
        return
    if rules.roll == "refuse":
        raise BrokerError(
            "the bars are contracts that data.futures.roll joins, and broker.roll is refuse; set "
            "broker.roll=close_open to close each contract and open the next at the venue, or trade them with "
            "broker=paper or broker=replay"
        )
    if rules.roll == "spread":
        raise BrokerError(
            "broker.roll is spread, and no broker here sends two contracts as one order; set broker.roll=close_open, "
            "which closes the old contract and then opens the next"
        )
    if series is None:
        return
    known = by_symbol(series)
    rolled = [bool(np.isfinite(rolls[:, a]).any()) for a in range(len(panel.symbols))]
    unnamed = [
        symbol for symbol, does in zip(panel.symbols, rolled) if (does or not known) and symbol not in known
    ]
    if unnamed:
        raise BrokerError(
            f"the bars of {', '.join(unnamed)} roll, and their source does not say from which contract into which; "
            "give the dated contracts and data.futures.roll (data=lake or data=files), or trade with broker=paper"
        )


def refuse_unsendable(config: PortfolioEnvConfig, *, resting: bool) -> None:
    """Refuse a configuration whose exits the simulator makes inside of a bar and no order stands for.

    resting : the venue takes stops and limits, so that barriers can rest there.

    Raises
    ------
    BrokerError
        With the key.
    """
    inside = {
        "env.barriers": config.barriers is not None and config.barriers.has_levels and not resting,
        "risk.flat_at_session_end=last_close": config.risk.flat_at_session_end == "last_close",
        "risk.margin": config.risk.margin,
        "env.action.scheme=order_entry": config.action.scheme == "order_entry",
    }
    for key, used in inside.items():
        if used:
            raise BrokerError(
                f"the policy's run has {key}: the simulator then trades inside of a bar, and no order of this loop "
                "does so at a venue; trade it with broker=paper or broker=replay"
            )
