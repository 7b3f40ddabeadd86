"""At which prices the rows of a lake are read: as written, or with the splits and dividends that the lake knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from data.dividends import DIVIDEND
from data.errors import DataError
from data.lake import Lake, bar_seconds_of
from data.lake.actions import KnownActions, read_actions
from data.schema import utc_instant
from data.sources.cash_dividends import with_cash_dividends
from data.sources.corporate_actions import unbooked_remark, with_total_return

if TYPE_CHECKING:
    from data.sources.lake import LakeConfig


def priced(
    lake: Lake, config: LakeConfig, symbol: str, rows: pd.DataFrame, calendar: str
) -> tuple[pd.DataFrame, list[str]]:
    """Rows at the prices that are asked for, and what is to be told of splits and dividends."""
    if not len(rows):
        return rows, []
    as_of = None if config.as_of is None else int(utc_instant(config.as_of).astype(np.int64))
    asked = (config.actions_from,) if config.actions_from else config.sources
    answers = (read_actions(lake.files, source, symbol, as_of) for source in asked)
    actions = next((answer for answer in answers if answer is not None), None)
    seconds = bar_seconds_of(config.bar)
    held = config.prices == "total_return" or config.adjustment == "all"
    said: list[str] = []
    if held and DIVIDEND in rows:
        rows = rows.drop(columns=DIVIDEND)
        said = [f"{symbol}: its column {DIVIDEND!r} is left out, for its prices hold dividends"]
    if config.prices != "as_written":
        if actions is None:
            raise DataError(
                f"data.prices={config.prices} needs splits and dividends, and the lake {lake} has none of {symbol} "
                f"from {' or '.join(asked)}; bring them: python -m rayjobs.ingest source={asked[0]} "
                f"'symbols=[{symbol}]' start={rows.index[0]:%Y-%m-%d} actions=true (data.actions_from names "
                "another source)."
            )
        if config.prices == "cash_dividends":
            return _in_cash(config, symbol, rows, actions, calendar)
        grown, told = with_total_return(
            symbol, rows, actions, calendar=calendar, bar_seconds=seconds, currency=config.currency
        )
        return grown, [*said, *told]
    if actions is None or held:
        return rows, said
    if config.adjustment == "raw":
        said = unbooked_remark(symbol, rows, actions, calendar=calendar, bar_seconds=seconds)
    if DIVIDEND in rows:
        return rows, said
    try:
        rows, told = _in_cash(config, symbol, rows, actions, calendar)
    except DataError as cause:
        told = [f"{symbol}: its dividends are not paid, for {cause}"]
    return rows, [*said, *told]


def _in_cash(
    config: LakeConfig, symbol: str, rows: pd.DataFrame, actions: KnownActions, calendar: str
) -> tuple[pd.DataFrame, list[str]]:
    """Rows with the column `dividend`, see `data.sources.cash_dividends`."""
    return with_cash_dividends(
        symbol,
        rows,
        actions,
        calendar=calendar,
        bar_seconds=bar_seconds_of(config.bar),
        currency=config.currency,
        adjusted_for_splits=config.adjustment == "splits",
        grow=config.prices == "cash_dividends",
    )


def paid_by_all(bars: Mapping[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """The rows of all symbols with dividends, or of all without: unknown ones cannot be paid."""
    without = [symbol for symbol, rows in bars.items() if DIVIDEND not in rows]
    if not without or len(without) == len(bars):
        return dict(bars), []
    kept = {symbol: rows.drop(columns=DIVIDEND, errors="ignore") for symbol, rows in bars.items()}
    return kept, [
        f"no dividend is paid, for those of {', '.join(without[:5])}{' and more' if len(without) > 5 else ''} are not "
        "known; bring them (python -m rayjobs.ingest actions=true)"
    ]
