"""Features of a user's own that write into the bars that they are handed, or try to."""

from __future__ import annotations

import ctypes

import numpy as np

from data.features import Feature

ASKED = {"to write": False}


def _write(panel) -> None:
    """Open the last bar in the middle of its range, past every lock."""
    middle = 0.5 * (panel.low[-1, 0] + panel.high[-1, 0])
    place = panel.open.__array_interface__["data"][0] + 8 * (panel.open.size - panel.num_assets)
    ctypes.memmove(place, np.float64(middle).tobytes(), 8)


def _always(panel):
    """(T, A) nothing, after writing into the bars."""
    _write(panel)
    return np.zeros(panel.close.shape)


def _when_asked(panel):
    """(T, A) nothing; writes into the bars where `ASKED` says so."""
    if ASKED["to write"]:
        _write(panel)
    return np.zeros(panel.close.shape)


def _unlocked(panel):
    """(T, A) nothing; tries what a flag alone would let through."""
    panel.open.setflags(write=True)
    panel.open[6:] *= 1.01
    return np.zeros(panel.close.shape)


WRITTEN = Feature(name="written", kind="asset", function=_always)
WHEN_ASKED = Feature(name="when_asked", kind="asset", function=_when_asked)
UNLOCKED = Feature(name="unlocked", kind="asset", function=_unlocked)
