"""Listings are brought once a day within the budget, and the inventory counts by them."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field

import numpy as np
import pytest
import yaml
from ingest_settings import ENTRY, Clock, ingest_settings
from made_vendor import MadeVendor

from data.lake import Lake
from data.lake.listings import known_listings, write_listings
from data.vendors.definition import AnswerRefused, RateLimited
from data.vendors.reference import Listing
from rayjobs.config.typed_config import ConfigError
from rayjobs.ingest.__main__ import main
from rayjobs.ingest.listings import ListingsTally, bring_listings
from rayjobs.ingest.pacing import Pacing

TODAY = dt.date(2024, 5, 2)


def listed(symbol: str, delisted_on: dt.date | None = None) -> Listing:
    return Listing(
        symbol=symbol, name=symbol, exchange="X", kind="CS", listed_on=None, delisted_on=delisted_on
    )


@dataclass
class WithListings(MadeVendor):
    """A vendor with two listings and one that ended; `troubles` are raised one after the other."""

    troubles: list[Exception] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def _ask(self, kind: str) -> None:
        self.asked.append(kind)
        if self.troubles:
            raise self.troubles.pop(0)

    def listings(self, as_of):
        self._ask("listings")
        return [listed("AAA"), listed("BBB")]

    def delisted(self, as_of):
        self._ask("delisted")
        return [listed("GONE", dt.date(2024, 2, 1))]


def brought(tmp_path, vendors, *, today=TODAY):
    settings = ingest_settings(tmp_path, tuple(vendors), listings=True, pacing={"tries": 3})
    clock, rng = Clock(), np.random.default_rng(0)
    pacings = {name: Pacing(one.budget, settings.pacing, clock, rng) for name, one in vendors.items()}

    def sleep(seconds: float) -> None:
        clock.now += seconds

    return bring_listings(settings, Lake(str(tmp_path)), vendors, pacings, today=today, sleep=sleep)


def test_they_are_asked_for_once_a_day(tmp_path):
    vendor = WithListings(troubles=[RateLimited("slow", 5.0)])
    assert brought(tmp_path, {"bars": MadeVendor(), "made": vendor}) == ListingsTally(
        source="made", listed=2, ended=1
    )
    assert vendor.asked == ["listings", "listings", "delisted"]
    known = known_listings(Lake(str(tmp_path)).files, "made")
    assert known is not None
    assert (known.as_of, sorted(known.spans)) == (TODAY, ["AAA", "BBB", "GONE"])
    assert brought(tmp_path, {"made": vendor}) == ListingsTally()
    assert brought(tmp_path, {"made": vendor}, today=dt.date(2024, 5, 3)).source == "made"


def test_the_next_source_is_asked_where_one_refuses_and_what_nobody_has_is_said(tmp_path):
    refusing = WithListings(troubles=[AnswerRefused("not in your plan")] * 2)
    assert brought(tmp_path, {"first": refusing, "spare": WithListings()}).source == "spare"
    refusing = WithListings(troubles=[AnswerRefused("not in your plan")])
    assert brought(tmp_path / "two", {"first": refusing}).left == "first: not in your plan"
    with pytest.raises(ConfigError, match="none of made knows what was listed"):
        brought(tmp_path, {"made": MadeVendor()})


def test_the_inventory_counts_what_is_due_and_says_how_many_names_that_ended_are_here(tmp_path, capsys):
    (tmp_path / "conf" / "source").mkdir(parents=True)
    (tmp_path / "conf" / "source" / "fine.yaml").write_text(yaml.safe_dump({"fine": dict(ENTRY)}))
    standing = [f"--config-dir={tmp_path}/conf", f"lake={tmp_path}/lake", f"directory={tmp_path}/runs"]
    words = ["source=fine", "symbols=[AAA,BBB]", "start=2024-01-01", "end=2024-01-05", "bar=1h"]
    assert main([*standing, *words]) == 0
    files = Lake(f"{tmp_path}/lake").files
    gone = [listed("GONE", dt.date(2024, 2, 1)), listed("BBB", dt.date(2024, 1, 3))]
    write_listings(files, "other", TODAY, [listed("AAA")], gone)
    capsys.readouterr()

    assert main(["inventory", *standing]) == 0
    assert "delisted" not in capsys.readouterr().out  # the listings are another source's
    assert main(["inventory", *standing, "listings_from=other"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    # Of the days of BBB, around the clock, the one after its end lies beyond it.
    assert (
        "BBB of fine: 24 bars lie outside of the days on which it was listed, not said to 2024-01-03" in told
    )
    assert (
        "of 2 symbols that ended from 2024-01-01 to 2024-05-02 by the listings of other, 1 have bars here"
        in told
    )
    facts = json.loads((tmp_path / "runs" / "inventory" / "inventory.json").read_text())
    assert [one["delisted_on"] for one in facts["series"]] == [None, "2024-01-03"]
    assert len(facts["remarks"]) == 2
    assert "24 bars lie outside" in (tmp_path / "runs" / "inventory" / "inventory.html").read_text()

    assert main(["inventory", *standing, "listings_from=nobody"]) == 2
    assert "has no listings of it; bring them" in capsys.readouterr().err
