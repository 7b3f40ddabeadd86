"""What the ledger holds: its tables, and the records that are read from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SCHEMA = """
CREATE TABLE IF NOT EXISTS study (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_utc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trial (
    id INTEGER PRIMARY KEY, study INTEGER NOT NULL REFERENCES study(id),
    started_utc TEXT NOT NULL, finished_utc TEXT,
    status TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed')), seed INTEGER NOT NULL,
    config TEXT NOT NULL, data_fingerprint TEXT NOT NULL, code_commit TEXT NOT NULL, score REAL, sharpe REAL,
    num_bars INTEGER, first_bar INTEGER, net_return BLOB, error TEXT);
CREATE TABLE IF NOT EXISTS fold (
    trial INTEGER NOT NULL REFERENCES trial(id), fold INTEGER NOT NULL, seed INTEGER NOT NULL,
    num_bars INTEGER NOT NULL,
    sharpe REAL, total_return REAL, policy_hash TEXT NOT NULL, PRIMARY KEY (trial, fold, seed));
CREATE TABLE IF NOT EXISTS holdout_opening (
    id INTEGER PRIMARY KEY, study INTEGER NOT NULL UNIQUE REFERENCES study(id), opened_utc TEXT NOT NULL,
    data_fingerprint TEXT NOT NULL, first_bar_utc TEXT NOT NULL, last_bar_utc TEXT NOT NULL, code_commit TEXT NOT NULL,
    purpose TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS run_seal (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, root TEXT NOT NULL, sealed_utc TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS seal_of_run ON run_seal(run);
CREATE INDEX IF NOT EXISTS trial_of_study ON trial(study);
CREATE INDEX IF NOT EXISTS trial_of_data ON trial(data_fingerprint);
"""


@dataclass(frozen=True, kw_only=True)
class TrialCount:
    """How many trials a study has seen: all = finished + failed + running (or abandoned)."""

    all: int
    finished: int
    failed: int
    running: int


@dataclass(frozen=True, kw_only=True)
class LedgerTrial:
    """A trial as entered; ``status`` is running, finished or failed."""

    number: int
    status: str
    config: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class TrialSpan:
    """When a trial was entered and when it was last finished (None: never), ISO times in UTC."""

    number: int
    started_utc: str
    finished_utc: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class FinishedTrial:
    """A trial with returns. ``config`` is as it was entered; ``net_return`` (N,) out of sample."""

    number: int
    config: Mapping[str, Any]
    net_return: FloatArray
