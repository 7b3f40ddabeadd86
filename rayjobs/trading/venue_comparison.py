"""A venue's fills against the simulator's prediction of the same orders, by day: slippage, fees, delay, share filled.

Basis points of notional at the simulator's price, the open of the bar; positive is worse for the account. The legs of
rolls are left out: one of them is of a contract whose open the bar does not tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from data.schema import Panel
from data.traded_prices import traded_prices
from envs.live.contract_rolls import leg_of
from envs.live.paper import BookedFill
from envs.live.simulated_twin import PredictedFill

COLUMNS = (
    "date", "predicted_notional", "filled_notional", "filled_share", "num_executions", "slippage_bps",
    "predicted_slippage_bps", "fee_bps", "predicted_fee_bps", "delay_s",
)  # fmt: skip


def comparison_table(
    predicted: Sequence[PredictedFill],
    booked: Sequence[tuple[BookedFill, int]],
    panel: Panel,
    multipliers: Mapping[int, float],
) -> pd.DataFrame:
    """A row per session; slippage of the prediction is its spread, slippage and impact together.

    Parameters
    ----------
    booked : executions, each with the bar at whose close it was in the books. multipliers : asset -> point value.

    Returns
    -------
    Columns `COLUMNS`: notionals in account currency; `delay_s` is the mean time from the decision to the execution, of
    orders of ours, weighted by notional (the simulator's is 0: the next open); NaN where nothing was filled, or nothing
    predicted.
    """
    ours = pd.DataFrame(
        [_executed(fill, bar, panel, multipliers) for fill, bar in booked if not leg_of(fill.client_order_id)]
    )
    theirs = pd.DataFrame([_predicted(fill, panel, multipliers) for fill in predicted])
    rows = []
    for date in sorted({*(_dates(ours)), *(_dates(theirs))}):
        mine, said = _of(ours, date), _of(theirs, date)
        notional, expected = _sum(mine, "notional"), _sum(said, "notional")
        rows.append(
            {
                "date": date,
                "predicted_notional": expected,
                "filled_notional": notional,
                "filled_share": _ratio(notional, expected),
                "num_executions": len(mine),
                "slippage_bps": 1e4 * _ratio(_sum(mine, "slippage"), notional),
                "predicted_slippage_bps": 1e4 * _ratio(_sum(said, "slippage"), expected),
                "fee_bps": 1e4 * _ratio(_sum(mine, "fee"), notional),
                "predicted_fee_bps": 1e4 * _ratio(_sum(said, "fee"), expected),
                "delay_s": _ratio(_sum(mine, "delay"), _sum(mine, "ordered")),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _executed(fill: BookedFill, bar: int, panel: Panel, multipliers: Mapping[int, float]) -> dict[str, float]:
    point, reference = multipliers[fill.asset], float(traded_prices(panel)["open"][bar, fill.asset])
    notional = abs(fill.units) * reference * point
    delay_s = _delay_s(fill)
    return {
        "date": panel.session[bar],
        "notional": notional,
        "slippage": fill.units * (fill.price - reference) * point,
        "fee": fill.commission if fill.commission_known else np.nan,
        "ordered": 0.0 if delay_s is None else notional,
        "delay": 0.0 if delay_s is None else notional * delay_s,
    }


def _delay_s(fill: BookedFill) -> float | None:
    """Seconds from the decision that the order's name tells; None where it is no order of ours."""
    parts = (fill.client_order_id or "").split("/")
    if len(parts) != 4:
        return None
    decided = datetime.strptime(parts[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return (fill.filled_utc - decided).total_seconds()


def _predicted(fill: PredictedFill, panel: Panel, multipliers: Mapping[int, float]) -> dict[str, float]:
    return {
        "date": panel.session[fill.bar],
        "notional": abs(fill.units) * fill.price * multipliers[fill.asset],
        "slippage": fill.spread + fill.slippage + fill.impact,
        "fee": fill.commission,
    }


def _dates(table: pd.DataFrame) -> list[np.datetime64]:
    return [] if table.empty else list(table["date"].to_numpy().astype("datetime64[D]"))


def _of(table: pd.DataFrame, date: np.datetime64) -> pd.DataFrame:
    return table if table.empty else table[table["date"].to_numpy().astype("datetime64[D]") == date]


def _sum(table: pd.DataFrame, name: str) -> float:
    return 0.0 if table.empty else float(table[name].sum(skipna=False))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0.0 else float("nan")
