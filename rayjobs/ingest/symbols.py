"""Which symbols an ingest is about: named, listed in a file, or chosen by what was known at a date."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from data.lake import Lake
from data.lake.reference import read_reference, write_reference
from rayjobs.config.typed_config import ConfigError, did_you_mean
from rayjobs.ingest.settings import IngestSettings, UniverseSettings

LOG = logging.getLogger(__name__)
SUFFIXES = ("", ".txt", ".csv")
UNIVERSE = "universe"
"""Kind of the reference table that a universe is chosen from."""


def named_symbols(symbols: tuple[str, ...] | str) -> tuple[str, ...]:
    """The symbols that a configuration names; those of a file for ``@FILE``.

    A file has a symbol a line; what follows a comma, a space or ``#`` is left aside, and so is a header ``symbol``.

    Raises
    ------
    ConfigError
        If the file is missing or holds no symbol.
    """
    if isinstance(symbols, tuple):
        return tuple(dict.fromkeys(symbol.strip() for symbol in symbols))
    asked = Path(symbols.removeprefix("@")).expanduser()
    path = next(
        (p for p in (asked.with_name(asked.name + suffix) for suffix in SUFFIXES) if p.is_file()), None
    )
    if path is None:
        beside = [p.name for p in asked.parent.iterdir()] if asked.parent.is_dir() else []
        raise ConfigError(f"symbols={symbols}: there is no file {asked}; {did_you_mean(asked.name, beside)}")
    found = []
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        words = line.partition("#")[0].replace(",", " ").replace(";", " ").split()
        if words and words[0].strip("\"'"):
            found.append(words[0].strip("\"'"))
    if found and found[0].lower() in ("symbol", "ticker"):
        found = found[1:]
    if not found:
        raise ConfigError(f"symbols={symbols}: {path} holds no symbol; write one a line")
    return tuple(dict.fromkeys(found))


def chosen_symbols(settings: IngestSettings, lake: Lake, vendors: dict[str, object]) -> tuple[str, ...]:
    """The symbols of a run: those named, or those of the universe; a universe narrows what was named.

    Parameters
    ----------
    vendors : name -> vendor, in the order of the sources.

    Raises
    ------
    ConfigError
        If nothing is chosen, or no vendor of the run knows what things cost at a date.
    """
    named = named_symbols(settings.symbols)
    if not settings.universe.bounded:
        if not named:
            raise ConfigError(
                "symbols: missing; give them as 'symbols=[SPY,AAPL]', from a file as symbols=@FILE, or choose them "
                "with universe.min_price and universe.max_price"
            )
        return named
    as_of = _date(settings)
    name, listings = _universe(lake, vendors, as_of)
    chosen = [symbol for symbol in within_bounds(listings, settings.universe) if not named or symbol in named]
    if not chosen:
        raise ConfigError(
            f"no symbol of {name} was within the bounds of universe on {as_of}; widen them, or choose another as_of"
        )
    LOG.info("universe of %s on %s: %d of %d listings", name, as_of, len(chosen), len(listings))
    return tuple(chosen)


def within_bounds(listings: pd.DataFrame, bounds: UniverseSettings) -> list[str]:
    """Symbols within the bounds, in alphabetical order; a listing without a price is in none."""
    kept = listings["close"].notna()
    if bounds.min_price is not None:
        kept &= listings["close"] >= bounds.min_price
    if bounds.max_price is not None:
        kept &= listings["close"] <= bounds.max_price
    if bounds.min_dollar_volume is not None:
        kept &= listings["close"] * listings["volume"] >= bounds.min_dollar_volume
    if bounds.kinds:
        kept &= listings["kind"].isin(bounds.kinds)
    return sorted(set(listings.loc[kept, "symbol"]))


def _date(settings: IngestSettings) -> date:
    """The date of the universe: the day of the start unless one is stated, so that what came later has no say."""
    if settings.universe.as_of is not None:
        return pd.Timestamp(settings.universe.as_of).date()
    return settings.require_request().date()


def _universe(lake: Lake, vendors: dict[str, object], as_of: date) -> tuple[str, pd.DataFrame]:
    """The universe of the first vendor that has one; kept in the lake, so that the same command chooses the same."""
    for name in vendors:
        kept = read_reference(lake.files, name, UNIVERSE, as_of)
        if kept is not None:
            return name, kept
    for name, vendor in vendors.items():
        ask = getattr(vendor, "universe", None)
        if callable(ask):
            table = _table(ask(as_of))
            if as_of < pd.Timestamp.now("UTC").date():  # a day that runs is not over
                write_reference(lake.files, name, UNIVERSE, as_of, table)
            return name, table
    raise ConfigError(
        f"universe: none of {', '.join(vendors)} knows what was listed at a date and what it cost; name the symbols, "
        "or take a source that does (docs/vendors.md)"
    )


def _table(universe: Sequence[Any]) -> pd.DataFrame:
    """A vendor's priced listings as a table: symbol, kind, exchange, session, close, volume."""
    return pd.DataFrame(
        {
            "symbol": [priced.listing.symbol for priced in universe],
            "kind": [priced.listing.kind for priced in universe],
            "exchange": [priced.listing.exchange for priced in universe],
            "session": [priced.session.isoformat() for priced in universe],
            "close": [float(priced.close) for priced in universe],
            "volume": [float(priced.volume) for priced in universe],
        }
    )
