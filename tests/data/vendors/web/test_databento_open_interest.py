"""Open interest of Databento: each bar has what had been published before its close, and nothing later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scripted_server import Answer
from vendor_doubles import MINUTES, Figure, clock, dbn_bytes, request, statistics_bytes, zstd

from data.vendors.databento import Databento
from data.vendors.definition import AnswerRefused, MalformedAnswer, TemporarilyUnavailable

PIECE = request("ESM4", 60, "2024-05-31 14:00", "2024-05-31 15:00")
FIGURES = [
    Figure("2024-05-24 12:00", 700),
    Figure("2024-05-30 22:10", 1000),
    Figure("2024-05-31 13:00", 9, kind=6),  # cleared volume
    Figure("2024-05-31 13:00", 2**63 - 1),  # no quantity
    Figure("2024-05-31 13:30", 5000, deleted=True),
    Figure("2024-05-31 14:01", 2000),  # at the very close of the bar that opens at 14:00
    Figure("2024-05-31 14:04", 3000),  # at the close of the last bar
]
"""Bars open at 14:00, 14:01 and 14:03."""


def databento(server=None, **more):
    return Databento(
        **{"now": clock, "open_interest": True, **({"base_url": server.url} if server else {}), **more}
    )


def serving(bars, figures):
    """Bars to whoever asks for bars, statistics to whoever asks for those."""

    def answer(seen) -> Answer:
        body = statistics_bytes(figures) if seen.query["schema"] == "statistics" else dbn_bytes(bars)
        return Answer(body=zstd(body))

    return answer


def test_a_bar_has_what_was_published_before_its_close(server):
    server.answer = serving(MINUTES, FIGURES[::-1])  # in whatever order they come
    found = databento(server).fetch(PIECE)
    assert found.rows["open_interest"].tolist() == [1000.0, 2000.0, 2000.0]
    assert found.rows["close"].tolist() == [500.5, 501.5, 501.25]
    assert found.calls == 2


def test_the_week_before_is_asked_for_and_nothing_that_the_bars_do_not_reach(server):
    server.answer = serving(MINUTES, FIGURES)
    databento(server).fetch(PIECE)
    (asked,) = [seen.query for seen in server.seen if seen.query["schema"] == "statistics"]
    assert (asked["symbols"], asked["stype_in"]) == ("ESM4", "raw_symbol")
    assert pd.Timestamp(asked["start"]) == PIECE.start_utc - pd.Timedelta(days=7)
    assert pd.Timestamp(asked["end"]) == PIECE.stop_utc


def test_a_figure_of_more_than_a_week_ago_is_not_known(server):
    server.answer = serving(MINUTES, [Figure("2024-05-24 14:02", 700)])
    rows = databento(server).fetch(PIECE).rows
    np.testing.assert_array_equal(rows["open_interest"], [700.0, 700.0, np.nan])  # closes 14:01, 14:02, 14:04


def test_without_the_option_nothing_more_is_asked_for(server):
    server.answer = serving(MINUTES, FIGURES)
    found = databento(server, open_interest=False).fetch(PIECE)
    assert "open_interest" not in found.rows
    assert [seen.query["schema"] for seen in server.seen] == ["ohlcv-1m"]


def test_no_bar_is_given_beyond_what_the_statistics_have_reached(server):
    def answer(seen) -> Answer:
        if "get_dataset_range" in seen.path:
            ends = {"ohlcv-1m": "2024-06-03T17:30:00Z", "statistics": "2024-06-03T17:20:00Z"}
            told = {name: {"start": "2010-06-06", "end": end} for name, end in ends.items()}
            return Answer(body={"start": "2010-06-06", "end": "2024-06-03T17:30:00Z", "schema": told})
        return serving([], [])(seen)

    server.answer = answer
    found = databento(server).fetch(request("ESM4", 60, "2024-06-03 17:00", "2024-06-03 19:00"))
    assert found.complete_to_utc == pd.Timestamp("2024-06-03 17:20", tz="UTC")
    assert found.calls == 3


def test_statistics_that_end_early_or_are_none_are_no_answer(server):
    whole = statistics_bytes(FIGURES)
    for body in (whole[:-1], zstd(whole)[:-1], dbn_bytes(MINUTES)):
        server.answer = lambda seen, body=body: Answer(
            body=body if seen.query["schema"] == "statistics" else dbn_bytes(MINUTES)
        )
        with pytest.raises((TemporarilyUnavailable, MalformedAnswer)):
            databento(server).fetch(PIECE)


def test_files_of_statistics_beside_those_of_bars_are_read(tmp_path):
    (tmp_path / "bars.dbn").write_bytes(dbn_bytes(MINUTES))
    with pytest.raises(AnswerRefused, match="hold no statistics, and no ESM4"):
        databento(path=str(tmp_path)).fetch(PIECE)
    (tmp_path / "early.dbn.zst").write_bytes(zstd(statistics_bytes(FIGURES[:2], end="2024-05-31")))
    (tmp_path / "late.dbn").write_bytes(statistics_bytes(FIGURES[2:], start="2024-05-31"))
    found = databento(path=str(tmp_path)).fetch(PIECE)
    assert found.rows["open_interest"].tolist() == [1000.0, 2000.0, 2000.0]


def test_statistics_of_another_contract_in_the_file_do_not_count(tmp_path):
    (tmp_path / "bars.dbn").write_bytes(dbn_bytes(MINUTES))
    other = statistics_bytes([Figure("2024-05-31 13:59", 77)], "NQM4", instrument=7)
    own = statistics_bytes(FIGURES)
    (tmp_path / "statistics.dbn").write_bytes(own + other[-(len(other) - len(_header(other))) :])
    found = databento(path=str(tmp_path)).fetch(PIECE)
    assert found.rows["open_interest"].tolist() == [1000.0, 2000.0, 2000.0]


def _header(dbn: bytes) -> bytes:
    return dbn[: 8 + int.from_bytes(dbn[4:8], "little")]
