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
