"""Which session each bar belongs to.

N bars of a symbol, in order of time.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import BoolArray
from data.calendars import DAY_SECONDS, sessions_between

_DAY = np.timedelta64(1, "D")


def sessions_of(rows: pd.DataFrame, calendar: str, bar_seconds: int) -> tuple[NDArray[np.int64], BoolArray]:
    """The session (N,) that each bar belongs to, and whether it lies inside of its hours.

    A bar that is cut by the open (an hour on the clock) belongs to the session that it reaches into; what lies between
    sessions belongs to the one before.
    """
    labels = rows.index.to_numpy("datetime64[ns]")
    found = sessions_between(calendar, labels[0] - 10 * _DAY, labels[-1] + 10 * _DAY)
    reach = 0 if bar_seconds >= DAY_SECONDS else bar_seconds
    ends = labels + np.timedelta64(max(reach, 1), "s") - np.timedelta64(1, "ns")
    at = np.maximum(np.searchsorted(found.open_utc, ends, side="right") - 1, 0)
    inside: BoolArray = labels < found.close_utc[at]
    return found.session[at].astype(np.int64), inside
