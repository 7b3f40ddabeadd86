"""A feature of a user's own that reads an exogenous column."""

from __future__ import annotations

from data.features import Feature


def doubled(panel):
    """(T, A) twice the vendor's score."""
    return 2.0 * panel.exogenous["vendor_score"]


DOUBLED = Feature(name="doubled", kind="asset", function=doubled)
