"""What combinatorial cross-validation gives instead of one number: the results of its paths, one beside the other.

A path has every group of bars once, each scored by a policy that was not trained on it. Paths share their bars and, in
part, their training bars, so they are no independent trials: their spread says how much hangs on what was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.scoring.walk_forward import ORACLE, WalkForwardResult
from evaluation.statistics.metrics import max_drawdown, sharpe_ratio, total_return
from policies.origin import UNSEEN

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, kw_only=True)
class PathDistribution:
    """The paths of one study, net of costs.

    Attributes
    ----------
    num_splits, num_groups : policies that were trained, and groups that the bars were cut into.
    sharpe : annual Sharpe ratio of each path; nan where it is not defined (nothing was ever held).
    total_return, max_drawdown : of each path, fractions.
    baselines : name -> annual Sharpe ratio on each path.
    trained : whether policies were trained; False for a script, which has seen no bar.
    """

    num_splits: int
    num_groups: int
    sharpe: tuple[float, ...]
    total_return: tuple[float, ...]
    max_drawdown: tuple[float, ...]
    baselines: Mapping[str, tuple[float, ...]]
    trained: bool = True

    @classmethod
    def of(cls, result: WalkForwardResult) -> PathDistribution | None:
        """The distribution over a result's paths; None where it has none."""
        if not result.paths:
            return None
        periods, paths = result.periods_per_year, result.by_path
        return cls(
            num_splits=len({one.fold.index for one in result.scored}),
            num_groups=len(result.paths[0]),
            sharpe=tuple(sharpe_ratio(path.net_return, periods_per_year=periods) for path in paths),
            total_return=tuple(total_return(path.net_return) for path in paths),
            max_drawdown=tuple(max_drawdown(path.net_return) for path in paths),
            baselines={
                name: tuple(
                    sharpe_ratio(path.baseline_return(name), periods_per_year=periods) for path in paths
                )
                for name in result.baseline_names
                if name != ORACLE
            },
            trained=result.exposure is None or bool((result.exposure != UNSEEN).any()),
        )

    @property
    def defined(self) -> tuple[float, ...]:
        """The Sharpe ratios that are defined."""
        return tuple(value for value in self.sharpe if not math.isnan(value))

    @property
    def above_zero(self) -> int:
        """Paths with a Sharpe ratio above zero."""
        return sum(value > 0.0 for value in self.defined)

    @property
    def median(self) -> float:
        """Of the Sharpe ratios; nan where none is defined."""
        return float(np.median(self.defined)) if self.defined else math.nan

    @property
    def spread(self) -> str:
        """The Sharpe ratios of the paths in words."""
        count = f"{len(self.sharpe)} path{'s' if len(self.sharpe) != 1 else ''}"
        if not self.defined:
            return f"over {count} nothing was held, so that no Sharpe ratio is defined"
        low, high = min(self.defined), max(self.defined)
        undefined = len(self.sharpe) - len(self.defined)
        note = f", {undefined} undefined" if undefined else ""
        return (
            f"over {count} the annual Sharpe ratio is {self.median:.2f} in the median ({low:.2f} to {high:.2f}, "
            f"{self.above_zero} of {len(self.sharpe)} above zero{note})"
        )

    @property
    def sentence(self) -> str:
        """What a verdict on such a study may claim, and what not."""
        trained = f": all but one of its {self.num_splits} policies were trained on bars after some they are scored on"
        return (
            f"This is combinatorial purged cross-validation, no walk-forward record{trained if self.trained else ''}; "
            f"{self.spread}, which describes the set-up and is no leave to deploy."
        )

    def to_json(self) -> dict[str, Any]:
        """The entry `paths` of summary.json and verdict.json: each path, in order, and how they are spread."""
        known = np.array(self.defined)
        quantiles = np.quantile(known, QUANTILES) if len(known) else np.full(len(QUANTILES), math.nan)
        return {
            "num_paths": len(self.sharpe),
            "num_splits": self.num_splits,
            "num_groups": self.num_groups,
            "sharpe": list(self.sharpe),
            "total_return": list(self.total_return),
            "max_drawdown": list(self.max_drawdown),
            "baseline_sharpe": {name: list(values) for name, values in self.baselines.items()},
            "sharpe_mean": float(known.mean()) if len(known) else math.nan,
            "sharpe_std": float(known.std(ddof=1)) if len(known) > 1 else math.nan,
            "sharpe_min": float(known.min()) if len(known) else math.nan,
            "sharpe_max": float(known.max()) if len(known) else math.nan,
            "sharpe_quantiles": {f"{q:g}": float(v) for q, v in zip(QUANTILES, quantiles)},
            "share_above_zero": self.above_zero / len(self.sharpe),
        }
