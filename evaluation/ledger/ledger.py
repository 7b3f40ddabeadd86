"""The ledger: every look at bars that a verdict may be given on, however it ended, in one chain of events.

The number of looks that deflates a Sharpe ratio is counted here, so a look is entered before anything of it is shown
and is never removed: failed and abandoned ones count, running a search again adds to the count, deleting a run
directory takes nothing from it. The ledger is an SQLite file or a PostgreSQL server; several processes may write to
it at once.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.coverage.coverage import Coverage
from evaluation.files import plain
from evaluation.ledger.migration import import_old
from evaluation.ledger.records import (
    FloatArray,
    LookEntry,
    Record,
    TrialCount,
    packed,
    packed_instants,
    unpacked_instants,
    unpacked_returns,
)
from evaluation.ledger.return_sketch import Sketch
from evaluation.ledger.state import LedgerState, looks_of, status_of
from evaluation.ledger.store import Event, Head, LedgerUnusable, Store, shown
from evaluation.ledger.trained_weights import EVENT as WEIGHTS
from evaluation.ledger.trained_weights import WeightsNote
from evaluation.statistics.metrics import as_returns, sharpe_ratio, total_return

__all__ = ["Head", "HoldoutOpenedError", "Ledger", "LedgerUnusable", "LookEntry", "TrialCount"]


class HoldoutOpenedError(ValueError):
    """The holdout of a study was opened before; it can be opened once only.

    Attributes
    ----------
    purpose : what it was opened for.
    """

    def __init__(self, study: str, at_utc: str, purpose: str) -> None:
        self.purpose = purpose
        super().__init__(
            f"the holdout of study {study} was opened at {at_utc} for '{purpose}'; it can be opened once only, so "
            "gather new bars for another holdout"
        )


def _null(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def look_key(entry: LookEntry) -> str:
    """What an exact repetition has in common: identity, seed, bars and code."""
    facts = [plain(entry.identity), entry.seed, entry.data_fingerprint, entry.code_commit]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Ledger:
    """Access to one ledger.

    Parameters
    ----------
    place : an SQLite file, made with its folder when it does not exist (keep it outside run directories), or
        ``postgresql://USER@HOST:PORT/DATABASE``, whose tables are made.

    Raises
    ------
    LedgerUnusable
        If the file exists but is no ledger, or the server cannot be used; a ValueError, one sentence.
    """

    def __init__(self, place: Path | str) -> None:
        self._store = Store(place)
        self.place = shown(str(place))
        self.beside: Callable[[], list[Ledger]] = list  # ledgers of other machines, whose looks count as well
        if not self._store.server:
            import_old(self._store)

    @property
    def id(self) -> str:
        """A random name that no other ledger has."""
        return self._store.id

    def head(self) -> Head:
        """The end of the chain now."""
        return self._store.head()

    def enter(self, entry: LookEntry, *, reopen: bool = True) -> int:
        """Enter a look before it shows anything, so that it counts however it ends; returns its number.

        The same identity, seed, bars and code again is the same look; the run that repeats it is noted.

        Parameters
        ----------
        reopen : a look that failed is running again; False only finds its number.
        """
        key = look_key(entry)
        with self._store.writing() as connection:
            coverage = (
                "" if entry.coverage is None else self._store.keep(connection, _coverage(entry.coverage))
            )
            known = self._store.entry(connection, key)
            if known is None:
                identity = self._store.keep(
                    connection, zlib.compress(json.dumps(plain(entry.identity), sort_keys=True).encode(), 1)
                )
                facts: dict[str, Any] = {
                    "kind": entry.kind,
                    "study": entry.study,
                    "identity": identity,
                    "seed": entry.seed,
                    "data_fingerprint": entry.data_fingerprint,
                    "code_commit": entry.code_commit,
                    "run": entry.run,
                    "coverage": coverage,
                }
                if entry.features:  # others say nothing of it, as in ledgers of earlier releases
                    facts["features"] = list(entry.features)
                return self._store.append(connection, "enter", facts, key=key)
            again = {"run": entry.run, "coverage": coverage}
            events = self._store.events_of(connection, known)
            noted = [
                {name: e.facts.get(name) for name in again} for e in events if e.what in ("enter", "again")
            ]
            if again not in noted or (reopen and status_of(events) == "failed"):
                self._store.append(connection, "again", again, look=known)
            return known

    def finish(
        self, look: int, *, score: float, record: Record, folds: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Write what a look earned; writing the same again changes nothing.

        Parameters
        ----------
        score : what the search maximised, or the annual Sharpe ratio.
        folds : rows of `fold_facts`.
        """
        sketch = Sketch.of(record)
        values = record.net_return
        facts: dict[str, Any] = {
            "status": "finished",
            "score": _null(score),
            "sharpe": _null(sharpe_ratio(values)),
            "num_bars": int(values.size),
            "bar_seconds": record.bar_seconds,
            "folds": [dict(f) for f in folds],
            **({"symbols": record.symbols} if record.symbols else {}),
        }
        with self._store.writing() as connection:
            facts["returns"] = self._store.keep(connection, packed(values))
            facts["instants"] = (
                ""
                if record.bar_utc is None
                else self._store.keep(connection, packed_instants(record.bar_utc))
            )
            facts["sketch"] = "" if sketch is None else self._store.keep(connection, sketch.to_bytes())
            events = self._store.events_of(connection, look)
            self._require_entry(events, look)
            earlier = {(e.facts.get("returns"), e.facts.get("instants")) for e in events if e.what == "close"}
            if (facts["returns"], facts["instants"]) not in earlier:
                self._store.append(connection, "close", facts, look=look)

    def fail(self, look: int, error: str) -> None:
        """Mark a look that is not finished as failed; it goes on counting."""
        with self._store.writing() as connection:
            events = self._store.events_of(connection, look)
            self._require_entry(events, look)
            if status_of(events) == "running":
                facts = {"status": "failed", "error": error[:2000]}
                self._store.append(connection, "close", facts, look=look)

    def _require_entry(self, events: Sequence[Event], look: int) -> None:
        if not events:
            raise ValueError(f"look {look} is not in the ledger {self.place}; enter it first")

    def seal(self, run: str, root: str) -> None:
        """Write the root hash of a run directory's manifest, at the run's end.

        Parameters
        ----------
        run : its id. root : hash over all of its files.
        """
        with self._store.writing() as connection:
            self._store.append(connection, "seal", {"run": run, "root": root})

    def note_weights(self, note: WeightsNote, entry: LookEntry, run: str) -> None:
        """Write what a training tells of its weights, before they can be read from any file.

        Parameters
        ----------
        entry : of the job's look; its seed is the training's own. run : id of the run that trains.
        """
        facts = note.facts(run=run, training=look_key(replace(entry, seed=note.seed)))
        with self._store.writing() as connection:
            self._store.append(connection, WEIGHTS, facts)

    def seals(self, run: str) -> list[str]:
        """The roots that were sealed for a run, in the order of sealing; none for one that never ended."""
        events = self._store.chain().events
        return [str(e.facts["root"]) for e in events if e.what == "seal" and e.facts.get("run") == run]

    def state(self, until: int | None = None) -> LedgerState:
        """Read everything, and check the chain.

        Parameters
        ----------
        until : number of the last event that counts, for how things stood then; None takes all.
        """
        chain = self._store.chain()
        if until is not None:
            chain = replace(chain, events=chain.events[:until], hashes=chain.hashes[:until])
        return LedgerState(chain=chain, looks=looks_of(chain.events))

    def count(self, study: str) -> TrialCount:
        """Looks of a study by how they ended."""
        found = Counter(look.status for look in self.state().looks if look.study == study)
        return TrialCount(
            all=found.total(), finished=found["finished"], failed=found["failed"], running=found["running"]
        )

    def identity(self, look: int) -> dict[str, Any]:
        """What a look was entered as."""
        with self._store.reading() as connection:
            (entry,) = [e for e in self._store.events_of(connection, look) if e.what == "enter"]
        digest = str(entry.facts["identity"])
        return dict(json.loads(zlib.decompress(self._store.contents([digest])[digest])))

    def coverages(self, hashes: Sequence[str]) -> dict[str, Coverage]:
        """Coverages by their hash."""
        found = self._store.contents([digest for digest in hashes if digest])
        return {digest: Coverage.from_json(json.loads(zlib.decompress(c))) for digest, c in found.items()}

    def sketches(self, hashes: Sequence[str]) -> dict[str, Sketch]:
        """Sketches of returns by their hash."""
        found = self._store.contents([digest for digest in hashes if digest])
        return {digest: Sketch.from_bytes(content) for digest, content in found.items()}

    def instants(self, hashes: Sequence[str]) -> dict[str, NDArray[np.datetime64]]:
        """Labels of bars by their hash."""
        found = self._store.contents([digest for digest in hashes if digest])
        return {digest: unpacked_instants(content) for digest, content in found.items()}

    def returns(self, hashes: Sequence[str]) -> dict[str, FloatArray]:
        """Returns by their hash, to the bit."""
        found = self._store.contents([digest for digest in hashes if digest])
        return {digest: unpacked_returns(content) for digest, content in found.items()}

    def open_holdout(self, entry: LookEntry, *, purpose: str) -> int:
        """Record that a study's holdout is opened, before a bar of it is read; returns the look's number.

        Parameters
        ----------
        entry : of kind "holdout opening".

        Raises
        ------
        HoldoutOpenedError
            If it was opened before: what was seen once is no holdout any more.
        """
        key, opening = opening_key(entry.study), {"holdout of": entry.study}
        with self._store.writing() as connection:
            known = self._store.entry(connection, key)
            if known is None:
                coverage = (
                    "" if entry.coverage is None else self._store.keep(connection, _coverage(entry.coverage))
                )
                identity = zlib.compress(json.dumps(opening | {"purpose": purpose}).encode(), 1)
                facts = {
                    "kind": "holdout opening",
                    "study": entry.study,
                    "purpose": purpose,
                    "seed": entry.seed,
                    "identity": self._store.keep(connection, identity),
                    "coverage": coverage,
                    "run": entry.run,
                    "data_fingerprint": entry.data_fingerprint,
                    "code_commit": entry.code_commit,
                }
                return self._store.append(connection, "enter", facts, key=key)
            (first, *_) = self._store.events_of(connection, known)
        raise HoldoutOpenedError(entry.study, first.at_utc, str(first.facts.get("purpose")))

    def holdout_look(self, study: str) -> int | None:
        """Number of the look that opened a study's holdout; None before that."""
        with self._store.reading() as connection:
            return self._store.entry(connection, opening_key(study))


def opening_key(study: str) -> str:
    """Key of the one opening that a study's holdout may have."""
    return hashlib.sha256(json.dumps({"holdout of": study}).encode()).hexdigest()


def fold_facts(*, fold: int, seed: int, net_return: ArrayLike, policy_hash: str) -> dict[str, Any]:
    """The outcome of one fold of a look, for one seed."""
    values = as_returns(net_return, name="net_return")
    return {
        "fold": fold,
        "seed": seed,
        "num_bars": int(values.size),
        "sharpe": _null(sharpe_ratio(values)),
        "total_return": _null(total_return(values)),
        "policy_hash": policy_hash,
    }


def _coverage(coverage: Coverage) -> bytes:
    return zlib.compress(json.dumps(coverage.to_json(), sort_keys=True).encode(), 6)
