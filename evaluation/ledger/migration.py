"""Brings the entries of a ledger of an earlier release, tables of trials in the same SQLite file, into the chain."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import numpy as np
import sqlalchemy as sql
from sqlalchemy.engine import Connection

from evaluation.ledger.records import packed, unpacked_returns
from evaluation.ledger.store import Store

TRIALS = sql.text(
    "SELECT t.id, s.name AS study, t.started_utc, t.finished_utc, t.status, t.seed, t.config, t.data_fingerprint, "
    "t.code_commit, t.score, t.sharpe, t.num_bars, t.net_return, t.error "
    "FROM trial t JOIN study s ON t.study = s.id ORDER BY t.id"
)
OPENINGS = sql.text(
    "SELECT s.name AS study, h.opened_utc, h.data_fingerprint, h.code_commit, h.purpose "
    "FROM holdout_opening h JOIN study s ON h.study = s.id ORDER BY h.id"
)


def import_old(store: Store) -> int:
    """Enter what an old ledger in this file holds, once; returns how many entries there were.

    Which bars an old trial was scored on is not known, only the fingerprint of its data: it counts where that agrees.
    """
    with store.reading() as connection:
        if "trial" not in sql.inspect(connection).get_table_names():
            return 0
    with store.writing() as connection:
        if "trial" not in sql.inspect(connection).get_table_names():
            return 0  # another process was first
        trials = connection.execute(TRIALS).all()
        for row in trials:
            _enter(store, connection, dict(row._mapping))
        for row in connection.execute(OPENINGS):
            _open(store, connection, dict(row._mapping))
        for name in ("trial", "fold", "holdout_opening", "study"):
            connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO old_{name}")
    return len(trials)


def _enter(store: Store, connection: Connection, row: dict[str, Any]) -> None:
    config = json.loads(row["config"])
    facts = [config, row["seed"], row["data_fingerprint"], row["code_commit"]]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    if store.entry(connection, key) is not None or config.get("job") != "train":
        key = hashlib.sha256(f"old trial {row['id']}".encode()).hexdigest()
    identity = store.keep(connection, zlib.compress(json.dumps(config, sort_keys=True).encode(), 1))
    kind = "scripted policy" if config.get("script") else "training"
    number = store.append(
        connection,
        "enter",
        {
            "kind": "sweep trial" if "trial" in config else kind,
            "study": row["study"],
            "identity": identity,
            "seed": row["seed"],
            "data_fingerprint": row["data_fingerprint"],
            "code_commit": row["code_commit"],
            "run": "",
            "coverage": "",
        },
        key=key,
        at_utc=row["started_utc"],
    )
    if row["status"] == "finished":
        values = np.array(unpacked_returns(row["net_return"]))
        closed = {
            "status": "finished",
            "score": row["score"],
            "sharpe": row["sharpe"],
            "num_bars": row["num_bars"],
            "bar_seconds": 0,
            "folds": [],
            "instants": "",
            "sketch": "",
            "returns": store.keep(connection, packed(values)),
        }
        store.append(connection, "close", closed, look=number, at_utc=row["finished_utc"])
    elif row["status"] == "failed":
        closed = {"status": "failed", "error": row["error"] or "unknown"}
        store.append(connection, "close", closed, look=number, at_utc=row["finished_utc"])


def _open(store: Store, connection: Connection, row: dict[str, Any]) -> None:
    opening = {"holdout of": row["study"]}
    identity = zlib.compress(json.dumps(opening | {"purpose": row["purpose"]}).encode(), 1)
    store.append(
        connection,
        "enter",
        {
            "kind": "holdout opening",
            "study": row["study"],
            "purpose": row["purpose"],
            "seed": 0,
            "identity": store.keep(connection, identity),
            "coverage": "",
            "run": "",
            "data_fingerprint": row["data_fingerprint"],
            "code_commit": row["code_commit"],
        },
        key=hashlib.sha256(json.dumps(opening).encode()).hexdigest(),
        at_utc=row["opened_utc"],
    )
