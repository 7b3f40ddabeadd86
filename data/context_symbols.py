"""Context symbols by configuration: which symbols are read beside the traded ones, and where their bars come from.

`join` puts them beside a panel (`data.context_bars`): the columns `VIX.open` to `VIX.volume`, each bar known from its
own close on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from data.checks.hygiene import HygieneReport
from data.context_bars import join_context
from data.errors import DataError, nearest_name
from data.schema import Panel


@dataclass(frozen=True, kw_only=True)
class ContextSymbol:
    """One symbol that is read and not traded.

    Parameters
    ----------
    bars : the config of the source that has its bars, and theirs alone.
    symbol : its name there.
    max_age_seconds : how long after its close a bar stands for the present, seconds.
    """

    bars: Any
    symbol: str
    max_age_seconds: int

    def __post_init__(self) -> None:
        if self.max_age_seconds < 0:
            raise ValueError(f"max_age_seconds is {self.max_age_seconds}; it must be 0 seconds or more")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadContext:
    """A panel with its context beside it, what was wrong with the context's bars, and those bars as they were read."""

    panel: Panel
    hygiene: HygieneReport
    context: tuple[Panel, ...]


def join(
    panel: Panel,
    hygiene: HygieneReport,
    wanted: Mapping[str, ContextSymbol],
    read: Callable[[Any], tuple[Panel, HygieneReport]],
) -> ReadContext:
    """Read the context symbols and put them beside a panel.

    Parameters
    ----------
    wanted : the name that features use -> the symbol. read : from the config of a source to its bars.

    Raises
    ------
    DataError
        If a symbol is traded, its source lacks it, or none of its bars is known at any bar of the panel.
    """
    found = []
    for name, one in wanted.items():
        if name in panel.symbols:
            raise DataError(
                f"data.context_symbols names {name}, which is traded: leave it out there, or name the traded symbols "
                "without it in data.symbols."
            )
        bars, about = read(one.bars)
        if one.symbol not in bars.symbols:
            raise DataError(
                f"data.context_symbols.{name}: its source has no symbol {one.symbol!r}"
                f"{nearest_name(one.symbol, bars.symbols)}; it has {', '.join(bars.symbols)}."
            )
        bars = replace(bars.select([one.symbol]), symbols=(name,), exogenous={})
        panel = join_context(panel, bars, max_age_seconds=one.max_age_seconds)
        if not (panel.exogenous[f"{name}.close"][:, 0] > 0.0).any():
            raise DataError(
                f"data.context_symbols.{name}: its bars, {bars.bar_utc[0]} to {bars.bar_utc[-1]}, are not known at any "
                f"bar of the data, {panel.bar_utc[0]} to {panel.bar_utc[-1]}; give bars of the same time, or raise its "
                f"max_age_seconds above {one.max_age_seconds}."
            )
        hygiene = _both(hygiene, about, name, one.symbol)
        found.append(bars)
    return ReadContext(panel=panel, hygiene=hygiene, context=tuple(found))


def _both(own: HygieneReport, about: HygieneReport, name: str, symbol: str) -> HygieneReport:
    """What was found in the traded bars, and then in a context symbol's, under the name that features use."""
    rows = [number for known, number in about.rows if known == symbol]
    lineage = [text for known, text in about.lineage if known == symbol]
    findings = [replace(one, symbol=name) for one in about.findings if one.symbol == symbol]
    return replace(
        own,
        rows=(*own.rows, *((name, number) for number in rows)),
        findings=(*own.findings, *findings),
        remarks=(*own.remarks, *(f"context {name}: {remark}" for remark in about.remarks)),
        lineage=(*own.lineage, *((name, text) for text in lineage)),
    )
