"""The primary rule of meta-labels, read from what a policy observes: the sign of one feature is the side taken.

A policy sees a feature standardised, so that a value of 0 lies elsewhere. Fitting and deciding read the side from the
same float32 numbers, and therefore always agree.

Axes: N bars or envs, A asset, M asset feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.features.standardiser import Standardiser
from data.labelling import LabelConfig, primary_place

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class PrimaryRule:
    """Which side the rule takes.

    Parameters
    ----------
    place : of the rule's feature among the asset features of the observation.
    zero : (A,) float32, as what a value of 0 is observed.
    oppose : the other side than the sign.
    """

    place: int
    zero: NDArray[np.float32]
    oppose: bool

    @classmethod
    def of(
        cls,
        labels: LabelConfig,
        names: Sequence[str],
        standardiser: Mapping[str, Any] | None,
        num_assets: int,
    ) -> PrimaryRule | None:
        """The rule that the labels name; None where they name none.

        Parameters
        ----------
        names : of the asset features, in the order of the observation.
        standardiser : of the policy's contract; None where features are observed as they are.

        Raises
        ------
        ValueError
            If no feature has this name, or its sign cannot be told from what is observed.
        """
        if labels.primary is None:
            return None
        place = primary_place(labels.primary, names)
        require_sign(labels.primary, standardiser)
        zero = np.zeros(num_assets, dtype=np.float32)
        if standardiser is not None:
            fitted = Standardiser.from_dict(standardiser)
            if len(fitted.mean) != num_assets:
                raise ValueError(
                    f"labels.primary is {labels.primary}, whose sign is told by the statistics of {len(fitted.mean)} "
                    f"symbols, but the policy observes {num_assets}; leave env.episode.num_assets at null"
                )
            zero = fitted.observed(np.zeros(num_assets, dtype=np.float32), place)
        return cls(place=place, zero=zero, oppose=labels.oppose)

    def side(self, features: NDArray[np.float32]) -> FloatArray:
        """Return (N, A) -1, 0 or 1.

        0 where the feature is not known, which is observed as exactly 0, as its mean is; and where it is 0 itself.

        Parameters
        ----------
        features : (N, A, M) as observed.
        """
        seen = features[:, :, self.place]
        side = np.where(seen == 0.0, 0.0, np.sign(seen.astype(np.float64) - self.zero))
        return -side if self.oppose else side


def require_sign(primary: str, standardiser: Mapping[str, Any] | None) -> None:
    """Raise ValueError where what is observed of the rule's feature does not tell its sign."""
    if standardiser is None:
        return
    if standardiser.get("method") == "own_past":
        raise ValueError(
            f"labels.primary is {primary}, whose sign cannot be told from values that are standardised by each "
            "symbol's own past; set features.standardise to by_symbol or pooled"
        )
    if primary in standardiser.get("models", {}):
        raise ValueError(
            f"labels.primary is {primary}, a probability that a model gives, which is never below 0; name a feature "
            "whose sign is a side"
        )
    if primary in standardiser.get("pruned", ()):
        raise ValueError(
            f"labels.primary is {primary}, which features.prune leaves out of this training window; loosen it, or name "
            "another feature"
        )
