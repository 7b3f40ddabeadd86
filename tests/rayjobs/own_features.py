"""Features of a user's own: one reads an exogenous column, one a table of dates."""

from __future__ import annotations

import numpy as np

from data.features import Feature


def doubled(panel):
    """(T, A) twice the vendor's score."""
    return 2.0 * panel.exogenous["vendor_score"]


DOUBLED = Feature(name="doubled", kind="asset", function=doubled)

TABLE: dict[int, float] = {}
"""Instant of a bar -> what somebody wrote down of it afterwards."""


def _dates(panel):
    """(T,) what the table says, whatever the bars are."""
    return np.array([TABLE.get(instant, 0.0) for instant in panel.bar_utc.tolist()])


DATES = Feature(name="dates", kind="clock", function=_dates)
