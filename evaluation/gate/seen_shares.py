"""How much of a record was earned on bars that the policy had seen, or before bars that it had seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from policies.origin import EARLIER, SEEN, SeenLabels


@dataclass(frozen=True, kw_only=True)
class SeenShares:
    """Of the scored bars, fractions from 0 to 1 and their number.

    Attributes
    ----------
    in_sample : bars that the policy was trained, standardised or selected on.
    hindsight : other bars that lie before such ones: the policy knows what came after them.
    num_bars : scored bars.
    """

    in_sample: float
    hindsight: float
    num_bars: int

    @classmethod
    def of(cls, exposure: SeenLabels) -> SeenShares:
        """Count the labels of (N,) bars."""
        size = max(len(exposure), 1)
        return cls(
            in_sample=float(np.count_nonzero(exposure == SEEN)) / size,
            hindsight=float(np.count_nonzero(exposure == EARLIER)) / size,
            num_bars=len(exposure),
        )

    @property
    def total(self) -> float:
        """Share of the bars that are no evidence."""
        return self.in_sample + self.hindsight

    @property
    def sentence(self) -> str:
        """What the gate says of it."""
        seen, before = round(self.in_sample * self.num_bars), round(self.hindsight * self.num_bars)
        if seen + before == 0:
            return f"The policy had seen none of the {self.num_bars:,} bars that it is scored on."
        parts = []
        if seen:
            parts.append(
                f"{seen:,} of the {self.num_bars:,} scored bars are in sample: the policy was trained, standardised "
                "or selected on them"
            )
        if before:
            parts.append(
                f"{before:,} of the {self.num_bars:,} scored bars lie before bars that the policy was trained or "
                "selected on: it knows what came after them"
            )
        return f"{', and '.join(parts)}; none may be."

    @property
    def title(self) -> str:
        """The record's name: `out of sample`, or loudly that it is not."""
        if self.total == 0.0:
            return "out of sample"
        parts = []
        if self.in_sample:
            parts.append(f"IN SAMPLE ({_percent(self.in_sample)} of the bars)")
        if self.hindsight:
            parts.append(f"WITH HINDSIGHT ({_percent(self.hindsight)})")
        return " and ".join(parts)


def record_warning(exposure: SeenLabels | None) -> str:
    """What a reader must know before any number: "" when no scored bar had been seen."""
    if exposure is None:
        return "The contract of the policy does not say what it has seen, so these bars may be among them."
    shares = SeenShares.of(exposure)
    return shares.sentence if shares.total > 0.0 else ""


def record_title(exposure: SeenLabels | None) -> str:
    """`SeenShares.title`, or that it is not known what the policy has seen."""
    return "NOT KNOWN TO BE OUT OF SAMPLE" if exposure is None else SeenShares.of(exposure).title


def _percent(share: float) -> str:
    """Whole per cent, and never 0 or 100 for a share that is neither."""
    if share >= 1.0:
        return "100 %"
    return f"{min(max(round(100.0 * share), 1), 99)} %"
