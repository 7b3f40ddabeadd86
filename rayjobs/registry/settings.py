"""The settings of `rayjobs.deploy`, as ``conf/deploy.yaml`` has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envs.validation import require_non_negative, require_range
from rayjobs.config.typed_config import build_dataclass
from rayjobs.monitoring.alerts import AlertSettings
from rayjobs.monitoring.tracking import TrackingConfig
from rayjobs.registry.registry import registry_place
from rayjobs.registry.stages import Stage
from rayjobs.registry.tripwires import TripwireRules


@dataclass(frozen=True, kw_only=True)
class PromotionRules:
    """What a version must have shown before it goes on from shadow.

    Parameters
    ----------
    min_shadow_days : days in shadow without a break.
    min_common_days : days of returns that it has in common with the champion.
    min_margin_bps : the lower end of the interval of the mean daily difference must be above it, basis points a day.
    margin_level : of that interval, two-sided.
    num_draws, seed : of the bootstrap.
    """

    min_shadow_days: float
    min_common_days: int
    min_margin_bps: float
    margin_level: float
    num_draws: int
    seed: int

    def __post_init__(self) -> None:
        require_non_negative("deploy", "min_shadow_days", self.min_shadow_days)
        require_range("deploy", "min_common_days", self.min_common_days, 2, 1e6)
        require_range("deploy", "margin_level", self.margin_level, 0.5, 0.9999)
        require_range("deploy", "num_draws", self.num_draws, 100, 1_000_000)
        if not -1e6 < self.min_margin_bps < 1e6:
            raise ValueError(
                f"deploy.min_margin_bps is {self.min_margin_bps}; it must be a number of basis points"
            )


@dataclass(frozen=True, kw_only=True)
class DeploySettings:
    """``conf/deploy.yaml``.

    Parameters
    ----------
    name : of the policy. policy : run, experiment's folder or export to register. fold : of a run; None the last.
    stage : where a promotion or demotion leads; None means the next. force, reason : past the rules, and why.
    shadow_run, champion_run : trading runs whose daily returns are compared; None finds them.
    ledger : that may vouch for a run, beside the one that the run names.
    registry : place of the registry; None is beside that ledger.
    deploy : the rules. tripwires : of `watch`. alerts : who is told.
    tracking : where a registered policy is stored as an artefact as well.
    """

    name: str | None
    policy: str | None
    fold: int | None
    stage: Stage | None
    force: bool
    reason: str | None
    shadow_run: str | None
    champion_run: str | None
    ledger: str
    registry: str | None
    deploy: PromotionRules
    tracking: TrackingConfig
    tripwires: TripwireRules
    alerts: AlertSettings

    def __post_init__(self) -> None:
        if self.force and not (self.reason or "").strip():
            raise ValueError("force needs a reason, which is recorded: reason='...'")

    @property
    def place(self) -> str:
        """Where the registry lies."""
        return registry_place(self.registry, self.ledger)


def build_deploy_settings(values: Mapping[str, Any]) -> DeploySettings:
    """Check and build what a command line composed.

    Raises
    ------
    ConfigError
        The first thing that a user must fix, with its key.
    """
    return build_dataclass(DeploySettings, values)
