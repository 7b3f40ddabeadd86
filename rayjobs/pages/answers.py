"""Answers of the reader process: strict JSON as bytes, and long series thinned for a screen."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.files import plain
from evaluation.report.charts import envelope

MAX_POINTS = 1200


def as_json(content: Any) -> bytes:
    """Strict JSON: what is not finite is null."""
    return json.dumps(plain(content), allow_nan=False, separators=(",", ":"), default=str).encode()


def epoch_seconds(bar_utc: Any) -> list[int]:
    """Instants as whole seconds since 1970."""
    return [int(second) for second in np.asarray(bar_utc, "datetime64[s]").astype(np.int64)]


def shared_index(curves: list[NDArray[np.float64]]) -> NDArray[np.int64]:
    """Positions to draw of curves of one length: the extremes of every curve are among them."""
    each = max(60, MAX_POINTS // max(len(curves), 1))
    return np.unique(np.concatenate([envelope(curve, each) for curve in curves]))


def rounded(values: NDArray[np.float64], digits: int = 6) -> list[float | None]:
    """Values to some significant digits, None where there is none."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values]
