"""Fetching through faults: everything arrives once, nobody is asked too often, and what cannot be had is said."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ingest_settings import Clock, fetch, ingest_settings
from made_vendor import MadeVendor, law

from data.lake import Lake, Series
from data.lake.files import LakeError
from data.vendors.definition import (
    AnswerRefused,
    Budget,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
)

START, STOP = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-04-01", tz="UTC")


def held(settings, symbol, source="made"):
    series = Series(
        source=source, bar_seconds=settings.bar_seconds, adjustment=settings.adjustment, symbol=symbol
    )
    return Lake(settings.lake).read(series).rows


def assert_whole(settings, symbol, source="made", factor=1.0):
    rows = law(symbol, START, STOP, 3600).tz_localize(None)
    rows[["open", "high", "low", "close"]] *= factor
    pd.testing.assert_frame_equal(
        held(settings, symbol, source)[list(rows.columns)], rows, check_freq=False, check_names=False
    )


def test_what_was_fetched_is_not_asked_for_again(tmp_path):
    settings, vendor = ingest_settings(tmp_path), MadeVendor()
    tally, _, _ = fetch(settings, {"made": vendor})
    assert (tally.done, tally.left, len(vendor.calls)) == (6, [], 6)
    assert tally.rows == 2 * 91 * 24
    for symbol in ("AAA", "BBB"):
        assert_whole(settings, symbol)
    assert fetch(settings, {"made": vendor})[0].pieces == 0
    longer = ingest_settings(tmp_path, end="2024-04-03")
    tally, _, _ = fetch(longer, {"made": vendor})
    assert {call.start_utc for call in vendor.calls[6:]} == {STOP}


@pytest.mark.parametrize("seed", range(6))
def test_any_run_of_passing_faults_ends_with_every_bar_once(tmp_path, seed):
    generator = np.random.default_rng(seed)
    kinds = (
        None,
        TemporarilyUnavailable("502"),
        RateLimited("slow down", 3.0),
        RateLimited("slow down"),
        MalformedAnswer("half a body"),
    )
    settings = ingest_settings(tmp_path, pacing={"tries": 50})
    vendor = MadeVendor(faults=[kinds[k] for k in generator.integers(0, len(kinds), 40)])
    tally, _, _ = fetch(settings, {"made": vendor})
    assert tally.left == []
    for symbol in ("AAA", "BBB"):
        assert_whole(settings, symbol)


def test_nothing_is_asked_while_a_vendor_rests(tmp_path):
    settings = ingest_settings(tmp_path)
    vendor = MadeVendor(
        budget=Budget(calls_per_minute=None, calls_per_day=None, at_a_time=1),
        faults=[None, RateLimited("slow down", 120.0)],
    )
    _, crew, _ = fetch(settings, {"made": vendor})
    begun = [moment for moment, _, _ in crew.begun]
    assert begun[2] - begun[1] >= 120.0
    assert begun[-1] - begun[2] < 1.0


def test_calls_keep_to_the_budget_of_a_minute(tmp_path):
    settings = ingest_settings(tmp_path)
    vendor = MadeVendor(budget=Budget(calls_per_minute=2, calls_per_day=None, at_a_time=4))
    _, crew, _ = fetch(settings, {"made": vendor})
    begun = [moment for moment, _, _ in crew.begun]
    assert all(later - earlier >= 60.0 for earlier, later in zip(begun, begun[2:]))


def test_while_one_vendor_rests_the_next_one_is_asked(tmp_path):
    settings = ingest_settings(tmp_path, ("made", "spare"))
    made = MadeVendor(faults=[RateLimited("slow down", 600.0)])
    spare = MadeVendor(name="spare")
    tally, crew, _ = fetch(settings, {"made": made, "spare": spare})
    assert tally.left == []
    assert {source for _, source, _ in crew.begun} == {"made", "spare"}
    assert tally.rows == 2 * 91 * 24
    total = sum(
        len(held(settings, symbol, source)) for symbol in ("AAA", "BBB") for source in ("made", "spare")
    )
    assert total == 2 * 91 * 24  # each window of one of them only
    assert fetch(settings, {"made": made, "spare": spare})[0].pieces == 0


def test_what_one_vendor_does_not_know_is_asked_of_the_next(tmp_path):
    settings = ingest_settings(tmp_path, ("made", "spare"))
    made, spare = MadeVendor(unknown=frozenset({"BBB"})), MadeVendor(name="spare")
    tally, _, _ = fetch(settings, {"made": made, "spare": spare})
    assert tally.left == []
    assert_whole(settings, "AAA", "made")
    assert_whole(settings, "BBB", "spare")


def test_a_symbol_that_nobody_knows_is_left_with_the_reason_and_the_others_arrive(tmp_path):
    settings = ingest_settings(tmp_path)
    tally, _, _ = fetch(settings, {"made": MadeVendor(unknown=frozenset({"AAA"}))})
    assert {piece.request.symbol for piece in tally.left} == {"AAA"}
    assert tally.left[0].why == "made knows no AAA"
    assert_whole(settings, "BBB")


def test_a_misspelt_symbol_costs_three_calls_and_not_one_for_each_month(tmp_path):
    settings = ingest_settings(tmp_path, start="2020-01-01")
    one_at_a_time = Budget(calls_per_minute=None, calls_per_day=None, at_a_time=1)
    vendor = MadeVendor(unknown=frozenset({"AAA"}), budget=one_at_a_time)
    tally, _, _ = fetch(settings, {"made": vendor})
    assert (len(tally.left), tally.done) == (51, 51)  # months of each symbol
    assert sum(call.symbol == "AAA" for call in vendor.calls) == 3


def test_a_plan_that_lacks_older_years_still_gives_the_newer_ones(tmp_path, monkeypatch):
    settings = ingest_settings(tmp_path, symbols=["AAA"], start="2023-01-01")
    vendor, fetch_all = MadeVendor(), MadeVendor.fetch

    def newer(self, piece):
        if piece.start_utc.year < 2024:
            raise AnswerRefused("your plan begins in 2024")
        return fetch_all(self, piece)

    monkeypatch.setattr(MadeVendor, "fetch", newer)
    tally, _, _ = fetch(settings, {"made": vendor})
    assert (tally.done, len(tally.left)) == (3, 12)


def test_a_vendor_without_such_bars_is_passed_over_in_the_plan(tmp_path, monkeypatch):
    settings = ingest_settings(tmp_path, ("made", "spare"))
    made, spare = MadeVendor(), MadeVendor(name="spare")

    def refuse(request):
        raise AnswerRefused("made has no bars of an hour")

    monkeypatch.setattr(made, "pieces", refuse)
    tally, _, _ = fetch(settings, {"made": made, "spare": spare})
    assert (tally.left, made.calls) == ([], [])
    assert_whole(settings, "AAA", "spare")


def test_a_piece_that_fails_for_good_is_left_for_the_next_run(tmp_path):
    settings = ingest_settings(tmp_path, symbols=["AAA"], end="2024-02-01", pacing={"tries": 3})
    vendor = MadeVendor(faults=[TemporarilyUnavailable("down")] * 3)
    tally, crew, _ = fetch(settings, {"made": vendor})
    assert ([piece.why for piece in tally.left], len(crew.begun)) == (["down"], 3)
    tally, _, _ = fetch(settings, {"made": vendor})
    assert (tally.left, tally.rows) == ([], 31 * 24)


def test_a_refused_key_ends_the_run(tmp_path):
    with pytest.raises(KeyRefused, match="no such key"):
        fetch(ingest_settings(tmp_path), {"made": MadeVendor(faults=[KeyRefused("no such key")])})


def test_a_vendor_whose_day_is_used_up_is_given_up_and_said(tmp_path):
    settings = ingest_settings(tmp_path)
    vendor = MadeVendor(budget=Budget(calls_per_minute=None, calls_per_day=4, at_a_time=1))
    tally, _, _ = fetch(settings, {"made": vendor})
    assert (tally.done, len(tally.left), len(vendor.calls)) == (4, 2, 4)
    assert "may be asked again" in tally.given_up["made"]


def test_a_fault_of_an_adapter_leaves_its_piece_and_names_the_error(tmp_path):
    settings = ingest_settings(tmp_path, symbols=["AAA"])
    tally, _, _ = fetch(settings, {"made": MadeVendor(faults=[KeyError("vw")])})
    assert [piece.why for piece in tally.left] == ["KeyError: 'vw'"]


def test_a_lake_that_cannot_be_written_to_ends_the_run_in_one_sentence(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(LakeError, match="cannot (write to|read) the lake"):
        fetch(ingest_settings(blocked), {"made": MadeVendor()})


def test_a_vendor_with_a_slow_clock_is_asked_again_for_what_it_did_not_have_yet(tmp_path):
    settings = ingest_settings(tmp_path)
    vendor = MadeVendor(complete_to_utc=pd.Timestamp("2024-03-20", tz="UTC"))
    fetch(settings, {"made": vendor})
    assert held(settings, "AAA").index[-1] == pd.Timestamp("2024-03-19T23:00")
    vendor.complete_to_utc = None
    fetch(settings, {"made": vendor})
    assert_whole(settings, "AAA")


def test_adjusted_prices_that_were_revised_are_all_fetched_again(tmp_path):
    january = ingest_settings(tmp_path, adjustment="splits", end="2024-02-01")
    vendor = MadeVendor()
    fetch(january, {"made": vendor})
    vendor.factor = 0.25  # a split of four for one in February
    settings = ingest_settings(tmp_path, adjustment="splits")
    tally, _, _ = fetch(settings, {"made": vendor})
    assert sorted(tally.revised) == ["AAA", "BBB"]
    for symbol in ("AAA", "BBB"):
        assert_whole(settings, symbol, factor=0.25)


def test_adjusted_prices_that_hold_are_only_looked_at(tmp_path):
    vendor = MadeVendor()
    fetch(ingest_settings(tmp_path, adjustment="splits", end="2024-02-01"), {"made": vendor})
    before = len(vendor.calls)
    tally, _, _ = fetch(ingest_settings(tmp_path, adjustment="splits"), {"made": vendor})
    assert (tally.revised, len(vendor.calls) - before) == ([], 2 * (1 + 2))  # a look, February and March


def test_a_revision_that_was_fetched_in_part_is_found_by_the_next_run(tmp_path):
    vendor = MadeVendor()
    fetch(ingest_settings(tmp_path, adjustment="splits", end="2024-03-01"), {"made": vendor})
    vendor.factor = 0.25
    part = ingest_settings(tmp_path, adjustment="splits", start="2024-02-01", end="2024-03-01", refetch=True)
    fetch(part, {"made": vendor})  # as after a kill: February is new, January is not
    settings = ingest_settings(tmp_path, adjustment="splits")
    assert sorted(fetch(settings, {"made": vendor})[0].revised) == ["AAA", "BBB"]
    assert_whole(settings, "AAA", factor=0.25)


def test_the_clock_of_a_run_never_waits_longer_than_asked(tmp_path):
    clock = Clock()
    settings = ingest_settings(tmp_path, symbols=["AAA"], end="2024-02-01")
    fetch(settings, {"made": MadeVendor(faults=[TemporarilyUnavailable("x")])}, clock=clock)
    assert clock.now == pytest.approx(1.0, abs=0.1)  # first_wait_s
