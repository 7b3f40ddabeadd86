"""What ``conf/trade.yaml`` says, as dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from data.schema import utc_instant
from data.vendors.definition import Adjustment
from envs.live.bar_feed import LiveRules
from envs.live.desk import DeskRules
from envs.live.guard_limits import GuardLimits
from envs.live.ibkr_config import IbkrBrokerConfig
from envs.live.roll_rules import RollRules
from envs.live.scripted_exchange import ExchangeScript
from envs.validation import require_non_negative, require_positive
from rayjobs.config.typed_config import ConfigError, build_dataclass, convert, did_you_mean
from rayjobs.monitoring.alerts import AlertSettings

FeedKind = Literal["history", "live"]
ACCOUNT = "account"
"""Key of the broker's settings that no file and no log may hold."""


@dataclass(frozen=True, kw_only=True)
class FeedSettings:
    """Which bars are traded.

    Parameters
    ----------
    kind : recorded bars, or live ones; None means recorded with ``broker=replay`` and live otherwise.
    start_utc, stop_utc : window [start, stop) of recorded bars; None means the test window of the policy's fold.
    speed : times real time at which recorded bars come; None means as fast as they are taken.
    history_days, adjustment : of bars that a vendor is asked for.
    room_days : days of live bars that memory is laid out for at a time.
    others : see `LiveRules`.
    """

    kind: FeedKind | None
    start_utc: str | None
    stop_utc: str | None
    speed: float | None
    history_days: float
    adjustment: Adjustment
    room_days: float
    settle_s: float
    poll_s: float
    missing_after_s: float
    late_after_s: float
    max_skew_s: float

    def __post_init__(self) -> None:
        for name in ("start_utc", "stop_utc"):
            if getattr(self, name) is not None:
                utc_instant(getattr(self, name))
        for name in ("history_days", "room_days"):
            require_positive("feed", name, getattr(self, name))
        if self.speed is not None:
            require_positive("feed", "speed", self.speed)
        _ = self.rules

    @property
    def rules(self) -> LiveRules:
        """When a live bar is asked for, given up and too old."""
        return LiveRules(
            settle_s=self.settle_s,
            poll_s=self.poll_s,
            missing_after_s=self.missing_after_s,
            late_after_s=self.late_after_s,
            max_skew_s=self.max_skew_s,
        )


@dataclass(frozen=True, kw_only=True)
class ReplayBroker(RollRules):
    """``conf/broker/replay.yaml``: the simulator's fills, or a scripted venue's, where rolls are its orders."""

    cost_factor: float | None
    script: ExchangeScript | None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_factor(self.cost_factor)


@dataclass(frozen=True, kw_only=True)
class SimulatedBroker:
    """``conf/broker/paper.yaml`` and ``shadow.yaml``: the simulator's fills in live bars."""

    cost_factor: float | None

    def __post_init__(self) -> None:
        _check_factor(self.cost_factor)


@dataclass(frozen=True, kw_only=True)
class IbkrSettings:
    """``conf/broker/ibkr.yaml``: orders over TWS."""

    connection: IbkrBrokerConfig
    desk: DeskRules


BROKERS: Mapping[str, type] = {
    "replay": ReplayBroker,
    "paper": SimulatedBroker,
    "shadow": SimulatedBroker,
    "ibkr": IbkrSettings,
}
BrokerSettings = ReplayBroker | SimulatedBroker | IbkrSettings


@dataclass(frozen=True, kw_only=True)
class TradeSettings:
    """``conf/trade.yaml``.

    Parameters
    ----------
    policy : what trades; None only with ``resume``.
    registry, ledger : place of the registry; None is beside that ledger.
    fold : of a run. resume : directory of a trading run. directory : root of trading runs.
    broker : kind, a key of `BROKERS`. broker_settings : of that kind.
    source : the vendor's entry of ``conf/source``; None reads the run's data.
    warmup_bars : None means as in the policy's run.
    guard, alerts : limits of an account, and who is told.
    guard_recorded : the limits hold for simulated fills in recorded bars too.
    """

    policy: str | None
    fold: int | None
    resume: str | None
    registry: str | None
    ledger: str
    directory: str | None
    env_file: str
    feed: FeedSettings
    warmup_bars: int | None
    broker: str
    broker_settings: BrokerSettings
    source: Mapping[str, Any] | None
    guard: GuardLimits
    guard_recorded: bool
    alerts: AlertSettings

    def __post_init__(self) -> None:
        if self.warmup_bars is not None:
            require_non_negative("trade", "warmup_bars", self.warmup_bars)
        if self.policy is None and self.resume is None:
            raise ConfigError("policy: missing; give it as policy=NAME@STAGE or policy=RUN_DIRECTORY")
        if self.broker == "replay" and self.feed.kind == "live":
            raise ConfigError(
                "feed.kind is live, but broker=replay fills in recorded bars; take broker=shadow"
            )
        if self.real_money and self.feed_kind == "history":
            raise ConfigError(
                "feed.kind is history, and broker.live is true: orders of real money follow live bars alone"
            )

    @property
    def real_money(self) -> bool:
        """Whether orders may go to an account of real money."""
        broker = self.broker_settings
        return isinstance(broker, IbkrSettings) and broker.connection.live

    @property
    def guards_simulation(self) -> bool:
        """Whether simulated fills are held to the guard's limits: those of broker=paper and broker=shadow."""
        simulated = isinstance(self.broker_settings, SimulatedBroker)
        return simulated and (self.feed_kind == "live" or self.guard_recorded)

    @property
    def feed_kind(self) -> FeedKind:
        """Recorded or live bars."""
        return self.feed.kind or ("history" if self.broker == "replay" else "live")


def build_trade_settings(values: Mapping[str, Any]) -> TradeSettings:
    """Check and build what a command line composed.

    Raises
    ------
    ConfigError
        The first thing that a user must fix, with its key.
    """
    given = dict(values)
    kind, broker = _broker(given.pop("broker", None))
    source = given.pop("source", None)
    if source is not None and len(source) != 1:
        raise ConfigError("source names several vendors; a loop takes its bars from one")
    return build_dataclass(
        TradeSettings, {**given, "broker": kind, "broker_settings": broker, "source": source or None}
    )


def _broker(values: Any) -> tuple[str, BrokerSettings]:
    if not isinstance(values, Mapping):
        raise ConfigError(f"broker is {values!r}; choose one of {', '.join(BROKERS)}")
    group = dict(values)
    kind = convert(str, group.pop("kind", None), "broker.kind")
    if kind not in BROKERS:
        raise ConfigError(f"broker.kind is {kind!r}; {did_you_mean(kind, list(BROKERS))}")
    if kind == "ibkr":
        desk = build_dataclass(DeskRules, group.pop("desk", None), "broker.desk")
        connection = build_dataclass(IbkrBrokerConfig, group, "broker")
        return kind, IbkrSettings(connection=connection, desk=desk)
    return kind, build_dataclass(BROKERS[kind], group, "broker")


def without_account(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as they may be written: without the account's number."""
    broker = values.get("broker")
    if not isinstance(broker, Mapping) or ACCOUNT not in broker:
        return dict(values)
    return {**values, "broker": {**broker, ACCOUNT: ""}}


def _check_factor(factor: float | None) -> None:
    if factor is not None:
        require_non_negative("broker", "cost_factor", factor)
