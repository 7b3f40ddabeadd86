"""The column of dividends: what cannot be paid is refused, and no row's dividend is lost on the way to the bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.alignment import align
from data.dividends import dividends_of, require_dividends
from data.errors import DataError
from data.repair_decisions import Repairs
from data.schema import Panel


def rows(num: int = 40, **paid: float) -> pd.DataFrame:
    """Half hours of 24/7 from 2024-01-01; paid: r5=0.5 puts 0.5 into row 5."""
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-3, num)))
    dividend = np.zeros(num)
    for name, cash in paid.items():
        dividend[int(name[1:])] = cash
    prices = {"open": close, "high": close * 1.001, "low": close * 0.999, "close": close}
    index = pd.date_range("2024-01-01", periods=num, freq="30min")
    return pd.DataFrame({**prices, "volume": 10.0, "dividend": dividend}, index=index)


def aligned(frame: pd.DataFrame, **changes) -> tuple[Panel, str]:
    panel, hygiene = align({"X": frame}, calendar="24/7", bar_seconds=1800, **changes)
    return panel, " ".join(hygiene.remarks)


@pytest.mark.parametrize(
    ("row", "cash", "words"),
    [
        (7, np.nan, "X: the column dividend is unknown at 2024-01-01T03:30"),
        (7, -0.5, "negative at 2024-01-01T03:30, -0.5"),
        (7, 150.0, "not below the close before it at 2024-01-01T03:30, 150"),
    ],
)
def test_a_dividend_that_cannot_be_paid_is_one_sentence(row, cash, words):
    panel, _ = aligned(rows(**{f"r{row}": cash}))
    with pytest.raises(DataError, match=words):
        require_dividends(panel)


def test_missing_bars_pay_nothing_and_a_panel_without_the_column_is_not_asked():
    panel, _ = aligned(rows(r5=0.5).drop(index=rows().index[9]))
    require_dividends(panel)
    paid = dividends_of(panel)
    assert np.flatnonzero(paid[:, 0]).tolist() == [5]
    require_dividends(aligned(rows().drop(columns="dividend"))[0])


def test_the_dividend_of_a_row_that_lies_off_the_grid_is_paid_in_the_next_bar():
    frame = rows(r5=0.5)
    frame.index = frame.index.where(np.arange(40) != 5, pd.Timestamp("2024-01-01 02:40"))
    panel, told = aligned(frame)
    assert np.flatnonzero(dividends_of(panel)[:, 0]).tolist() == [6]
    assert (
        "a dividend of 0.5 stands in the row of 2024-01-01T02:40, which is no bar; it is paid in that of"
        in told
    )


def test_the_dividend_of_a_row_that_a_repair_takes_out_is_paid_all_the_same():
    frame = rows(700, r600=30.0)
    for name in ("open", "high", "low", "close"):  # half the price for one bar: an outlier
        frame.loc[frame.index[600], name] *= 0.5
    panel, told = aligned(frame, repairs=Repairs(outlier_score=20.0))
    assert np.isnan(panel.close[600, 0])
    assert dividends_of(panel)[600, 0] == 30.0
    assert "it is paid in that of 2024-01-13T12:00" in told


def test_bars_that_are_filled_up_pay_nothing():
    panel, _ = aligned(rows(r5=0.5).drop(index=rows().index[9]), repairs=Repairs(fill_bars=3))
    require_dividends(panel)
    assert np.isfinite(panel.close[9, 0])
    assert np.flatnonzero(dividends_of(panel)[:, 0]).tolist() == [5]
