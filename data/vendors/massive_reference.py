"""Reference data of Massive: splits, dividends, listings and prices as of a date, options, snapshots, statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import pandas as pd

from data.calendars import DAY_SECONDS, bar_grid
from data.vendors.definition import AnswerRefused, MalformedAnswer
from data.vendors.massive_account import MassiveAccount
from data.vendors.records import day, day_or_none, positive, record, text_of
from data.vendors.reference import Dividend, Listing, PricedListing, Split
from data.vendors.tables import instants, numbers

Statement = Literal["income-statements", "balance-sheets", "cash-flow-statements"]
_PAGE_ROWS = 1000


@dataclass(frozen=True, kw_only=True)
class MassiveReference(MassiveAccount):
    """What `data.vendors.reference` describes, and what only Massive has."""

    def splits(self, symbol: str, first: date, last: date) -> Sequence[Split]:
        """Splits by execution date, which is the ex-date."""
        rows = self.reference_rows("/v3/reference/splits", _between(symbol, "execution_date", first, last))
        found = [
            record(
                Split,
                "massive",
                symbol=text_of(row, "ticker", "massive"),
                ex_date=day(row, "execution_date", "massive"),
                new_shares=positive(row, "split_to", "massive"),
                old_shares=positive(row, "split_from", "massive"),
            )
            for row in rows
        ]
        return sorted(found, key=lambda split: split.ex_date)

    def dividends(self, symbol: str, first: date, last: date) -> Sequence[Dividend]:
        """Cash dividends per share as it was at the time."""
        path = "/v3/reference/dividends"
        rows = self.reference_rows(path, _between(symbol, "ex_dividend_date", first, last))
        found = [
            record(
                Dividend,
                "massive",
                symbol=text_of(row, "ticker", "massive"),
                ex_date=day(row, "ex_dividend_date", "massive"),
                cash_per_share=positive(row, "cash_amount", "massive"),
                currency=str(row.get("currency") or ""),
                split_adjusted=False,
                declared_on=day_or_none(row, "declaration_date", "massive"),
                paid_on=day_or_none(row, "pay_date", "massive"),
            )
            for row in rows
        ]
        return sorted(found, key=lambda dividend: dividend.ex_date)

    def listings(self, as_of: date) -> Sequence[Listing]:
        """Stocks and funds listed on that date, those included that ended since."""
        return self._tickers(as_of, active=True)

    def delisted(self, as_of: date) -> Sequence[Listing]:
        """Stocks and funds that had ended by that date, with their last day."""
        return self._tickers(as_of, active=False)

    def _tickers(self, as_of: date, *, active: bool) -> Sequence[Listing]:
        wanted = {"market": "stocks", "date": as_of.isoformat(), "active": str(active).lower()}
        rows = self.reference_rows("/v3/reference/tickers", {**wanted, "limit": _PAGE_ROWS, "sort": "ticker"})
        return sorted((_listing(row) for row in rows), key=lambda listing: listing.symbol)

    def universe(self, as_of: date) -> Sequence[PricedListing]:
        """What was listed, with the close as traded of the last session at or before the date."""
        session = last_session(self.calendar, as_of)
        if pd.Timestamp(session).tz_localize("UTC") + pd.Timedelta(2, "D") > self.now():
            raise AnswerRefused(
                f"the session of {session} is not over for certain; choose a universe as of an earlier date"
            )
        path = f"/v2/aggs/grouped/locale/us/market/stocks/{session}"
        rows = self.reference_rows(path, {"adjusted": "false"})
        closes = numbers([row.get("c") for row in rows], "close", "massive")
        volumes = numbers([row.get("v") for row in rows], "volume", "massive")
        priced = {row.get("T"): (float(c), float(v)) for row, c, v in zip(rows, closes, volumes)}
        return [
            PricedListing(
                listing=listing,
                session=session,
                close=priced[listing.symbol][0],
                volume=priced[listing.symbol][1],
            )
            for listing in self.listings(as_of)
            if listing.symbol in priced
        ]

    def option_contracts(self, underlying: str, as_of: date) -> pd.DataFrame:
        """Contracts that existed on a date, those included that expired since: expiration, strike, kind, shares."""
        rows: list[Mapping[str, Any]] = []
        for expired in ("false", "true"):
            params = {
                "underlying_ticker": underlying,
                "as_of": as_of.isoformat(),
                "expired": expired,
                "limit": _PAGE_ROWS,
            }
            rows += self.reference_rows("/v3/reference/options/contracts", params)
        expirations = [day(row, "expiration_date", "massive") for row in rows]
        table = pd.DataFrame(
            {
                "symbol": [text_of(row, "ticker", "massive") for row in rows],
                "expiration": pd.to_datetime(expirations),
                "strike": numbers([row.get("strike_price") for row in rows], "strike_price", "massive"),
                "kind": [text_of(row, "contract_type", "massive") for row in rows],
                "shares": numbers(
                    [row.get("shares_per_contract") for row in rows], "shares_per_contract", "massive"
                ),
            }
        )
        alive = table[table["expiration"] >= pd.Timestamp(as_of)]
        return alive.drop_duplicates("symbol").sort_values(
            ["expiration", "strike", "kind"], ignore_index=True
        )

    def option_chain(self, underlying: str) -> pd.DataFrame:
        """The chain as of now, a row a contract: quotes, open interest, implied volatility; NaN where there is none."""
        path = f"/v3/snapshot/options/{underlying}"
        rows = self.reference_rows(path, {"limit": 250})
        details = [row.get("details") or {} for row in rows]
        quotes = [row.get("last_quote") or {} for row in rows]
        days = [row.get("day") or {} for row in rows]

        def column(of: Sequence[Mapping[str, Any]], name: str) -> Any:
            return numbers([row.get(name) for row in of], name, "massive", gaps=True)

        return pd.DataFrame(
            {
                "symbol": [text_of(row, "ticker", "massive") for row in details],
                "expiration": pd.to_datetime([day(row, "expiration_date", "massive") for row in details]),
                "strike": numbers([row.get("strike_price") for row in details], "strike_price", "massive"),
                "kind": [text_of(row, "contract_type", "massive") for row in details],
                "bid": column(quotes, "bid"),
                "ask": column(quotes, "ask"),
                "last": column(days, "close"),
                "volume": column(days, "volume"),
                "open_interest": column(rows, "open_interest"),
                "implied_volatility": column(rows, "implied_volatility"),
            }
        ).sort_values(["expiration", "strike", "kind"], ignore_index=True)

    def snapshot(self, symbols: Sequence[str]) -> pd.DataFrame:
        """What stocks cost now: symbol, day_open, day_close, day_volume, previous_close, last_trade, updated_utc."""
        path = "/v2/snapshot/locale/us/markets/stocks/tickers"
        rows = self.connection().body(path, {"tickers": ",".join(symbols)}).get("tickers")
        if not isinstance(rows, list):
            raise MalformedAnswer("massive sent a snapshot without tickers")

        def column(part: str, name: str) -> Any:
            return numbers(
                [(row.get(part) or {}).get(name) for row in rows], f"{part}.{name}", "massive", gaps=True
            )

        return pd.DataFrame(
            {
                "symbol": [text_of(row, "ticker", "massive") for row in rows],
                "day_open": column("day", "o"),
                "day_close": column("day", "c"),
                "day_volume": column("day", "v"),
                "previous_close": column("prevDay", "c"),
                "last_trade": column("lastTrade", "p"),
                "updated_utc": instants([row.get("updated") for row in rows], "ns", "massive"),
            }
        )

    def statements(self, symbol: str, statement: Statement) -> pd.DataFrame:
        """Financial statements, a row a filing, as the vendor names its columns; `filing_date` is when it was known."""
        path = f"/stocks/financials/v1/{statement}"
        rows = self.reference_rows(path, {"tickers": symbol, "limit": _PAGE_ROWS})
        for row in rows:
            day(row, "period_end", "massive")
            day_or_none(row, "filing_date", "massive")
        table = pd.DataFrame(rows)
        return table.sort_values("period_end", ignore_index=True) if len(table) else table


def last_session(calendar: str, as_of: date) -> date:
    """The last session at or before a date."""
    stop = pd.Timestamp(as_of) + pd.Timedelta(2, "D")
    ids = bar_grid(calendar, DAY_SECONDS, stop - pd.Timedelta(20, "D"), stop).session
    dates = ids.astype("datetime64[D]")
    found: date = dates[dates <= pd.Timestamp(as_of).to_datetime64()][-1].astype(object)
    return found


def _between(symbol: str, name: str, first: date, last: date) -> dict[str, Any]:
    window = {f"{name}.gte": first.isoformat(), f"{name}.lte": last.isoformat()}
    return {"ticker": symbol, **window, "limit": _PAGE_ROWS, "order": "asc", "sort": name}


def _listing(row: Mapping[str, Any]) -> Listing:
    return Listing(
        symbol=text_of(row, "ticker", "massive"),
        name=str(row.get("name") or ""),
        exchange=str(row.get("primary_exchange") or ""),
        kind=str(row.get("type") or ""),
        listed_on=None,
        delisted_on=day_or_none(row, "delisted_utc", "massive"),
    )
