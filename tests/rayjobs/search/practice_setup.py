"""Settings of practice sweeps."""

from __future__ import annotations

import dataclasses
from typing import Any

from evaluation.ledger.ledger import LookEntry
from rayjobs.config.compose import compose
from rayjobs.config.typed_config import build_dataclass
from rayjobs.search.plan.settings import SearchConfig
from rayjobs.search.space.parameter import Parameter
from rayjobs.search.space.search_space import Space

PRACTICE = LookEntry(
    kind="sweep trial", study="practice", identity={}, seed=0, data_fingerprint="f", code_commit="c"
)
"""What practice trials have in common in the ledger."""


def practice_space(faults: tuple[str, ...] = ()) -> Space:
    """``x`` between 0 and 1, best at 0.3; and which faults a trial may have."""
    parameters = {"x": Parameter(key="x", kind="uniform", low=0.0, high=1.0)}
    if faults:
        parameters["fault"] = Parameter(key="fault", kind="categorical", choices=faults)
    return Space(parameters)


def practice_program(seconds: float = 0.0, num_cpus: float = 0.5) -> dict[str, Any]:
    """What runs practice trials, two to a CPU: arguments of `run_study`."""
    from rayjobs.cluster.placement import Demand, Room
    from rayjobs.search.sweep.engine import TrialPlaces
    from rayjobs.search.trial.practice_trials import PracticeStudy, PracticeTrials

    places = TrialPlaces(Demand.one_process(), Room.of_cluster(), wait_s=60.0, num_cpus=num_cpus)
    return {"program": PracticeTrials, "shared": PracticeStudy(seconds=seconds), "places": places}


def practice_search(*, scheduler: str = "none", sampler: str = "tpe", **changes: Any) -> SearchConfig:
    """The settings of ``conf/search/optuna.yaml`` with some changed."""
    config = build_dataclass(SearchConfig, compose("sweep")["search"], "search")
    return dataclasses.replace(
        config,
        scheduler=dataclasses.replace(config.scheduler, kind=scheduler),
        sampler=dataclasses.replace(config.sampler, kind=sampler),
        **changes,
    )
