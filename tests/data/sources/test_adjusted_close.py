"""An adjusted close is turned into what a holder earned beyond the price, which is known when it is earned."""

import numpy as np
import pandas as pd
import pytest

from data.errors import DataError
from data.sources.adjusted_close import total_return_factors

DATES = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"]
CLOSE = np.array([50.0, 50.0, 49.0, 49.98, 51.0, 50.0])
# A dividend of 0.50 with ex-date on the 4th, another of 1.02 on the 9th: closes before each are multiplied by
# 1 - 0.50 / 50.00 = 0.99, and by 1 - 1.02 / 51.00 = 0.98.
ADJUSTED = CLOSE * np.array([0.99 * 0.98, 0.99 * 0.98, 0.98, 0.98, 0.98, 1.0])


def yahoo(dates, close, adjusted):
    prices = dict.fromkeys(("Open", "High", "Low", "Close"), close)
    return pd.DataFrame({"Date": dates, **prices, "Adj Close": adjusted, "Volume": 1000})


def test_the_factor_is_the_gross_return_of_each_dividend_on_its_ex_date():
    expected = [1.0, 1.0, 1.0 / 0.99, 1.0, 1.0, 1.0 / 0.98]
    np.testing.assert_allclose(total_return_factors(CLOSE, ADJUSTED), expected, rtol=1e-12)


def test_price_return_and_factors_are_the_total_return():
    total = np.prod(total_return_factors(CLOSE, ADJUSTED)) * CLOSE[-1] / CLOSE[0]
    # The dividends are worth 1 / 0.99 and 1 / 0.98, and the close is back where it began.
    assert total == pytest.approx(1.0 / 0.99 / 0.98, rel=1e-12)
    assert total == pytest.approx(ADJUSTED[-1] / ADJUSTED[0], rel=1e-12)


@pytest.mark.parametrize("decimals", [2, 4, 6])
def test_rounding_is_no_dividend(decimals):
    rng = np.random.default_rng(3)
    close = np.round(20.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(500))), 2)
    factors = total_return_factors(close, np.round(0.731234567 * close, decimals))
    assert (factors == 1.0).all()


def test_what_is_known_later_changes_nothing_before(load_tables):
    config = {"calendar": "NYSE", "bar_seconds": 86400}
    whole = load_tables({"KO.csv": yahoo(DATES, CLOSE, ADJUSTED)}, **config).panel
    # The download of the 5th did not know of the second dividend: its adjusted closes are others, its factors are not.
    early = load_tables({"KO.csv": yahoo(DATES[:4], CLOSE[:4], ADJUSTED[:4] / 0.98)}, **config).panel
    assert set(whole.exogenous) == {"total_return_factor"}
    np.testing.assert_allclose(
        whole.exogenous["total_return_factor"][:4], early.exogenous["total_return_factor"], rtol=1e-12
    )
    np.testing.assert_array_equal(whole.close[:, 0], CLOSE)  # what fills pay


def test_newest_first_is_put_in_order_of_time_before_steps_are_taken(load_tables):
    table = yahoo(DATES, CLOSE, ADJUSTED).iloc[::-1]
    panel = load_tables({"KO.csv": table}, calendar="NYSE", bar_seconds=86400).panel
    np.testing.assert_allclose(
        panel.exogenous["total_return_factor"][:, 0], total_return_factors(CLOSE, ADJUSTED), rtol=1e-12
    )


def test_parts_that_were_adjusted_at_different_times_are_refused(load_tables):
    parts = {
        "KO-2024-01-02.csv": yahoo(DATES[:3], CLOSE[:3], ADJUSTED[:3] / 0.98),
        "KO-2024-01-05.csv": yahoo(DATES[3:], CLOSE[3:], ADJUSTED[3:]),
    }
    with pytest.raises(DataError, match="adjusted closes of .* do not go on from one to the other"):
        load_tables(parts, calendar="NYSE", bar_seconds=86400)


@pytest.mark.parametrize("name", ["adj_open", "Adj High", "adjVolume"])
def test_other_columns_in_adjusted_prices_are_left_out(load_tables, name):
    table = yahoo(DATES, CLOSE, ADJUSTED).assign(**{name: 1.0})
    dataset = load_tables({"KO.csv": table}, calendar="NYSE", bar_seconds=86400)
    assert set(dataset.panel.exogenous) == {"total_return_factor"}
    assert f"{name} left out" in dataset.hygiene.remarks[0]
