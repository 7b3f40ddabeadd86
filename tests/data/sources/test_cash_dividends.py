"""Dividends that a lake knows are paid in cash beside prices that do not hold them, or it is said why not."""

from __future__ import annotations

import numpy as np
import pytest
from lake_actions import (
    FIRST,
    SESSIONS,
    account,
    bars,
    half_hours,
    paid,
    prices_as_traded,
    put,
    read,
    split,
    tell,
)

from data.errors import DataError
from data.lake import Lake
from data.lake.actions import write_actions

SPLITS, DIVIDENDS = [split("2024-07-05", 4.0)], [paid("2024-07-01", 3.0), paid("2024-07-08", 0.5)]


def days_of(panel) -> dict[str, float]:
    column = panel.exogenous["dividend"][:, 0]
    return {str(panel.bar_utc[t])[:16]: float(column[t]) for t in np.flatnonzero(column)}


def told(dataset) -> str:
    return " ".join(dataset.hygiene.remarks)


def test_prices_as_written_pay_what_the_lake_knows_at_the_first_bar_of_the_ex_date(tmp_path):
    labels = half_hours()
    close = prices_as_traded(labels, {})
    put(tmp_path, bars(labels, close))
    tell(tmp_path, [], DIVIDENDS)
    dataset = read(tmp_path, prices="as_written")
    assert days_of(dataset.panel) == {"2024-07-01T13:30": 3.0, "2024-07-08T13:30": 0.5}
    np.testing.assert_array_equal(dataset.panel.close[:, 0], close)
    assert "X: 2 dividends of made are paid in cash on their ex-dates" in told(dataset)


def test_prices_grown_by_splits_with_dividends_in_cash_are_the_account_of_a_holder_who_reinvests(tmp_path):
    labels = half_hours()
    close = prices_as_traded(labels, {"2024-07-05": 4.0})
    put(tmp_path, bars(labels, close))
    tell(tmp_path, SPLITS, DIVIDENDS)
    panel = read(tmp_path, prices="cash_dividends").panel
    # A share before the split of 4 is four afterwards: 0.5 a share is 2 a unit of what was bought.
    assert days_of(panel) == {"2024-07-01T13:30": 3.0, "2024-07-08T13:30": 2.0}
    grown, cash = panel.close[:, 0], panel.exogenous["dividend"][:, 0]
    worth = np.cumprod(np.append(1.0, grown[1:] / (grown[:-1] - cash[1:])))
    np.testing.assert_allclose(worth, account(labels, close, [*SPLITS, *DIVIDENDS]), rtol=1e-12)
    total = read(tmp_path, prices="total_return").panel
    assert "dividend" not in total.exogenous


def test_prices_that_were_adjusted_for_splits_are_paid_per_share_of_today(tmp_path):
    labels = half_hours()
    put(tmp_path, bars(labels, prices_as_traded(labels, {}) / 4.0), adjustment="splits")
    tell(tmp_path, SPLITS, DIVIDENDS)
    panel = read(tmp_path, prices="as_written", adjustment="splits").panel
    assert days_of(panel) == {"2024-07-01T13:30": 0.75, "2024-07-08T13:30": 0.5}


def test_prices_that_hold_dividends_have_no_such_column(tmp_path):
    labels = half_hours()
    put(tmp_path, bars(labels, prices_as_traded(labels, {})), adjustment="all")
    tell(tmp_path, [], DIVIDENDS)
    assert "dividend" not in read(tmp_path, prices="as_written", adjustment="all").panel.exogenous


def test_daily_bars_made_of_finer_ones_are_paid_in_the_bar_of_the_ex_date(tmp_path):
    labels = half_hours()
    put(tmp_path, bars(labels, prices_as_traded(labels, {})))
    tell(tmp_path, [], [paid("2024-07-04", 1.0)])  # a holiday: the next session opens without it
    column = read(tmp_path, prices="as_written", bar="1d").panel.exogenous["dividend"][:, 0]
    assert column.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert len(SESSIONS) == len(column)


@pytest.mark.parametrize(
    ("dividends", "changes", "words"),
    [
        ([paid("2024-07-01", 3.0, currency="CAD")], {}, "states the dividend of 2024-07-01 in CAD"),
        (
            [paid("2024-07-01", 3.0)],
            {"first": FIRST.replace(day=29)},
            "was asked for splits and dividends of",
        ),
        ([paid("2024-07-01", 3000.0)], {}, "is 3000 a unit, and the close before it is"),
    ],
)
def test_what_cannot_be_paid_is_told_with_prices_as_written_and_refused_where_it_is_asked_for(
    tmp_path, dividends, changes, words
):
    labels = half_hours()
    put(tmp_path, bars(labels, prices_as_traded(labels, {})))
    tell(tmp_path, [], dividends, **changes)
    dataset = read(tmp_path, prices="as_written")
    assert "dividend" not in dataset.panel.exogenous
    assert "X: its dividends are not paid, for" in told(dataset)
    assert words in told(dataset)
    with pytest.raises(DataError, match=words.split(",")[0]):
        read(tmp_path, prices="cash_dividends")


def test_nobody_is_paid_where_one_symbol_was_not_asked_about(tmp_path):
    labels = half_hours()
    rows = bars(labels, prices_as_traded(labels, {}))
    put(tmp_path, rows)
    tell(tmp_path, [], DIVIDENDS)
    put(tmp_path, rows, symbol="Y")
    dataset = read(tmp_path, prices="as_written")
    assert "dividend" not in dataset.panel.exogenous
    assert "no dividend is paid, for those of Y are not known" in told(dataset)
    write_actions(Lake(str(tmp_path)).files, "made", "Y", FIRST, FIRST.replace(month=8), [], [])
    assert read(tmp_path, prices="as_written").panel.exogenous["dividend"].sum(axis=0).tolist() == [3.5, 0.0]
