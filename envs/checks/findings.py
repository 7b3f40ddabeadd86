"""What a leak check says: findings that name a culprit, how much was compared, and what could not be."""

from __future__ import annotations

from dataclasses import dataclass

from envs.checks.sampling import CONFIDENCE, Sampling

RANDOM, BROKEN = "random", "broken"
"""Kinds of findings that are no leak: what cannot be compared with itself, or computed on other bars."""


@dataclass(frozen=True, kw_only=True)
class LeakFinding:
    """One thing that moved, or that could not be checked.

    Attributes
    ----------
    kind : "feature", "context", "standardiser", "observation", "action", "fill" or "reward"; or "random", "broken".
    culprit : its name.
    cut_bar : last bar that was left alone. first_bar, last_bar : where it moved. hint : likely cause.
    """

    kind: str
    culprit: str
    cut_bar: int
    first_bar: int
    last_bar: int
    hint: str

    @property
    def is_leak(self) -> bool:
        """False for what could not be checked."""
        return self.kind not in (RANDOM, BROKEN)

    def __str__(self) -> str:
        if not self.is_leak:
            return f"{self.culprit!r} cannot be checked: {self.hint}"
        where = f"bar {self.first_bar}" + (f" to {self.last_bar}" if self.last_bar > self.first_bar else "")
        return f"{self.kind} {self.culprit!r} moved at {where} when bars after {self.cut_bar} changed: {self.hint}"


@dataclass(frozen=True, kw_only=True)
class LeakReport:
    """Result of a leak check.

    Attributes
    ----------
    cut_bars : bars after which the future was changed and the whole env run again.
    bars_compared : bars compared in these runs.
    findings : empty when nothing leaks and everything could be checked.
    samplings : how much of each feature, and of the arrays of the market, was compared at cuts of their own.
    notes : what a reader should know and what is no leak.
    """

    cut_bars: tuple[int, ...]
    bars_compared: int
    findings: tuple[LeakFinding, ...]
    samplings: tuple[Sampling, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """True when nothing moved and nothing was left unchecked for being random or broken."""
        return not self.findings

    @property
    def leaks(self) -> tuple[LeakFinding, ...]:
        """The findings that are leaks."""
        return tuple(finding for finding in self.findings if finding.is_leak)

    @property
    def thinnest(self) -> Sampling | None:
        """The feature of which least was compared; None when features were not compared on their own."""
        return max(self.samplings, key=lambda s: s.detectable_bars / max(s.num_rows, 1), default=None)

    @property
    def sufficient(self) -> bool:
        """True unless some feature was compared at too few bars to find rare peeks."""
        return all(sampling.sufficient for sampling in self.samplings)

    @property
    def coverage(self) -> str:
        """How many cuts there were and which peeks are found; an empty string without cuts of features."""
        least = self.thinnest
        if least is None:
            return ""
        if least.detectable_bars <= 1:
            found = "a peek on any one bar is found"
        else:
            found = (
                f"a peek on one bar in {round(least.num_rows / least.detectable_bars):,} is found with "
                f"{CONFIDENCE:.0%} probability"
            )
        if not self.sufficient:
            found += f" ({least.name!r} was compared least)"
        return f"features at {least.tested_rows:,} cuts or more: {found}"

    def __str__(self) -> str:
        if self.clean:
            cuts = f"cuts {list(self.cut_bars)}" if len(self.cut_bars) <= 5 else f"{len(self.cut_bars)} cuts"
            parts = [f"no leak: {self.bars_compared} bars compared at {cuts}", self.coverage]
            lines = ["; ".join(part for part in parts if part)]
        else:
            title = "leak found" if self.leaks else "no leak found, but not everything could be checked"
            lines = [title, *(f"  - {finding}" for finding in self.findings)]
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])
