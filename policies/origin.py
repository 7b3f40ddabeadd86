"""Where a trained policy comes from: its symbols and bars, and every stretch of bars that had a say in it.

A policy must be scored on bars that it has not seen. So its contract names what it was trained, validated,
standardised and selected on, and scoring asks, bar by bar, whether a bar is among them.

Axes: T time (bars of a panel).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data.coverage.coverage import SYNTHETIC, Coverage
from data.coverage.shifted_copies import shifted_copies
from data.schema import Panel

Role = Literal[
    "training", "validation", "standardiser", "selection", "early_stopping", "feature_pruning", "warm_start"
]
"""What bars were used for: selection means that a search chose the hyperparameters on them."""
ROLES: tuple[str, ...] = get_args(Role)
UNSEEN, EARLIER, SEEN = 0, 1, 2
"""Label of a scored bar: not seen; not seen, but the policy saw later bars; in sample."""
SeenLabels = NDArray[np.int8]
SeenMask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SeenBars:
    """A stretch of bars that had a say in a policy, and what it was used for."""

    role: Role
    coverage: Coverage

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"the role of seen bars is {self.role!r}; it must be one of {', '.join(ROLES)}")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a policy was made of.

    Parameters
    ----------
    run_id : the run that made it; "" when it was made outside one.
    source : where the bars came from, one line (`data.sources.describe`).
    data_fingerprint : of the whole panel, the bars that were not seen included.
    symbols : names of the assets, in the order of the observation's entries and of the statistics.
    bar_seconds : length of a bar.
    seen : every stretch of bars that had a say, in the order in which they were used; those of context symbols, too.
    context_symbols : names of the symbols that were read beside the assets and not traded.
    """

    run_id: str
    source: str
    data_fingerprint: str
    symbols: tuple[str, ...]
    bar_seconds: int
    seen: tuple[SeenBars, ...]
    context_symbols: tuple[str, ...] = ()

    def exposure(self, panel: Panel, *, source: str) -> SeenLabels:
        """(T,) int8 `SEEN`, `EARLIER` or `UNSEEN` for each bar of a panel.

        A bar is seen where one symbol's bar there is. A bar that opens before the last one that was seen is earlier:
        the policy knows what came after it. Time means nothing between two synthetic markets of another seed, or a
        synthetic and a real one; one seed drawn under other dates is one market, all of whose bars count as earlier.
        Copies under dates that were moved by whole days are seen, too.

        Parameters
        ----------
        source : where the panel comes from, as `data.sources.describe` has it.
        """
        opens = panel.bar_utc.astype("datetime64[s]")
        found = np.full(panel.num_bars, UNSEEN, dtype=np.int8)
        compared: list[tuple[Coverage, SeenMask, SeenMask]] = []  # several roles may have had the same bars
        for entry in self.seen:
            known = next(((one, other) for seen, one, other in compared if seen == entry.coverage), None)
            if known is None:
                here: SeenMask = np.asarray(entry.coverage.covered(panel, source=source).any(axis=1))
                known = (here, shifted_copies(entry.coverage, panel))
                compared.append((entry.coverage, *known))
            covered, copied = known
            span = entry.coverage.span
            if span is not None and (covered.any() or _share_time(entry.coverage.source, source)):
                found[(opens < span[1]) & (found == UNSEEN)] = EARLIER
            if _drawn_under_other_dates(entry.coverage.source, source):
                found[found == UNSEEN] = EARLIER
            found[covered | copied] = SEEN
        return found

    @property
    def trained_on(self) -> tuple[np.datetime64, np.datetime64] | None:
        """First open and last close of all bars but those that a search chose on, datetime64[s]; None without any."""
        spans = [entry.coverage.span for entry in self.seen if entry.role != "selection"]
        known = [span for span in spans if span is not None]
        return (min(first for first, _ in known), max(last for _, last in known)) if known else None

    @property
    def digest(self) -> str:
        """sha256 (hex) of the bars, whatever they were used for: equal for trainings on the same bars."""
        stretches = sorted({json.dumps(entry.coverage.to_json(), sort_keys=True) for entry in self.seen})
        facts = {"data": self.data_fingerprint, "symbols": self.symbols, "seen": stretches}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def misfit(self, symbols: tuple[str, ...], bar_seconds: int) -> str | None:
        """Why the policy cannot act on these bars, as the rest of a sentence; None if it can."""
        if symbols != self.symbols:
            return (
                f"was trained on the symbols {', '.join(self.symbols)}, in this order, and is given "
                f"{', '.join(symbols)}; its observation entries and statistics belong to its own, so give it the same "
                "symbols in the same order (data.symbols)"
            )
        if bar_seconds != self.bar_seconds:
            return (
                f"was trained on bars of {duration(self.bar_seconds)} and is given bars of {duration(bar_seconds)}; "
                "give it bars of the same length"
            )
        return None

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "source": self.source,
            "data_fingerprint": self.data_fingerprint,
            "symbols": list(self.symbols),
            "bar_seconds": self.bar_seconds,
            "seen": [{"role": entry.role, "coverage": entry.coverage.to_json()} for entry in self.seen],
            # Where nothing was read beside the assets nothing is said of it, as in older contracts.
            **({"context_symbols": list(self.context_symbols)} if self.context_symbols else {}),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Origin:
        return cls(
            run_id=facts["run_id"],
            source=facts["source"],
            data_fingerprint=facts["data_fingerprint"],
            symbols=tuple(facts["symbols"]),
            bar_seconds=int(facts["bar_seconds"]),
            seen=tuple(
                SeenBars(role=entry["role"], coverage=Coverage.from_json(entry["coverage"]))
                for entry in facts["seen"]
            ),
            context_symbols=tuple(facts.get("context_symbols", ())),
        )


def duration(seconds: int) -> str:
    """A bar length in its largest whole unit: 30 minutes, 1 day."""
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}{'s' if seconds != size else ''}"
    return f"{seconds} seconds"


def _share_time(one: str, another: str) -> bool:
    return one == another or not (one.startswith(SYNTHETIC) or another.startswith(SYNTHETIC))


def _drawn_under_other_dates(one: str, another: str) -> bool:
    """Whether two synthetic markets were drawn from one seed with another first bar."""
    if not (one.startswith(SYNTHETIC) and another.startswith(SYNTHETIC)):
        return False
    (seed, start), (other_seed, other_start) = _draw(one), _draw(another)
    return seed is not None and seed == other_seed and start != other_start


def _draw(source: str) -> tuple[str | None, str | None]:
    """Seed and first bar of a synthetic market's line."""
    found = [re.search(rf"\b{name}=([^,]*)", source) for name in ("seed", "start_utc")]
    seed, start = (match and match.group(1) for match in found)
    return seed, start
