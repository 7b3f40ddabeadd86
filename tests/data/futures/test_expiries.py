"""Last trading days that exchanges published, against the rules that give them."""

import numpy as np
import pytest

from data.futures.contracts import ContractName, contract_name
from data.futures.expiries import CONTRACTS

PUBLISHED = [
    ("ES", 2024, 3, "2024-03-15"),
    ("MES", 2024, 6, "2024-06-21"),
    ("ES", 2008, 3, "2008-03-20"),  # the third Friday was Good Friday
    ("NQ", 2023, 12, "2023-12-15"),
    ("CL", 2020, 5, "2020-04-21"),  # the 25th was a Saturday: the day after the price went below zero
    ("CL", 2020, 6, "2020-05-19"),  # the 25th was Memorial Day
    ("CL", 2024, 1, "2023-12-19"),  # the 25th was Christmas
    ("CL", 2023, 12, "2023-11-20"),  # Thanksgiving lay between
    ("CL", 2024, 2, "2024-01-22"),
    ("MCL", 2024, 2, "2024-01-19"),
    ("GC", 2023, 12, "2023-12-27"),
    ("GC", 2024, 2, "2024-02-27"),
    ("ZN", 2024, 3, "2024-03-19"),  # Good Friday was the last weekday of the month
    ("ZN", 2024, 6, "2024-06-18"),  # Juneteenth lay between
    ("ZF", 2024, 3, "2024-03-28"),
    ("6E", 2024, 3, "2024-03-18"),
    ("6C", 2024, 3, "2024-03-19"),
    ("NG", 2024, 2, "2024-01-29"),
    ("RB", 2024, 2, "2024-01-31"),
    ("BTC", 2024, 1, "2024-01-26"),
    ("ZC", 2024, 3, "2024-03-14"),
]


@pytest.mark.parametrize(("root", "year", "month", "day"), PUBLISHED)
def test_the_last_trading_day_is_the_one_that_the_exchange_published(root, year, month, day):
    assert CONTRACTS[root].last_day(year, month) == np.datetime64(day)


def test_a_note_may_be_delivered_from_the_last_business_day_before_its_month_on():
    assert CONTRACTS["ZN"].first_notice(2024, 3) == np.datetime64("2024-02-29")
    assert CONTRACTS["ES"].first_notice is None


@pytest.mark.parametrize("root", CONTRACTS)
def test_every_month_of_ten_years_ends_on_a_business_day_later_than_the_month_before(root):
    days = [CONTRACTS[root].last_day(year, month) for year in range(2015, 2025) for month in range(1, 13)]
    assert np.is_busday(days).all()
    assert (np.diff(days) > np.timedelta64(0, "D")).all()


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("ESH4", ContractName("ES", 3, 4, 1)),
        ("ESH24", ContractName("ES", 3, 24, 2)),
        ("ES H2024", ContractName("ES", 3, 2024, 4)),
        ("es-z9", ContractName("ES", 12, 9, 1)),
        ("6EM4", ContractName("6E", 6, 4, 1)),
        ("M2KU23", ContractName("M2K", 9, 23, 2)),
        ("CLF5", ContractName("CL", 1, 5, 1)),
        ("ZZ4", ContractName("Z", 12, 4, 1)),
        ("SPY", None),
        ("ESA4", None),
        ("ES", None),
        ("H4", None),
        ("ES123", None),
    ],
)
def test_a_name_is_read_as_root_month_and_year(symbol, name):
    assert contract_name(symbol) == name
