"""The ``features`` group: which features there are, and how their values are standardised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data.features import FeatureSpec
from data.features.standardiser import check_method
from evaluation.screening.consensus_pruning import FeaturePruning

if TYPE_CHECKING:
    pass

Values = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """Which features, and how far standardised values may go.

    Parameters
    ----------
    specs : label -> feature, in the order of the feature axis; None switches one off.
    clip : limit of standardised values, standard deviations of the training window.
    prune : which features are left out on each training window; None leaves out none, as in configurations that are
        older than it.
    standardise : by what values are standardised, `data.features.standardiser.METHODS`; each symbol by its own training
        window in configurations that do not say.
    """

    specs: Mapping[str, FeatureSpec | None]
    clip: float
    prune: FeaturePruning | None = None
    standardise: str = "by_symbol"

    def __post_init__(self) -> None:
        if not self.clip > 0.0:
            raise ValueError(f"features.clip is {self.clip}; it must be above 0 standard deviations")
        check_method(self.standardise)
        if not self.enabled:
            raise ValueError("features.specs switches every feature off; leave at least one on")

    @property
    def enabled(self) -> tuple[FeatureSpec, ...]:
        """The features that are on, in order."""
        return tuple(spec for spec in self.specs.values() if spec is not None)
