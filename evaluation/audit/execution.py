"""Execution: was every fill decided before it was filled, and at a price that the bars had."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.schema import Panel
from data.traded_prices import ROLL, as_traded
from evaluation.audit.findings import Check, Section
from evaluation.audit.recorded_run import RecordedRun, bars_of

EXECUTION = Section(name="execution")
ENTRIES = ("limit_entry", "stop_entry")
"""Reasons of fills of orders that rested at a level inside the bar."""
INSIDE = ("stop_loss", "profit_target", "trailing_stop", "liquidation", *ENTRIES)
"""Reasons of fills that happen at a level inside a bar; a signal fills at an open, the rest at an open or a close."""
TOLERANCE = 1e-9
"""Relative, of prices."""
DUST = 1e-9
"""Share of the largest fill below which nothing is held."""


def check_execution(run: RecordedRun, panel: Panel, latency_bars: int) -> list[Check]:
    """All checks of this section; `latency_bars` is that of the configuration."""
    fills, panel = run.fills, as_traded(panel)
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
        *_rolls(run, panel, filled, symbol, scored),
    ]


def _rolls(
    run: RecordedRun,
    panel: Panel,
    filled: NDArray[np.int64],
    symbol: NDArray[np.int64],
    scored: NDArray[np.int64],
) -> list[Check]:
    """Was what was held of a contract closed at its open, and opened in the next, in each bar that begins one.

    Where it was not, the step between the two contracts passed for a return.
    """
    if ROLL not in panel.exogenous:
        return []
    fills, problems, rolled = run.fills, [], 0
    units, price = fills["units"].to_numpy(), fills["price"].to_numpy(dtype=np.float64)
    is_roll = (fills["reason"] == "roll").to_numpy()
    for fold in run.returns["fold"].unique():
        own = (fills["fold"] == fold).to_numpy()
        bars = scored[(run.returns["fold"] == fold).to_numpy()]
        for t, a in np.argwhere(np.isfinite(panel.exogenous[ROLL][bars])):
            bar, of_asset = bars[t], own & (symbol == a)
            held = float(units[of_asset & (filled < bar)].sum())
            made = np.flatnonzero(of_asset & (filled == bar) & is_roll)
            is_held = abs(held) > DUST * float(np.abs(units[of_asset]).max(initial=1.0))
            rolled += is_held
            levels = (panel.exogenous[ROLL][bar, a], panel.open[bar, a])
            right = [(-held, levels[0]), (held, levels[1])] if is_held else []
            found = sorted(zip(units[made], price[made]), key=lambda fill: fill[0] * np.sign(held))
            if len(found) != len(right) or not np.allclose(found, right, rtol=1e-9, atol=DUST):
                problems.append(f"{panel.symbols[a]} of fold {fold} at {panel.bar_utc[bar]}")
    return [
        EXECUTION.judges(
            "rolls",
            not problems,
            f"each of {rolled:,} positions that met a roll was closed in the old contract and opened in the next",
            f"{len(problems)} positions were not rolled as the contracts were, first {problems[0] if problems else ''}",
        )
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

    inside = (price >= low - TOLERANCE * np.abs(low)) & (price <= high + TOLERANCE * np.abs(high))
    left_at = panel.exogenous.get(ROLL)
    old = opened if left_at is None else np.nan_to_num(left_at[filled, symbol], nan=np.inf)
    rolled = near(opened) | (np.isfinite(old) & near(np.where(np.isfinite(old), old, 0.0)))
    right = np.where(
        reason == "signal", near(opened), np.where(np.isin(reason, INSIDE), inside, near(opened) | near(mark))
    )
    right = np.where(reason == "roll", rolled, right)
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
