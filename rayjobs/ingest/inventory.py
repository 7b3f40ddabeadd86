"""What a lake holds, as a table, as JSON and as one page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from data.errors import DataError, one_line
from data.lake import Lake, Series
from data.lake.curation import DEFECTS
from data.lake.holdings import Holding, holding
from data.lake.listings import KnownListings, known_listings
from rayjobs.config.typed_config import ConfigError
from rayjobs.ingest.summary import holding_rows
from rayjobs.storage.run_directory import write_atomically

TEMPLATE = "inventory.html.j2"


def take_inventory(
    lake: Lake, wanted: Sequence[Series], *, verify: bool, listings_from: str | None = None
) -> tuple[list[Holding], list[str]]:
    """Look at series; what cannot be looked at becomes a sentence.

    Parameters
    ----------
    verify : compare every checksum.
    listings_from : the source whose listings say from when to when bars are due; None means that of the bars.

    Raises
    ------
    ConfigError
        If the source that is named has none.
    """
    known = _listings(lake, wanted, listings_from)
    found, troubles = [], []
    for series in wanted:
        try:
            listings = known.get(listings_from or series.source)
            seen = holding(lake, series, verify=verify, listings=listings)
        except DataError as error:
            troubles.append(f"{series}: {one_line(error)}")
            continue
        found.append(seen)
        if seen.damaged:
            troubles.append(f"{series}: {seen.damaged}")
    return found, troubles


def _listings(lake: Lake, wanted: Sequence[Series], listings_from: str | None) -> dict[str, KnownListings]:
    """Source -> its newest listings, where it has any."""
    sources = {series.source for series in wanted} if listings_from is None else {listings_from}
    found = {source: known_listings(lake.files, source) for source in sources}
    if listings_from is not None and found[listings_from] is None:
        raise ConfigError(
            f"listings_from={listings_from}: the lake {lake} has no listings of it; bring them with "
            f"python -m rayjobs.ingest source={listings_from} listings=true"
        )
    return {source: listings for source, listings in found.items() if listings is not None}


def listing_remarks(
    lake: Lake, wanted: Sequence[Series], found: Sequence[Holding], listings_from: str | None = None
) -> list[str]:
    """What listings say of what is there: bars beyond a listing, and how many names that ended have any bars at all."""
    told = [
        f"{seen.symbol} of {seen.source}: {seen.beyond_listing:,} bars lie outside of the days on which it was listed, "
        f"{seen.listed_on or 'not said'} to {seen.delisted_on or 'now'} by {seen.listings_of}: another company may "
        "have had the symbol"
        for seen in found
        if seen.beyond_listing
    ]
    for source, listings in sorted(_listings(lake, wanted, listings_from).items()):
        of_source = [seen for seen in found if seen.first and source == (listings_from or seen.source)]
        if not of_source:
            continue
        first = date.fromisoformat(min(str(seen.first) for seen in of_source)[:10])
        ended = listings.ended(first, listings.as_of)
        here = len(set(ended) & {seen.symbol for seen in of_source})
        told.append(
            f"of {len(ended):,} symbols that ended from {first} to {listings.as_of} by the listings of {source}, "
            f"{here:,} have bars here"
            + (": a choice among what is here is one of survivors" if not here else "")
        )
    return told


def write_inventory(
    lake: Lake,
    found: Sequence[Holding],
    troubles: Sequence[str],
    folder: Path,
    remarks: Sequence[str] = (),
) -> tuple[Path, Path]:
    """Write ``inventory.json`` and ``inventory.html`` into a folder."""
    facts: dict[str, Any] = {
        "lake": str(lake),
        "taken_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "series": [seen.to_json() for seen in found],
        "troubles": list(troubles),
        "remarks": list(remarks),
    }
    folder.mkdir(parents=True, exist_ok=True)
    as_json, page = folder / "inventory.json", folder / "inventory.html"
    write_atomically(as_json, json.dumps(facts, indent=2) + "\n")
    write_atomically(page, _page(facts, found))
    return as_json, page


def _page(facts: dict[str, Any], found: Sequence[Holding]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rayjobs.ingest", "."), autoescape=True, undefined=StrictUndefined
    )
    totals = {kind: sum(seen.defects.get(kind, 0) for seen in found) for kind in DEFECTS}
    return environment.get_template(TEMPLATE).render(
        lake=facts["lake"],
        taken=facts["taken_utc"],
        troubles=facts["troubles"],
        remarks=facts["remarks"],
        rows=holding_rows(found),
        details=[
            seen for seen in found if seen.open_windows or seen.empty_sessions or any(seen.defects.values())
        ],
        defects={kind: (count, DEFECTS[kind]) for kind, count in totals.items() if count},
        bars=sum(seen.rows for seen in found),
        size_mb=sum(seen.raw_bytes + seen.curated_bytes for seen in found) / 1e6,
    )
