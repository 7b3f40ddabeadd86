"""Symbols by what was known at a date: bounds, and the same command choosing the same."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest
from ingest_settings import ingest_settings

from data.lake import Lake
from data.lake.files import LakeError
from rayjobs.config.typed_config import ConfigError
from rayjobs.ingest.symbols import chosen_symbols


@dataclass(frozen=True)
class Listing:
    symbol: str
    kind: str = "CS"
    exchange: str = "XNAS"


@dataclass(frozen=True)
class Priced:
    listing: Listing
    session: date
    close: float
    volume: float


class Reference:
    """Knows what four listings cost at any date; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[date] = []
        self.prices = {"LOW": 3.0, "TEN": 10.0, "MID": 15.0, "HIGH": 20.01}

    def universe(self, as_of: date) -> list[Priced]:
        self.asked.append(as_of)
        rows = [Priced(Listing(name), as_of, price, 1000.0) for name, price in self.prices.items()]
        return [*rows, Priced(Listing("FUND", "ETF"), as_of, 12.0, 10.0)]


BOUNDS = {"as_of": None, "min_price": 10.0, "max_price": 20.0, "min_dollar_volume": None, "kinds": []}


def chosen(tmp_path, vendor, **changes):
    bounds = BOUNDS | {key: changes.pop(key) for key in list(changes) if key in BOUNDS}
    settings = ingest_settings(tmp_path, **{"symbols": [], "universe": bounds} | changes)
    return chosen_symbols(settings, Lake(str(tmp_path)), {"made": vendor})


def test_bounds_hold_their_ends_and_the_date_is_that_of_the_start(tmp_path):
    vendor = Reference()
    assert chosen(tmp_path, vendor) == ("FUND", "MID", "TEN")
    assert vendor.asked == [date(2024, 1, 1)]


def test_kinds_and_turnover_and_names_narrow_it(tmp_path):
    vendor = Reference()
    assert chosen(tmp_path, vendor, kinds=["CS"]) == ("MID", "TEN")
    assert chosen(tmp_path, vendor, min_dollar_volume=12_000.0) == ("MID",)
    assert chosen(tmp_path, vendor, symbols=["TEN", "HIGH"]) == ("TEN",)
    assert len(vendor.asked) == 1  # the table is kept in the lake


def test_the_same_command_chooses_the_same_whatever_the_vendor_says_later(tmp_path):
    vendor = Reference()
    first = chosen(tmp_path, vendor)
    vendor.prices["MID"] = 1.0
    assert chosen(tmp_path, vendor) == first
    assert chosen(tmp_path, vendor, as_of="2024-02-01") == ("FUND", "TEN")


def test_a_kept_table_that_was_changed_is_refused(tmp_path):
    chosen(tmp_path, Reference())
    (path,) = (tmp_path / "reference").rglob("*.parquet")
    content = bytearray(path.read_bytes())
    content[40] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(LakeError):
        chosen(tmp_path, Reference())


def test_bounds_that_hold_nothing_and_vendors_without_prices_are_said(tmp_path):
    with pytest.raises(ConfigError, match="no symbol of made was within the bounds"):
        chosen(tmp_path, Reference(), min_price=1000.0, max_price=2000.0)
    with pytest.raises(ConfigError, match="knows what was listed"):
        chosen(tmp_path / "other", object())
