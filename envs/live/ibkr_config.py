"""The configuration of Interactive Brokers as a broker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from data.vendors.ibkr_contracts import ContractTerms, contract_table
from data.vendors.tws_client import TwsAddress
from envs.validation import require_positive


@dataclass(frozen=True, kw_only=True)
class IbkrBrokerConfig:
    """The keys of `conf/broker/ibkr.yaml` that are about the connection.

    Parameters
    ----------
    host, port, client_id, connect_timeout_s : see `data.vendors.tws_client.TwsAddress`. One client id for good: TWS
        numbers and finds orders by it.
    answer_timeout_s : how long one request may take, seconds.
    heartbeat_s : where nothing has come for so long, TWS is asked whether it is there: a socket can die in silence.
    account : needed where the login has several.
    zone : IANA zone that TWS is set to; it tells executions from midnight on there.
    currency : of the account's values, and of contracts that do not name one.
    calendar, exchange, contracts : as for the source of bars (conf/source/ibkr.yaml).
    read_only : nothing is sent that changes the account.
    """

    host: str
    port: int
    client_id: int
    connect_timeout_s: float
    answer_timeout_s: float
    heartbeat_s: float
    account: str
    zone: str
    currency: str
    exchange: str
    calendar: str
    read_only: bool
    contracts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.address()
        self.table()
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"zone is {self.zone!r}; expected an IANA name such as America/New_York"
            ) from error
        for name in ("answer_timeout_s", "heartbeat_s"):
            require_positive("broker", name, getattr(self, name))

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
