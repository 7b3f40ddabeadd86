"""Splits and dividends of the symbols of an ingest, asked within the same budget of calls as bars."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from data.errors import one_line
from data.lake import Lake
from data.lake.actions import read_actions, write_actions
from data.vendors.definition import AnswerRefused, MalformedAnswer, Vendor
from data.vendors.reference import CorporateActions
from rayjobs.config.typed_config import ConfigError
from rayjobs.ingest.asking import Asking, GivenUp
from rayjobs.ingest.keys import without_keys
from rayjobs.ingest.pacing import Pacing
from rayjobs.ingest.settings import IngestSettings

LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class ActionsTally:
    """What was brought.

    Attributes
    ----------
    asked : symbols that were asked about. splits, dividends : found of them.
    left : symbol -> why it is not there.
    """

    asked: int = 0
    splits: int = 0
    dividends: int = 0
    left: dict[str, str] = field(default_factory=dict)


def bring_actions(
    settings: IngestSettings,
    lake: Lake,
    vendors: Mapping[str, Vendor],
    pacings: Mapping[str, Pacing],
    symbols: Sequence[str],
    *,
    today: date,
    sleep: Callable[[float], None] = time.sleep,
) -> ActionsTally:
    """Ask for splits and dividends from the day of the start to today; what was asked about today is not asked again.

    The first source that has them answers; the next is asked where it refuses.

    Raises
    ------
    ConfigError
        If no source of the run has splits and dividends.
    data.vendors.definition.KeyRefused
        If a vendor refuses its key.
    data.lake.files.LakeError
        If the lake cannot be written to.
    """
    able = {name: vendor for name, vendor in vendors.items() if isinstance(vendor, CorporateActions)}
    if not able:
        raise ConfigError(
            f"actions: none of {', '.join(vendors)} has splits and dividends; leave actions=true out, or add a source "
            "that has them (docs/vendors.md)"
        )
    first = settings.require_request().date()
    tally = ActionsTally()
    for symbol in symbols:
        if any(_is_there(lake, name, symbol, first, today) for name in able):
            continue
        tally.asked += 1
        for name, vendor in able.items():
            asking = Asking(settings.pacing, pacings[name], sleep)
            try:
                splits = asking.ask(lambda v=vendor, s=symbol: v.splits(s, first, today))  # type: ignore[misc]
                dividends = asking.ask(lambda v=vendor, s=symbol: v.dividends(s, first, today))  # type: ignore[misc]
                write_actions(lake.files, name, symbol, first, today, splits, dividends)
            except (AnswerRefused, MalformedAnswer, GivenUp) as error:
                tally.left[symbol] = f"{name}: {without_keys(one_line(error))}"
                continue
            tally.left.pop(symbol, None)
            tally.splits += len(splits)
            tally.dividends += len(dividends)
            break
    return tally


def _is_there(lake: Lake, source: str, symbol: str, first: date, today: date) -> bool:
    known = read_actions(lake.files, source, symbol)
    return known is not None and any(begin <= first and end >= today for begin, end in known.windows)


def today_utc() -> date:
    """The date of the present instant."""
    found: date = pd.Timestamp.now("UTC").date()
    return found
