"""The sealed holdout: the last bars of the data, which no search is given and which are opened once per study."""

from __future__ import annotations

from dataclasses import dataclass

from data.coverage import Coverage
from data.schema import Panel
from evaluation.ledger.ledger import Ledger, LookEntry
from evaluation.windows.splits import Fold


@dataclass(frozen=True, kw_only=True)
class SealedHoldout:
    """Splits a panel into the part that searches see and the sealed end.

    Attributes
    ----------
    panel : all bars; keep it away from searches and hand them `search_panel`.
    holdout_bars : bars sealed at the end.
    gap_bars : bars left out before them: the label horizon plus the embargo.
    """

    panel: Panel
    holdout_bars: int
    gap_bars: int

    def __post_init__(self) -> None:
        if self.holdout_bars < 1 or self.gap_bars < 0:
            raise ValueError(
                f"holdout_bars is {self.holdout_bars} and gap_bars {self.gap_bars}; seal one bar or more"
            )
        if self.holdout_bars + self.gap_bars >= self.panel.num_bars:
            raise ValueError(
                f"a holdout of {self.holdout_bars} bars and a gap of {self.gap_bars} leave nothing of the "
                f"{self.panel.num_bars} bars to search on; seal fewer bars"
            )

    @property
    def search_bars(self) -> int:
        """Number of bars that a search may use."""
        return self.panel.num_bars - self.holdout_bars - self.gap_bars

    @property
    def search_panel(self) -> Panel:
        """The bars that a search may use; the sealed ones are not in it."""
        return self.panel.slice_bars(0, self.search_bars)

    def open(self, ledger: Ledger, study: str, *, code_commit: str, purpose: str, source: str = "") -> Fold:
        """Record the opening and return the fold that trains on all search bars and tests on the holdout.

        Parameters
        ----------
        study : its name in the ledger. source : where the panel comes from (`data.sources.describe`).

        Raises
        ------
        HoldoutOpenedError
            If this study opened its holdout before.
        """
        start = self.panel.num_bars - self.holdout_bars
        entry = LookEntry(
            kind="holdout opening",
            study=study,
            identity={},
            seed=0,
            data_fingerprint=self.panel.fingerprint,
            code_commit=code_commit,
            coverage=Coverage.of(self.panel, slice(start, self.panel.num_bars), source=source),
        )
        ledger.open_holdout(entry, purpose=purpose)
        return Fold(index=0, train=slice(0, self.search_bars), test=slice(start, self.panel.num_bars))
