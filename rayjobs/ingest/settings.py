"""What `conf/ingest.yaml` says, as dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import pandas as pd

from data.calendars import check_calendar
from data.lake import bar_seconds_of
from data.schema import utc_instant
from data.vendors.definition import Adjustment
from rayjobs.cluster.settings import ClusterConfig
from rayjobs.config.typed_config import ConfigError, build_dataclass, convert

Execution = Literal["threads", "ray"]


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """One vendor of a run, an entry of ``conf/source``.

    Parameters
    ----------
    vendor : name in `data.vendors`, or ``package.module:NAME`` of one's own.
    calendar : that its symbols trade on; kept with every delivery.
    options : what the vendor's class takes beside; never a key.
    calls_per_minute, calls_per_day, at_a_time : None means what the vendor's own budget says.
    settle_s : seconds after which a bar that is over is no longer changed.
    """

    vendor: str
    calendar: str
    options: Mapping[str, Any]
    calls_per_minute: float | None
    calls_per_day: int | None
    at_a_time: int | None
    settle_s: float

    def __post_init__(self) -> None:
        check_calendar(self.calendar)
        for name in ("calls_per_minute", "calls_per_day", "at_a_time"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is {value}; it must be above 0, or null for the vendor's own")
        if self.settle_s < 0:
            raise ValueError(f"settle_s is {self.settle_s}; it must be 0 seconds or more")


@dataclass(frozen=True, kw_only=True)
class PacingSettings:
    """How a vendor that refuses, or does not answer, is treated.

    Parameters
    ----------
    first_wait_s, longest_wait_s : wait after the first failure; it doubles up to the longest.
    jitter : share by which a wait is drawn longer, so that several processes do not come back together.
    rest_s : rest of the whole vendor after "too many requests" without a time; it doubles as well.
    outage_after : failures in a row from which on the vendor as a whole rests.
    tries : times that a piece is asked for before it is left for the next run.
    patience_s : a vendor that rests for longer than this is given up for this run.
    """

    first_wait_s: float
    longest_wait_s: float
    jitter: float
    rest_s: float
    outage_after: int
    tries: int
    patience_s: float

    def __post_init__(self) -> None:
        if not 0.0 < self.first_wait_s <= self.longest_wait_s:
            raise ValueError(
                f"first_wait_s is {self.first_wait_s} and longest_wait_s {self.longest_wait_s}; they must be above "
                "0 and ascend"
            )
        if not 0.0 <= self.jitter <= 1.0:
            raise ValueError(f"jitter is {self.jitter}; it must be from 0 to 1")
        for name in ("rest_s", "outage_after", "tries", "patience_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be above 0")


@dataclass(frozen=True, kw_only=True)
class UniverseSettings:
    """Which symbols, from a vendor's reference data; off while every bound is None.

    Parameters
    ----------
    as_of : date whose listings and prices count; None means the day of `start`, so that nothing later has a say.
    min_price, max_price : of the last close at or before that date, as traded, in the quote currency.
    min_dollar_volume : close times volume of that session.
    kinds : kinds of listing as the vendor writes them; empty means all.
    """

    as_of: str | None
    min_price: float | None
    max_price: float | None
    min_dollar_volume: float | None
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.as_of is not None:
            utc_instant(self.as_of)
        if None not in (self.min_price, self.max_price) and self.min_price > self.max_price:  # type: ignore[operator]
            raise ValueError(f"min_price is {self.min_price}, above max_price {self.max_price}")

    @property
    def bounded(self) -> bool:
        """Whether symbols are to be chosen by it."""
        return any(bound is not None for bound in (self.min_price, self.max_price, self.min_dollar_volume))


@dataclass(frozen=True, kw_only=True)
class WatchSettings:
    """How a lake is kept up to date.

    Parameters
    ----------
    every_minutes : between the ends of two rounds.
    backfill_days : back to which sessions without any bar are asked for again.
    rounds : rounds after which it ends; None means never.
    """

    every_minutes: float
    backfill_days: int
    rounds: int | None

    def __post_init__(self) -> None:
        if self.every_minutes < 0 or self.backfill_days < 0:
            raise ValueError("every_minutes and backfill_days must be 0 or more")


@dataclass(frozen=True, kw_only=True)
class IngestSettings:
    """Everything that ``conf/ingest.yaml`` says.

    Parameters
    ----------
    sources : name -> vendor, the first choice first; the next is asked while it rests or where it refuses.
    lake : folder or URI.
    symbols : names; or one ``@FILE``, resolved by `rayjobs.ingest.symbols`.
    start_utc, stop_utc : window [start, stop) of opening instants; a stop of None means now.
    actions : whether splits and dividends of the symbols are brought as well. listings : the same of what was listed.
    listings_from : of the inventory, the source whose listings say what is due; None means that of the bars.
    """

    sources: Mapping[str, SourceSettings]
    lake: str
    symbols: tuple[str, ...] | str
    universe: UniverseSettings
    start_utc: pd.Timestamp | None
    stop_utc: pd.Timestamp | None
    bar_seconds: int
    adjustment: Adjustment
    refetch: bool
    actions: bool
    listings: bool
    listings_from: str | None
    curate: bool
    execution: Execution
    env_file: str
    directory: str
    pacing: PacingSettings
    watch: WatchSettings
    cluster: ClusterConfig

    def __post_init__(self) -> None:
        if None not in (self.start_utc, self.stop_utc) and self.stop_utc <= self.start_utc:  # type: ignore[operator]
            raise ValueError(f"end is {self.stop_utc}, not after start {self.start_utc}")

    def require_request(self) -> pd.Timestamp:
        """The start, once everything is there that a request needs.

        Raises
        ------
        ConfigError
            If sources or a start are missing.
        """
        if not self.sources:
            raise ConfigError(
                "no source is chosen; give one as source=massive, or several as source=[massive,alpaca]"
            )
        if self.start_utc is None:
            raise ConfigError("start: missing; give the first day as start=2024-01-01")
        return self.start_utc


def build_ingest_settings(values: Mapping[str, Any]) -> IngestSettings:
    """Check and build the configuration of an ingest.

    Raises
    ------
    ConfigError
        The first thing found that a user must fix, with its key.
    """
    sources = values.get("source") or {}
    if not isinstance(sources, Mapping):
        raise ConfigError(f"source is {sources!r}; choose a vendor by its name, as source=massive")
    try:
        built = {
            str(name): build_dataclass(SourceSettings, entry, f"source.{name}")
            for name, entry in sources.items()
        }
        seconds = bar_seconds_of(values["bar"])
        start, stop = (_instant(values[key], key) for key in ("start", "end"))
        return IngestSettings(
            sources=built,
            lake=convert(str, values["lake"], "lake"),
            symbols=convert(str | tuple[str, ...], _texts(values["symbols"]), "symbols"),  # type: ignore[arg-type]
            universe=build_dataclass(UniverseSettings, values["universe"], "universe"),
            start_utc=start,
            stop_utc=stop,
            bar_seconds=seconds,
            adjustment=convert(Adjustment, values["adjustment"], "adjustment"),
            refetch=convert(bool, values["refetch"], "refetch"),
            actions=convert(bool, values["actions"], "actions"),
            listings=convert(bool, values["listings"], "listings"),
            listings_from=convert(str | None, values["listings_from"], "listings_from"),  # type: ignore[arg-type]
            curate=convert(bool, values["curate"], "curate"),
            execution=convert(Execution, values["execution"], "execution"),
            env_file=convert(str, values["env_file"], "env_file"),
            directory=convert(str, values["directory"], "directory"),
            pacing=build_dataclass(PacingSettings, values["pacing"], "pacing"),
            watch=build_dataclass(WatchSettings, values["watch"], "watch"),
            cluster=build_dataclass(ClusterConfig, values["cluster"], "cluster"),
        )
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _instant(value: Any, key: str) -> pd.Timestamp | None:
    if value is None:
        return None
    if isinstance(value, bool | int | float):
        raise ConfigError(f"{key} is {value!r}; write it as 2024-01-31 or 2024-01-31T14:30Z")
    text = value.isoformat() if isinstance(value, date) else value
    return pd.Timestamp(utc_instant(text)).floor("s").tz_localize("UTC")


def _texts(value: Any) -> Any:
    """Symbols as text: YAML reads NO, ON and 1 as something else, and such a symbol must be quoted."""
    if isinstance(value, str):
        return value if value.startswith("@") else [value]
    if isinstance(value, list):
        for symbol in value:
            if not isinstance(symbol, str):
                raise ConfigError(
                    f"symbols holds {symbol!r}, which YAML reads as {type(symbol).__name__}; quote it: "
                    f"symbols=[\"'{str(symbol).upper()}'\"]"
                )
    return value
