"""What a lake holds, as a table, as JSON and as one page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from data.errors import DataError, one_line
from data.lake import Lake, Series
from data.lake.curation import DEFECTS
from data.lake.holdings import Holding, holding
from rayjobs.ingest.summary import holding_row
from rayjobs.storage.run_directory import write_atomically

TEMPLATE = "inventory.html.j2"


def take_inventory(lake: Lake, wanted: Sequence[Series], *, verify: bool) -> tuple[list[Holding], list[str]]:
    """Look at series; what cannot be looked at becomes a sentence.

    Parameters
    ----------
    verify : compare every checksum.
    """
    found, troubles = [], []
    for series in wanted:
        try:
            seen = holding(lake, series, verify=verify)
        except DataError as error:
            troubles.append(f"{series}: {one_line(error)}")
            continue
        found.append(seen)
        if seen.damaged:
            troubles.append(f"{series}: {seen.damaged}")
    return found, troubles


def write_inventory(
    lake: Lake, found: Sequence[Holding], troubles: Sequence[str], folder: Path
) -> tuple[Path, Path]:
    """Write ``inventory.json`` and ``inventory.html`` into a folder."""
    facts: dict[str, Any] = {
        "lake": str(lake),
        "taken_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "series": [seen.to_json() for seen in found],
        "troubles": list(troubles),
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
        rows=[holding_row(seen) for seen in found],
        details=[
            seen for seen in found if seen.open_windows or seen.empty_sessions or any(seen.defects.values())
        ],
        defects={kind: (count, DEFECTS[kind]) for kind, count in totals.items() if count},
        bars=sum(seen.rows for seen in found),
        size_mb=sum(seen.raw_bytes + seen.curated_bytes for seen in found) / 1e6,
    )
