"""Which bars were looked at: instants by symbol, with a sketch of prices by which an instrument is known again.

Bars that a policy was trained on, or a trial was scored on, must be recognised when they come again under another
name, in another order, one bar later, cut to a subset, or at another bar length. So a coverage holds, for each symbol,
the span of its bars and a few hundred closes at instants that every bar length shares. Two symbols are the same
instrument when the returns between the closes that they have in common agree. A few hundred shapes of bars are kept as
well, which do not depend on time: so that bars are known again that were given other dates.

Axes: T time (bars of a panel), A asset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.array_types import FloatArray
from data.coverage.price_sketch import (
    MIN_COMMON_RETURNS,
    SURE_COMMON_RETURNS,
    Marks,
    bar_shapes,
    common_returns,
    copied_stretches,
    correlation,
    instant_marks,
    move_as_one,
    plain_name,
    returns_agree,
    rounded,
    session_marks,
    sketched,
    thinned,
)
from data.schema import Panel

BoolArray = NDArray[np.bool_]
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
    instant_marks : seconds from 1970 -> close known then, as many at most.
    shapes : hash of a bar's shape -> its place among the bars, for the smallest hashes; at most `SKETCH_SIZE`.
    """

    symbol: str
    first_utc: np.datetime64
    last_utc: np.datetime64
    session_marks: Marks
    instant_marks: Marks
    shapes: Mapping[int, int]

    def to_json(self) -> dict[str, Any]:
        return {
            "symbol": self.symbol,
            "first_utc": f"{self.first_utc}Z",
            "last_utc": f"{self.last_utc}Z",
            "session_marks": {str(key): value for key, value in self.session_marks.items()},
            "instant_marks": {str(key): value for key, value in self.instant_marks.items()},
            "shapes": {str(key): place for key, place in self.shapes.items()},
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> SymbolCoverage:
        instants = (
            facts["instant_marks"] if "instant_marks" in facts else facts["intraday_marks"]
        )  # earlier releases
        return cls(
            symbol=facts["symbol"],
            first_utc=np.datetime64(facts["first_utc"].removesuffix("Z"), "s"),
            last_utc=np.datetime64(facts["last_utc"].removesuffix("Z"), "s"),
            session_marks={int(key): float(value) for key, value in facts["session_marks"].items()},
            instant_marks={int(key): float(value) for key, value in instants.items()},
            shapes={int(key): int(place) for key, place in facts["shapes"].items()},
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
        """Whether a symbol of this coverage and one of another are the same instrument, as far as can be told.

        Synthetic markets all have the same names, so between two laws or seeds prices alone tell: one drawn with more
        bars or another cost is the same market still.
        """
        drawn_twice = self.source.startswith(SYNTHETIC) and other.source.startswith(SYNTHETIC)
        if drawn_twice and self.source != other.source:
            return same_prices(one, another)
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
            if (
                start,
                stop,
            ) not in given:  # the bars in common alone, so that a few days are compared within the day
                given[start, stop] = Coverage.of(panel, slice(start, stop), source=source)
            common = given[start, stop]
            for another in common.symbols:
                if self.same_instrument(one, common, another):
                    found[start:stop, panel.symbols.index(another.symbol)] = True
        if panel.bar_seconds == self.bar_seconds:
            found |= self.moved(panel, all_shapes(panel))
        return found

    def moved(self, panel: Panel, shapes_A: Sequence[NDArray[np.int64]]) -> BoolArray:
        """(T, A) True for bars that are here under other dates, as one piece or cut in pieces and laid anew.

        Parameters
        ----------
        panel : of the same bar length. shapes_A : its `all_shapes`.
        """
        found = np.zeros(panel.close.shape, dtype=np.bool_)
        for asset, shapes in enumerate(shapes_A):
            for one in self.symbols:
                for stretch in copied_stretches(shapes, one.shapes):
                    found[stretch, asset] = True
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


def all_shapes(panel: Panel) -> list[NDArray[np.int64]]:
    """A arrays (T,): `bar_shapes` of all bars of each asset."""
    return [bar_shapes(panel, slice(0, panel.num_bars), asset) for asset in range(panel.num_assets)]


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
    pairs = _shared_returns(one, another)
    if any(returns_agree(*pair) or move_as_one(*pair) for pair in pairs):
        return True
    if plain_name(one.symbol) != plain_name(another.symbol):
        return False
    return not any(
        len(ours) >= SURE_COMMON_RETURNS and correlation(ours, theirs) <= 0.5 for ours, theirs in pairs
    )


def same_prices(one: SymbolCoverage, another: SymbolCoverage) -> bool:
    """Whether two symbols are one instrument by their prices alone; False where too few are in common."""
    return any(returns_agree(*pair) for pair in _shared_returns(one, another))


def _shared_returns(one: SymbolCoverage, another: SymbolCoverage) -> list[tuple[FloatArray, FloatArray]]:
    """Returns in common between sessions and between instants, of each where they are enough to tell."""
    pairs = (
        common_returns(one.session_marks, another.session_marks),
        common_returns(one.instant_marks, another.instant_marks),
    )
    return [pair for pair in pairs if len(pair[0]) >= MIN_COMMON_RETURNS]


def _symbol_coverage(panel: Panel, bars: slice, asset: int) -> SymbolCoverage | None:
    known = np.flatnonzero(np.isfinite(panel.close[bars, asset]) & (panel.close[bars, asset] > 0.0))
    if not len(known):
        return None
    rows = known + bars.start
    closes = bar_closes(panel)
    price = panel.close[rows, asset]
    sessions = session_marks(panel.session[rows], price)
    return SymbolCoverage(
        symbol=panel.symbols[asset],
        first_utc=panel.bar_utc[rows[0]].astype("datetime64[s]"),
        last_utc=closes[rows[-1]],
        session_marks=thinned({session: rounded(close) for session, close in sessions.items()}),
        instant_marks=instant_marks(closes[rows].astype(np.int64), price, panel.bar_seconds),
        shapes=sketched(bar_shapes(panel, bars, asset)),
    )
