"""Normalisation: were the exported statistics fitted on the training window, and on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from data.array_types import BoolArray
from data.features import FeatureSet, Standardiser
from data.features.pruning import PruneConfig, fit_standardiser
from evaluation.audit.findings import Check, Section
from evaluation.windows.splits import Fold

Doubts = Callable[[BoolArray], BoolArray]
"""Of the features that are kept (F,), which are left out for another reason."""
NORMALISATION = Section(name="normalisation")
TOLERANCE = 1e-9
"""Of means and deviations, in standard deviations; another processor may sum in another order."""
MODEL_TOLERANCE = 1e-6
"""Of a hidden Markov model's parameters, which many iterations carry such differences into."""


def check_normalisation(
    features: FeatureSet,
    folds: Sequence[Fold],
    exported: Mapping[int, Mapping[str, Any] | None],
    clip: float,
    prune: PruneConfig | None = None,
    method: str = "by_symbol",
    doubts_of: Callable[[Fold], Doubts | None] | None = None,
) -> list[Check]:
    """Fit each fold's statistics again and compare.

    Parameters
    ----------
    features : computed again from the bars, not standardised.
    exported : fold -> the standardiser of its policy's contract; None where the policy could not be read.
    clip : limit of the configuration, standard deviations. prune : what it leaves out, None for nothing.
    method : by what the configuration standardises.
    doubts_of : fold -> what leaves out features beside `prune` (`data.features.pruning.fit_standardiser`).
    """
    checks = []
    for fold in folds:
        facts = exported.get(fold.index)
        name = f"fold {fold.index}"
        if facts is None:
            checks.append(NORMALISATION.skips(name, "its policy could not be read"))
            continue
        found = Standardiser.from_dict(facts)
        if found.mean.shape != features.asset.shape[1:] or found.feature_hash != features.feature_hash:
            checks.append(
                NORMALISATION.fails(name, "its statistics are of other features or assets than the run's")
            )
            continue
        checks.append(_compare(name, found, features, fold, clip, prune, method, doubts_of))
    return checks


def _compare(
    name: str,
    found: Standardiser,
    features: FeatureSet,
    fold: Fold,
    clip: float,
    prune: PruneConfig | None,
    method: str,
    doubts_of: Callable[[Fold], Doubts | None] | None,
) -> Check:
    window = f"bars {', '.join(f'[{part.start}, {part.stop})' for part in fold.training)}"
    if found.clip != clip:
        return NORMALISATION.fails(name, f"values are clipped at {found.clip}, the configuration says {clip}")
    if found.method != method:
        return NORMALISATION.fails(
            name, f"values are standardised by {found.method}, the configuration says {method}"
        )
    doubts = None if doubts_of is None else doubts_of(fold)
    fitted = fit_standardiser(features, fold.training, clip=clip, prune=prune, method=method, doubts=doubts)
    if found.pruned != fitted.pruned:
        return NORMALISATION.fails(
            name,
            f"{', '.join(found.pruned) or 'nothing'} was left out; {', '.join(fitted.pruned) or 'nothing'} is to be "
            f"left out on {window}",
        )
    if set(found.models) != set(fitted.models):
        return NORMALISATION.fails(
            name, f"it has hidden Markov models of {sorted(found.models)}, not of {sorted(fitted.models)}"
        )
    for output, model in found.models.items():
        if model.distance(fitted.models[output]) > MODEL_TOLERANCE:
            return NORMALISATION.fails(
                name, f"the hidden Markov model of {output} is not the one that is fitted on {window}"
            )
    distance = _distance(found, fitted)
    if distance.max() <= TOLERANCE:
        return NORMALISATION.passes(
            name, f"mean and deviation of {distance.size} columns are those of {window}"
        )
    asset, column = np.unravel_index(int(distance.argmax()), distance.shape)
    whole = Standardiser.fit(features, slice(0, len(features.asset)), clip=clip)
    cause = "; they are those of the whole sample" if _distance(found, whole).max() <= TOLERANCE else ""
    return NORMALISATION.fails(
        name,
        f"{int((distance > TOLERANCE).sum())} of {distance.size} columns were not fitted on {window}, first "
        f"{features.asset_names[column]} of asset {asset}: mean {found.mean[asset, column]:.6g}, deviation "
        f"{found.std[asset, column]:.6g}, not {fitted.mean[asset, column]:.6g} and "
        f"{fitted.std[asset, column]:.6g}{cause}",
    )


def _distance(a: Standardiser, b: Standardiser) -> np.ndarray:
    """(A, F) difference of mean and deviation, in deviations of `b`."""
    scale = np.where(b.std > 0.0, b.std, 1.0)
    return np.maximum(np.abs(a.mean - b.mean), np.abs(a.std - b.std)) / scale
