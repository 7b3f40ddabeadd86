"""Splits and dividends are brought within the vendor's budget, once a day, from the first source that has them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import numpy as np
import pytest
from ingest_settings import Clock, ingest_settings
from made_vendor import MadeVendor

from data.lake import Lake
from data.lake.actions import read_actions
from data.vendors.definition import AnswerRefused, Budget, KeyRefused, RateLimited, TemporarilyUnavailable
from data.vendors.reference import Dividend, Split
from rayjobs.config.typed_config import ConfigError
from rayjobs.ingest.actions import bring_actions
from rayjobs.ingest.pacing import Pacing

TODAY = dt.date(2024, 5, 2)


@dataclass
class WithActions(MadeVendor):
    """A vendor with a split a symbol; `troubles` are raised one after the other, call by call."""

    troubles: list[Exception] = field(default_factory=list)
    asked: list[tuple[str, str, dt.date, dt.date]] = field(default_factory=list)

    def _ask(self, kind: str, symbol: str, first: dt.date, last: dt.date) -> None:
        self.asked.append((kind, symbol, first, last))
        if self.troubles:
            raise self.troubles.pop(0)

    def splits(self, symbol, first, last):
        self._ask("splits", symbol, first, last)
        return [Split(symbol=symbol, ex_date=dt.date(2024, 2, 1), new_shares=4, old_shares=1)]

    def dividends(self, symbol, first, last):
        self._ask("dividends", symbol, first, last)
        when = dt.date(2024, 3, 1)
        return [
            Dividend(symbol=symbol, ex_date=when, cash_per_share=0.2, currency="USD", split_adjusted=False)
        ]


def brought(tmp_path, vendors, *, today=TODAY, budget=None, clock=None):
    settings = ingest_settings(tmp_path, tuple(vendors), actions=True, pacing={"tries": 3})
    clock = clock or Clock()
    rng = np.random.default_rng(0)
    pacings = {
        name: Pacing(budget or vendor.budget, settings.pacing, clock, rng) for name, vendor in vendors.items()
    }

    def sleep(seconds: float) -> None:
        clock.now += seconds

    symbols = ("AAA", "BBB")
    return bring_actions(settings, Lake(str(tmp_path)), vendors, pacings, symbols, today=today, sleep=sleep)


def test_what_was_answered_lies_in_the_lake_and_is_not_asked_again_on_the_same_day(tmp_path):
    vendor = WithActions()
    tally = brought(tmp_path, {"made": vendor})
    assert (tally.asked, tally.splits, tally.dividends, tally.left) == (2, 2, 2, {})
    assert vendor.asked[0] == ("splits", "AAA", dt.date(2024, 1, 1), TODAY)
    known = read_actions(Lake(str(tmp_path)).files, "made", "AAA")
    assert known is not None
    assert (known.splits[0].factor, known.dividends[0].cash_per_share) == (4.0, 0.2)
    assert known.covers(dt.date(2024, 1, 1), TODAY)
    assert not known.covers(dt.date(2024, 1, 1), dt.date(2024, 5, 3))
    assert brought(tmp_path, {"made": vendor}).asked == 0
    assert brought(tmp_path, {"made": vendor}, today=dt.date(2024, 5, 3)).asked == 2


def test_the_calls_stay_within_the_budget(tmp_path):
    clock = Clock()
    slow = Budget(calls_per_minute=1, calls_per_day=None, at_a_time=1)
    brought(tmp_path, {"made": WithActions()}, budget=slow, clock=clock)
    assert clock.now == pytest.approx(180.0)  # four calls, one a minute, the first at once


def test_failures_that_pass_are_asked_again_and_those_that_last_are_told(tmp_path):
    vendor = WithActions(troubles=[TemporarilyUnavailable("down"), RateLimited("slow", 5.0)])
    assert brought(tmp_path, {"made": vendor}).left == {}
    vendor = WithActions(troubles=[TemporarilyUnavailable("down")] * 3)
    tally = brought(tmp_path / "two", {"made": vendor})
    assert tally.left == {"AAA": "made: down"}
    assert read_actions(Lake(str(tmp_path / "two")).files, "made", "AAA") is None


def test_the_next_source_is_asked_where_one_refuses_and_a_key_that_is_refused_ends_it(tmp_path):
    first, spare = WithActions(troubles=[AnswerRefused("unknown")] * 2), WithActions()
    assert brought(tmp_path, {"bars": MadeVendor(), "first": first, "spare": spare}).left == {}
    assert read_actions(Lake(str(tmp_path)).files, "spare", "BBB") is not None
    with pytest.raises(KeyRefused):
        brought(tmp_path / "two", {"made": WithActions(troubles=[KeyRefused("no")])})
    with pytest.raises(ConfigError, match="none of made has splits and dividends"):
        brought(tmp_path, {"made": MadeVendor()})
