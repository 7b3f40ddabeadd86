"""Instruments: contract facts and what a venue charges, per symbol; a catalogue of kinds to start from.

Facts of the futures are CME's contract specifications; margins and fees change, so read them as typical values
of 2024 and override what your broker states otherwise.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from envs.kernel import columns as c
from envs.validation import require_non_negative, require_positive


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """What one unit of an asset is and costs.

    Attributes
    ----------
    calendar : name of the trading calendar. currency : of prices, fees and margins (one currency per market).
    tick_size : smallest price step, price units; barriers fill on it. Crypto pairs each have their own: 1e-4 is fine
        enough for most. multiplier : account currency per unit and price point.
    lot_step : units trade in multiples of this; 0 for any size.
    commission_per_unit : per contract or share and side. taker_fee_bps, maker_fee_bps : of notional.
    half_spread_ticks, half_spread_bps : half the quoted spread, both parts added.
    borrow_rate : per year, on the notional of a short.
    funding_rate : per `funding_hours`, longs pay when positive; used where the panel has no column "funding_rate".
    funding_hours : hours between funding instants counted from 00:00 UTC; 0 for none.
    initial_margin, maintenance_margin : per unit. initial_margin_fraction, maintenance_margin_fraction : of notional.
    liquidation_fee_bps : of notional, on top of the taker fee.
    sector : name of the group that sector caps count it to; None for none.
    hard_to_borrow : True: it cannot be sold short. None: whether and at what rate it can be borrowed is not known, and
        shorts are cut by `RiskConfig.unknown_borrow_haircut`.
    delisted_utc : positions are closed at the last price from the first bar at or after this instant; None for the
        end of its bars (`Panel.end_bar`), which counts in any case.
    allow_nonpositive_prices : prices of zero and below are prices, as of crude oil on 2020-04-20; elsewhere they are
        refused. Instruments that were recorded before this key existed allow none.
    """

    calendar: str
    currency: str
    tick_size: float
    multiplier: float
    lot_step: float
    commission_per_unit: float
    taker_fee_bps: float
    maker_fee_bps: float
    half_spread_ticks: float
    half_spread_bps: float
    borrow_rate: float
    funding_rate: float
    funding_hours: float
    initial_margin: float
    initial_margin_fraction: float
    maintenance_margin: float
    maintenance_margin_fraction: float
    liquidation_fee_bps: float
    delisted_utc: str | None
    hard_to_borrow: bool | None = False
    sector: str | None = None
    allow_nonpositive_prices: bool = False

    def __post_init__(self) -> None:
        require_positive("instrument", "tick_size", self.tick_size)
        require_positive("instrument", "multiplier", self.multiplier)
        for name in (
            "lot_step",
            "commission_per_unit",
            "taker_fee_bps",
            "half_spread_ticks",
            "half_spread_bps",
            "borrow_rate",
            "funding_hours",
            "initial_margin",
            "initial_margin_fraction",
            "maintenance_margin",
            "maintenance_margin_fraction",
            "liquidation_fee_bps",
        ):
            require_non_negative("instrument", name, getattr(self, name))
        if self.delisted_utc is not None:
            try:
                np.datetime64(self.delisted_utc.removesuffix("Z"), "ns")
            except ValueError as error:
                raise ValueError(
                    f"instrument.delisted_utc is {self.delisted_utc!r}; write an instant, such as 2024-01-31T16:00:00Z"
                ) from error


def _future(
    multiplier: float,
    commission: float,
    initial: float,
    maintenance: float,
    *,
    tick_size: float = 0.25,
    calendar: str = "CME Globex Equity",
    allow_nonpositive_prices: bool = False,
) -> Instrument:
    return Instrument(
        calendar=calendar,
        currency="USD",
        tick_size=tick_size,
        multiplier=multiplier,
        lot_step=1.0,
        commission_per_unit=commission,
        taker_fee_bps=0.0,
        maker_fee_bps=0.0,
        half_spread_ticks=0.5,
        half_spread_bps=0.0,
        borrow_rate=0.0,
        funding_rate=0.0,
        funding_hours=0.0,
        initial_margin=initial,
        initial_margin_fraction=0.0,
        maintenance_margin=maintenance,
        maintenance_margin_fraction=0.0,
        liquidation_fee_bps=0.0,
        delisted_utc=None,
        allow_nonpositive_prices=allow_nonpositive_prices,
    )


def _crude_oil(barrels: float, commission: float, initial: float, maintenance: float) -> Instrument:
    return _future(
        barrels,
        commission,
        initial,
        maintenance,
        tick_size=0.01,
        calendar="CMEGlobex_Crude",
        allow_nonpositive_prices=True,
    )


def _gold(ounces: float, commission: float, initial: float, maintenance: float) -> Instrument:
    return _future(ounces, commission, initial, maintenance, tick_size=0.1, calendar="CMEGlobex_Gold")


US_STOCK = Instrument(
    calendar="NYSE",
    currency="USD",
    tick_size=0.01,
    multiplier=1.0,
    lot_step=1.0,
    commission_per_unit=0.005,
    taker_fee_bps=0.0,
    maker_fee_bps=0.0,
    half_spread_ticks=0.5,
    half_spread_bps=0.0,
    borrow_rate=0.003,
    funding_rate=0.0,
    funding_hours=0.0,
    initial_margin=0.0,
    initial_margin_fraction=0.5,
    maintenance_margin=0.0,
    maintenance_margin_fraction=0.25,
    liquidation_fee_bps=0.0,
    delisted_utc=None,
)
CRYPTO_SPOT = Instrument(
    calendar="24/7",
    currency="USD",
    tick_size=1e-4,
    multiplier=1.0,
    lot_step=0.0,
    commission_per_unit=0.0,
    taker_fee_bps=5.0,
    maker_fee_bps=2.0,
    half_spread_ticks=0.0,
    half_spread_bps=1.0,
    borrow_rate=0.05,
    funding_rate=0.0,
    funding_hours=0.0,
    initial_margin=0.0,
    initial_margin_fraction=1.0,
    maintenance_margin=0.0,
    maintenance_margin_fraction=0.5,
    liquidation_fee_bps=50.0,
    delisted_utc=None,
)
CRYPTO_PERPETUAL = replace(
    CRYPTO_SPOT,
    borrow_rate=0.0,
    funding_rate=1e-4,
    funding_hours=8.0,
    initial_margin_fraction=0.1,
    maintenance_margin_fraction=0.05,
)

CATALOGUE: Mapping[str, Instrument] = MappingProxyType(
    {
        "ES": _future(50.0, 2.25, 13_200.0, 12_000.0),
        "MES": _future(5.0, 0.62, 1_320.0, 1_200.0),
        "NQ": _future(20.0, 2.25, 19_800.0, 18_000.0),
        "MNQ": _future(2.0, 0.62, 1_980.0, 1_800.0),
        "CL": _crude_oil(1_000.0, 2.37, 6_600.0, 6_000.0),
        "MCL": _crude_oil(100.0, 0.77, 660.0, 600.0),
        "GC": _gold(100.0, 2.47, 9_900.0, 9_000.0),
        "MGC": _gold(10.0, 0.87, 990.0, 900.0),
        "ZN": _future(1_000.0, 1.67, 2_200.0, 2_000.0, tick_size=1.0 / 64.0, calendar="CME_Bond"),
        "us_stock": US_STOCK,
        "crypto_spot": CRYPTO_SPOT,
        "crypto_perpetual": CRYPTO_PERPETUAL,
    }
)

MINIMUM_COST_BPS: Mapping[str, float] = MappingProxyType(
    {
        **dict.fromkeys(("ES", "MES", "NQ", "MNQ", "CL", "MCL", "GC", "MGC", "ZN", "us_stock"), 1.0),
        "crypto_spot": 5.0,
        "crypto_perpetual": 5.0,
    }
)
"""Kind -> least trading cost a side that a record net of costs must have paid, basis points of the notional traded.

Retail orders in liquid futures and large stocks cost about a basis point once spread, fee and slippage are added; the
taker fee alone of the large crypto venues is 4 to 10. A fact of a kind of market, not of `Instrument`: nobody may set
it per symbol.
"""


def instrument_of_kind(kind: str) -> Instrument:
    """Return the catalogue's instrument; an unknown kind is a ValueError that names the nearest one."""
    if kind in CATALOGUE:
        return CATALOGUE[kind]
    near = difflib.get_close_matches(kind, CATALOGUE, n=1, cutoff=0.4)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"instrument kind {kind!r} is not known{hint}; choose one of {', '.join(CATALOGUE)}")


def instrument_columns(
    instruments: Mapping[str, Instrument], symbols: tuple[str, ...]
) -> NDArray[np.float64]:
    """Instrument facts as the kernel's matrix (S, K), rows in the order of `symbols`, where they end not set."""
    missing = [symbol for symbol in symbols if symbol not in instruments]
    if missing:
        raise ValueError(f"no instrument is given for {', '.join(missing)}; give one for every symbol")
    currencies = {instruments[symbol].currency for symbol in symbols}
    if len(currencies) > 1:
        raise ValueError(
            f"instruments are in {sorted(currencies)}; one market has one currency, convert prices"
        )
    matrix = np.zeros((len(symbols), c.NUM_INSTRUMENT_COLUMNS))
    names = {
        c.MULTIPLIER: "multiplier",
        c.TICK_SIZE: "tick_size",
        c.LOT_STEP: "lot_step",
        c.COMMISSION_PER_UNIT: "commission_per_unit",
        c.TAKER_BPS: "taker_fee_bps",
        c.MAKER_BPS: "maker_fee_bps",
        c.HALF_SPREAD_TICKS: "half_spread_ticks",
        c.HALF_SPREAD_BPS: "half_spread_bps",
        c.BORROW_RATE: "borrow_rate",
        c.FUNDING_HOURS: "funding_hours",
        c.INITIAL_PER_UNIT: "initial_margin",
        c.INITIAL_FRACTION: "initial_margin_fraction",
        c.MAINTENANCE_PER_UNIT: "maintenance_margin",
        c.MAINTENANCE_FRACTION: "maintenance_margin_fraction",
        c.LIQUIDATION_BPS: "liquidation_fee_bps",
    }
    for column, name in names.items():
        matrix[:, column] = [getattr(instruments[symbol], name) for symbol in symbols]
    matrix[:, [c.DELIST_BAR, c.LAST_BAR, c.MAX_UNITS, c.MAX_NOTIONAL, c.MAX_SLOT_ENTRIES]] = np.inf
    lent = {False: 1.0, True: 0.0, None: np.nan}
    matrix[:, c.SHORT_SHARE] = [lent[instruments[symbol].hard_to_borrow] for symbol in symbols]
    sectors = sorted({instruments[symbol].sector or "" for symbol in symbols} - {""})
    matrix[:, c.SECTOR] = [
        sectors.index(group) if (group := instruments[symbol].sector) else -1.0 for symbol in symbols
    ]
    return matrix
