"""Which bars were looked at: instants by symbol, with a sketch of prices by which an instrument is known again.

Bars that a policy was trained on, or a trial was scored on, must be recognised when they come again under another
name, in another order, one bar later, cut to a subset, or at another bar length. So a coverage holds, for each symbol,
the span of its bars and a few hundred closes at instants that every bar length shares. Two symbols are the same
instrument when the returns between the closes that they have in common agree.

Axes: T time (bars of a panel), A asset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.schema import FloatArray, Panel

BoolArray = NDArray[np.bool_]
Marks = Mapping[int, float]

MAX_MARKS = 512
"""Closes that are kept of a symbol, at most."""
FEW_SESSIONS = 24
"""With fewer sessions than this, closes within the day are kept as well."""
INTRADAY_STEPS = (60, 300, 900, 1800, 3600, 7200, 14_400, 43_200)
"""Seconds between closes within the day; each divides the next, so that two bar lengths have instants in common."""
MIN_COMMON_RETURNS = 8
"""Returns in common from which prices, and not names, tell whether two symbols are one instrument."""
SURE_COMMON_RETURNS = 30
"""Returns in common from which prices can tell apart two symbols of one name."""
TOLERANCE = 0.2
"""Two returns agree when they differ by less than this share of the median absolute return."""
MIN_AGREEMENT = 0.8
"""Share of returns that agree, from which two symbols are one instrument; independent ones agree in about a tenth."""
SYNTHETIC = "synthetic"
"""How the source of a market begins that was drawn from a seed."""


@dataclass(frozen=True, kw_only=True)
class SymbolCoverage:
    """The bars of one symbol that were looked at.

    Parameters
    ----------
    symbol : its name in that data set.
    first_utc, last_utc : datetime64[s], the first bar's open and the last bar's close; all bars between count.
    session_marks : session id -> last known close of that session. At most `MAX_MARKS`, thinned by powers of two.
    intraday_marks : seconds from 1970 -> close known then; empty unless there are few sessions.
    """

    symbol: str
    first_utc: np.datetime64
    last_utc: np.datetime64
    session_marks: Marks
    intraday_marks: Marks

    def to_json(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "first_utc": f"{self.first_utc}Z",
            "last_utc": f"{self.last_utc}Z",
            "session_marks": {str(key): value for key, value in self.session_marks.items()},
            "intraday_marks": {str(key): value for key, value in self.intraday_marks.items()},
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> SymbolCoverage:
        return cls(
            symbol=facts["symbol"],
            first_utc=np.datetime64(facts["first_utc"].removesuffix("Z"), "s"),
            last_utc=np.datetime64(facts["last_utc"].removesuffix("Z"), "s"),
            session_marks={int(key): float(value) for key, value in facts["session_marks"].items()},
            intraday_marks={int(key): float(value) for key, value in facts["intraday_marks"].items()},
        )


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Bars of one data set that were looked at.

    Parameters
    ----------
    source : where they came from, one line (`data.sources.describe`); "" when unknown.
    bar_seconds : length of a bar.
    symbols : one entry for each symbol that has a bar there.
    """

    source: str
    bar_seconds: int
    symbols: tuple[SymbolCoverage, ...]

    @classmethod
    def of(cls, panel: Panel, bars: slice, *, source: str) -> Coverage:
        """The coverage of a stretch of a panel's bars; symbols without a bar in it are left out.

        Parameters
        ----------
        bars : start and stop index, step 1.
        """
        covered = [_symbol_coverage(panel, bars, asset) for asset in range(panel.num_assets)]
        return cls(source=source, bar_seconds=panel.bar_seconds, symbols=tuple(c for c in covered if c))

    @property
    def names(self) -> tuple[str, ...]:
        """The symbols' names, in order."""
        return tuple(one.symbol for one in self.symbols)

    @cached_property
    def span(self) -> tuple[np.datetime64, np.datetime64] | None:
        """First open and last close of all symbols, datetime64[s]; None when empty."""
        if not self.symbols:
            return None
        return min(one.first_utc for one in self.symbols), max(one.last_utc for one in self.symbols)

    def same_instrument(self, one: SymbolCoverage, other: Coverage, another: SymbolCoverage) -> bool:
        """Whether a symbol of this coverage and one of another are the same instrument, as far as can be told."""
        synthetic = self.source.startswith(SYNTHETIC) and other.source.startswith(SYNTHETIC)
        if synthetic and self.source != other.source:
            return False
        return same_instrument(one, another)

    def covered(self, panel: Panel, *, source: str) -> BoolArray:
        """(T, A) True for the panel's bars that lie in a span of the same instrument here.

        Parameters
        ----------
        source : where the panel comes from, as in :meth:`of`.
        """
        opens, closes = panel.bar_utc.astype("datetime64[s]"), bar_closes(panel)
        found = np.zeros(panel.close.shape, dtype=np.bool_)
        given: dict[tuple[int, int], Coverage] = {}
        for one in self.symbols:
            inside = np.flatnonzero((opens < one.last_utc) & (closes > one.first_utc))
            if not len(inside):
                continue
            start, stop = int(inside[0]), int(inside[-1]) + 1
            if (start, stop) not in given:  # the bars in common alone, so that a few days are compared within the day
                given[start, stop] = Coverage.of(panel, slice(start, stop), source=source)
            common = given[start, stop]
            for another in common.symbols:
                if self.same_instrument(one, common, another):
                    found[start:stop, panel.symbols.index(another.symbol)] = True
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "bar_seconds": self.bar_seconds,
            "symbols": [one.to_json() for one in self.symbols],
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Coverage:
        return cls(
            source=facts["source"],
            bar_seconds=int(facts["bar_seconds"]),
            symbols=tuple(SymbolCoverage.from_json(one) for one in facts["symbols"]),
        )


def bar_closes(panel: Panel) -> NDArray[np.datetime64]:
    """(T,) datetime64[s], the instant each bar is over: its length after its open, or the next bar's open if sooner."""
    opens = panel.bar_utc.astype("datetime64[s]")
    closes: NDArray[Any] = opens + np.timedelta64(panel.bar_seconds, "s")
    closes[:-1] = np.minimum(closes[:-1], opens[1:])
    return closes


def same_instrument(one: SymbolCoverage, another: SymbolCoverage) -> bool:
    """Whether two symbols are one instrument: by prices where enough are in common, else by name.

    Under one name prices must plainly contradict (`SURE_COMMON_RETURNS` returns that hardly correlate) before two
    symbols are told apart, so that another vendor's or adjusted prices of one instrument stay one.
    """
    ours, theirs = _common_returns(one.session_marks, another.session_marks)
    if len(ours) < MIN_COMMON_RETURNS:
        ours, theirs = _common_returns(one.intraday_marks, another.intraday_marks)
    named_alike = plain_name(one.symbol) == plain_name(another.symbol)
    if len(ours) < MIN_COMMON_RETURNS:
        return named_alike
    if named_alike:
        return len(ours) < SURE_COMMON_RETURNS or _correlation(ours, theirs) > 0.5 or _agree(ours, theirs)
    return _agree(ours, theirs)


def plain_name(symbol: str) -> str:
    """A symbol without separators, case and quote currency: BTC, btc-usd and BTC/USDT are one name."""
    letters = re.sub(r"[^A-Z0-9]", "", symbol.upper())
    return re.sub(r"(?<=.)(USDT|USDC|USD)$", "", letters)


def _agree(ours: FloatArray, theirs: FloatArray) -> bool:
    size = float(np.median(np.abs(np.concatenate([ours, theirs]))))
    if size == 0.0:  # prices that hardly ever move tell nothing
        return False
    return float(np.mean(np.abs(ours - theirs) <= TOLERANCE * size)) >= MIN_AGREEMENT


def _correlation(ours: FloatArray, theirs: FloatArray) -> float:
    if ours.std() == 0.0 or theirs.std() == 0.0:
        return 0.0
    return float(np.corrcoef(ours, theirs)[0, 1])


def _common_returns(ours: Marks, theirs: Marks) -> tuple[FloatArray, FloatArray]:
    """Log returns between the instants that both have a mark at."""
    common = sorted(ours.keys() & theirs.keys())
    if len(common) < 2:
        return np.zeros(0), np.zeros(0)
    return (
        np.diff(np.log([ours[key] for key in common])),
        np.diff(np.log([theirs[key] for key in common])),
    )


def _symbol_coverage(panel: Panel, bars: slice, asset: int) -> SymbolCoverage | None:
    known = np.flatnonzero(np.isfinite(panel.close[bars, asset]) & (panel.close[bars, asset] > 0.0))
    if not len(known):
        return None
    rows = known + bars.start
    closes = bar_closes(panel)
    sessions, price = panel.session[rows], panel.close[rows, asset]
    last = np.flatnonzero(np.append(sessions[1:] != sessions[:-1], True))
    intraday: Marks = {}
    if len(last) < FEW_SESSIONS:
        intraday = _intraday_marks(closes[rows].astype(np.int64), price, panel.bar_seconds)
    return SymbolCoverage(
        symbol=panel.symbols[asset],
        first_utc=panel.bar_utc[rows[0]].astype("datetime64[s]"),
        last_utc=closes[rows[-1]],
        session_marks=_thinned({int(sessions[at]): _rounded(price[at]) for at in last}, 1),
        intraday_marks=intraday,
    )


def _intraday_marks(close_seconds: NDArray[np.int64], price: FloatArray, bar_seconds: int) -> Marks:
    """The close known at each instant that is a whole multiple of a step and lies at a bar's close."""
    for step in INTRADAY_STEPS:
        if step < bar_seconds:
            continue
        at = np.flatnonzero(close_seconds % step == 0)
        if len(at) <= MAX_MARKS:
            return {int(close_seconds[i]): _rounded(price[i]) for i in at}
    return {}


def _thinned(marks: Marks, step: int) -> Marks:
    """Marks whose key is a multiple of the smallest power of two that leaves few enough: sets that nest."""
    while sum(key % step == 0 for key in marks) > MAX_MARKS:
        step *= 2
    return {key: value for key, value in marks.items() if key % step == 0}


def _rounded(price: float) -> float:
    return float(f"{price:.9g}")
