"""What the data page shows: what a lake holds of each series, and what is missing or was wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from data.lake import Lake
from data.lake.curation import DEFECTS
from rayjobs.ingest.inventory import take_inventory
from rayjobs.ingest.summary import holding_rows
from rayjobs.pages.answers import as_json
from rayjobs.pages.secrets import without_passwords

MAX_SERIES = 500


def lake_answer(place: str) -> bytes:
    """The inventory of a lake; checksums are not compared, which `rayjobs.ingest inventory` does."""
    lake = Lake(place)
    wanted = lake.series()
    found, troubles = take_inventory(lake, wanted[:MAX_SERIES], verify=False)
    totals: Counter[str] = Counter()
    for seen in found:
        totals.update(seen.defects)
    return as_json(
        {
            "lake": without_passwords(str(lake)),
            "rows": holding_rows(found),
            "gaps": [asdict(seen) for seen in found if seen.open_windows or seen.empty_sessions],
            "defects": [[kind, count, DEFECTS[kind]] for kind, count in totals.items() if count],
            "troubles": [without_passwords(trouble) for trouble in troubles],
            "left_out": max(0, len(wanted) - MAX_SERIES),
            "bars": sum(seen.rows for seen in found),
            "bytes": sum(seen.raw_bytes + seen.curated_bytes for seen in found),
        }
    )
