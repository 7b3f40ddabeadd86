"""Execution: was every fill decided before it was filled, and at a price that the bars had."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.schema import Panel
from evaluation.audit.findings import Check, Section
from evaluation.audit.recorded_run import RecordedRun, bars_of

EXECUTION = Section(name="execution")
ENTRIES = ("limit_entry", "stop_entry")
"""Reasons of fills of orders that rested at a level inside the bar."""
INSIDE = ("stop_loss", "profit_target", "trailing_stop", "liquidation", *ENTRIES)
"""Reasons of fills that happen at a level inside a bar; a signal fills at an open, the rest at an open or a close."""
TOLERANCE = 1e-9
"""Relative, of prices."""


def check_execution(run: RecordedRun, panel: Panel, latency_bars: int) -> list[Check]:
    """All checks of this section; `latency_bars` is that of the configuration."""
    fills = run.fills
    if fills.empty:
        return [EXECUTION.warns("fills", "nothing was ever filled")]
    decided, filled = (bars_of(fills[name], panel.bar_utc) for name in ("decided_utc", "filled_utc"))
    symbol = _columns(fills, panel)
    if min(decided.min(), filled.min(), symbol.min()) < 0:
        return [EXECUTION.fails("fills", "a fill names a bar or a symbol that the data do not have")]
    at_signal = (fills["reason"] == "signal").to_numpy()
    early = (filled <= decided) | (at_signal & (filled < decided + 1 + latency_bars))
    scored = bars_of(run.returns["bar_utc"], panel.bar_utc)
    outside = ~np.isin(filled, scored)
    wrong = _wrong_price(fills, panel, filled, symbol)
    traded = panel.tradable[filled, symbol] | (fills["reason"] != "signal").to_numpy()
    return [
        _every(
            fills,
            early,
            "decided before filled",
            f"all {len(fills):,} fills came after their decision, at least "
            f"{1 + latency_bars} bar(s) later on a signal",
            "came before they could",
        ),
        _every(fills, outside, "test windows", "every fill is on a scored bar", "are on bars not scored"),
        _every(
            fills,
            wrong,
            "prices",
            "signals filled at opens, exits at an open, a close or inside their bar",
            "are not at a price of their bar",
        ),
        _every(
            fills,
            ~traded,
            "tradable bars",
            "no signal was filled on a bar that could not be traded",
            "are on bars that could not be traded",
        ),
    ]


def _columns(fills: pd.DataFrame, panel: Panel) -> NDArray[np.int64]:
    names = {name: column for column, name in enumerate(panel.symbols)}
    return np.array([names.get(str(symbol), -1) for symbol in fills["symbol"]], dtype=np.int64)


def _wrong_price(
    fills: pd.DataFrame, panel: Panel, filled: NDArray[np.int64], symbol: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """(R,) True where a fill's reference price is none that its reason allows."""
    price = fills["price"].to_numpy(dtype=np.float64)
    mark = panel.last_close()[filled, symbol]
    opened, high, low = (getattr(panel, name)[filled, symbol] for name in ("open", "high", "low"))
    reason = fills["reason"].astype(str).to_numpy()

    def near(level: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.abs(price - level) <= TOLERANCE * np.abs(level)

    inside = (price >= low * (1.0 - TOLERANCE)) & (price <= high * (1.0 + TOLERANCE))
    right = np.where(
        reason == "signal", near(opened), np.where(np.isin(reason, INSIDE), inside, near(opened) | near(mark))
    )
    return ~right


def _every(fills: pd.DataFrame, wrong: NDArray[np.bool_], name: str, good: str, bad: str) -> Check:
    if not wrong.any():
        return EXECUTION.passes(name, good)
    first = fills.iloc[int(np.argmax(wrong))]
    return EXECUTION.fails(
        name,
        f"{int(wrong.sum())} of {len(fills):,} fills {bad}, first {first['symbol']} of fold {first['fold']}, decided "
        f"{first['decided_utc']:%Y-%m-%d %H:%M}, filled {first['filled_utc']:%Y-%m-%d %H:%M} at {first['price']:.8g} "
        f"({first['reason']})",
    )
