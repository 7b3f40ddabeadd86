"""Vendors that bars are fetched from: one file each, all behind the protocol in `definition`.

Their clients are imported where they are used, so that a vendor that nobody asks need not be installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from data.errors import nearest_name
from data.vendors.alpaca import Alpaca
from data.vendors.alphavantage import AlphaVantage
from data.vendors.bybit import Bybit
from data.vendors.ccxt import Ccxt
from data.vendors.databento import Databento
from data.vendors.definition import Vendor
from data.vendors.finnhub import Finnhub
from data.vendors.fred import Fred
from data.vendors.ibkr import Ibkr
from data.vendors.massive import Massive
from data.vendors.yahoo import Yahoo

VENDORS: Mapping[str, Callable[..., Vendor]] = {
    "massive": Massive,
    "databento": Databento,
    "alpaca": Alpaca,
    "bybit": Bybit,
    "ccxt": Ccxt,
    "yahoo": Yahoo,
    "fred": Fred,
    "alphavantage": AlphaVantage,
    "finnhub": Finnhub,
    "ibkr": Ibkr.of,
}
"""Name -> what makes it from its settings, the keys of the group `source`."""

RENAMED: Mapping[str, str] = {"polygon": "massive"}
GONE: Mapping[str, str] = {
    "iex": "IEX Cloud was shut down on 2024-08-31; use massive, alphavantage, yahoo, or alpaca (its feed=iex "
    "has the trades of that exchange).",
}


def vendor_factory(name: str) -> Callable[..., Vendor]:
    """What makes the vendor of this name.

    Raises
    ------
    ValueError
        If there is none; for one that no longer exists the message says what to use instead.
    """
    name = RENAMED.get(name, name)
    if name in VENDORS:
        return VENDORS[name]
    gone = next(
        (why for known, why in GONE.items() if name in (known, f"{known}cloud", f"{known}_cloud")), None
    )
    if gone is not None:
        raise ValueError(f"source={name} is not there: {gone}")
    near = nearest_name(name, list(VENDORS))
    raise ValueError(
        f"source={name} is not known{near}; it is one of {', '.join(VENDORS)}, local (bars on this machine), or one of "
        "your own as package.module:NAME"
    )
