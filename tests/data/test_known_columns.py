"""When a column is known: what may be stated, and that a stated delay delays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.errors import DataError
from data.known_columns import ColumnStatement, check_statements, delayed_columns
from data.schema import Panel
from data.synthetic import NoiseConfig, make_market


@pytest.fixture(scope="module")
def panel() -> Panel:
    law = NoiseConfig(
        seed=1,
        num_bars=50,
        num_assets=2,
        bar_seconds=1800,
        start_utc="2024-01-01",
        volatility=0.01,
        noise_features=2,
        cost_bps=2.0,
    )
    made = make_market(law).panel
    return replace(made, exogenous={**made.exogenous, "funding_rate": np.zeros((50, 2))})


def stated(**columns: str) -> dict[str, ColumnStatement]:
    return {name: ColumnStatement(known_after=after) for name, after in columns.items()}


@pytest.mark.parametrize(("text", "bars"), [("0 bars", 0), ("1 bar", 1), ("2 bars", 2), ("48 bars", 48)])
def test_a_statement_says_a_number_of_bars(text, bars):
    assert ColumnStatement(known_after=text).bars == bars


@pytest.mark.parametrize("text", ["1", "one bar", "-1 bars", "1.5 bars", "1 day", "", 1])
def test_what_is_no_number_of_bars_is_one_sentence(text):
    with pytest.raises(ValueError, match="write how many bars"):
        ColumnStatement(known_after=text)


def test_a_column_known_two_bars_late_is_read_two_bars_late(panel):
    moved = delayed_columns(panel, stated(noise_00="2 bars"))
    np.testing.assert_array_equal(moved.exogenous["noise_00"][2:], panel.exogenous["noise_00"][:-2])
    assert np.isnan(moved.exogenous["noise_00"][:2]).all()
    np.testing.assert_array_equal(moved.exogenous["noise_01"], panel.exogenous["noise_01"])
    np.testing.assert_array_equal(moved.close, panel.close)
    assert moved.fingerprint != panel.fingerprint


def test_a_column_known_at_its_close_leaves_the_panel_as_it_is(panel):
    assert delayed_columns(panel, stated(noise_00="0 bars")) is panel


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"noise_0": "1 bar"}, "the data have no column 'noise_0' .did you mean 'noise_0"),
        ({"log_return_1": "1 bar"}, "a feature is delayed in its own function"),
        ({"funding_rate": "1 bar"}, "the simulator charges by funding_rate"),
        ({"noise_00": "50 bars"}, "nothing of it would be left"),
    ],
)
def test_a_delay_of_what_cannot_be_delayed_is_one_sentence(panel, columns, says):
    with pytest.raises(DataError, match=says):
        delayed_columns(panel, stated(**columns))


def test_a_statement_about_nothing_is_refused_with_the_nearest_name(panel):
    check_statements(stated(noise_00="0 bars", rsi_28="0 bars", close="0 bars"), panel, ("rsi_28",))
    with pytest.raises(
        DataError, match="data.columns.noise_02: there is no column or feature .*did you mean"
    ):
        check_statements(stated(noise_02="0 bars"), panel, ("rsi_28",))


def daily(values: list[float], first: str = "2024-01-01") -> Panel:
    """Weekdays from a Monday on, with a column `eps`."""
    labels = np.arange(np.datetime64(first), np.datetime64(first) + 2 * len(values))
    labels = labels[np.is_busday(labels)][: len(values)].astype("datetime64[ns]")
    prices = np.full((len(values), 1), 10.0)
    return Panel(
        symbols=("X",),
        bar_utc=labels,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), prices),
        tradable=np.ones(prices.shape, dtype=bool),
        session=labels.astype("datetime64[D]").astype(np.int32),
        calendar="NYSE",
        bar_seconds=86_400,
        exogenous={"eps": np.array(values, dtype=float)[:, None]},
    )


def test_a_figure_is_read_from_the_first_bar_that_opens_so_many_days_after_its_date():
    # Quarters that end on Monday the 1st and Friday the 12th; five days later: Saturday the 6th, Wednesday the 17th.
    panel = daily([1.0] * 9 + [2.0] * 11)
    moved = delayed_columns(panel, {"eps": ColumnStatement(released_in="5 days")}).exogenous["eps"][:, 0]
    assert np.isnan(moved[:5]).all()
    np.testing.assert_array_equal(moved[5:], [1.0] * 7 + [2.0] * 8)  # Monday the 8th, Wednesday the 17th


def test_a_figure_that_stands_in_one_bar_alone_is_not_lost_on_a_weekend():
    # Tuesday the 2nd and four days: Saturday the 6th, so Monday the 8th.
    values = [np.nan] * 15
    values[1] = 3.0
    moved = delayed_columns(daily(values), {"eps": ColumnStatement(released_in="4 days")}).exogenous["eps"][
        :, 0
    ]
    assert np.flatnonzero(np.isfinite(moved)).tolist() == [5]


@pytest.mark.parametrize("days", [1, 3, 10, 45])
def test_no_value_is_read_before_its_time_and_each_bar_has_the_last_that_came_out(panel, days):
    rng = np.random.default_rng(days)
    values = rng.normal(size=(90, 1))
    bars = daily(values[:, 0].tolist())
    moved = delayed_columns(bars, {"eps": ColumnStatement(released_in=f"{days} days")}).exogenous["eps"]
    for t, label in enumerate(bars.bar_utc):
        out = [s for s in range(t + 1) if bars.bar_utc[s] + np.timedelta64(days, "D") <= label]
        if out:
            assert moved[t, 0] == values[out[-1], 0]
        else:
            assert np.isnan(moved[t, 0])


@pytest.mark.parametrize("text", ["45", "0.5 days", "-1 days", "6 weeks", 45])
def test_what_is_no_number_of_days_is_one_sentence(text):
    with pytest.raises(ValueError, match="write how many days"):
        ColumnStatement(released_in=text)


def test_bars_or_days_are_stated_and_not_both():
    for both in ({}, {"known_after": "1 bar", "released_in": "1 day"}):
        with pytest.raises(ValueError, match="state one of the two"):
            ColumnStatement(**both)
    stated = ColumnStatement(released_in="45 days")
    assert (stated.bars, stated.days, stated.words) == (0, 45, "45 days (released_in)")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("noise_0", "data.columns.noise_0.released_in is '1 day', but the data have no column 'noise_0'"),
        ("funding_rate", "the simulator charges by funding_rate"),
        ("noise_00", "50 bars of 1 days only; nothing of it would be left"),
    ],
)
def test_days_that_cannot_be_are_one_sentence(panel, name, says):
    days = "2 days" if name == "noise_00" else "1 day"
    with pytest.raises(DataError, match=says):
        delayed_columns(panel, {name: ColumnStatement(released_in=days)})
