"""Which policy is the best so far, and what follows when validation no longer gets better."""

from __future__ import annotations

from policies.settings import PPOSettings


class Selection:
    """Keeps the best validation score and counts what came since.

    Attributes
    ----------
    best_score : best validation score so far; None before the first.
    since_best, since_cut : validations since then; since then or since the last cut of the learning rate.
    """

    def __init__(self, settings: PPOSettings) -> None:
        self._settings = settings
        self.best_score: float | None = None
        self.since_best = 0
        self.since_cut = 0

    def take(self, score: float) -> bool:
        """Take in a validation score; True if it is the best so far."""
        if self.best_score is None or score > self.best_score:
            self.best_score, self.since_best, self.since_cut = score, 0, 0
            return True
        self.since_best += 1
        self.since_cut += 1
        return False

    @property
    def stops(self) -> bool:
        """Whether training ends here for want of a better score."""
        patience = self._settings.early_stop_validations
        return patience is not None and self.since_best >= patience

    def cuts_learning_rate(self) -> bool:
        """Whether the score is on a plateau; counts anew from there."""
        patience = self._settings.learning_rate_control.plateau_validations
        if patience is None or self.since_cut < patience:
            return False
        self.since_cut = 0
        return True
