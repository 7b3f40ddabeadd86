"""Which contract of Interactive Brokers a user's symbol means.

A plain symbol is a US stock. Everything else stands in the table `contracts` of the source: `ES: {sec_type: FUT,
exchange: CME}` makes `ES:202406` the June contract, and `sec_type: CONTFUT` makes `ES` the continuous series.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from data.calendars import check_calendar
from data.errors import nearest_name
from data.vendors.definition import AnswerRefused
from data.vendors.tws_client import TwsAddress

KINDS = ("STK", "FUT", "CONTFUT", "CASH", "IND", "CRYPTO", "CFD", "CMDTY")
_DATED = re.compile(r"^(?P<root>.+):(?P<expiry>\d{6}|\d{8})$")


@dataclass(frozen=True, kw_only=True)
class ContractTerms:
    """What TWS needs to know to find one contract, in its own words.

    Parameters
    ----------
    symbol : IB's name of the instrument; empty for the user's symbol.
    sec_type : one of `KINDS`. exchange, currency, primary_exchange, local_symbol, trading_class, multiplier : as in
        TWS; empty where they are not needed to tell contracts apart.
    expiry : YYYYMM or YYYYMMDD of a dated future. con_id : IB's number; 0 for none.
    what : kind of data (TRADES, MIDPOINT, BID, ASK, AGGTRADES); empty for what the kind of instrument has.
    calendar : name in `data.calendars` whose sessions IB's daily dates are.
    """

    sec_type: str
    exchange: str
    currency: str
    calendar: str
    symbol: str = ""
    primary_exchange: str = ""
    local_symbol: str = ""
    trading_class: str = ""
    multiplier: str = ""
    expiry: str = ""
    con_id: int = 0
    what: str = ""

    def __post_init__(self) -> None:
        if self.sec_type not in KINDS:
            raise ValueError(f"sec_type is {self.sec_type!r}; choose one of {', '.join(KINDS)}")
        if self.expiry and not re.fullmatch(r"\d{6}|\d{8}", self.expiry):
            raise ValueError(f"expiry is {self.expiry!r}; write YYYYMM or YYYYMMDD")
        check_calendar(self.calendar)

    @property
    def data_kind(self) -> str:
        """What TWS is asked to show: currencies have no trades, crypto pairs have aggregated ones."""
        return self.what or {
            "CASH": "MIDPOINT",
            "CFD": "MIDPOINT",
            "CMDTY": "MIDPOINT",
            "CRYPTO": "AGGTRADES",
        }.get(self.sec_type, "TRADES")

    @property
    def is_adjusted_by_ib(self) -> bool:
        """Whether IB's plain bars are adjusted for splits already: those of stocks are."""
        return self.sec_type in ("STK", "CFD")

    def fields(self) -> dict[str, Any]:
        """Arguments of the client's `Contract`. Expired futures stay within reach for two years."""
        return {
            "secType": self.sec_type,
            "conId": self.con_id,
            "symbol": self.symbol,
            "lastTradeDateOrContractMonth": self.expiry,
            "multiplier": self.multiplier,
            "exchange": self.exchange,
            "primaryExchange": self.primary_exchange,
            "currency": self.currency,
            "localSymbol": self.local_symbol,
            "tradingClass": self.trading_class,
            "includeExpired": self.sec_type == "FUT",
        }


def contract_table(
    contracts: Mapping[str, Mapping[str, Any]], defaults: ContractTerms
) -> dict[str, ContractTerms]:
    """The table of the configuration as terms; what an entry leaves out is the stock's of `defaults`.

    Raises
    ------
    ValueError
        If an entry has a key that is not known.
    """
    known = [known.name for known in fields(ContractTerms)]
    table = {}
    for symbol, entry in contracts.items():
        for name in entry:
            if name not in known:
                raise ValueError(
                    f"contracts.{symbol} has the key {name!r}, which is not known{nearest_name(name, known)}"
                )
        try:
            table[symbol] = replace(
                defaults, **{name: _text_of(value, name) for name, value in entry.items()}
            )
        except ValueError as error:
            raise ValueError(f"contracts.{symbol}: {error}") from error
    return table


def _text_of(value: Any, name: str) -> Any:
    """YAML reads 202406 and 50 as numbers; TWS takes text for all but the contract's number."""
    return int(value) if name == "con_id" else "" if value is None else str(value)


def terms_of(symbol: str, table: Mapping[str, ContractTerms], defaults: ContractTerms) -> ContractTerms:
    """The contract that a symbol means.

    Raises
    ------
    AnswerRefused
        If it names a dated contract of a root that the table lacks, or a future without a month.
    """
    if symbol in table:
        terms = table[symbol]
        named = terms.expiry or terms.local_symbol or terms.con_id
        if terms.sec_type == "FUT" and not named:
            raise AnswerRefused(
                f"{symbol} is a future of many months; write {symbol}:202406 for one of them, or set "
                f"contracts.{symbol}.sec_type to CONTFUT for IB's continuous series."
            )
        return terms if terms.symbol or terms.local_symbol or terms.con_id else replace(terms, symbol=symbol)
    dated = _DATED.match(symbol)
    if dated is None:
        return replace(defaults, symbol=symbol.replace(".", " "))
    root = dated["root"]
    if root not in table:
        raise AnswerRefused(
            f"{symbol} looks like a dated future, but contracts has no entry {root}{nearest_name(root, list(table))}; "
            f"add contracts.{root}={{sec_type: FUT, exchange: CME}} or as it is."
        )
    terms = table[root]
    return replace(terms, sec_type="FUT", expiry=dated["expiry"], symbol=terms.symbol or root)


@dataclass(frozen=True, kw_only=True)
class TwsSettings:
    """What whoever asks TWS is configured with, for bars as for orders.

    Parameters
    ----------
    host, port, client_id, connect_timeout_s : see `data.vendors.tws_client.TwsAddress`.
    answer_timeout_s : how long one request may take, seconds.
    currency, exchange, calendar : of symbols that `contracts` does not name: US stocks.
    contracts : symbol -> what differs.
    """

    host: str
    port: int
    client_id: int
    connect_timeout_s: float
    answer_timeout_s: float
    currency: str
    exchange: str
    calendar: str
    contracts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.address()
        self.table()

    def address(self) -> TwsAddress:
        """Where TWS listens."""
        return TwsAddress(
            host=self.host, port=self.port, client_id=self.client_id, connect_timeout_s=self.connect_timeout_s
        )

    def stock(self) -> ContractTerms:
        """What a symbol is that the table does not name."""
        return ContractTerms(
            sec_type="STK", exchange=self.exchange, currency=self.currency, calendar=self.calendar
        )

    def table(self) -> dict[str, ContractTerms]:
        """The table of contracts."""
        return contract_table(self.contracts, self.stock())
