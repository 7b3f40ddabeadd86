"""What is listed at the venue: contracts, their details, and which of them a request means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One contract.

    Attributes
    ----------
    expiry : YYYYMMDD, the last trading day; empty for what does not expire. For CONTFUT that of the front month.
    regular : opening and closing time of regular hours, wall clock of `zone`.
    session : of the whole trading day; it begins the evening before where it opens later than it closes.
    margin : initial margin per unit where positive, else a fraction of notional (as a negative number, -0.5 = half).
    """

    con_id: int
    symbol: str
    sec_type: str
    exchange: str
    currency: str = "USD"
    primary_exchange: str = ""
    local_symbol: str = ""
    trading_class: str = ""
    expiry: str = ""
    multiplier: str = ""
    min_tick: float = 0.01
    zone: str = "America/New_York"
    regular: tuple[time, time] = (time(9, 30), time(16, 0))
    session: tuple[time, time] = (time(4, 0), time(20, 0))
    margin: float = -0.5
    under_con_id: int = 0
    closed_days: tuple[str, ...] = ()

    @property
    def point(self) -> float:
        """Currency per unit and price point."""
        return float(self.multiplier or 1.0)

    def contract(self, exchange: str | None = None, right: str = "") -> tuple[object, ...]:
        """The eleven fields of a contract in reports. right : what TWS writes where there is none."""
        return (
            self.con_id,
            self.symbol,
            self.sec_type,
            self.expiry,
            0.0,
            right,
            self.multiplier,
            exchange or self.exchange,
            self.currency,
            self.local_symbol,
            self.trading_class,
        )

    def portfolio_contract(self) -> tuple[object, ...]:
        """The same in the account's portfolio, which names the primary exchange."""
        fields = list(self.contract(right="0"))
        fields[7] = self.primary_exchange or self.exchange
        return tuple(fields)

    def details(self) -> tuple[object, ...]:
        """What follows the request's number in contract details."""
        hours = f"{self.session[0]:%H%M}-{self.session[1]:%H%M}"
        return (
            self.symbol,
            self.sec_type,
            f"{self.expiry} 16:00 {self.zone}".strip() if self.expiry else "",
            0.0,
            "",
            self.exchange,
            self.currency,
            self.local_symbol,
            self.symbol,
            self.trading_class,
            self.con_id,
            self.min_tick,
            self.multiplier,
            "ACTIVETIM,LMT,MKT,STP,STPLMT,WHATIF",
            f"SMART,{self.exchange}",
            1,
            self.under_con_id,
            self.symbol,
            self.primary_exchange,
            self.expiry[:6],
            "",
            "",
            "",
            self.zone,
            f"20240603:{hours}",
            "20240603:{:%H%M}-{:%H%M}".format(*self.regular),
            "",
            "",
            0,
            1,
            "",
            "",
            "26",
            self.expiry,
            "COMMON" if self.sec_type == "STK" else "",
            1,
            1,
            1,
        )

    def trades_at(self, when: datetime, regular_hours: bool) -> bool:
        """Whether a bar that opens at this instant belongs to the (regular) session; weekends are closed."""
        local = when.astimezone(ZoneInfo(self.zone))
        opens, closes = self.regular if regular_hours else self.session
        if opens < closes:
            inside, day = opens <= local.time() < closes, local.date()
        else:
            evening = local.time() >= opens
            inside = evening or local.time() < closes
            day = local.date() + timedelta(days=1) if evening else local.date()
        return inside and day.weekday() < 5 and f"{day:%Y%m%d}" not in self.closed_days


_GLOBEX = {"regular": (time(9, 30), time(16, 0)), "session": (time(18, 0), time(17, 0)), "zone": "US/Eastern"}

SPY = Listing(con_id=756733, symbol="SPY", sec_type="STK", exchange="SMART", primary_exchange="ARCA",
              local_symbol="SPY", trading_class="SPY")  # fmt: skip
AAPL = Listing(con_id=265598, symbol="AAPL", sec_type="STK", exchange="SMART", primary_exchange="NASDAQ",
               local_symbol="AAPL", trading_class="NMS")  # fmt: skip
ES_JUNE = Listing(con_id=551601561, symbol="ES", sec_type="FUT", exchange="CME", local_symbol="ESM4",
                  trading_class="ES", expiry="20240621", multiplier="50", min_tick=0.25, margin=12_000.0,
                  under_con_id=11004968, **_GLOBEX)  # fmt: skip
ES_SEPTEMBER = Listing(con_id=568550526, symbol="ES", sec_type="FUT", exchange="CME", local_symbol="ESU4",
                       trading_class="ES", expiry="20240920", multiplier="50", min_tick=0.25, margin=12_000.0,
                       under_con_id=11004968, **_GLOBEX)  # fmt: skip
ES_MARCH = Listing(con_id=533620665, symbol="ES", sec_type="FUT", exchange="CME", local_symbol="ESH4",
                   trading_class="ES", expiry="20240315", multiplier="50", min_tick=0.25, margin=12_000.0,
                   under_con_id=11004968, **_GLOBEX)  # fmt: skip
ES_CONTINUOUS = Listing(con_id=551601562, symbol="ES", sec_type="CONTFUT", exchange="CME", local_symbol="ESM4",
                        trading_class="ES", expiry="20240621", multiplier="50", min_tick=0.25,
                        under_con_id=11004968, **_GLOBEX)  # fmt: skip
EURUSD = Listing(con_id=12087792, symbol="EUR", sec_type="CASH", exchange="IDEALPRO", local_symbol="EUR.USD",
                 trading_class="EUR.USD", min_tick=0.00005, margin=-0.03, session=(time(17, 15), time(17, 0)),
                 regular=(time(17, 15), time(17, 0)))  # fmt: skip

CATALOGUE = (SPY, AAPL, ES_MARCH, ES_JUNE, ES_SEPTEMBER, ES_CONTINUOUS, EURUSD)


def matching(
    asked: Mapping[str, str],
    listings: Iterable[Listing] = CATALOGUE,
    *,
    now: datetime,
    include_expired: bool = False,
) -> list[Listing]:
    """Listings that fit every field which the request sets."""
    today = f"{now.astimezone(UTC):%Y%m%d}"
    wanted = {name: value for name, value in asked.items() if value not in ("", "0", "0.0")}

    def fits(listing: Listing) -> bool:
        own = {
            "conId": str(listing.con_id),
            "symbol": listing.symbol,
            "secType": listing.sec_type,
            "currency": listing.currency,
            "localSymbol": listing.local_symbol,
            "tradingClass": listing.trading_class,
            "multiplier": listing.multiplier,
        }
        expiry = wanted.get("lastTradeDateOrContractMonth", "")
        exchanges = ("", "SMART", listing.exchange, listing.primary_exchange)
        return (
            all(own[name] == value for name, value in wanted.items() if name in own)
            and listing.expiry.startswith(expiry)
            and wanted.get("exchange", "")
            in (exchanges if listing.sec_type == "STK" else ("", listing.exchange))
            and (include_expired or not listing.expiry or listing.expiry >= today)
            and (listing.sec_type != "CONTFUT" or wanted.get("secType") == "CONTFUT" or "conId" in wanted)
        )

    return [listing for listing in listings if fits(listing)]
