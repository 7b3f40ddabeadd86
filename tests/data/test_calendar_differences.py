"""Twenty years of sessions of NYSE and CME beside exchange_calendars: where the two differ, and nowhere else.

docs/data.md, "Calendars", lists the same differences with their reasons; its numbers are compared with those found.
"""

from __future__ import annotations

from pathlib import Path

import exchange_calendars
import numpy as np
import pandas as pd
import pytest

from data.calendars import sessions_between

FIRST, AFTER = "2004-01-01", "2024-01-01"
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def new_york(instants: pd.Series) -> list[str]:
    return list(
        pd.DatetimeIndex(instants).tz_localize("UTC").tz_convert("America/New_York").strftime("%H:%M")
    )


def schedules(ours: str, theirs: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Open and close of each session, New York's clock, by its date."""
    found = sessions_between(ours, np.datetime64(FIRST, "ns"), np.datetime64(AFTER, "ns"))
    dates = pd.DatetimeIndex(found.session.astype("datetime64[D]").astype("datetime64[ns]"))
    one = pd.DataFrame({"open": new_york(found.open_utc), "close": new_york(found.close_utc)}, index=dates)
    schedule = exchange_calendars.get_calendar(theirs, start=FIRST, end=AFTER).schedule
    other = pd.DataFrame(
        {name: new_york(schedule[name].dt.tz_localize(None)) for name in ("open", "close")},
        index=schedule.index.as_unit("ns"),
    )
    return tuple(table[(table.index >= FIRST) & (table.index < AFTER)] for table in (one, other))  # type: ignore[return-value]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_of_the_sessions_of_the_nyse_three_moments_differ_which_really_were_so():
    ours, theirs = schedules("NYSE", "XNYS")
    assert len(ours) == 5033
    assert ours.index.equals(theirs.index)
    differ = ours[(ours != theirs).any(axis=1)]
    assert {str(day.date()): tuple(row) for day, row in zip(differ.index, differ.to_numpy())} == {
        "2004-06-07": ("09:32", "16:00"),  # two minutes of silence for Ronald Reagan
        "2005-06-01": ("09:30", "15:56"),  # a failure of the network closed the floor early
        "2006-12-27": ("09:32", "16:00"),  # two minutes of silence for Gerald Ford
    }
    assert f"| `NYSE` / XNYS | {len(ours):,}, the same days |" in PAGE
    assert all(str(day.date()) in PAGE for day in differ.index)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_globex_differs_by_its_break_its_half_days_and_eight_short_sessions():
    ours, theirs = schedules("CME Globex Equity", "CMES")
    only_ours = ours.index.difference(theirs.index)
    assert theirs.index.difference(ours.index).empty
    good_fridays = ["2010-04-02", "2012-04-06", "2015-04-03", "2021-04-02", "2023-04-07"]
    funerals = ["2004-06-11", "2007-01-02", "2018-12-05"]
    assert [str(day.date()) for day in only_ours] == sorted(good_fridays + funerals)
    assert f"| `CME Globex Equity` / CMES | {len(ours):,} / {len(theirs):,} |" in PAGE
    assert all(day in PAGE for day in funerals)
    both = ours.index.intersection(theirs.index)
    ours, theirs = ours.loc[both], theirs.loc[both]
    assert (ours["open"] == theirs["open"]).all()
    counted = pd.crosstab(ours["close"], theirs["close"]).stack()
    assert counted[counted > 0].to_dict() == {
        ("11:30", "13:00"): 62,
        ("13:00", "13:00"): 58,
        ("13:00", "18:00"): 2,
        ("13:15", "13:00"): 30,
        ("13:15", "18:00"): 10,
        ("17:00", "18:00"): 4995,
    }
    found = {pair: f"{days:,}" for pair, days in counted.items()}
    assert f"| | {found['17:00', '18:00']} | closes at 17:00; theirs at 18:00" in PAGE
    assert (
        f"| | {found['13:15', '13:00']}, {found['13:15', '18:00']} | eves of holidays close at 13:15" in PAGE
    )
    assert (
        f"| | {found['11:30', '13:00']}, {found['13:00', '18:00']} | holidays to 2014 close at 11:30" in PAGE
    )
