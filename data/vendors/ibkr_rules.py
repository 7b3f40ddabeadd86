"""What Interactive Brokers allows of historical requests: bar sizes, durations, pacing, and what its errors mean.

Source: "Historical Data Limitations" of the TWS API's documentation (pacing violations, step sizes, message codes).
Its durations are the largest that a bar size is answered for; "a few thousand bars" is the aim of each.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable

import pandas as pd

from data.vendors.definition import (
    AnswerRefused,
    KeyRefused,
    MalformedAnswer,
    RateLimited,
    TemporarilyUnavailable,
    VendorError,
)

DAY_S = 86_400
BAR_NAMES = {
    1: "1 secs",
    5: "5 secs",
    10: "10 secs",
    15: "15 secs",
    30: "30 secs",
    60: "1 min",
    120: "2 mins",
    180: "3 mins",
    300: "5 mins",
    600: "10 mins",
    900: "15 mins",
    1200: "20 mins",
    1800: "30 mins",
    3600: "1 hour",
    7200: "2 hours",
    10_800: "3 hours",
    14_400: "4 hours",
    28_800: "8 hours",
    DAY_S: "1 day",
}
"""Bar sizes by their length in seconds, as TWS spells them."""

_LONGEST_S = (
    (1, 1800),
    (5, 3600),
    (15, 14_400),
    (30, 28_800),
    (60, DAY_S),
    (120, 2 * DAY_S),
    (1200, 7 * DAY_S),
)
"""(bar of at most, longest duration), seconds; longer bars have 30 days, bars of a day a year."""
_PIECE_DAYS = {2 * DAY_S: 1, 7 * DAY_S: 6, 30 * DAY_S: 28, 365 * DAY_S: 360}
"""Days of a piece by the longest duration: it leaves room for the day that a duration in days is asked for beyond."""

SMALL_BAR_S = 30
"""Bars up to this length are paced strictly; for longer ones IB lifted the hard limits and slows down softly."""


def longest_duration_s(bar_seconds: int) -> int:
    """Longest duration of one request for a bar size, seconds."""
    if bar_seconds >= DAY_S:
        return 365 * DAY_S
    return next((limit for size, limit in _LONGEST_S if bar_seconds <= size), 30 * DAY_S)


def piece_length_s(bar_seconds: int) -> int:
    """Length of the pieces that a request is cut into, seconds; they lie on a fixed grid counted from 1970."""
    longest = longest_duration_s(bar_seconds)
    return longest if longest <= DAY_S else _PIECE_DAYS[longest] * DAY_S


def duration(span: pd.Timedelta, bar_seconds: int) -> str:
    """A duration that reaches back over `span` from its end, whether TWS counts trading or calendar time.

    Up to a day in seconds, then in days, one more than needed (a day that has begun counts as one), beyond 365 days in
    years, as TWS demands.
    """
    seconds = math.ceil(span.total_seconds())
    if seconds <= DAY_S and bar_seconds < DAY_S:
        return f"{seconds} S"
    days = math.ceil(seconds / DAY_S) + 1
    return f"{days} D" if days <= 365 else f"{math.ceil(days / 365)} Y"


class HistoryPacing:
    """Requests of the last ten minutes, and how long the next one has to wait.

    Rules: no two identical requests within 15 s; at most five of one contract, exchange and kind of data within 2 s
    (the sixth is the violation); at most 60 in ten minutes. BID_ASK counts twice.

    clock : seconds that never go back, such as `time.monotonic`.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sent: deque[tuple[float, Hashable, Hashable]] = deque()

    def wait_s(self, contract: Hashable, request: Hashable, weight: int = 1) -> float:
        """Seconds until this request may be sent; 0 for at once."""
        now = self._clock()
        while self._sent and now - self._sent[0][0] >= 600.0:
            self._sent.popleft()
        waits = [0.0]
        waits += [15.0 - (now - at) for at, _, sent in self._sent if sent == request]
        same = [at for at, of, _ in self._sent if of == contract and now - at < 2.0]
        if len(same) + weight > 5:
            waits.append(2.0 - (now - same[max(len(same) + weight - 6, 0)]))
        if len(self._sent) + weight > 60:
            waits.append(600.0 - (now - self._sent[len(self._sent) + weight - 61][0]))
        return max(waits)

    def sent(self, contract: Hashable, request: Hashable, weight: int = 1) -> None:
        """Count a request that is being sent."""
        self._sent.extend([(self._clock(), contract, request)] * weight)


_REFUSED = {200, 203, 321, 322, 430, 435, 10_314, 10_339}
_NOT_ENTITLED = {354, 10_089, 10_090, 10_168, 10_186}
_BUSY = {100: 1.0, 420: None, 10_190: None}
_BROKEN = {366, 502, 504, 507, 1100, 1300, 2103, 2105, 2110, 10_187, 10_197}


def error_of(code: int, text: str, what: str) -> VendorError | None:
    """What an answer of TWS means for the caller; None where it says that there are no bars.

    Code 162 stands for many things that only its text tells apart, in the language that TWS is set to.

    what : the request in words, for the message.
    """
    said = f"{what}: TWS answered {code}: {text}"
    if code == 162:
        return _history_error(text.lower(), said)
    if code in _BUSY:
        return RateLimited(said, _BUSY[code])
    if code in _NOT_ENTITLED:
        return KeyRefused(f"{said}. The account has no subscription for these data.")
    if code in _BROKEN:
        return TemporarilyUnavailable(said)
    if code in _REFUSED:
        return AnswerRefused(said)
    return MalformedAnswer(f"{said}. This code is not known here; nothing was kept.")


def _history_error(text: str, said: str) -> VendorError | None:
    if "no data" in text:
        return None
    if "pacing violation" in text:
        return RateLimited(said)
    if "permission" in text or "not subscribed" in text:
        return KeyRefused(f"{said}. The account has no subscription for these data.")
    if "invalid step" in text or "starting time must occur" in text or "invalid" in text:
        return AnswerRefused(said)
    if any(
        words in text for words in ("cancelled", "different ip address", "connect", "timeout", "timed out")
    ):
        return TemporarilyUnavailable(said)
    return MalformedAnswer(
        f"{said}. This text is not known here, so it is not clear whether there are bars; set TWS's language to "
        "English, or report the text."
    )
