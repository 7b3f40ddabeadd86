"""Listings and delistings, asked of the first source that has them, within its budget of calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from data.errors import one_line
from data.lake import Lake
from data.lake.listings import LISTINGS, write_listings
from data.lake.reference import read_reference
from data.vendors.definition import AnswerRefused, MalformedAnswer, Vendor
from data.vendors.reference import Listings
from rayjobs.config.typed_config import ConfigError
from rayjobs.ingest.asking import Asking, GivenUp
from rayjobs.ingest.keys import without_keys
from rayjobs.ingest.pacing import Pacing
from rayjobs.ingest.settings import IngestSettings


@dataclass(frozen=True, kw_only=True)
class ListingsTally:
    """What was brought.

    Parameters
    ----------
    source : who answered; None where the table of today was there already, or nobody did.
    listed, ended : symbols that were listed today, and listings that had ended.
    left : why it is not there; empty where it is.
    """

    source: str | None = None
    listed: int = 0
    ended: int = 0
    left: str = ""


def bring_listings(
    settings: IngestSettings,
    lake: Lake,
    vendors: Mapping[str, Vendor],
    pacings: Mapping[str, Pacing],
    *,
    today: date,
    sleep: Callable[[float], None] = time.sleep,
) -> ListingsTally:
    """Ask what is listed today and what had been before; once a day.

    Raises
    ------
    ConfigError
        If no source of the run has listings.
    data.vendors.definition.KeyRefused
        If a vendor refuses its key.
    data.lake.files.LakeError
        If the lake cannot be written to.
    """
    able = {name: vendor for name, vendor in vendors.items() if isinstance(vendor, Listings)}
    if not able:
        raise ConfigError(
            f"listings: none of {', '.join(vendors)} knows what was listed; leave listings=true out, or add a source "
            "that does (docs/vendors.md)"
        )
    why = ""
    for name, vendor in able.items():
        if read_reference(lake.files, name, LISTINGS, today) is not None:
            return ListingsTally()
        asking = Asking(settings.pacing, pacings[name], sleep)
        try:
            listed = asking.ask(lambda v=vendor: v.listings(today))  # type: ignore[misc]
            ended = asking.ask(lambda v=vendor: v.delisted(today))  # type: ignore[misc]
            write_listings(lake.files, name, today, listed, ended)
        except (AnswerRefused, MalformedAnswer, GivenUp) as error:
            why = f"{name}: {without_keys(one_line(error))}"
            continue
        return ListingsTally(source=name, listed=len(listed), ended=len(ended))
    return ListingsTally(left=why)
