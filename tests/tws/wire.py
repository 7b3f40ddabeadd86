"""Frames and fields of the TWS socket protocol, server version 176: what is read from a client, what is sent to it.

A frame is a 4-byte big-endian length and that many bytes of fields, each closed by a NUL. Empty means "not set".
"""

from __future__ import annotations

import math
import struct
from typing import Any

SERVER_VERSION = 176
UNSET_DOUBLE = 1.7976931348623157e308
UNSET_TEXT = str(UNSET_DOUBLE)

CONTRACT_FIELDS = (
    "conId",
    "symbol",
    "secType",
    "lastTradeDateOrContractMonth",
    "strike",
    "right",
    "multiplier",
    "exchange",
    "primaryExchange",
    "currency",
    "localSymbol",
    "tradingClass",
)
"""A contract in requests, in this order; reports leave out primaryExchange."""

REQUESTS = {
    1: "reqMktData",
    2: "cancelMktData",
    3: "placeOrder",
    4: "cancelOrder",
    5: "reqOpenOrders",
    6: "reqAccountUpdates",
    7: "reqExecutions",
    8: "reqIds",
    9: "reqContractDetails",
    15: "reqAutoOpenOrders",
    16: "reqAllOpenOrders",
    17: "reqManagedAccts",
    20: "reqHistoricalData",
    25: "cancelHistoricalData",
    49: "reqCurrentTime",
    50: "reqRealTimeBars",
    51: "cancelRealTimeBars",
    58: "reqGlobalCancel",
    59: "reqMarketDataType",
    61: "reqPositions",
    62: "reqAccountSummary",
    63: "cancelAccountSummary",
    64: "cancelPositions",
    71: "startApi",
    76: "reqAccountUpdatesMulti",
    77: "cancelAccountUpdatesMulti",
    87: "reqHeadTimeStamp",
    90: "cancelHeadTimeStamp",
    99: "reqCompletedOrders",
}

ANSWERS = {
    1: "tickPrice",
    2: "tickSize",
    3: "orderStatus",
    4: "error",
    5: "openOrder",
    6: "accountValue",
    7: "portfolioValue",
    8: "accountTime",
    9: "nextValidId",
    10: "contractDetails",
    11: "execDetails",
    15: "managedAccounts",
    17: "historicalData",
    49: "currentTime",
    50: "realtimeBar",
    52: "contractDetailsEnd",
    53: "openOrderEnd",
    54: "accountDownloadEnd",
    55: "execDetailsEnd",
    57: "tickSnapshotEnd",
    58: "marketDataType",
    59: "commissionReport",
    61: "position",
    62: "positionEnd",
    63: "accountSummary",
    64: "accountSummaryEnd",
    73: "accountUpdateMulti",
    74: "accountUpdateMultiEnd",
    81: "tickReqParams",
    88: "headTimestamp",
    90: "historicalDataUpdate",
    101: "completedOrder",
    102: "completedOrdersEnd",
    106: "historicalSchedule",
}


class WireError(ValueError):
    """A client sent what this double cannot read; the log of the double keeps it, and the fixture fails."""


def text(value: Any) -> str:
    """One field as TWS writes it: flags as 1 and 0, nothing where a value is not set, whole floats without their .0."""
    if value is None or (isinstance(value, float) and value == UNSET_DOUBLE):
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        if math.isinf(value):
            return "Infinity"
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    return str(value)


def frame(fields: tuple[Any, ...] | list[Any]) -> bytes:
    """The fields of one message as bytes on the wire."""
    body = "".join(text(field) + "\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


def split_frames(received: bytes) -> tuple[list[list[str]], bytes]:
    """Whole messages at the head of what was received, each as its fields, and the bytes that are left over."""
    messages = []
    while len(received) >= 4:
        end = 4 + struct.unpack(">I", received[:4])[0]
        if len(received) < end:
            break
        messages.append(received[4:end].decode().split("\0")[:-1])
        received = received[end:]
    return messages, received


class Reader:
    """The fields of one request, taken from the front."""

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields
        self._at = 0

    def text(self) -> str:
        """The next field as it is."""
        if self._at >= len(self._fields):
            raise WireError(f"the request ends after {self._at} fields: {self._fields}")
        self._at += 1
        return self._fields[self._at - 1]

    def integer(self) -> int:
        """The next field as a whole number; 0 where it is not set."""
        return int(self.text() or 0)

    def flag(self) -> bool:
        """The next field as a flag: clients write 0, 1, False or True."""
        value = self.text()
        if value not in ("", "0", "1", "False", "True"):
            raise WireError(f"{value!r} at field {self._at} is no flag: {self._fields}")
        return value in ("1", "True")

    def contract(self) -> dict[str, str]:
        """The twelve fields of a contract."""
        return {name: self.text() for name in CONTRACT_FIELDS}

    def skip(self, count: int) -> None:
        """Leave out fields that this double does not use."""
        for _ in range(count):
            self.text()

    def finish(self) -> None:
        """Refuse a request with fields left over: it was read wrongly."""
        if self._at != len(self._fields):
            raise WireError(f"{len(self._fields) - self._at} fields were left over of {self._fields}")
