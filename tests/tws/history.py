"""Historical bars at the venue: what is stored, which requests are allowed, how often, and how answers are cut.

Limits after Interactive Brokers' "Historical Data Limitations": pacing of identical requests, of one contract and of
all; duration against bar size; no end for continuous futures and adjusted prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from tws.listings import Listing

BAR_SECONDS = {
    **{f"{n} secs": n for n in (1, 5, 10, 15, 30)},
    "1 min": 60,
    **{f"{n} mins": 60 * n for n in (2, 3, 5, 10, 15, 20, 30)},
    "1 hour": 3600,
    **{f"{n} hours": 3600 * n for n in (2, 3, 4, 8)},
    "1 day": 86_400,
}
_UNIT_SECONDS = {"S": 1, "D": 86_400, "W": 7 * 86_400, "M": 30 * 86_400, "Y": 365 * 86_400}
_PACED = "Historical Market Data Service error message:Historical data request pacing violation"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar. opened_utc : its opening instant; for bars of a day any instant of its date in the listing's zone."""

    opened_utc: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    wap: float
    count: int


@dataclass(frozen=True, kw_only=True)
class HistoryRequest:
    """A `reqHistoricalData`. end_utc : None where the client sent none."""

    req_id: int
    listing: Listing
    end_utc: datetime | None
    bar: str
    duration: str
    regular_hours: bool
    what: str
    format_date: int
    keep_up_to_date: bool

    @property
    def span(self) -> timedelta:
        """The duration as wall-clock time; a month counts 30 days."""
        number, unit = self.duration.split()
        return timedelta(seconds=int(number) * _UNIT_SECONDS[unit])


class HistoryRefused(Exception):
    """A request that is answered by an error; its arguments are the code and the text."""


class History:
    """Bars by contract and bar size. now : the venue's time. pacing : off in tests that are about something else."""

    def __init__(self, now: Callable[[], datetime], pacing: bool) -> None:
        self._now, self.pacing = now, pacing
        self._bars: dict[tuple[int, int], list[Bar]] = {}
        self._asked: list[tuple[datetime, tuple, tuple]] = []
        self.permitted = True

    def put(self, listing: Listing, seconds: int, bars: Iterable[Bar]) -> None:
        """Store bars of one contract and size."""
        self._bars[listing.con_id, seconds] = sorted(bars, key=lambda bar: bar.opened_utc)

    def answer(self, request: HistoryRequest) -> list[Bar]:
        """The bars of a request, with the one that still runs.

        Raises
        ------
        HistoryRefused
        """
        self._check_pacing(request)
        check(request, self._now())
        if not self.permitted:
            raise HistoryRefused(
                162, "Historical Market Data Service error message:No market data permissions for CME FUT"
            )
        seconds = BAR_SECONDS[request.bar]
        end = request.end_utc or self._now()
        daily = seconds == 86_400
        begin = end - request.span
        found = [
            bar
            for bar in self._bars.get((request.listing.con_id, seconds), ())
            if begin <= bar.opened_utc < end and bar.opened_utc <= self._now()
            if daily or request.listing.trades_at(bar.opened_utc, request.regular_hours)
        ]
        if not found:
            name = f"{request.listing.local_symbol}@{request.listing.exchange} Trades"
            raise HistoryRefused(
                162, f"Historical Market Data Service error message:HMDS query returned no data: {name}"
            )
        return found

    def _check_pacing(self, request: HistoryRequest) -> None:
        now = self._now()
        contract = (request.listing.con_id, request.listing.exchange, request.what)
        whole = (*contract, request.end_utc, request.bar, request.duration, request.regular_hours)
        if request.end_utc is None:
            whole = (*whole, request.keep_up_to_date)
        recent = [(now - at, *keys) for at, *keys in self._asked if now - at < timedelta(minutes=10)]
        violated = (
            any(key == whole and age < timedelta(seconds=15) for age, _, key in recent)
            or sum(key == contract and age < timedelta(seconds=2) for age, key, _ in recent) >= 5
            or len(recent) >= 60
        )
        self._asked = [entry for entry in self._asked if now - entry[0] < timedelta(minutes=10)]
        self._asked += [(now, contract, whole)] * (2 if request.what == "BID_ASK" else 1)
        if self.pacing and violated:
            raise HistoryRefused(162, _PACED)


def check(request: HistoryRequest, now: datetime) -> None:
    """Raise HistoryRefused where TWS would refuse the request before it looks for bars."""
    invalid = "Error validating request.-'bN' : cause - "
    if request.bar not in BAR_SECONDS:
        raise HistoryRefused(
            321,
            f"{invalid}Historical data bar size setting is invalid. Legal ones are: {', '.join(BAR_SECONDS)}",
        )
    number, _, unit = request.duration.partition(" ")
    if not number.isdigit() or unit not in _UNIT_SECONDS:
        raise HistoryRefused(321, f"{invalid}Historical data query duration is invalid")
    if unit == "S" and int(number) > 86_400:
        raise HistoryRefused(
            321,
            f"{invalid}Historical data requests for durations longer than 86400 seconds must be made in days",
        )
    if unit == "D" and int(number) > 365:
        raise HistoryRefused(
            321, f"{invalid}Historical data requests for durations longer than 365 days must be made in years"
        )
    if request.listing.sec_type == "CONTFUT" and request.end_utc is not None:
        raise HistoryRefused(
            10339, "Setting end date/time for continuous future security type is not allowed."
        )
    if request.what == "ADJUSTED_LAST" and request.end_utc is not None:
        raise HistoryRefused(321, f"{invalid}End date not supported with adjusted last")
    if request.keep_up_to_date and request.end_utc is not None:
        raise HistoryRefused(321, f"{invalid}End date not supported with keep up to date")
    seconds = BAR_SECONDS[request.bar]
    longest = next(limit for size, limit in _STEPS if seconds <= size)
    if request.span > timedelta(seconds=longest):
        raise HistoryRefused(162, f"Historical Market Data Service error message:invalid step: {seconds}")


_STEPS = (
    (1, 1800),
    (5, 3600),
    (15, 14_400),
    (30, 28_800),
    (60, 5 * 86_400),
    (120, 10 * 86_400),
    (1799, 30 * 86_400),
    (28_800, 365 * 86_400),
    (86_400, 30 * 365 * 86_400),
)
"""Longest duration that is answered for a bar of at most so many seconds; beyond it TWS refuses or never answers."""


def label(bar: Bar, request: HistoryRequest) -> str:
    """The time of a bar as TWS writes it: a date for days, else seconds since 1970 or wall clock with its zone."""
    local = bar.opened_utc.astimezone(ZoneInfo(request.listing.zone))
    if BAR_SECONDS[request.bar] == 86_400:
        return f"{local:%Y%m%d}"
    if request.format_date == 2:
        return str(int(bar.opened_utc.timestamp()))
    return f"{local:%Y%m%d %H:%M:%S} {request.listing.zone}"


def made_bars(
    listing: Listing, seconds: int, start_utc: datetime, stop_utc: datetime, seed: int, price: float = 100.0
) -> list[Bar]:
    """Bars of a random walk on the contract's ticks, in its whole session; bars of a day lie at noon of their date."""
    rng = np.random.default_rng([seed, listing.con_id, seconds])
    bars, at, last = [], start_utc.astimezone(UTC), round(price / listing.min_tick)
    step = timedelta(seconds=seconds)
    while at < stop_utc:
        local_noon = at.astimezone(ZoneInfo(listing.zone)).replace(hour=12, minute=0)
        if listing.trades_at(local_noon if seconds == 86_400 else at, regular_hours=seconds == 86_400):
            path = last + np.cumsum(rng.integers(-3, 4, 4))
            prices = np.array([last, *path]) * listing.min_tick
            volume = int(rng.integers(1, 500))
            bars.append(
                Bar(
                    opened_utc=local_noon.astimezone(UTC) if seconds == 86_400 else at,
                    open=round(float(prices[0]), 6),
                    high=round(float(prices.max()), 6),
                    low=round(float(prices.min()), 6),
                    close=round(float(prices[-1]), 6),
                    volume=float(volume),
                    wap=round(float(prices.mean()), 6),
                    count=volume // 3 + 1,
                )
            )
            last = int(path[-1])
        at += step
    return bars


def parse_end(value: str, zone_of_login: str) -> datetime | None:
    """The end of a request: 'YYYYMMDD HH:MM:SS', with a zone, or 'YYYYMMDD-HH:MM:SS' in UTC; None for none."""
    if not value:
        return None
    if value[8] == "-":
        return datetime.strptime(value, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
    day, clock, *zone = value.split(" ")
    named = ZoneInfo(zone[0] if zone else zone_of_login)
    return datetime.strptime(day + clock, "%Y%m%d%H:%M:%S").replace(tzinfo=named).astimezone(UTC)
