"""What the ledger holds of a look: who looked at which bars, and what was earned there."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.coverage.coverage import Coverage
from evaluation.statistics.metrics import as_returns

FloatArray = NDArray[np.float64]
LookKind = Literal[
    "training",
    "sweep trial",
    "single fold",
    "re-scoring",
    "scripted policy",
    "supervised policy",
    "screening",
    "comparison",
    "holdout opening",
    "other seed",
]
KINDS: tuple[LookKind, ...] = get_args(LookKind)
Status = Literal["running", "finished", "failed"]


@dataclass(frozen=True, kw_only=True)
class LookEntry:
    """A look as it is entered, before anything of it is shown.

    Attributes
    ----------
    kind : one of `KINDS`.
    study : what it belongs to: an experiment, or a sweep.
    identity : all that decides what comes out, beside the seed, the bars and the code: with these three, the same
        identity again is the same look.
    run : id of the run directory, "" where there is none.
    coverage : the bars that are scored; None where they are not known (entries of old ledgers).
    features : names of those of which it shows a result each (a screening), so that some can be chosen.
    """

    kind: LookKind
    study: str
    identity: Mapping[str, Any]
    seed: int
    data_fingerprint: str
    code_commit: str
    run: str = ""
    coverage: Coverage | None = None
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind!r} is no kind of look; known are {', '.join(KINDS)}")
        if not self.study:
            raise ValueError("a study needs a name; give the experiment's")


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """What a look earned.

    Attributes
    ----------
    net_return : (N,) per-bar net returns.
    bar_utc : (N,) datetime64, the bars' labels; None where they are not known.
    bar_seconds : length of a bar.
    symbols : how many were traded; 0 where it is not known.
    """

    net_return: FloatArray
    bar_utc: NDArray[np.datetime64] | None
    bar_seconds: int
    symbols: int = 0

    @classmethod
    def of(
        cls, net_return: ArrayLike, bar_utc: ArrayLike | None, bar_seconds: int, *, symbols: int = 0
    ) -> Record:
        """Checked: one finite return for each bar."""
        values = as_returns(net_return, name="net_return")
        labels = None if bar_utc is None else np.asarray(bar_utc).astype("datetime64[s]")
        if labels is not None and len(labels) != values.size:
            raise ValueError(f"there are {values.size} returns for {len(labels)} bars; give one per bar")
        return cls(net_return=values, bar_utc=labels, bar_seconds=int(bar_seconds), symbols=int(symbols))


@dataclass(frozen=True, kw_only=True)
class Look:
    """A look as it stands in a ledger, or as a run on the disk shows it.

    Attributes
    ----------
    number : of its entry; 0 for one that only a run shows.
    runs : ids of the runs that had it. coverages : hashes of the bars' coverages.
    status : how it ended, finished if it ever did.
    sharpe : per bar; None where undefined or not known.
    returns, instants, sketch : hashes of their contents; "" where there are none.
    key : what the same look has in common in every ledger; "" of one that only a run shows.
    identity : hash of all that decides what comes out, beside the seed, the bars and the code; "" as for the key.
    seed : of the training; None where it is not known.
    features : as `LookEntry` has them. symbols : as `Record` has them.
    """

    number: int
    kind: LookKind
    study: str
    data_fingerprint: str
    runs: tuple[str, ...]
    coverages: tuple[str, ...]
    status: Status
    sharpe: float | None = None
    num_bars: int = 0
    bar_seconds: int = 0
    returns: str = ""
    instants: str = ""
    sketch: str = ""
    key: str = ""
    identity: str = ""
    seed: int | None = None
    features: tuple[str, ...] = ()
    symbols: int = 0


@dataclass(frozen=True, kw_only=True)
class TrialCount:
    """How many looks a study has seen: all = finished + failed + running (or abandoned)."""

    all: int
    finished: int
    failed: int
    running: int


def packed(values: NDArray[Any]) -> bytes:
    """An array's bytes, compressed fast."""
    return zlib.compress(np.ascontiguousarray(values).tobytes(), 1)


def packed_instants(bar_utc: NDArray[np.datetime64]) -> bytes:
    """(N,) labels as the differences of whole seconds."""
    return packed(np.diff(bar_utc.astype("datetime64[s]").astype(np.int64), prepend=0))


def unpacked_instants(content: bytes) -> NDArray[np.datetime64]:
    """(N,) labels, datetime64[s], that `packed_instants` was given."""
    seconds = np.cumsum(np.frombuffer(zlib.decompress(content), dtype=np.int64))
    return seconds.astype("datetime64[s]")


def unpacked_returns(content: bytes) -> FloatArray:
    """(N,) what `packed` was given."""
    return np.frombuffer(zlib.decompress(content), dtype=np.float64)


def record_hashes(record: Record) -> tuple[str, str]:
    """Under which a record's returns and instants are kept; "" for instants that are not known."""
    returns = hashlib.sha256(packed(record.net_return)).hexdigest()
    if record.bar_utc is None:
        return returns, ""
    return returns, hashlib.sha256(packed_instants(record.bar_utc)).hexdigest()
