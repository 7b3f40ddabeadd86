"""The table that an ingest ends with: what came, from whom, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from data.errors import DataError
from data.lake import Lake
from data.lake.holdings import Holding, holding
from data.lake.listings import known_listings
from rayjobs.ingest.listings import ListingsTally
from rayjobs.ingest.plan import series_of
from rayjobs.ingest.rounds import Round
from rayjobs.ingest.settings import IngestSettings
from rayjobs.monitoring.result_tables import print_sentence, print_table

SHOWN_SYMBOLS = 40
SHOWN_REASONS = 10


def print_summary(settings: IngestSettings, lake: Lake, done: Round) -> None:
    """Print what the lake holds of the symbols now, and what could not be fetched and why."""
    rows = holdings_rows(settings, lake, done.symbols[:SHOWN_SYMBOLS])
    if rows:
        print_table(f"{', '.join(settings.sources)} in the lake {lake}", rows)
    if len(done.symbols) > SHOWN_SYMBOLS:
        print_sentence(
            f"and {len(done.symbols) - SHOWN_SYMBOLS:,} more symbols: python -m rayjobs.ingest inventory"
        )
    tally = done.tally
    calls = ", ".join(f"{count:,} calls of {name}" for name, count in tally.calls.items()) or "no call"
    print_sentence(
        f"{tally.done:,} of {tally.pieces:,} pieces, {tally.rows:,} new bars, {calls}, {done.curated:,} months curated"
    )
    if done.actions is not None:
        print_sentence(
            f"{done.actions.splits:,} splits and {done.actions.dividends:,} dividends of {done.actions.asked:,} "
            f"symbols that were asked about; {len(done.symbols) - done.actions.asked:,} were known as of today"
        )
        for symbol, why in list(done.actions.left.items())[:SHOWN_REASONS]:
            print_sentence(f"left: splits and dividends of {symbol}: {why}")
    if done.listings is not None:
        print_sentence(_listings_sentence(done.listings))
    for symbol in tally.revised:
        print_sentence(f"{symbol}: its adjusted prices had been revised; all of them were fetched again")
    for name, why in tally.given_up.items():
        print_sentence(f"{name} was not asked to the end: {why}; the same command goes on from here")
    for sentence in reasons(done):
        print_sentence(sentence)


def _listings_sentence(brought: ListingsTally) -> str:
    if brought.left:
        return f"left: listings: {brought.left}"
    if brought.source is None:
        return "what was listed is known as of today"
    return f"{brought.listed:,} listings and {brought.ended:,} that ended, as {brought.source} has them today"


def holdings_rows(settings: IngestSettings, lake: Lake, symbols: tuple[str, ...]) -> list[dict[str, Any]]:
    """A row of the table for each series that is there."""
    found = []
    listings = {name: known_listings(lake.files, name) for name in settings.sources}
    for symbol in symbols:
        for name, source in settings.sources.items():
            series = series_of(settings, name, symbol)
            try:
                seen = holding(lake, series, calendar=source.calendar, listings=listings[name])
            except DataError:
                continue  # nothing of it is there, which the sentences below the table tell
            found.append(seen)
    return holding_rows(found)


def holding_rows(found: Sequence[Holding]) -> list[dict[str, Any]]:
    """Holdings as rows of a table; where listings are known of any, with the day on which each ended."""
    rows = [holding_row(one) for one in found]
    if any(one.listings_of for one in found):
        for row, one in zip(rows, found, strict=True):
            row["delisted"] = one.delisted_on or "-"
    return rows


def holding_row(found: Holding) -> dict[str, Any]:
    """A holding as a row of a table."""
    return {
        "symbol": found.symbol,
        "source": found.source,
        "bar": found.bar,
        "adjustment": found.adjustment,
        "first": _day(found.first),
        "last": _day(found.last),
        "fetched": _day(found.fetched_to),
        "bars": f"{found.rows:,}",
        "missing": f"{found.missing:,}",
        "empty days": f"{found.empty_sessions:,}",
        "holes": f"{len(found.open_windows):,}",
        "changed": f"{found.defects.get('contradicted', 0):,}",
        "MB": f"{(found.raw_bytes + found.curated_bytes) / 1e6:.1f}",
    }


def reasons(done: Round) -> list[str]:
    """Why pieces were left, each reason once, with how many there are of it."""
    counted = Counter(
        (piece.request.symbol, piece.why or "it was not asked for any more") for piece in done.tally.left
    )
    told = [
        f"left: {symbol}, {count:,} {'piece' if count == 1 else 'pieces'}: {why}"
        for (symbol, why), count in counted.most_common(SHOWN_REASONS)
    ]
    if len(counted) > SHOWN_REASONS:
        told.append(f"left: {len(counted) - SHOWN_REASONS:,} more")
    return told


def _day(moment: str | None) -> str:
    return "-" if moment is None else moment[:10]
