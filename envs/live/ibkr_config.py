"""The configuration of Interactive Brokers as a broker."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from data.vendors.ibkr_contracts import TwsSettings
from envs.live.roll_rules import RollRules
from envs.validation import require_positive


@dataclass(frozen=True, kw_only=True)
class IbkrBrokerConfig(TwsSettings, RollRules):
    """The keys of `conf/broker/ibkr.yaml` that are about the connection, and about rolls.

    Parameters
    ----------
    client_id : one for good: TWS numbers and finds orders by it.
    heartbeat_s : where nothing has come for so long, TWS is asked whether it is there: a socket can die in silence.
    account : needed where the login has several.
    zone : IANA zone that TWS is set to; it tells executions from midnight on there.
    currency : of the account's values, and of contracts that do not name one.
    live : real money may be traded; needs `account`.
    read_only : nothing is sent that changes the account.
    others : see `TwsSettings` and `RollRules`.
    """

    heartbeat_s: float
    account: str
    zone: str
    live: bool
    read_only: bool

    def __post_init__(self) -> None:
        TwsSettings.__post_init__(self)
        RollRules.__post_init__(self)
        if self.live and not self.account:
            raise ValueError(
                "broker.live is true, and broker.account is empty; real money needs the account by name"
            )
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(
                f"zone is {self.zone!r}; expected an IANA name such as America/New_York"
            ) from error
        for name in ("answer_timeout_s", "heartbeat_s"):
            require_positive("broker", name, getattr(self, name))
