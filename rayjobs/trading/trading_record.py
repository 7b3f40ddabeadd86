"""The record of a trading run: every step, and the state to go on from, in one file that survives a kill.

SQLite with a write-ahead log. A step, the fills booked in it and the state after it are one transaction: after a kill
the run stands at the last bar that was written whole. Money is kept as the bytes of its float64.

Axes: A asset, K column, R fills.
"""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from envs.kernel import columns as c
from envs.kernel.recorded_steps import NUM_FILL_KEYS
from envs.live.journal import OPEN_WAIT_S
from envs.live.paper import BookedFill
from envs.live.simulated_twin import PredictedFill
from envs.recording import StepOfRow
from rayjobs.config.typed_config import ConfigError

RECORD_FILE = "trading.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS steps (
    bar INTEGER PRIMARY KEY, bar_utc TEXT NOT NULL, late INTEGER NOT NULL, observation TEXT NOT NULL,
    reward REAL NOT NULL, flow BLOB NOT NULL, decisions BLOB NOT NULL, fills BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS latency (bar INTEGER PRIMARY KEY, bar_utc TEXT NOT NULL, latency_ms REAL NOT NULL);
CREATE TABLE IF NOT EXISTS booked (
    execution_id TEXT PRIMARY KEY, revision INTEGER NOT NULL, asset INTEGER NOT NULL, units REAL NOT NULL,
    price REAL NOT NULL, commission REAL NOT NULL, commission_known INTEGER NOT NULL, client_order_id TEXT,
    filled_utc TEXT NOT NULL, bar INTEGER NOT NULL, symbol TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS predicted (
    bar INTEGER NOT NULL, asset INTEGER NOT NULL, units REAL NOT NULL, price REAL NOT NULL, commission REAL NOT NULL,
    spread REAL NOT NULL, slippage REAL NOT NULL, impact REAL NOT NULL, PRIMARY KEY (bar, asset));
CREATE TABLE IF NOT EXISTS expected (bar INTEGER PRIMARY KEY, value REAL NOT NULL);
CREATE TABLE IF NOT EXISTS state (number INTEGER PRIMARY KEY CHECK (number = 0), content BLOB NOT NULL);
"""


@dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """One bar as the loop closed it.

    Attributes
    ----------
    step : what the account did. bar_utc : its label. late : it came too late to enter anything on.
    observation : digest of what is observed at its close.
    """

    step: StepOfRow
    bar_utc: np.datetime64
    late: bool
    observation: str


class TradingRecord:
    """The file of one trading run; one process writes.

    Raises
    ------
    ConfigError
        If another process has it open, or it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=OPEN_WAIT_S)
        try:
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)
            if "symbol" not in [
                row[1] for row in self._db.execute("PRAGMA table_info(booked)")
            ]:  # an older record
                self._db.execute("ALTER TABLE booked ADD COLUMN symbol TEXT NOT NULL DEFAULT ''")
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._db.close()
            raise ConfigError(
                f"{path} cannot be opened ({error}); does another process trade in it?"
            ) from error
        self._latencies: list[tuple[int, str, float]] = []
        self._expected: list[tuple[int, float]] = []

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._write_latencies()
        self._db.close()

    def __enter__(self) -> TradingRecord:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fact(self, key: str) -> str | None:
        """What was noted under a key; None where nothing was."""
        row = self._db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def note(self, key: str, value: str) -> None:
        """Note a fact once; a second time leaves the first."""
        self._db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (key, value))

    def write(
        self,
        recorded: RecordedStep | None,
        state: Mapping[str, Any],
        booked: Sequence[BookedFill] = (),
        predicted: Sequence[PredictedFill] = (),
        bar: int = 0,
    ) -> None:
        """Write a bar and the state after it; no bar where the run is only begun.

        booked : executions that the state's books hold by now. bar : the account's, when they were booked.
        predicted : what the simulator would have filled in this bar of the same orders.
        """
        self._db.execute("BEGIN IMMEDIATE")
        if recorded is not None:
            step = recorded.step
            self._db.execute(
                "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    step.bar,
                    str(recorded.bar_utc),
                    int(recorded.late),
                    recorded.observation,
                    step.reward,
                    step.flow.tobytes(),
                    step.decisions.tobytes(),
                    step.fills.tobytes(),
                ),
            )
        self._insert_latencies()
        for fill in booked:
            facts = {**vars(fill), "filled_utc": fill.filled_utc.isoformat(), "bar": bar}
            columns, marks = ", ".join(facts), ", ".join("?" * len(facts))
            self._db.execute(
                f"INSERT OR REPLACE INTO booked ({columns}) VALUES ({marks})", tuple(facts.values())
            )
        for guess in predicted:
            self._db.execute(
                "INSERT OR REPLACE INTO predicted VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                tuple(vars(guess).values()),
            )
        self._db.execute("INSERT OR REPLACE INTO state VALUES (0, ?)", (packed(state),))
        self._db.execute("COMMIT")

    def time(self, bar: int, bar_utc: np.datetime64, latency_ms: float) -> None:
        """Keep how long a decision took; written with the next bar."""
        self._latencies.append((bar, str(bar_utc), latency_ms))

    def expect(self, bar: int, value: float) -> None:
        """Keep what the policy's value head expected at the close of a bar; written with the next one."""
        self._expected.append((bar, value))

    def state(self) -> dict[str, Any] | None:
        """The state after the last bar that was written; None where there is none."""
        row = self._db.execute("SELECT content FROM state").fetchone()
        return None if row is None else unpacked(row[0])

    def booked(self) -> list[tuple[BookedFill, int]]:
        """Executions that the saved state's books hold, and the bar at whose close they were written."""
        names = [field.name for field in fields(BookedFill)]
        rows = self._db.execute(f"SELECT {', '.join(names)}, bar FROM booked ORDER BY rowid").fetchall()
        found = []
        for *values, bar in rows:
            facts = dict(zip(names, values, strict=True))
            facts["filled_utc"] = datetime.fromisoformat(facts["filled_utc"])
            facts["commission_known"] = bool(facts["commission_known"])
            found.append((BookedFill(**facts), int(bar)))
        return found

    def predicted(self) -> list[PredictedFill]:
        """What the simulator would have filled of the orders that went to a venue."""
        rows = self._db.execute("SELECT * FROM predicted ORDER BY bar, asset").fetchall()
        names = [field.name for field in fields(PredictedFill)]
        return [PredictedFill(**dict(zip(names, row, strict=True))) for row in rows]

    @property
    def num_steps(self) -> int:
        """Bars that were written."""
        return int(self._db.execute("SELECT count(*) FROM steps").fetchone()[0])

    def steps(self, num_assets: int) -> dict[str, NDArray[Any]]:
        """The fields of `StepOfRow`, those of all bars one after another."""
        rows = self._db.execute(
            "SELECT bar, reward, flow, decisions, fills FROM steps ORDER BY bar"
        ).fetchall()
        width = NUM_FILL_KEYS + c.NUM_FILL_COLUMNS
        return {
            "bar": np.array([row[0] for row in rows], dtype=np.int64),
            "reward": np.array([row[1] for row in rows], dtype=np.float64),
            "flow": np.stack([_flow(row[2]) for row in rows]) if rows else np.empty((0, c.NUM_FLOW_COLUMNS)),
            "decisions": np.stack([_decisions(row[3], num_assets) for row in rows])
            if rows
            else np.empty((0, num_assets, c.NUM_DECISION_COLUMNS)),
            "fills": np.frombuffer(b"".join(row[4] for row in rows)).reshape(-1, width),
        }

    def latency_table(self) -> pd.DataFrame:
        """bar_utc, latency_ms, late, observation of every bar; latency NaN where a kill came before it was written."""
        self._write_latencies()
        rows = self._db.execute(
            "SELECT s.bar_utc, l.latency_ms, s.late, s.observation FROM steps s LEFT JOIN latency l "
            "ON l.bar = s.bar ORDER BY s.bar"
        ).fetchall()
        table = pd.DataFrame(rows, columns=["bar_utc", "latency_ms", "late", "observation"])
        return table.assign(
            bar_utc=table["bar_utc"].to_numpy("datetime64[s]"),
            latency_ms=table["latency_ms"].astype(float),
            late=table["late"].astype(bool),
        )

    def expectations(self) -> pd.DataFrame:
        """bar_utc, value, reward: what was expected at the close before each bar, and the reward of the bar."""
        rows = self._db.execute(
            "SELECT s.bar_utc, e.value, s.reward FROM steps s LEFT JOIN expected e ON e.bar = s.bar - 1 ORDER BY s.bar"
        ).fetchall()
        table = pd.DataFrame(rows, columns=["bar_utc", "value", "reward"])
        return table.assign(
            bar_utc=table["bar_utc"].to_numpy("datetime64[s]"),
            value=table["value"].astype(float),
            reward=table["reward"].astype(float),
        )

    def _insert_latencies(self) -> None:
        self._db.executemany("INSERT OR REPLACE INTO latency VALUES (?, ?, ?)", self._latencies)
        self._db.executemany("INSERT OR REPLACE INTO expected VALUES (?, ?)", self._expected)
        self._latencies.clear()
        self._expected.clear()

    def _write_latencies(self) -> None:
        if self._latencies:
            self._db.execute("BEGIN IMMEDIATE")
            self._insert_latencies()
            self._db.execute("COMMIT")


def _flow(content: bytes) -> NDArray[np.float64]:
    """(K,) of one bar; a record that is older than the column of dividends paid none."""
    flow = np.frombuffer(content)
    return flow if len(flow) == c.NUM_FLOW_COLUMNS else np.insert(flow, c.DIVIDEND_PAID, 0.0)


def _decisions(content: bytes, num_assets: int) -> NDArray[np.float64]:
    """(A, K) of one bar, likewise."""
    found = np.frombuffer(content).reshape(num_assets, -1)
    if found.shape[1] == c.NUM_DECISION_COLUMNS:
        return found
    return np.insert(found, c.LOG_DIVIDEND, 0.0, axis=1)


def packed(state: Mapping[str, Any]) -> bytes:
    """A nesting of mappings and lists of arrays, numbers, words and None as bytes that hold no code."""
    arrays: dict[str, NDArray[Any]] = {}
    tree = _without_arrays(state, arrays)
    stream = io.BytesIO()
    np.savez(stream, tree=np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def unpacked(content: bytes) -> dict[str, Any]:
    """What `packed` was given; tuples come back as lists."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        tree = json.loads(archive["tree"].tobytes())
        found = _with_arrays(tree, archive)
    assert isinstance(found, dict)
    return found


_ARRAY = "array "


def _without_arrays(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return _ARRAY + name
    if isinstance(value, Mapping):
        return {str(key): _without_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_arrays(item, arrays) for item in value]
    return value


def _with_arrays(value: Any, archive: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, str) and value.startswith(_ARRAY):
        return archive[value.removeprefix(_ARRAY)]
    if isinstance(value, dict):
        return {key: _with_arrays(item, archive) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_arrays(item, archive) for item in value]
    return value
