"""Databento: over its HTTP interface and from files in its own encoding."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
from scripted_server import Answer
from vendor_doubles import MINUTES, Bar, clock, dbn_bytes, request, zstd

from data.vendors.databento import Databento
from data.vendors.definition import AnswerRefused, KeyRefused, MalformedAnswer, TemporarilyUnavailable

PIECE = request("ESM4", 60, "2024-05-31 14:00", "2024-05-31 15:00")


def databento(server=None, **more):
    return Databento(**{"now": clock, **({"base_url": server.url} if server else {}), **more})


def test_the_question_names_dataset_schema_symbol_and_window(server):
    server.in_turn(Answer(body=zstd(dbn_bytes(MINUTES))))
    databento(server).fetch(PIECE)
    (seen,) = server.seen
    assert seen.path == "/v0/timeseries.get_range"
    asked = {name: seen.query[name] for name in ("dataset", "schema", "symbols", "stype_in")}
    assert asked == {
        "dataset": "GLBX.MDP3",
        "schema": "ohlcv-1m",
        "symbols": "ESM4",
        "stype_in": "raw_symbol",
    }
    assert pd.Timestamp(seen.query["start"]) == PIECE.start_utc
    assert pd.Timestamp(seen.query["end"]) == PIECE.stop_utc
    databento(server).fetch(replace(PIECE, symbol="ES.v.0"))
    assert server.seen[-1].query["stype_in"] == "continuous"


def test_prices_of_zero_and_below_are_prices(server):
    # WTI for May settled at -37.63 on 2020-04-20.
    bars = [
        Bar("2024-05-31 14:00", 0.01, 0.01, -40.32, -37.63, 5.0),
        Bar("2024-05-31 14:01", 0.0, 1e-9, 0.0, 1e-9, 0.0),
    ]
    server.in_turn(Answer(body=zstd(dbn_bytes(bars))))
    rows = databento(server).fetch(PIECE).rows
    assert rows["close"].tolist() == [-37.63, 1e-9]
    assert rows["instrument_id"].tolist() == [42.0, 42.0]


def test_days_and_symbols_that_stand_for_many_contracts_are_refused_with_what_to_ask_for():
    with pytest.raises(AnswerRefused, match="bars of an hour or a minute"):
        databento().pieces(replace(PIECE, bar_seconds=86400))
    with pytest.raises(AnswerRefused, match="ES.v.0"):
        databento().pieces(replace(PIECE, symbol="ES.FUT"))


def test_a_symbol_that_is_not_resolved_is_refused(server):
    server.in_turn(Answer(body=zstd(dbn_bytes([], not_found=["ESM4"]))))
    with pytest.raises(AnswerRefused, match="knows no ESM4"):
        databento(server).fetch(PIECE)
    detail = {
        "detail": {
            "case": "symbology_invalid_symbol",
            "message": "None of the symbols could be resolved",
            "docs": "",
        }
    }
    server.in_turn(Answer(status=422, body=detail))
    with pytest.raises(AnswerRefused, match="None of the symbols could be resolved"):
        databento(server).fetch(PIECE)
    server.in_turn(
        Answer(status=403, body={"detail": {"case": "license", "message": "no license", "docs": ""}})
    )
    with pytest.raises(KeyRefused, match="no license"):
        databento(server).fetch(PIECE)


def test_no_more_is_asked_for_than_the_dataset_has_by_now(server):
    def answer(seen):
        if "get_dataset_range" in seen.path:
            told = {"start": "2010-06-06", "end": "2024-06-03T17:30:00.000000000Z"}
            return Answer(
                body={**told, "schema": {"ohlcv-1m": {**told, "end": "2024-06-03T17:20:00.000000000Z"}}}
            )
        return Answer(body=zstd(dbn_bytes([replace(MINUTES[0], at="2024-06-03 17:19")])))

    server.answer = answer
    found = databento(server).fetch(request("ESM4", 60, "2024-06-03 17:00", "2024-06-03 19:00"))
    assert pd.Timestamp(server.seen[-1].query["end"]) == pd.Timestamp("2024-06-03 17:20", tz="UTC")
    assert found.complete_to_utc == pd.Timestamp("2024-06-03 17:20", tz="UTC")
    assert len(found.rows) == 1
    assert found.calls == 2
    server.in_turn(Answer(body={"end": "soon"}))
    with pytest.raises(MalformedAnswer, match="'soon'"):
        databento(server).fetch(request("ESM4", 60, "2024-06-03 17:00", "2024-06-03 19:00"))


def test_a_plan_without_the_last_day_is_not_asked_for_it(server):
    server.in_turn(Answer(body={"start": "2010-06-06", "end": "2024-06-03T17:30:00Z"}))
    found = databento(server, delay_seconds=86400).fetch(
        request("ESM4", 60, "2024-06-03 00:00", "2024-06-04")
    )
    assert (len(found.rows), found.calls) == (0, 0)
    assert found.complete_to_utc == pd.Timestamp("2024-06-03", tz="UTC")


def test_a_body_that_ends_early_is_never_a_shorter_answer(server):
    many = [
        replace(MINUTES[0], at=str(t)) for t in pd.date_range("2024-05-31 14:00", periods=3000, freq="min")
    ]
    plain = dbn_bytes(many)
    bodies = [
        zstd(plain)[:-1],
        zstd(plain)[: len(zstd(plain)) // 2],
        plain[:-1],
        zstd(plain[:-30]),
        b"",
        zstd(plain)[:3],
    ]
    for body in bodies:
        server.in_turn(Answer(body=body))
        with pytest.raises((TemporarilyUnavailable, MalformedAnswer)):
            databento(server).fetch(replace(PIECE, stop_utc=pd.Timestamp("2024-06-01 12:00", tz="UTC")))
    # Compressed in two frames, as a long answer may be: both are read.
    server.in_turn(Answer(body=zstd(plain[:50_000]) + zstd(plain[50_000:])))
    found = databento(server).fetch(replace(PIECE, stop_utc=pd.Timestamp("2024-06-01 12:00", tz="UTC")))
    assert len(found.rows) == 22 * 60


def test_bars_of_another_schema_or_without_a_price_are_malformed(server):
    server.in_turn(Answer(body=zstd(dbn_bytes(MINUTES, schema="ohlcv-1h"))))
    with pytest.raises(MalformedAnswer, match="ohlcv-1h, not ohlcv-1m"):
        databento(server).fetch(PIECE)
    # A price that is not there is the largest integer of its width.
    plain = bytearray(dbn_bytes(MINUTES))
    plain[-16:-8] = (2**63 - 1).to_bytes(8, "little")  # close of the last record, before its volume
    server.in_turn(Answer(body=zstd(bytes(plain))))
    with pytest.raises(MalformedAnswer, match="without a price"):
        databento(server).fetch(PIECE)


# Files


@pytest.fixture
def folder(tmp_path):
    """June until the 1st, September from then on: a continuous symbol changes its instrument at the roll."""
    june = dbn_bytes(MINUTES, "ESM4", instrument=42)
    (tmp_path / "june.dbn").write_bytes(june)
    hours = dbn_bytes([replace(MINUTES[0], at="2024-05-31 14:00")], "ESM4", schema="ohlcv-1h")
    (tmp_path / "hours.dbn.zst").write_bytes(zstd(hours))
    before = dbn_bytes(MINUTES, "ES.c.0", instrument=42, end="2024-06-01")
    after = [replace(bar, at=bar.at.replace("05-31", "06-02"), close=9.0, low=9.0) for bar in MINUTES]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "before.dbn.zst").write_bytes(zstd(before))
    (tmp_path / "sub" / "after.dbn").write_bytes(
        dbn_bytes(after, "ES.c.0", instrument=77, start="2024-06-01")
    )
    return tmp_path


def test_files_are_read_without_a_key_and_by_symbol_and_schema(folder, monkeypatch):
    monkeypatch.delenv("DATABENTO_API_KEY")
    vendor = databento(path=str(folder))
    found = vendor.fetch(PIECE)
    assert found.rows["close"].tolist() == [500.5, 501.5, 501.25]
    assert found.calls == 0
    assert found.complete_to_utc is None
    hour = vendor.fetch(request("ESM4", 3600, "2024-05-31", "2024-06-01"))
    assert len(hour.rows) == 1
    assert databento(path=str(folder / "june.dbn")).fetch(PIECE).rows.equals(found.rows)


def test_a_continuous_symbol_follows_its_contracts_through_the_files(folder):
    vendor = databento(path=str(folder))
    pieces = vendor.pieces(request("ES.c.0", 60, "2024-05-01", "2024-06-03"))
    rows = pd.concat([vendor.fetch(piece).rows for piece in pieces])
    assert rows["instrument_id"].tolist() == [42.0] * 3 + [77.0] * 3
    assert rows["close"].tolist() == [500.5, 501.5, 501.25, 9.0, 9.0, 9.0]


def test_records_of_other_instruments_in_a_file_are_not_those_of_the_symbol(tmp_path):
    # One file with two instruments, as of a whole exchange: the header maps the symbol to 42 alone.
    mixed = dbn_bytes(MINUTES, "ESM4", instrument=42) + dbn_bytes(MINUTES, "NQM4", instrument=7)[-3 * 56 :]
    (tmp_path / "all.dbn").write_bytes(mixed)
    found = databento(path=str(tmp_path)).fetch(PIECE)
    assert found.rows["instrument_id"].tolist() == [42.0] * 3


def test_what_the_files_do_not_reach_is_neither_an_empty_time_nor_complete(tmp_path):
    (tmp_path / "a.dbn").write_bytes(dbn_bytes(MINUTES, start="2024-05-15", end="2024-06-01"))
    later = [replace(bar, at=bar.at.replace("05-31", "06-12")) for bar in MINUTES]
    (tmp_path / "b.dbn").write_bytes(dbn_bytes(later, start="2024-06-10", end="2024-06-20"))
    vendor = databento(path=str(tmp_path), now=lambda: pd.Timestamp("2024-09-01", tz="UTC"))
    pieces = vendor.pieces(request("ESM4", 60, "2024-05-01", "2024-07-05"))
    assert [f"{p.start_utc:%m-%d}" for p in pieces] == ["05-01", "05-15", "06-01", "06-10", "06-20", "07-01"]
    before, may, between, june, after, latest = pieces
    for reached, rows in ((may, 3), (june, 3)):
        found = vendor.fetch(reached)
        assert (len(found.rows), found.complete_to_utc) == (rows, None)
    for unreached in (before, between):
        with pytest.raises(AnswerRefused, match="no file of .* has ESM4"):
            vendor.fetch(unreached)
    for unreached in (after, latest):  # a file of it may come
        assert vendor.fetch(unreached).complete_to_utc == unreached.start_utc


def test_a_file_that_is_cut_or_missing_or_lacks_the_symbol_is_told(folder, tmp_path):
    with pytest.raises(AnswerRefused, match="no ZZ9"):
        databento(path=str(folder)).fetch(replace(PIECE, symbol="ZZ9"))
    with pytest.raises(AnswerRefused, match="no file"):
        databento(path=str(tmp_path / "nowhere")).fetch(PIECE)
    (folder / "june.dbn").write_bytes(dbn_bytes(MINUTES)[:-20])
    with pytest.raises(MalformedAnswer, match="june.dbn ends early inside a record; fetch it again"):
        databento(path=str(folder)).fetch(PIECE)
    (folder / "june.dbn").write_bytes(dbn_bytes(MINUTES)[:50])
    with pytest.raises(MalformedAnswer):
        databento(path=str(folder)).fetch(PIECE)
