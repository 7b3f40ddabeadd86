"""Which symbols are stocks whose dividends the data do not know, and the yield that is assumed of them."""

from __future__ import annotations

from data.dividends import DIVIDEND
from data.schema import Panel
from rayjobs.study.config import TrainConfig
from rayjobs.study.least_costs import SATURDAY_SHARE, is_synthetic, saturday_share

STOCKS = ("us_stock",)
"""Kinds of the catalogue that pay dividends."""


def assumed_yields(config: TrainConfig, panel: Panel) -> dict[str, float]:
    """Symbol -> dividends a year that its shorts are charged in the stressed comparison, fraction of the price.

    Of stocks alone, where the data have no column of dividends and their prices are not said to hold them. What trades
    on Saturdays is no stock, and a market that is drawn from a law pays none.
    """
    if is_synthetic(config) or DIVIDEND in panel.exogenous or _held_in_prices(config.data):
        return {}
    around_the_clock = (saturday_share(panel) >= SATURDAY_SHARE).tolist()
    return {
        symbol: config.gate.assumed_dividend_yield
        for symbol, always in zip(panel.symbols, around_the_clock)
        if config.instruments.kind_of(symbol) in STOCKS and not always
    }


def _held_in_prices(data: object) -> bool:
    return getattr(data, "prices", "") == "total_return" or getattr(data, "adjustment", "") == "all"
