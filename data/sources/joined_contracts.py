"""From rows of symbols to a panel, dated contracts joined on the way where a source is asked to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from data.alignment import AlignedBars, align
from data.array_types import TimeArray
from data.calendars import minute
from data.errors import DataError
from data.futures.chains import may_be_nonpositive
from data.futures.continuous import join_all
from data.futures.roll_decisions import FuturesConfig
from data.last_known import carried
from data.schema import Panel
from data.sources.recorded import RecordedBars
from data.traded_prices import OFFSET, SCALE


def aligned_bars(
    bars: Mapping[str, pd.DataFrame],
    config: RecordedBars,
    futures: FuturesConfig | None,
    *,
    calendar: str,
    bar_seconds: int,
) -> AlignedBars:
    """Align the rows of a source's symbols, or of the roots whose contracts they are.

    Raises
    ------
    DataError
        As `data.alignment.align` and `data.futures.continuous.join_all`.
    """
    stated = config.allow_nonpositive_prices
    if futures is None or not futures.joins:
        return align(
            bars,
            calendar=calendar,
            bar_seconds=bar_seconds,
            start_utc=config.start_utc,
            stop_utc=config.stop_utc,
            repairs=config.repair,
            nonpositive=may_be_nonpositive(list(bars), stated),
        )
    joined = join_all(
        bars,
        config.symbols,
        futures,
        calendar=calendar,
        bar_seconds=bar_seconds,
        repairs=config.repair,
        nonpositive=stated,
    )
    # Prices that features see may fall to zero and below although no contract did: what is taken off adds up.
    below = {*may_be_nonpositive(list(joined.rows), stated), *joined.rolls}
    aligned = align(
        joined.rows,
        calendar=calendar,
        bar_seconds=bar_seconds,
        start_utc=config.start_utc,
        stop_utc=config.stop_utc,
        repairs=config.repair,
        nonpositive=below,
    )
    panel = carried_terms(aligned.panel)
    require_rolls(panel, joined.rolls)
    remarks = [*joined.remarks, *_below_zero(aligned, joined.rolls)]
    hygiene = replace(
        aligned.hygiene,
        remarks=(*remarks, *aligned.hygiene.remarks),
        contracts=tuple(joined.series.values()),
    )
    return AlignedBars(panel, hygiene)


def refuse_total_return(prices: str, futures: FuturesConfig | None) -> None:
    """Raise DataError where stocks' total returns and joined contracts are asked for at once."""
    if prices != "as_written" and futures is not None and futures.joins:
        raise DataError(
            "data.prices=total_return grows stocks by their dividends, and data.futures.roll.rule joins contracts, "
            "which pay none; read them as two sources, or set one of the two to as_written or null."
        )


def _below_zero(aligned: AlignedBars, roots: Mapping[str, object]) -> list[str]:
    """What is to be told of adjusted prices that have no logarithm."""
    told = []
    for root in roots:
        count = int((aligned.panel.low[:, aligned.panel.symbols.index(root)] <= 0.0).sum())
        if count:
            told.append(
                f"{root}: the prices that features see are zero or below in {count:,} bars, in which nothing is known "
                "to them; data.futures.roll.adjust=ratio keeps them positive as long as the contracts are"
            )
    return told


def carried_terms(panel: Panel) -> Panel:
    """The panel with scale and offset of each bar known in bars that are missing as well."""
    names = [name for name in (OFFSET, SCALE) if name in panel.exogenous]
    if not names:
        return panel
    columns = {name: carried(panel.exogenous[name]) for name in names}
    return replace(panel, exogenous={**panel.exogenous, **columns}).with_ends(panel.end_bar)


def require_rolls(panel: Panel, rolls: Mapping[str, TimeArray]) -> None:
    """Refuse a panel in which the bar of a roll is not there, or cannot be traded: nothing would book the step.

    Raises
    ------
    DataError
        If hygiene or a repair took such a bar out.
    """
    for root, labels in rolls.items():
        a = panel.symbols.index(root)
        within = labels[(labels >= panel.bar_utc[0]) & (labels <= panel.bar_utc[-1])]
        at = np.searchsorted(panel.bar_utc, within)
        kept = (panel.bar_utc[np.minimum(at, panel.num_bars - 1)] == within) & panel.tradable[
            np.minimum(at, panel.num_bars - 1), a
        ]
        if not kept.all():
            lost = within[int(np.argmin(kept))]
            raise DataError(
                f"{root} is rolled in the bar of {minute(lost)}, which the calendar does not have or a repair took "
                "out, so that the step to the next contract would pass for a return; check data.calendar and "
                "data.repair."
            )
