"""FRED: first releases with their day, what FRED says today, values that are not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scripted_server import Answer
from vendor_doubles import clock, fred_rows, request

from data.vendors.definition import AnswerRefused, KeyRefused, MalformedAnswer, RateLimited
from data.vendors.fred import Fred

PIECE = request("DGS10", 86400, "2024-01-01", "2024-02-01")


def fred(server, **more):
    return Fred(base_url=f"{server.url}/fred", now=clock, settle_days=7, **more)


def archive(server, today, vintages):
    """`vintages`: (date, value, first day of the vintage), as ALFRED has them."""

    def answer(seen):
        if "realtime_start" not in seen.query:
            return Answer(body=fred_rows(today))
        rows = [{"date": d, "value": v, "realtime_start": p} for d, v, p in vintages]
        return Answer(body={"count": len(rows), "observations": rows})

    server.answer = answer


def test_the_first_release_is_delivered_with_the_end_of_the_day_it_appeared_on(server):
    archive(
        server,
        {"2024-01-04": "4.01", "2024-01-05": "4.99", "2024-01-08": "."},
        [
            ("2024-01-05", "4.99", "2024-03-01"),  # revised
            ("2024-01-05", "4.05", "2024-01-08"),  # the value of Friday, published on Monday
            ("2024-01-04", "4.00", "2024-01-05"),
        ],
    )
    found = fred(server).fetch(PIECE)
    assert [f"{t:%m-%d %H:%M}" for t in found.rows.index] == ["01-04 00:00", "01-05 00:00"]
    assert found.rows["close"].tolist() == [4.00, 4.05]
    assert found.rows["volume"].tolist() == [0.0, 0.0]
    known = pd.to_datetime(found.rows["published_utc_s"], unit="s", utc=True)
    # The end of a day in New York, 05:00 UTC in winter.
    assert [f"{t:%m-%d %H:%M}" for t in known] == ["01-06 05:00", "01-09 05:00"]
    assert (known > found.rows.index).all()
    today, vintages = server.seen
    assert (vintages.query["realtime_start"], vintages.query["realtime_end"]) == ("2024-01-01", "2024-06-03")
    assert "realtime_start" not in today.query
    assert found.calls == 2


def test_what_was_never_archived_has_no_day_of_publication(server):
    archive(server, {"2024-01-04": "4.01", "2024-01-05": "4.02"}, [("2024-01-05", "4.00", "2024-01-08")])
    found = fred(server).fetch(PIECE)
    assert found.rows["close"].tolist() == [4.01, 4.00]
    assert np.isnan(found.rows["published_utc_s"].iloc[0])
    assert np.isfinite(found.rows["published_utc_s"].iloc[1])


def test_a_series_outside_of_the_archive_is_delivered_as_it_is_today(server):
    words = {
        "error_code": 400,
        "error_message": "Bad Request.  The series does not exist in ALFRED but may exist in FRED.",
    }

    def answer(seen):
        if "realtime_start" in seen.query:
            return Answer(status=400, body=words)
        return Answer(body=fred_rows({"2024-01-04": "4.01"}))

    server.answer = answer
    found = fred(server).fetch(PIECE)
    assert found.rows["close"].tolist() == [4.01]
    assert found.rows["published_utc_s"].isna().all()


def test_the_days_of_which_something_may_still_come_are_asked_for_again(server):
    archive(server, {"2024-05-24": "4.5", "2024-05-28": "4.6"}, [])
    found = fred(server).fetch(request("DGS10", 86400, "2024-05-01", "2024-06-30"))
    assert found.complete_to_utc == pd.Timestamp("2024-05-27", tz="UTC")  # a week before 2024-06-03
    assert [f"{t:%d}" for t in found.rows.index] == ["24"]


def test_the_answer_comes_in_pages_by_offset(server):
    days = {f"2024-01-{d:02}": str(d) for d in range(1, 6)}

    def answer(seen):
        offset = int(seen.query["offset"])
        part = dict(list(days.items())[offset : offset + 2])
        return Answer(body={**fred_rows(part), "count": 5})

    server.answer = answer
    found = fred(server, first_release=False).fetch(PIECE)
    assert found.rows["close"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert found.calls == 3


def test_its_words_tell_a_wrong_key_from_an_unknown_series(server):
    words = "Bad Request.  The value for variable api_key is not registered."
    server.in_turn(Answer(status=400, body={"error_code": 400, "error_message": words}))
    with pytest.raises(KeyRefused, match="not registered"):
        fred(server).fetch(PIECE)
    server.in_turn(
        Answer(
            status=400, body={"error_code": 400, "error_message": "Bad Request.  The series does not exist."}
        )
    )
    with pytest.raises(AnswerRefused, match="does not exist"):
        fred(server).fetch(PIECE)
    server.in_turn(Answer(body={"error_code": 429, "error_message": "Too Many Requests."}))
    with pytest.raises(RateLimited):
        fred(server).fetch(PIECE)


@pytest.mark.parametrize("value", ["n/a", "", None, 4.0e400, "1,234"])
def test_a_value_that_is_no_number_and_not_the_sign_for_none_is_malformed(server, value):
    server.in_turn(
        Answer(
            body={
                "count": 1,
                "observations": [{"date": "2024-01-04", "value": value, "realtime_start": "2024-01-05"}],
            }
        )
    )
    with pytest.raises(MalformedAnswer):
        fred(server, first_release=False).fetch(PIECE)


def test_a_series_is_daily_and_is_not_adjusted(server):
    with pytest.raises(AnswerRefused, match="bars of 60 s"):
        fred(server).pieces(replace(PIECE, bar_seconds=60))
    years = fred(server).pieces(replace(PIECE, start_utc=pd.Timestamp("2019-06-01", tz="UTC")))
    assert len(years) == 6  # a year's vintages stay below the 2,000 of one answer
