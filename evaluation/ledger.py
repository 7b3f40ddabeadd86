"""The ledger: every study, trial, fold and opening of a holdout, in one SQLite file beside the run directories.

The number of trials that deflates a Sharpe ratio is counted here, so a trial is entered when it starts and is never
removed: failed and abandoned trials count, running a search again adds to the count, deleting a run directory does
not take from it. The file is in WAL mode, and several processes may write to it at once.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.artefacts import plain
from evaluation.ledger_records import SCHEMA, FinishedTrial, LedgerTrial, TrialCount, TrialSpan
from evaluation.metrics import as_returns, sharpe_ratio, total_return

FloatArray = NDArray[np.float64]
__all__ = ["FinishedTrial", "HoldoutOpenedError", "Ledger", "LedgerTrial", "TrialCount", "TrialSpan"]


class HoldoutOpenedError(ValueError):
    """The holdout of a study was opened before; it can be opened once only."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


class Ledger:
    """Access to one ledger file.

    Parameters
    ----------
    path : the SQLite file; made with its folder when it does not exist. Keep it outside run directories.

    Raises
    ------
    ValueError
        If the file exists but is no ledger.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._connection() as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(SCHEMA)
        except sqlite3.DatabaseError as error:
            raise ValueError(
                f"{self.path} is not a ledger ({error}); give another path or move that file"
            ) from error

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # A connection per call: nothing is shared between threads or processes, and nothing stays open.
        connection = sqlite3.connect(self.path, timeout=60.0)
        try:
            connection.execute("PRAGMA foreign_keys=ON")
            with connection:
                yield connection
        finally:
            connection.close()

    def study(self, name: str) -> int:
        """Number of the study of this name; entered when it is new. Running a search again is the same study."""
        if not name:
            raise ValueError("a study needs a name; give the experiment's")
        with self._connection() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO study (name, created_utc) VALUES (?, ?)", (name, _now())
            )
            return int(connection.execute("SELECT id FROM study WHERE name = ?", (name,)).fetchone()[0])

    def start_trial(
        self, study: int, *, config: Mapping[str, Any], seed: int, data_fingerprint: str, code_commit: str
    ) -> int:
        """Enter a trial before it runs, so that it counts however it ends; returns its number."""
        row = (
            study,
            _now(),
            "running",
            seed,
            json.dumps(plain(config), sort_keys=True),
            data_fingerprint,
            code_commit,
        )
        with self._connection() as connection:
            cursor = connection.execute(
                "INSERT INTO trial (study, started_utc, status, seed, config, data_fingerprint, code_commit) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            return int(cursor.lastrowid or 0)

    def enter_once(
        self, study: int, *, config: Mapping[str, Any], seed: int, data_fingerprint: str, code_commit: str
    ) -> int:
        """As `start_trial`, but the same configuration, seed, data and code again is the same trial, begun anew."""
        text = json.dumps(plain(config), sort_keys=True)
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")  # two processes must not both find nothing
            known = connection.execute(
                "SELECT id FROM trial WHERE study = ? AND config = ? AND seed = ? AND data_fingerprint = ? "
                "AND code_commit = ? ORDER BY id LIMIT 1",
                (study, text, seed, data_fingerprint, code_commit),
            ).fetchone()
            if known is not None:
                connection.execute("UPDATE trial SET status = 'running', error = NULL WHERE id = ?", known)
                return int(known[0])
            cursor = connection.execute(
                "INSERT INTO trial (study, started_utc, status, seed, config, data_fingerprint, code_commit) "
                "VALUES (?, ?, 'running', ?, ?, ?, ?)",
                (study, _now(), seed, text, data_fingerprint, code_commit),
            )
            return int(cursor.lastrowid or 0)

    def finish_trial(self, trial: int, *, score: float, net_return: ArrayLike, first_bar: int = 0) -> None:
        """Write a trial's score and its out-of-sample returns.

        Parameters
        ----------
        score : what the search maximised.
        net_return : (N,) per-bar net returns, the same bars for every trial of a study.
        first_bar : panel index of the first of them.
        """
        values = as_returns(net_return, name="net_return")
        blob = zlib.compress(values.tobytes(), 1)
        row = (_now(), _null(score), _null(sharpe_ratio(values)), values.size, first_bar, blob, trial)
        self._close(
            "UPDATE trial SET status = 'finished', finished_utc = ?, score = ?, sharpe = ?, num_bars = ?, "
            "first_bar = ?, net_return = ? WHERE id = ? AND status = 'running'",
            row,
        )

    def fail_trial(self, trial: int, error: str) -> None:
        """Mark a trial as failed; it goes on counting."""
        self._close(
            "UPDATE trial SET status = 'failed', finished_utc = ?, error = ? WHERE id = ? AND status = 'running'",
            (_now(), error[:2000], trial),
        )

    def _close(self, statement: str, row: tuple[Any, ...]) -> None:
        with self._connection() as connection:
            if connection.execute(statement, row).rowcount != 1:
                raise ValueError(f"trial {row[-1]} is not running: it is unknown or was closed before")

    def record_fold(
        self, trial: int, *, fold: int, seed: int, net_return: ArrayLike, policy_hash: str
    ) -> None:
        """Write the outcome of one fold of a trial, for one seed."""
        values = as_returns(net_return, name="net_return")
        row = (
            trial,
            fold,
            seed,
            values.size,
            _null(sharpe_ratio(values)),
            _null(total_return(values)),
            policy_hash,
        )
        with self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO fold VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def count(self, study: int) -> TrialCount:
        """Trials of a study by how they ended."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT status, COUNT(*) FROM trial WHERE study = ? GROUP BY status", (study,)
            ).fetchall()
        by_status = {status: int(number) for status, number in rows}
        return TrialCount(
            all=sum(by_status.values()),
            finished=by_status.get("finished", 0),
            failed=by_status.get("failed", 0),
            running=by_status.get("running", 0),
        )

    def trials(self, study: int) -> list[LedgerTrial]:
        """The trials of a study in the order they were entered."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT id, status, config FROM trial WHERE study = ? ORDER BY id", (study,)
            ).fetchall()
        return [
            LedgerTrial(number=number, status=status, config=json.loads(config))
            for number, status, config in rows
        ]

    def count_on_data(self, data_fingerprint: str) -> int:
        """Trials of every study on the same data: a new name for a search does not make its data fresh."""
        with self._connection() as connection:
            return int(
                connection.execute(
                    "SELECT COUNT(*) FROM trial WHERE data_fingerprint = ?", (data_fingerprint,)
                ).fetchone()[0]
            )

    def sharpe_variance(self, study: int) -> float | None:
        """Variance (ddof=1) of the per-bar Sharpe ratios of the finished trials; None below two of them."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT sharpe FROM trial WHERE study = ? AND sharpe IS NOT NULL", (study,)
            ).fetchall()
        values = np.array([row[0] for row in rows], dtype=np.float64)
        return float(values.var(ddof=1)) if values.size >= 2 else None

    def returns(self, study: int) -> FloatArray:
        """(N, K) out-of-sample returns of the K finished trials that cover the same bars as the latest one.

        (0, 0) when no trial has finished.
        """
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT num_bars, first_bar, net_return FROM trial WHERE study = ? AND status = 'finished' ORDER BY id",
                (study,),
            ).fetchall()
        if not rows:
            return np.zeros((0, 0))
        same = [blob for bars, first, blob in rows if (bars, first) == rows[-1][:2]]
        return np.column_stack([np.frombuffer(zlib.decompress(blob), dtype=np.float64) for blob in same])

    def finished_on_data(
        self, data_fingerprint: str, *, first_bar: int, num_bars: int
    ) -> list[FinishedTrial]:
        """The finished trials of every study on these data whose returns cover the same bars, as entered."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT id, config, net_return FROM trial WHERE data_fingerprint = ? AND status = 'finished' "
                "AND first_bar = ? AND num_bars = ? ORDER BY id",
                (data_fingerprint, first_bar, num_bars),
            ).fetchall()
        return [
            FinishedTrial(
                number=number, config=json.loads(config), net_return=np.frombuffer(zlib.decompress(blob))
            )
            for number, config, blob in rows
        ]

    def spans_on_data(self, data_fingerprint: str) -> list[TrialSpan]:
        """When the trials of every study on these data ran, so that an audit can count as of a moment."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT id, started_utc, finished_utc FROM trial WHERE data_fingerprint = ? ORDER BY id",
                (data_fingerprint,),
            ).fetchall()
        return [TrialSpan(number=row[0], started_utc=row[1], finished_utc=row[2]) for row in rows]

    def known_study(self, name: str) -> int | None:
        """Number of a study that is there; None where there is none, and none is entered."""
        with self._connection() as connection:
            row = connection.execute("SELECT id FROM study WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row[0])

    def seal(self, run: str, root: str) -> None:
        """Record the root of a finished run's manifest (`evaluation.manifest`); the same root again adds nothing.

        Parameters
        ----------
        run : identity of the run. root : hash over all of its files.
        """
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            last = connection.execute(
                "SELECT root FROM run_seal WHERE run = ? ORDER BY id DESC LIMIT 1", (run,)
            ).fetchone()
            if last is None or last[0] != root:
                connection.execute(
                    "INSERT INTO run_seal (run, root, sealed_utc) VALUES (?, ?, ?)", (run, root, _now())
                )

    def seals(self, run: str) -> list[str]:
        """Every root that was recorded for a run, the latest last; an honest run has one."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT root FROM run_seal WHERE run = ? ORDER BY id", (run,)
            ).fetchall()
        return [str(row[0]) for row in rows]

    def open_holdout(
        self,
        study: int,
        *,
        data_fingerprint: str,
        first_bar_utc: str,
        last_bar_utc: str,
        code_commit: str,
        purpose: str,
    ) -> None:
        """Record that a study's holdout is opened, before a bar of it is read.

        Raises
        ------
        HoldoutOpenedError
            If it was opened before: what was seen once is no holdout any more.
        """
        row = (study, _now(), data_fingerprint, first_bar_utc, last_bar_utc, code_commit, purpose)
        with self._connection() as connection:
            earlier = connection.execute(
                "SELECT opened_utc, purpose FROM holdout_opening WHERE study = ?", (study,)
            ).fetchone()
            if earlier is None:
                try:
                    connection.execute(
                        "INSERT INTO holdout_opening (study, opened_utc, data_fingerprint, first_bar_utc, "
                        "last_bar_utc, code_commit, purpose) VALUES (?, ?, ?, ?, ?, ?, ?)",
                        row,
                    )
                    return
                except sqlite3.IntegrityError:  # another process was first, or the study does not exist
                    earlier = ("just now", "unknown")
        raise HoldoutOpenedError(
            f"the holdout of study {study} was opened at {earlier[0]} for '{earlier[1]}'; it can be opened once only, "
            "so gather new bars for another holdout"
        )
