"""Features that look ahead, for tests that must find them."""

from __future__ import annotations

import numpy as np

from data.features.definition import Feature


def _next_return(panel, ahead_bars):
    close = panel.last_close()
    known = np.full(close.shape, np.nan)
    known[:-ahead_bars] = close[ahead_bars:] / close[:-ahead_bars] - 1.0
    return known


def _share_of_sample_high(panel):
    return panel.last_close() / np.nanmax(panel.close, axis=0)


NEXT_RETURN = Feature(name="next_return", kind="asset", function=_next_return)
SHARE_OF_HIGH = Feature(name="share_of_sample_high", kind="asset", function=_share_of_sample_high)
