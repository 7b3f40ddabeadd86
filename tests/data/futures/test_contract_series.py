"""Which contract a bar shows, and which one a session is to be held in, as it was known before the session opened."""

import pickle

import numpy as np
import pytest
from contract_files import contract, futures, march_and_june, read, written

from data.errors import DataError
from data.futures.contract_series import by_symbol, delivery_month, series_of, venue_name


def day(text):
    return int(np.datetime64(text, "D").astype(np.int64))


@pytest.mark.parametrize(
    ("symbol", "last_day", "month"),
    [
        ("ESH4", "2024-03-15", "202403"),
        ("ESZ23", "2023-12-15", "202312"),
        ("CLF5", "2024-12-19", "202501"),  # crude oil ends in the month before its delivery
        ("CL-M2024", "2024-05-21", "202406"),
        ("GCQ0", "2030-08-28", "203008"),
    ],
)
def test_the_month_of_delivery_follows_from_the_name_and_the_last_trading_day(symbol, last_day, month):
    assert delivery_month(symbol, np.datetime64(last_day)) == month
    assert venue_name("X", symbol, np.datetime64(last_day)) == f"X:{month}"


def test_names_at_a_venue_lead_back_to_their_series():
    assert [series_of(name) for name in ("ES:202403", "ES", "BRK.B", "X:1")] == ["ES", "ES", "BRK.B", "X:1"]
    with pytest.raises(DataError, match="no dated contract"):
        delivery_month("SPY", np.datetime64("2024-03-15"))


def test_a_series_knows_its_contracts_its_rolls_and_what_each_session_was_to_be_held_in(tmp_path):
    # More of June is traded from the 8th on, so the 9th is the first session in it.
    (series,) = read(march_and_june(tmp_path), futures()).hygiene.contracts
    assert [(one.symbol, one.name) for one in series.contracts] == [
        ("ESH4", "ES:202403"),
        ("ESM4", "ES:202406"),
    ]
    assert [str(one.last_day) for one in series.contracts] == ["2024-03-15", "2024-06-21"]
    (roll,) = series.rolls
    assert str(roll.bar_utc.astype("datetime64[D]")) == "2024-03-09"
    assert (roll.begun, roll.left_at, roll.begun_at, roll.step) == (1, 5116.0, 5176.0, 60.0)
    assert series.held == (0, 1)
    assert [series.due_in(day(f"2024-03-{d:02d}")) for d in (2, 8, 9, 16)] == [0, 0, 1, 1]
    assert [series.num_rolls(np.datetime64(f"2024-03-{d:02d}", "ns")) for d in (8, 9)] == [0, 1]
    assert (series.place("ES:202406"), series.place("ES:202409")) == (1, None)
    assert series.names(np.datetime64("2024-03-16", "ns")) == ("ES:202406",)
    assert by_symbol([series]) == {"ES": series}


@pytest.mark.parametrize("rule", ["volume", "days_before_expiry"])
def test_what_a_session_is_to_be_held_in_is_known_from_the_bars_before_it(tmp_path, rule):
    how = futures(rule, days=4)
    folder = march_and_june(tmp_path)
    (whole,) = read(folder, how).hygiene.contracts
    for d in range(3, 15):
        (known,) = read(folder, how, stop_utc=f"2024-03-{d + 1:02d}").hygiene.contracts
        (cut,) = read(short(folder, tmp_path / str(d), d), how).hygiene.contracts
        session = day(f"2024-03-{d + 1:02d}")
        assert known.due_in(session) == whole.due_in(session)
        assert cut.due_in(session) == whole.due_in(session), d  # of bars that end the day before
        assert session not in cut.due


def short(folder, place, last):
    """The files without what came after a day of March."""
    place.mkdir()
    for path in folder.glob("*.csv"):
        lines = path.read_text().splitlines()
        kept = [line for line in lines[1:] if line[:10] <= f"2024-03-{last:02d}"]
        (place / path.name).write_text("\n".join([lines[0], *kept]) + "\n")
    return place


def test_a_series_goes_to_another_process_and_back(tmp_path):
    (series,) = read(march_and_june(tmp_path), futures()).hygiene.contracts
    again = pickle.loads(pickle.dumps(series))
    assert again.due_in(day("2024-04-02")) == series.due_in(day("2024-04-02")) == 1
    assert again.contracts == series.contracts


def test_what_is_not_joined_has_no_series(tmp_path):
    folder = written(tmp_path, ESH4=contract("2024-03-01", [5100.0] * 5, 10.0))
    assert read(folder, futures(None), symbols=("ESH4",)).hygiene.contracts == ()
