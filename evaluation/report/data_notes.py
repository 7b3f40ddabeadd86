"""What a user should know of the bars before anything is trained on them, a line per symbol; loud where it is much.

The same lines stand at the top of the report. T bars, A assets.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.array_types import BoolArray
from data.calendars import ALWAYS_OPEN, minute
from data.checks.clock_shift import clock_shifts
from data.checks.hygiene import Finding, HygieneReport
from data.schema import Panel
from envs.config import PortfolioEnvConfig
from envs.instruments import Instrument
from evaluation.report.lot_reach import fill_fact, lot_fact
from evaluation.windows.splits import Fold

LOUD_SHARE = 0.1
"""Share of a symbol's bars from which on a fact is told as a warning."""
LEAST_COPIES = 5
"""Bars in a row that repeat the one before, volume included, from which on chance is no explanation."""
SHOWN_JUMPS = 3
"""Jumps of a symbol that its line names; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class DataNote:
    """A line on one symbol, or on the reading itself.

    Parameters
    ----------
    text : one line without a full stop. loud : it concerns more than `LOUD_SHARE` of the bars, or may change results.
    """

    text: str
    loud: bool


@dataclass(frozen=True, kw_only=True)
class _Fact:
    text: str
    loud: bool


def data_notes(
    panel: Panel,
    hygiene: HygieneReport,
    folds: Sequence[Fold],
    env: PortfolioEnvConfig,
    instruments: Mapping[str, Instrument],
) -> tuple[DataNote, ...]:
    """Return a note for each symbol that has something to tell, loud ones first, then what the reading itself did.

    Parameters
    ----------
    folds : whose windows the bars are for.
    env, instruments : what an order of the configured size is worth, against a lot.
    """
    rows, twins = dict(hygiene.rows), _twins(panel)
    shifts = {shift.symbol: shift for shift in clock_shifts(panel)}
    notes = []
    for a, symbol in enumerate(panel.symbols):
        found = [f for f in hygiene.findings if f.symbol == symbol]
        facts = [
            *_absent(panel, a, folds),
            *_dropped(found, rows.get(symbol, 0)),
            *_idle(panel, a),
            *_jumps(found),
            *_window_facts(panel, a, folds),
        ]
        if symbol in twins:
            same = f"has the prices of {twins[symbol]} in every bar: is it one instrument?"
            facts.append(_Fact(text=same, loud=True))
        facts += [*_delisted_early(panel, a, instruments[symbol]), *_copies(panel, a)]
        if symbol in shifts:
            facts.append(_Fact(text=shifts[symbol].fact, loud=True))
        for tell_reach in (lot_fact, fill_fact):
            reach = tell_reach(panel, a, env, instruments[symbol])
            if reach is not None:
                facts.append(_Fact(text=reach.text, loud=reach.share > LOUD_SHARE))
        if facts:
            text = "; ".join(fact.text for fact in sorted(facts, key=lambda fact: not fact.loud))
            notes.append(DataNote(text=f"{symbol}: {text}", loud=any(fact.loud for fact in facts)))
    notes += [DataNote(text=remark, loud=_is_loud(remark)) for remark in hygiene.remarks]
    return tuple(sorted(notes, key=lambda note: not note.loud))


def tell(notes: Sequence[DataNote], log: logging.Logger) -> None:
    """Log each note, loud ones as warnings."""
    for note in notes:
        log.log(logging.WARNING if note.loud else logging.INFO, "data: %s", note.text)


def day(instant: np.datetime64) -> str:
    """A date as a person writes it: 26 January 2024."""
    stamp = instant.astype("datetime64[s]").item()
    return f"{stamp.day} {stamp:%B %Y}"


def _is_loud(remark: str) -> bool:
    """Remarks on files that were not read, on labels and zones that may be others, and on units change results."""
    return any(
        words in remark
        for words in (
            "not read",
            "data.labels",
            "data.timezone",
            "prices in 1/",
            " apart",
            "were taken for it",
            "end early",
            "one after another",
        )
    )


def _share(bars: int, of: int) -> str:
    return f"{bars:,} of {of:,} bars ({100.0 * bars / max(of, 1):.2g} %)"


def _absent(panel: Panel, a: int, folds: Sequence[Fold]) -> list[_Fact]:
    """Facts on bars that are not there: before the first, after the last tradable one, and between them."""
    known = np.isfinite(panel.close[:, a])
    there, tradable = np.flatnonzero(known), np.flatnonzero(panel.tradable[:, a])
    facts = []
    first, last = int(there[0]), int(tradable[-1])
    if panel.session[first] > panel.session[0]:
        text = f"begins on {day(panel.bar_utc[first])}, {_share(first, panel.num_bars)} after the data do"
        facts.append(_Fact(text=text, loud=first > LOUD_SHARE * panel.num_bars))
    else:
        first = 0
    if panel.session[last] < panel.session[-1]:
        facts.append(_Fact(text=_end(panel, last, folds), loud=True))
    else:
        last = panel.num_bars - 1
    inner = ~known[first : last + 1]
    if inner.any():
        gaps = int(np.count_nonzero(np.diff(inner.astype(np.int8)) == 1)) + int(inner[0])
        text = f"{_share(int(inner.sum()), len(inner))} missing, in {gaps:,} gap{'' if gaps == 1 else 's'}"
        text += _no_weekend(panel, known)
        facts.append(_Fact(text=text, loud=inner.mean() > LOUD_SHARE))
    return facts


def _no_weekend(panel: Panel, known: BoolArray) -> str:
    """Doubt a calendar that trades every day where no bar (T,) of a symbol lies on a weekend."""
    days = panel.bar_utc.astype("datetime64[D]").astype(np.int64)
    weekend = (days + 3) % 7 >= 5  # 1970-01-01 was a Thursday
    if (
        panel.calendar != ALWAYS_OPEN
        or known[weekend].any()
        or np.count_nonzero(np.unique(days[weekend])) < 4
    ):
        return ""
    return " (none lies on a weekend: is data.calendar that of an exchange?)"


def _twins(panel: Panel) -> dict[str, str]:
    """Return symbol -> an earlier one with the same prices in every bar: one instrument under two names."""
    seen: dict[bytes, str] = {}
    twins = {}
    for a, symbol in enumerate(panel.symbols):
        prices = np.stack([panel.open[:, a], panel.close[:, a]])
        digest = hashlib.sha256(np.nan_to_num(prices, nan=-1.0).tobytes()).digest()
        if seen.setdefault(digest, symbol) != symbol:
            twins[symbol] = seen[digest]
    return twins


def _end(panel: Panel, last: int, folds: Sequence[Fold]) -> str:
    """Say where a symbol stops: in which fold's window, and what of its test window is left without it."""
    end = panel.bar_utc[last]
    after = panel.num_bars - 1 - last
    text = f"ends on {day(end)}"
    inside = [fold for fold in folds if fold.test.start <= last < fold.test.stop - 1]
    training = [fold for fold in folds if fold.train.start <= last < fold.train.stop - 1]
    if inside:
        left = inside[0].test.stop - 1 - last
        text += f" inside fold {inside[0].index} (its test window goes on for {left:,} bars)"
    elif training:
        text += f" inside the training window of fold {training[0].index}"
    return f"{text}: its last tradable bar is that of {minute(end)} UTC, {_share(after, panel.num_bars)} before the end"


def _dropped(found: Sequence[Finding], rows: int) -> list[_Fact]:
    words = {
        "duplicate": "rows of a time that was there already taken out, the first kept, as data.repair says",
        "outlier": "bars far from the one before taken out, as data.repair says",
        "island": "bars of short runs between gaps taken out, as data.repair says",
        "filled": "missing bars filled with the last close, not tradable, as data.repair says",
        "inconsistent": "rows dropped because high and low do not bound open and close",
        "outside_session": "rows outside of sessions left out",
        "off_grid": "rows between the bars of the grid left out",
        "rounded": "rows whose high or low missed open or close by rounding were moved to it",
        "shifted_session": "sessions run one hour early or late: correct their offsets",
    }
    facts = []
    for kind, what in words.items():
        bars = sum(f.bars for f in found if f.kind == kind)
        if bars:
            of = "" if kind == "shifted_session" else f" ({100.0 * bars / max(rows, 1):.2g} % of {rows:,})"
            loud = kind == "shifted_session" or (kind != "rounded" and bars > LOUD_SHARE * rows)
            facts.append(_Fact(text=f"{bars:,} {what}{of}", loud=loud))
    return facts


def _delisted_early(panel: Panel, a: int, instrument: Instrument) -> list[_Fact]:
    """A delisting of the configuration after which the bars go on being traded."""
    if instrument.delisted_utc is None:
        return []
    instant = np.datetime64(instrument.delisted_utc.removesuffix("Z"), "ns")
    after = int(panel.tradable[np.searchsorted(panel.bar_utc, instant) :, a].sum())
    if not after:
        return []
    text = f"is delisted by the configuration on {day(instant)}, but {after:,} tradable bars follow"
    return [_Fact(text=text, loud=True)]


def _copies(panel: Panel, a: int) -> list[_Fact]:
    """Bars that repeat the one before, volume included: a halt, or a dead name, that was padded with copied rows."""
    known = np.flatnonzero(panel.tradable[:, a])
    rows = np.stack(
        [
            panel.open[known, a],
            panel.high[known, a],
            panel.low[known, a],
            panel.close[known, a],
            panel.volume[known, a],
        ],
        axis=1,
    )
    same = (rows[1:] == rows[:-1]).all(axis=1) & (np.diff(known) == 1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
    lengths = edges[1::2] - edges[::2]
    long = lengths >= LEAST_COPIES
    if not long.any():
        return []
    first = known[edges[::2][long][0] + 1]
    text = (
        f"{int(lengths[long].sum()):,} bars repeat the one before with its volume, from {day(panel.bar_utc[first])} on:"
        " a halt or a dead name padded with copies? Leave them out"
    )
    return [_Fact(text=text, loud=True)]


def _idle(panel: Panel, a: int) -> list[_Fact]:
    known = np.isfinite(panel.close[:, a])
    idle = int((known & ~panel.tradable[:, a]).sum())
    if not idle:
        return []
    text = f"{_share(idle, int(known.sum()))} without volume, in which no order can be filled"
    return [_Fact(text=text, loud=idle > LOUD_SHARE * known.sum())]


def _jumps(found: Sequence[Finding]) -> list[_Fact]:
    """Jumps from one level to another, by date and ratio; wicks that come back within their bar are counted."""
    jumps = [f for f in found if f.kind == "jump"]
    levels = [f for f in jumps if not f.note.startswith("wick")]
    facts = []
    if levels:
        told = [f"on {day(f.first_utc)} ({minute(f.first_utc)} UTC) {f.note}" for f in levels[:SHOWN_JUMPS]]
        more = f", and {len(levels) - SHOWN_JUMPS:,} more" if len(levels) > SHOWN_JUMPS else ""
        facts.append(_Fact(text=f"jumps {', '.join(told)}{more}", loud=True))
    if len(jumps) > len(levels):
        wicks = [f for f in jumps if f.note.startswith("wick")]
        bars = f"{len(wicks):,} bar{'' if len(wicks) == 1 else 's'}"
        first = f"the first on {day(wicks[0].first_utc)}"
        facts.append(_Fact(text=f"{bars} with a wick beyond 1.5 times open and close, {first}", loud=False))
    return facts


def _window_facts(panel: Panel, a: int, folds: Sequence[Fold]) -> list[_Fact]:
    """Windows of folds in which the symbol can never be traded."""
    facts = []
    for name in ("train", "test"):
        empty = [fold.index for fold in folds if not panel.tradable[getattr(fold, name), a].any()]
        if empty:
            window = "training" if name == "train" else "test"
            listed = ", ".join(map(str, empty))
            facts.append(
                _Fact(
                    text=f"has no tradable bar in the {window} window of fold{'' if len(empty) == 1 else 's'} {listed}",
                    loud=True,
                )
            )
    return facts
