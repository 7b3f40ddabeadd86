"""How much of each feature a study's policies saw on the bars that they were scored on: known, missing, at the limit.

Axes: N bars, A asset, F asset feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from data.features import Standardiser
from rayjobs.study.fold import FoldOutcome
from rayjobs.study.study import Study


def coverage_rows(study: Study, outcomes: Sequence[FoldOutcome]) -> list[dict[str, Any]]:
    """A row per feature, of all test windows together; none for a script, which reads no feature.

    Returns
    -------
    feature; known and nan, shares of the bars that assets have (a missing bar is no fault of a feature); clipped, share
    of the known values at the limit of ``features.clip`` standard deviations, None where that is not measured
    (``features.standardise=own_past``, clocks); constant and left_out, in how many folds the feature did not move on
    the training window, and was left out by ``features.prune``; of_folds, how many there are.
    """
    seen = [(Standardiser.from_dict(o.standardiser), o) for o in outcomes if o.standardiser is not None]
    if not seen:
        return []
    names = study.features.asset_names
    present, known, limited = 0, np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    for fitted, outcome in seen:
        for result in outcome.results:
            there = np.isfinite(study.panel.close[result.fold.test])
            values_NAF = fitted.known(study.features, result.fold.test)
            present += int(there.sum())
            for k in range(len(names)):
                has = np.isfinite(values_NAF[:, :, k]) & there
                at_limit = np.abs(fitted.observed(values_NAF[:, :, k], k)) >= np.float32(fitted.clip)
                known[k] += has.sum()
                limited[k] += (has & at_limit).sum()
    measured = all(fitted.method != "own_past" for fitted, _ in seen)
    rows = [
        {
            "feature": name,
            "known": known[k] / max(present, 1),
            "nan": 1.0 - known[k] / max(present, 1),
            "clipped": limited[k] / max(int(known[k]), 1) if measured else None,
            "constant": sum(name not in fitted.pruned and not fitted.std[:, k].any() for fitted, _ in seen),
            "left_out": sum(name in fitted.pruned for fitted, _ in seen),
            "of_folds": len(seen),
        }
        for k, name in enumerate(names)
    ]
    return rows + [_clock_row(study, name, k, seen) for k, name in enumerate(study.features.clock_names)]


def _clock_row(
    study: Study, name: str, place: int, seen: Sequence[tuple[Standardiser, FoldOutcome]]
) -> dict[str, Any]:
    """A clock is read off the calendar: always known, not standardised, never left out."""
    still = 0
    for _, outcome in seen:
        trained = np.concatenate([study.features.clock[part, place] for part in outcome.result.fold.training])
        still += int(len(trained) > 0 and np.ptp(trained) == 0.0)
    row = {"feature": name, "known": 1.0, "nan": 0.0, "clipped": None, "constant": still, "left_out": 0}
    return row | {"of_folds": len(seen)}
