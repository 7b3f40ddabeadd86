"""The line of an account to TWS: its connection and whether that lives, its account, its contracts, its numbers."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from data.vendors.definition import TemporarilyUnavailable, VendorError
from data.vendors.ibkr_contracts import terms_of
from data.vendors.tws_client import TwsConnection, client_library
from envs.live.broker import BrokerError, BrokerUnavailable
from envs.live.ibkr_config import IbkrBrokerConfig

_log = logging.getLogger(__name__)
NEAR_EXPIRY = timedelta(days=8)
"""Before the last day of a future when its month is left as a rule: the next one has the volume by then."""
PAPER = "D"
"""Beginning of the numbers of paper accounts (DU, DF, ...); those of real money begin otherwise."""


class IbkrLine:
    """One session after the other with one TWS.

    Attributes
    ----------
    contracts : those that were found, by symbol. first_number : the next valid id when the session began.
    """

    def __init__(self, config: IbkrBrokerConfig) -> None:
        self.config = config
        self.contracts: dict[str, Any] = {}
        self.first_number = 0
        self.connection: TwsConnection | None = None
        self._table = config.table()
        self._heard_s = 0.0
        self._pinged_s: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self.connection is not None and self.connection.is_open

    @property
    def ib(self) -> Any:
        """The library's object. Raises BrokerUnavailable where there is no session."""
        if self.connection is None or not self.connection.is_open:
            raise BrokerUnavailable("there is no connection to TWS")
        return self.connection.ib

    def open(self, symbols: Sequence[str], listen: Callable[[Any], None]) -> None:
        """Begin a session: connect, find every contract, ask for the account.

        listen : called with the library's object before anything is asked.

        Raises
        ------
        BrokerUnavailable, BrokerError
            The session is closed then.
        """
        try:
            self.connection = TwsConnection(self.config.address())
            self._on_heard()
            ib = self.connection.ib
            # Times without a zone are TWS's, not this machine's.
            ib.TimezoneTWS = self.config.zone
            ib.updateEvent += self._on_heard
            listen(ib)
            self.first_number = self.next_number()
            self.account()
            for symbol in symbols:
                self.contract(symbol)
            self.ask(lambda ib: ib.reqAccountUpdatesAsync(self.account()))
        except VendorError as error:
            self.close()
            kind = BrokerUnavailable if isinstance(error, TemporarilyUnavailable) else BrokerError
            raise kind(str(error)) from error
        except BrokerError:
            self.close()
            raise

    def close(self) -> None:
        """End the session."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    def ask(self, request: Callable[[Any], Awaitable[Any]]) -> Any:
        """Send a request and wait for its answer. Raises BrokerUnavailable; BrokerError where TWS refuses."""
        connection = self.connection
        if connection is None or not connection.is_open:
            raise BrokerUnavailable("there is no connection to TWS")
        try:
            return connection.ask(request, self.config.answer_timeout_s)
        except TemporarilyUnavailable as error:
            raise BrokerUnavailable(str(error)) from error
        except connection.request_error as error:
            raise BrokerError(f"TWS refused a request: {error}") from error

    def send(self, message: Callable[[Any], Any]) -> None:
        """Send what has no answer of its own. Raises BrokerUnavailable: whether it arrived is then unknown."""
        try:
            message(self.ib)
        except ConnectionError as error:
            raise BrokerUnavailable(f"the line to TWS broke while an order was sent: {error}") from error

    def next_number(self) -> int:
        """The next id of an order or a request. Raises BrokerUnavailable."""
        try:
            return int(self.ib.client.getReqId())
        except ConnectionError as error:
            raise BrokerUnavailable("the connection to TWS broke") from error

    def account(self) -> str:
        """The account's number, once it may be traded or looked at.

        Raises
        ------
        BrokerUnavailable, BrokerError
            If the login has no such account, several, or one of real money that nobody allowed.
        """
        try:
            accounts = self.ib.client.getAccounts()
        except ConnectionError as error:
            raise BrokerUnavailable("the connection to TWS broke") from error
        if self.config.account and self.config.account not in accounts:
            raise BrokerError("broker.account is not one of the accounts of this login")
        if not self.config.account and len(accounts) != 1:
            raise BrokerError(f"this login has {len(accounts)} accounts; say which one in broker.account")
        account = self.config.account or accounts[0]
        if not (self.config.live or self.config.read_only or account.startswith(PAPER)):
            raise BrokerError(
                "this login is of real money, and broker.live is not true; log in to the paper account, or give "
                "broker.live=true and broker.account"
            )
        return str(account)

    def contract(self, symbol: str) -> Any:
        """The one contract that a symbol means, with IB's number.

        Raises
        ------
        BrokerUnavailable, BrokerError
            If it is none, several, or one that cannot be traded.
        """
        if symbol not in self.contracts:
            try:
                terms = terms_of(symbol, self._table, self.config.stock())
            except VendorError as error:
                raise BrokerError(str(error)) from error
            if terms.sec_type in ("CONTFUT", "IND"):
                raise BrokerError(
                    f"{symbol} is a {terms.sec_type} and cannot be traded; name a dated contract"
                )
            asked = client_library().Contract(**{**terms.fields(), "includeExpired": False})
            details = self.ask(lambda ib: ib.reqContractDetailsAsync(asked))
            if len(details) != 1:
                raise BrokerError(
                    f"{symbol} names {len(details)} contracts at IB; tell them apart in contracts.{symbol}"
                )
            _require_month(symbol, terms.expiry, details[0])
            contract = details[0].contract
            contract.lastTradeDateOrContractMonth = contract.lastTradeDateOrContractMonth.split(" ")[0]
            self.contracts[symbol] = contract
            _warn_of_expiry(symbol, contract.lastTradeDateOrContractMonth)
        return self.contracts[symbol]

    # Whether it lives

    def _on_heard(self) -> None:
        self._heard_s, self._pinged_s = time.monotonic(), None

    def silence(self) -> str:
        """Ask TWS for its time where it has been silent; where it stays so, close the session and say so."""
        now, connection = time.monotonic(), self.connection
        if connection is None:
            return ""
        if self._pinged_s is None and now - self._heard_s > self.config.heartbeat_s and connection.is_open:
            self._pinged_s = now
            with suppress(ConnectionError):
                connection.ib.client.reqCurrentTime()
        elif self._pinged_s is not None and now - self._pinged_s > self.config.answer_timeout_s:
            self._pinged_s = None
            self.close()
            return f"TWS has said nothing for {now - self._heard_s:.0f} s and does not answer"
        return ""


def _require_month(symbol: str, month: str, details: Any) -> None:
    """Refuse a contract of another delivery than was asked for: some months' contracts end in the month before.

    month : YYYYMM; anything else is not held to it, nor is a contract of which TWS tells no month.
    """
    told = str(getattr(details, "contractMonth", "") or "")
    if len(month) == 6 and told and told != month:
        raise BrokerError(
            f"{symbol}: TWS found the contract of {told} for the month {month}; name it by its last trading day or "
            f"con_id, in contracts.{symbol}"
        )


def _warn_of_expiry(symbol: str, last_day: str) -> None:
    """Say that a dated contract ends soon. last_day : YYYYMMDD, or empty."""
    if len(last_day) != 8:
        return
    ends = datetime.strptime(last_day, "%Y%m%d").replace(tzinfo=UTC)
    if ends - datetime.now(UTC) < NEAR_EXPIRY:
        _log.warning(
            "%s trades last on %s: what is held of it is to be rolled before that (a series that data.futures.roll "
            "joins is rolled by itself); else make the account flat, and begin a new run with the next month in "
            "broker.contracts",
            symbol,
            ends.date(),
        )
