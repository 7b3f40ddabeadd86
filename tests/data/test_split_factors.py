"""The column of split factors: a level that stands over missing bars, and nothing that is no factor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from data.errors import DataError
from data.split_factors import SPLIT_FACTOR, split_factors, with_split_factors
from data.synthetic import NoiseConfig, make_market
from envs.context import ContextConfig, write_context
from envs.instruments import CRYPTO_SPOT
from envs.kernel import columns as c

NAN = np.nan


@pytest.fixture(scope="module")
def panel():
    law = NoiseConfig(
        seed=1, num_assets=2, num_bars=5, bar_seconds=1800, start_utc="2024-01-01", volatility=0.01, noise_features=0,
        cost_bps=2.0,
    )  # fmt: skip
    return make_market(law).panel


def stating(panel, *columns):
    return replace(panel, exogenous={SPLIT_FACTOR: np.array(columns).T})


def test_a_factor_stands_until_the_next_one_and_is_one_before_the_first(panel):
    stated = stating(panel, [NAN, 1.0, NAN, 0.25, NAN], [NAN, NAN, NAN, NAN, 0.5])
    expected = np.array([[1.0, 1.0, 1.0, 0.25, 0.25], [1.0, 1.0, 1.0, 1.0, 0.5]]).T
    np.testing.assert_array_equal(split_factors(stated), expected)
    np.testing.assert_array_equal(with_split_factors(stated).exogenous[SPLIT_FACTOR], expected)
    np.testing.assert_array_equal(split_factors(panel), np.ones((5, 2)))
    assert with_split_factors(panel) is panel


def test_what_each_bar_says_of_itself_is_moved_to_the_bar_before(panel):
    stated = stating(panel, [1.0, 1.0, NAN, 0.25, 0.25], [0.5, NAN, NAN, 2.0, NAN])
    ahead = with_split_factors(stated, ahead=True).exogenous[SPLIT_FACTOR]
    np.testing.assert_array_equal(ahead.T, [[1.0, 1.0, 0.25, 0.25, 0.25], [0.5, 0.5, 2.0, 2.0, 2.0]])


@pytest.mark.parametrize("wrong", [0.0, -4.0])
def test_a_factor_that_is_none_is_one_sentence(panel, wrong):
    stated = stating(panel, [1.0, 1.0, 1.0, 1.0, 1.0], [1.0, NAN, wrong, 1.0, wrong])
    for reads in (split_factors, with_split_factors):
        with pytest.raises(
            DataError, match=f"SYN1: the column split_factor is {wrong:g} at 2024-01-01T01:00"
        ) as error:
            reads(stated)
        assert "in 1 more bars" in str(error.value)


def test_the_simulator_charges_a_bar_by_the_last_factor_stated_before_it(panel):
    stated = stating(panel, [NAN, 0.5, NAN, NAN, 0.25], [1.0, 1.0, 1.0, 1.0, 1.0])
    bars = np.zeros((5, 2, c.NUM_CONTEXT_COLUMNS))
    context = ContextConfig(atr_bars=None, volatility_bars=None, adv_bars=None, until_full="no_entry")
    write_context(bars, stated, dict.fromkeys(panel.symbols, CRYPTO_SPOT), context, 48.0)
    np.testing.assert_array_equal(bars[:, 0, c.SPLIT], [1.0, 1.0, 0.5, 0.5, 0.5])
