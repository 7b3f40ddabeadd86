"""The loop that keeps a lake up to date: it goes on through outages, and asks again for sessions without a bar."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from ingest_settings import Clock, InlineCrew, ingest_settings
from made_vendor import MadeVendor

from data.lake import Lake
from data.lake.files import LakeError
from data.vendors.definition import KeyRefused
from rayjobs.ingest import rounds
from rayjobs.ingest.rounds import Ingest
from rayjobs.ingest.watch import watch


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A function that watches a lake with a made vendor, and what it slept."""

    def run(vendor, number, before_round=lambda number: None):
        today = pd.Timestamp.now("UTC").normalize()
        start = (today - pd.Timedelta(days=6)).isoformat()
        settings = ingest_settings(
            tmp_path / "lake", symbols=["AAA"], start=start, end=None,
            watch={"every_minutes": 15.0, "backfill_days": 5, "rounds": number},
        )  # fmt: skip
        clock = Clock()
        monkeypatch.setattr(rounds, "vendor_of_process", lambda source: vendor)
        ingest = Ingest(settings, clock=clock, crew=InlineCrew({"made": vendor}, clock))
        slept = []

        def sleep(seconds):
            slept.append(seconds)
            before_round(len(slept) + 1)

        return watch(settings, ingest, sleep=sleep, generator=np.random.default_rng(0)), slept

    return run


def test_rounds_go_forward_and_fetch_only_what_is_new(watched):
    vendor = MadeVendor()
    whole, slept = watched(vendor, 3)
    assert (whole, slept) == (3, [900.0, 900.0])
    first = len(vendor.calls)
    assert first <= 2 + 2  # one month or two; later rounds lack at most the seconds since


def test_a_day_that_came_empty_is_asked_for_again_and_filled(watched, tmp_path):
    day = (pd.Timestamp.now("UTC") - pd.Timedelta(days=3)).strftime("%Y-%m-%d")
    vendor = MadeVendor(empty_days=frozenset({day}))

    def filled(number):
        vendor.empty_days = frozenset()

    watched(vendor, 2, filled)
    lake = Lake(str(tmp_path / "lake"))
    rows = lake.read(lake.series()[0]).rows
    assert (rows.index.strftime("%Y-%m-%d") == day).sum() == 24


def test_no_outage_ends_it(watched, caplog, monkeypatch):
    vendor = MadeVendor()
    real, failures = (
        Ingest.round,
        {2: KeyRefused("no"), 3: LakeError("the disk is full"), 4: RuntimeError("bug")},
    )
    numbers = iter(range(1, 7))

    def breaking(self, *arguments, **options):
        failure = failures.get(next(numbers))
        if failure is not None:
            raise failure
        return real(self, *arguments, **options)

    monkeypatch.setattr(Ingest, "round", breaking)
    with caplog.at_level(logging.INFO, logger="rayjobs"):
        whole, slept = watched(vendor, 6)
    assert whole == 3
    assert slept == [900.0, 30.0, 60.0, 120.0, 900.0]
    assert "the disk is full" in caplog.text


def test_a_key_that_is_refused_before_anything_worked_ends_it(watched):
    with pytest.raises(KeyRefused):
        watched(MadeVendor(faults=[KeyRefused("no such key")]), 5)
