"""What fills took of their bars' volume, and what the record owes to volumes that were not known: named in an approval.

The cap on participation (``costs.max_participation``) holds for orders at an open. Exits inside of a bar and at its
close fill in full, as stops and targets do, whatever was traded in the bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from envs.recording import Recording
from evaluation.scoring.known_volume import OWN_VOLUME
from evaluation.scoring.owed import owed_to
from evaluation.scoring.walk_forward import WalkForwardResult
from rayjobs.study.study import Study

MOST_OVER = 0.05
"""Share of fills, or of the notional that they traded, from which on fills beyond a bar's volume are no exception.

A stop, or the end of a window, falls on a thin bar now and then: in honest runs of 200 fills and more on bars of crypto
of 2017 to 2019 up to 1.1 % of the fills did. Profit targets of an account that is too large did in 9 % of all fills,
which carried a third of the notional."""


@dataclass(frozen=True, kw_only=True)
class VolumeTaken:
    """Fills, at every place of a bar, beside the volume of their bar; bars of which no volume is known are left out.

    Attributes
    ----------
    count, over : number of fills, and of those that took more than `cap` of their bar's volume.
    share : of the traded notional that these are. largest : share of a bar's volume that one fill took.
    cap : share of a bar's volume, 0.1 = 10 %.
    """

    count: int
    over: int
    share: float
    largest: float
    cap: float

    @classmethod
    def of(cls, study: Study, recordings: Sequence[Recording], cap: float) -> VolumeTaken:
        """Count the fills of the folds."""
        taken, traded = [np.zeros(0)], [np.zeros(0)]
        for r in recordings:
            volume = study.panel.volume[r.fills.filled_bar, r.symbols[r.fills.asset]]
            known = volume > 0.0
            units = np.abs(r.fills.units)[known]
            taken.append(units / volume[known])
            traded.append(units * np.abs(r.fills.price[known]) * r.multiplier[r.fills.asset[known]])
        share, notional = np.concatenate(taken), np.concatenate(traded)
        over = share > cap * (1.0 + 1e-9)
        total = float(notional.sum())
        return cls(
            count=len(share),
            over=int(over.sum()),
            share=float(notional[over].sum()) / total if total > 0.0 else 0.0,
            largest=float(share.max(initial=0.0)),
            cap=cap,
        )

    @property
    def is_exception(self) -> bool:
        """Whether fills beyond the cap are so few that they decide nothing."""
        return self.over <= MOST_OVER * self.count and self.share <= MOST_OVER

    @property
    def phrase(self) -> str:
        """How many of how many, and up to what."""
        return (
            f"{self.over:,} of {self.count:,} fills took more than {self.cap:.0%} of their bar's volume, up to "
            f"{self.largest:.0%}"
        )


def lowered_by_volume(study: Study, result: WalkForwardResult, cap: float) -> list[str]:
    """Phrases on fills that no market gives: beyond the volume of their bars, or sized by it before it was known.

    Parameters
    ----------
    cap : the shipped ``costs.max_participation``; whoever lifts it is told each fill beyond.
    """
    ours = study.config.env.costs.max_participation
    lifted = ours is None or ours > cap
    taken = VolumeTaken.of(study, [fold.recording for fold in result.folds], cap)
    found = []
    if taken.over and (lifted or not taken.is_exception):
        found.append(taken.phrase + (" (costs.max_participation)" if lifted else ""))
    owed = owed_to(result, OWN_VOLUME)
    if owed is not None:
        found.append(
            f"fills took the volume of their own bar, which is not known at its open: by the volume before, the annual "
            f"Sharpe ratio is {owed[1]:.2f} instead of {owed[0]:.2f}"
        )
    return found


def told_of_volume(study: Study, result: WalkForwardResult, cap: float) -> tuple[str, ...]:
    """A sentence on fills beyond their bars' volume, however few they are."""
    taken = VolumeTaken.of(study, [fold.recording for fold in result.folds], cap)
    return (f"{taken.phrase}.",) if taken.over else ()
