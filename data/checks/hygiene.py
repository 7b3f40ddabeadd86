"""Hygiene: what is wrong with a source's bars, found and reported, never repaired in silence.

Two classes of defect. Those that make a file unusable (NaN or negative prices, unsorted or repeated times)
raise `DataError`. Those that real feeds have are findings, and each has one stated consequence:

| kind            | what was found                              | what becomes of it in the panel     |
|-----------------|---------------------------------------------|-------------------------------------|
| missing         | bars that the calendar expects are absent   | NaN prices, volume 0, not tradable  |
| inconsistent    | high or low does not bound open and close   | as missing                          |
| rounded         | the same by no more than rounding, 1e-9     | high or low moved to the bound      |
| zero_volume     | the bar has prices but no volume            | prices kept as mark, not tradable   |
| jump            | a price beyond 1.5 times, or below 1 / 1.5  | kept: look for a split or a bad     |
|                 | of, the one it should be near               | tick, and correct the source        |
| outside_session | bars while the calendar is closed           | left out                            |
| off_grid        | labels between those of the bar grid        | left out                            |
| shifted_session | sessions that run one hour early or late    | nothing moved: correct the offsets  |
| duplicate       | several rows of one time (`data.repairs`)   | the first is kept                   |
| outlier         | far from the bar before (`data.repairs`)    | as missing                          |
| island          | a few bars between gaps (`data.repairs`)    | as missing                          |
| filled          | the first bars of a gap (`data.repairs`)    | last close, volume 0, not tradable  |
| ends            | nothing tradable in the last session or     | as missing: a symbol that stops     |
|                 | more, after first_utc, the last bar         | inside the data                     |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data.array_types import BoolArray, TimeArray
from data.errors import DataError
from data.futures.contract_series import ContractSeries
from data.repair_decisions import NO_REPAIRS, Repairs
from data.schema import BAR_COLUMNS, PRICE_COLUMNS
from data.taken_out import TakenOut

KINDS = (
    "missing", "inconsistent", "rounded", "zero_volume", "jump", "outside_session", "off_grid", "shifted_session",
    "duplicate", "outlier", "island", "filled", "ends",
)  # fmt: skip

JUMP_RATIO = 1.5
ROUNDING = 1e-9
"""Relative distance by which high or low may miss open or close for no other reason than arithmetic."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A run of consecutive bars of one symbol with the same defect.

    Parameters
    ----------
    symbol, kind : whose bars, and which of `KINDS`.
    first_utc, last_utc : labels of the first and last bar of the run.
    bars : number of bars (sessions, for shifted_session).
    note : more of the first bar of the run, such as the ratio of a jump; may be empty.
    """

    symbol: str
    kind: str
    first_utc: np.datetime64
    last_utc: np.datetime64
    bars: int
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class HygieneReport:
    """All findings on the bars that were read.

    Parameters
    ----------
    rows : (symbol, number of rows inspected), in asset order.
    findings : by symbol, kind and time.
    remarks : sentences on the reading itself: files that were joined or not read, labels that were moved.
    repairs : what was decided to be done with defects.
    lineage : (symbol, source and digest of the deliveries that its rows come from), where a source knows them.
    taken_out : rows on the grid that are no bars, as they were read.
    contracts : the dated contracts behind each series that was joined.
    """

    rows: tuple[tuple[str, int], ...]
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...] = ()
    repairs: Repairs = NO_REPAIRS
    lineage: tuple[tuple[str, str], ...] = ()
    taken_out: tuple[TakenOut, ...] = field(default=(), compare=False)
    contracts: tuple[ContractSeries, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        unknown = {f.kind for f in self.findings} - set(KINDS)
        if unknown:
            raise ValueError(f"Unknown kinds of finding {sorted(unknown)}; known: {', '.join(KINDS)}.")

    @property
    def clean(self) -> bool:
        """True if nothing was found."""
        return not self.findings

    def runs(self, kind: str, symbol: str | None = None) -> int:
        """Return the number of findings (runs of bars) of a kind, of one symbol or of all."""
        return sum(f.kind == kind and symbol in (None, f.symbol) for f in self.findings)

    def bars(self, kind: str, symbol: str | None = None) -> int:
        """Return the number of bars concerned by a kind, of one symbol or of all."""
        return sum(f.bars for f in self.findings if f.kind == kind and symbol in (None, f.symbol))

    def table(self) -> pd.DataFrame:
        """Return one row per symbol: rows read, runs missing, and the bars of each kind."""
        records = []
        for symbol, rows in self.rows:
            counts = {kind: self.bars(kind, symbol) for kind in KINDS}
            records.append({"symbol": symbol, "rows": rows, "gaps": self.runs("missing", symbol), **counts})
        return pd.DataFrame(records, columns=["symbol", "rows", "gaps", *KINDS])


def find_runs(symbol: str, kind: str, bar_utc: TimeArray, flagged: BoolArray) -> list[Finding]:
    """Return one finding for each run of consecutive True values in `flagged` (N,) over `bar_utc` (N,)."""
    at = np.flatnonzero(flagged)
    if not len(at):
        return []
    broken = np.flatnonzero(np.diff(at) > 1)
    first, last = at[np.append(0, broken + 1)], at[np.append(broken, len(at) - 1)]
    return findings_of_runs(symbol, kind, bar_utc, first, last + 1)


def findings_of_runs(
    symbol: str, kind: str, bar_utc: TimeArray, starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> list[Finding]:
    """Return one finding for each run [start, stop) of bars (N,)."""
    lengths = (stops - starts).tolist()
    return [
        Finding(symbol=symbol, kind=kind, first_utc=first, last_utc=last, bars=bars)
        for first, last, bars in zip(bar_utc[starts], bar_utc[stops - 1], lengths, strict=True)
    ]


def inconsistent_rows(rows: pd.DataFrame) -> BoolArray:
    """Return (N,) True where high or low does not bound open and close."""
    opened, high, low, close = (rows[name].to_numpy() for name in PRICE_COLUMNS)
    return (high < np.maximum(opened, close)) | (low > np.minimum(opened, close))


def clip_rounding(rows: pd.DataFrame) -> tuple[pd.DataFrame, BoolArray]:
    """Move high and low that miss open or close by no more than `ROUNDING` to them.

    Vendors multiply prices by an adjustment factor, and then a close at the day's high may lie 1e-16 above it.

    Returns
    -------
    The rows, a copy if any was moved, and (N,) True where one was.
    """
    opened, high, low, close = (rows[name].to_numpy() for name in PRICE_COLUMNS)
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    below = (high < top) & (high >= top - ROUNDING * np.abs(top))
    above = (low > bottom) & (low <= bottom + ROUNDING * np.abs(bottom))
    if not (below | above).any():
        return rows, below
    return rows.assign(high=np.where(below, top, high), low=np.where(above, bottom, low)), below | above


def jumping_rows(rows: pd.DataFrame) -> BoolArray:
    """Return (N,) True where a price is more than `JUMP_RATIO` away from the one it should be near.

    Compared are open with the last close, close with open, high and low with the nearer of open and close.
    A 2:1 split that was not adjusted for, or a misplaced decimal point, is one.
    """
    opened, high, low, close = (rows[name].to_numpy() for name in PRICE_COLUMNS)
    before = np.concatenate([opened[:1], close[:-1]])
    largest = np.maximum.reduce([opened / before, close / opened, high / np.maximum(opened, close)])
    smallest = np.minimum.reduce([opened / before, close / opened, low / np.minimum(opened, close)])
    return (largest > JUMP_RATIO) | (smallest < 1.0 / JUMP_RATIO)


def require_usable(symbol: str, rows: pd.DataFrame, *, nonpositive: bool = False) -> None:
    """Raise DataError if the bars of a symbol cannot be used at all.

    Parameters
    ----------
    rows : bars as read, indexed by UTC label, with float64 columns open, high, low, close, volume.
    nonpositive : its prices may be zero and below.
    """
    if len(rows) == 0:
        raise DataError(f"{symbol}: there are no bars; the file is empty, give one with rows.")
    steps = np.diff(rows.index.to_numpy("datetime64[ns]"))
    if (steps < np.timedelta64(0, "ns")).any():
        at = rows.index[int(np.argmax(steps < np.timedelta64(0, "ns"))) + 1]
        raise DataError(f"{symbol}: times are not sorted (at {at}); sort the rows by timestamp.")
    if (steps == np.timedelta64(0, "ns")).any():
        at = rows.index[int(np.argmax(steps == np.timedelta64(0, "ns"))) + 1]
        raise DataError(
            f"{symbol}: {at} occurs more than once; keep one row per time, or set "
            "data.repair.duplicates=keep_first."
        )
    for name in BAR_COLUMNS:
        _require_values(symbol, name, rows.index, rows[name].to_numpy(), nonpositive)


def _require_values(
    symbol: str, name: str, index: pd.Index, values: NDArray[np.float64], nonpositive: bool
) -> None:
    allowed = values >= 0.0 if name == "volume" else (values > 0.0) | nonpositive
    bad = ~(np.isfinite(values) & allowed)
    if not bad.any():
        return
    value, at = values[int(np.argmax(bad))], index[int(np.argmax(bad))]
    cure = (
        "a bar that is not known must be left out, not written as NaN"
        if np.isnan(value)
        else "correct the source"
        if name == "volume" or not np.isfinite(value)
        else "prices must be positive unless the instrument allows others: correct the source, or, if the price did go "
        f"there, say so: instruments.symbols.{symbol}.allow_nonpositive_prices=true"
    )
    others = int(bad.sum()) - 1
    more = f", and in {others:,} more {'row' if others == 1 else 'rows'} it is no better" if others else ""
    raise DataError(f"{symbol}: {name} is {value} at {at}{more}; {cure}.")


def sorted_findings(findings: Sequence[Finding], symbols: Sequence[str]) -> tuple[Finding, ...]:
    """Return the findings by asset order, kind and time."""
    rank = {symbol: place for place, symbol in enumerate(symbols)}
    order = {kind: place for place, kind in enumerate(KINDS)}
    return tuple(sorted(findings, key=lambda f: (rank[f.symbol], order[f.kind], f.first_utc)))
