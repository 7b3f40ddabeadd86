"""Bars of Interactive Brokers: history over a running TWS or Gateway, by `ib_insync` or `ib_async`.

Labels are opening instants in UTC. TWS dates bars of a day by their session alone; such a bar is labelled by the
opening of that session in the contract's calendar, so a date that is no session there is refused and not guessed.
The bar that still runs is left out.

IB's plain bars of stocks are adjusted for splits already (`adjustment=splits`); with `adjustment=all` they are
adjusted for dividends as well. Real prices of stocks before a split are not to be had. How IB joins the months of a
continuous future is not documented, so that series is given with `adjustment=all` only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from data.vendors.definition import (
    AnswerRefused,
    BarRequest,
    Budget,
    Delivery,
    RateLimited,
    TemporarilyUnavailable,
    VendorError,
)
from data.vendors.ibkr_contracts import ContractTerms, TwsSettings, terms_of
from data.vendors.ibkr_following import FOLLOW_MARGIN, FOLLOW_WAIT_S, FollowedBars, can_be_followed
from data.vendors.ibkr_rows import complete_to, no_rows, rows_of
from data.vendors.ibkr_rules import (
    BAR_NAMES,
    DAY_S,
    SMALL_BAR_S,
    HistoryPacing,
    duration,
    error_of,
    longest_duration_s,
    piece_length_s,
)
from data.vendors.tws_client import TwsConnection, client_library

SETTLES_S = 5.0
"""A bar is taken for complete this long after its close: TWS still corrects the last one a moment later."""


@dataclass(frozen=True, kw_only=True)
class IbkrConfig(TwsSettings):
    """The options of `conf/source/ibkr.yaml`.

    Parameters
    ----------
    regular_hours : bars of regular trading hours only.
    pace_all_bars : keep to IB's pacing for bars of a minute and more too, where IB itself slows down softly.
    others : see `TwsSettings`.
    """

    regular_hours: bool
    pace_all_bars: bool

    def __post_init__(self) -> None:
        if not self.answer_timeout_s > 0:
            raise ValueError(f"answer_timeout_s is {self.answer_timeout_s}; expected seconds > 0")
        super().__post_init__()


class Ibkr:
    """Interactive Brokers as a vendor of bars. It connects at the first request and stays connected.

    clock : seconds that never go back; they are what pacing counts in.
    """

    name = "ibkr"

    def __init__(self, config: IbkrConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        # 60 in ten minutes; requests side by side would need a client id each.
        self.budget = Budget(
            calls_per_minute=6.0 if config.pace_all_bars else None, calls_per_day=None, at_a_time=1
        )
        self._table = config.table()
        self._pacing = HistoryPacing(clock)
        self._connection: TwsConnection | None = None
        self._contracts: dict[str, Any] = {}
        self._followed: dict[tuple[str, int], FollowedBars] = {}

    @classmethod
    def of(cls, **options: Any) -> Ibkr:
        """The vendor with these options of `conf/source/ibkr.yaml`, the fields of `IbkrConfig`."""
        return cls(IbkrConfig(**options))

    def pieces(self, request: BarRequest) -> Sequence[BarRequest]:
        """Cut a request on a fixed grid, so that the same command cuts it the same way tomorrow.

        What TWS gives only up to now (continuous futures, prices adjusted for dividends) stays in one piece.

        Raises
        ------
        AnswerRefused
            If IB has no such bar size, or no such adjustment for this kind of contract.
        """
        terms = self._terms(request)
        if self._ends_now(request, terms):
            return [request]
        step = pd.Timedelta(seconds=piece_length_s(request.bar_seconds))
        edge = request.start_utc.floor(step) + step
        cuts = [request.start_utc]
        while edge < request.stop_utc:
            cuts.append(edge)
            edge += step
        return [
            replace(request, start_utc=start, stop_utc=stop)
            for start, stop in zip(cuts, [*cuts[1:], request.stop_utc])
        ]

    def fetch(self, piece: BarRequest) -> Delivery:
        """Ask for one piece; see `data.vendors.definition.Vendor.fetch`."""
        terms = self._terms(piece)
        connection = self._connected()
        contract = self._contract(connection, piece.symbol, terms)
        now = self._server_time(connection)
        if piece.start_utc > now:
            return self._delivery(no_rows(), piece, "not asked: it lies ahead", now, terms, calls=0)
        asked = self._query(piece, terms, now)
        bars = self._asked_for(connection, contract, piece, asked, self.config.answer_timeout_s)
        source = "&".join(f"{name}={value}" for name, value in asked.items())
        rows = rows_of(bars, piece, terms)
        return self._delivery(rows, piece, f"conId={contract.conId}&{source}", now, terms, calls=1)

    def follow(self, request: BarRequest) -> pd.DataFrame:
        """Bars of a request that runs up to now, kept up to date by TWS; see `data.vendors.definition.Following`."""
        terms = self._terms(request)
        if not can_be_followed(request, terms):
            return self.fetch(request).rows
        connection = self._connected()
        # What TWS sent before this answer has been taken in when it is there.
        now = self._server_time(connection, FOLLOW_WAIT_S)
        settled = now - pd.Timedelta(seconds=SETTLES_S)
        reach = now - pd.Timedelta(seconds=piece_length_s(request.bar_seconds)) + FOLLOW_MARGIN
        if request.start_utc < reach:  # an outage that was longer than one answer
            earlier = self.pieces(replace(request, stop_utc=reach))
            return pd.concat(
                [
                    *(self.fetch(piece).rows for piece in earlier),
                    self.follow(replace(request, start_utc=reach)),
                ]
            )
        key = (request.symbol, request.bar_seconds)
        followed = self._followed.get(key)
        if followed is None or not followed.serves(connection, request, settled):
            followed = self._followed[key] = self._begin_to_follow(connection, request, terms, reach)
        return followed.rows(request, terms, settled)

    def _begin_to_follow(
        self, connection: TwsConnection, request: BarRequest, terms: ContractTerms, since: pd.Timestamp
    ) -> FollowedBars:
        """Subscribe, from as far back as one answer reaches: of a short while there may be no bars at all."""
        if not connection.line_up:
            raise TemporarilyUnavailable("TWS has no line to IB (1100); bars come when it is back")
        contract = self._contract(connection, request.symbol, terms)
        now = self._server_time(connection, FOLLOW_WAIT_S)
        asked = {**self._query(replace(request, start_utc=since), terms, now), "endDateTime": ""}
        bars = self._asked_for(connection, contract, request, {**asked, "keepUpToDate": True}, FOLLOW_WAIT_S)
        before = self._followed.pop((request.symbol, request.bar_seconds), None)
        if before is not None:
            before.end()
        return FollowedBars(connection, bars, since, now)

    def _asked_for(
        self,
        connection: TwsConnection,
        contract: Any,
        piece: BarRequest,
        asked: Mapping[str, Any],
        wait_s: float,
    ) -> Any:
        """The client's bars; none where TWS says that there are none."""
        self._wait_for_pacing(contract, asked, piece.bar_seconds)
        try:
            return connection.ask(
                # The library's own time limit would answer with an empty list, as if there were no bars.
                lambda ib: ib.reqHistoricalDataAsync(contract, **asked, formatDate=2, timeout=0),
                min(wait_s, self.config.answer_timeout_s),
            )
        except connection.request_error as error:
            what = f"{piece.symbol} {BAR_NAMES[piece.bar_seconds]} to {asked['endDateTime'] or 'now'}"
            known = _known_error(error, what)
            if known is not None:
                raise known from error
            return []

    def close(self) -> None:
        """Close the connection; the next request opens one again."""
        self._followed.clear()
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __getstate__(self) -> dict[str, Any]:
        """A connection does not travel; the receiving process opens its own."""
        return {**self.__dict__, "_connection": None, "_contracts": {}, "_followed": {}}

    def _terms(self, request: BarRequest) -> ContractTerms:
        if request.bar_seconds not in BAR_NAMES:
            sizes = ", ".join(str(size) for size in BAR_NAMES)
            raise AnswerRefused(f"ibkr has no bars of {request.bar_seconds} s; it has those of {sizes} s.")
        terms = terms_of(request.symbol, self._table, self.config.stock())
        has_open = terms.sec_type not in ("CASH", "CRYPTO", "CMDTY")
        if DAY_S > request.bar_seconds > 1800 and self.config.regular_hours and has_open:
            raise AnswerRefused(
                f"{request.symbol}: IB counts bars of {request.bar_seconds} s from the full hour, so that the first of "
                "a session that opens at 09:30 is shorter; ask for bars of 1800 s and let them be joined by session."
            )
        if terms.is_adjusted_by_ib and request.adjustment == "raw":
            raise AnswerRefused(
                f"{request.symbol}: IB adjusts bars of stocks for splits and has no raw ones; ask for "
                "adjustment=splits (fills before a split are then in today's units), or take another source."
            )
        if terms.sec_type == "CONTFUT" and request.adjustment != "all":
            raise AnswerRefused(
                f"{request.symbol}: IB's continuous series is joined by IB in a way that is not documented; ask for "
                "adjustment=all to say that you know, or for dated contracts (see contracts in conf/source/ibkr.yaml)."
            )
        return terms

    @staticmethod
    def _ends_now(request: BarRequest, terms: ContractTerms) -> bool:
        return terms.sec_type == "CONTFUT" or (terms.is_adjusted_by_ib and request.adjustment == "all")

    def _query(self, piece: BarRequest, terms: ContractTerms, now: pd.Timestamp) -> dict[str, Any]:
        """Arguments of the request. Dates of daily bars may lie a day off their label, so those reach further."""
        daily = piece.bar_seconds == DAY_S
        stop = piece.stop_utc + pd.Timedelta(days=1 if daily else 0)
        ends_now = self._ends_now(piece, terms)
        open_end = ends_now or stop > now + pd.Timedelta(seconds=60)
        end = now if open_end else stop
        span = end - piece.start_utc + pd.Timedelta(days=1 if daily else 0)
        # The clock has moved on when TWS counts back from "now".
        span += pd.Timedelta(seconds=60 if open_end else 0)
        longest = longest_duration_s(piece.bar_seconds)
        if ends_now and not daily and span > pd.Timedelta(seconds=longest):
            raise AnswerRefused(
                f"{piece.symbol}: IB gives these prices only up to now, and bars of {piece.bar_seconds} s only "
                f"{longest / DAY_S:g} days back, but {piece.start_utc:%Y-%m-%d} lies further; ask for longer bars or "
                "for dated contracts."
            )
        adjusted = terms.is_adjusted_by_ib and piece.adjustment == "all"
        return {
            "endDateTime": "" if open_end else f"{end:%Y%m%d-%H:%M:%S}",
            "durationStr": duration(span, piece.bar_seconds),
            "barSizeSetting": BAR_NAMES[piece.bar_seconds],
            "whatToShow": "ADJUSTED_LAST" if adjusted else terms.data_kind,
            "useRTH": self.config.regular_hours,
        }

    def _wait_for_pacing(self, contract: Any, asked: Mapping[str, Any], bar_seconds: int) -> None:
        if bar_seconds > SMALL_BAR_S and not self.config.pace_all_bars:
            return
        of = (contract.conId, contract.exchange, asked["whatToShow"])
        request = (*of, *asked.items())
        weight = 2 if asked["whatToShow"] == "BID_ASK" else 1
        wait_s = self._pacing.wait_s(of, request, weight)
        if wait_s > 0:
            raise RateLimited(
                f"ibkr: the next request would violate IB's pacing; wait {math.ceil(wait_s)} s.", wait_s
            )
        self._pacing.sent(of, request, weight)

    def _connected(self) -> TwsConnection:
        if self._connection is None or not self._connection.is_open:
            self._contracts.clear()
            self._followed.clear()
            self._connection = TwsConnection(self.config.address())
        return self._connection

    def _server_time(self, connection: TwsConnection, wait_s: float | None = None) -> pd.Timestamp:
        limit_s = self.config.answer_timeout_s
        now = connection.ask(lambda ib: ib.reqCurrentTimeAsync(), min(wait_s or limit_s, limit_s))
        return pd.Timestamp(now).tz_convert("UTC")

    def _contract(self, connection: TwsConnection, symbol: str, terms: ContractTerms) -> Any:
        """The one contract that the terms mean, with IB's number."""
        if symbol in self._contracts:
            return self._contracts[symbol]
        asked = client_library().Contract(**terms.fields())
        try:
            details = connection.ask(
                lambda ib: ib.reqContractDetailsAsync(asked), self.config.answer_timeout_s
            )
        except connection.request_error as error:
            raise _known_error(error, symbol) or AnswerRefused(f"{symbol}: TWS answered {error}") from error
        if len(details) != 1:
            names = ", ".join(sorted({f"{d.contract.localSymbol}@{d.contract.exchange}" for d in details}))
            raise AnswerRefused(
                f"{symbol} names {len(details)} contracts at IB ({names or 'none'}); tell them apart in "
                f"contracts.{symbol} (expiry, exchange, primary_exchange, multiplier, local_symbol or con_id)."
            )
        contract = details[0].contract
        contract.includeExpired = terms.fields()["includeExpired"]
        # Expiry comes with its time of day, which a request for bars does not take.
        contract.lastTradeDateOrContractMonth = contract.lastTradeDateOrContractMonth.split(" ")[0]
        self._contracts[symbol] = contract
        return contract

    def _delivery(
        self,
        rows: pd.DataFrame,
        piece: BarRequest,
        source: str,
        now: pd.Timestamp,
        terms: ContractTerms,
        calls: int,
    ) -> Delivery:
        settled = now - pd.Timedelta(seconds=SETTLES_S)
        complete = complete_to(piece, settled, terms)
        return Delivery(
            rows=rows[rows.index < complete],
            source_uri=f"ibkr:reqHistoricalData?{source}",
            calls=calls,
            complete_to_utc=None if complete >= piece.stop_utc else max(complete, piece.start_utc),
        )


def _known_error(error: Any, what: str) -> VendorError | None:
    return error_of(int(error.code), str(error.message), what)
