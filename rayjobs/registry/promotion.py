"""What a version must show before it goes up a stage, and what a person may decide in spite of it.

| step | needs |
|---|---|
| any | a passed verdict, files that the ledger's seal covers, and the next stage up |
| from shadow on | `deploy.min_shadow_days` in shadow, and where there is a champion a margin over it on the same days |

`force` with a reason goes past time, margin and order of the stages. Nothing goes past the verdict and the seal. A
verdict that asked for less than the standard gate, or on a made market, is named at each step beyond shadow and in the
history; real money is refused to it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

import numpy as np

from evaluation.statistics.paired import PairedDifference, common_days, paired_difference
from rayjobs.config.typed_config import ConfigError
from rayjobs.registry.daily_record import DailyRecord, daily_record, trading_runs
from rayjobs.registry.registry import Registry
from rayjobs.registry.settings import DeploySettings, PromotionRules
from rayjobs.registry.stages import LADDER, Stage, above, below
from rayjobs.registry.versions import Version
from rayjobs.registry.vouching import shortfalls, verify

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """What speaks against a step up, and the numbers behind it."""

    objections: tuple[str, ...]
    evidence: dict[str, Any] = field(default_factory=dict)


def promote(registry: Registry, reference: str, settings: DeploySettings) -> Version:
    """Put a version one stage up, or where `stage` says.

    Raises
    ------
    ConfigError
        If something speaks against it, in one sentence; `force` overrules what may be overruled.
    """
    version = registry.version(reference)
    target = _target(version, settings, up=True)
    verify(version, registry, needs_verdict=True)
    lacks = list[str]()
    if LADDER.index(target) > LADDER.index("shadow"):
        lacks = shortfalls(version.facts.lowered, synthetic=version.facts.synthetic)
    found = assess(registry, version, target, settings)
    if found.objections and not settings.force:
        raise ConfigError(
            f"{version.reference} stays {version.stage}: {'; '.join(found.objections)} (force=true with reason='...' "
            "decides otherwise, and is recorded)"
        )
    if lacks:
        _log.warning(
            "%s goes to %s on less than the standard gate asks for (%s): no leave to trade real money",
            version.reference, target, "; ".join(lacks),
        )  # fmt: skip
    overruled = bool(found.objections)
    return registry.move(
        version,
        "promote",
        target,
        why=settings.reason or "the rules are met",
        forced=overruled,
        evidence={**found.evidence, "objections": list(found.objections), "lacks": lacks},
    )


def assess(registry: Registry, version: Version, target: Stage, settings: DeploySettings) -> Assessment:
    """What speaks against a step up by the rules that may be overruled."""
    rules, objections = settings.deploy, list[str]()
    evidence: dict[str, Any] = {}
    if target != above(version.stage):
        objections.append(f"the next stage is {above(version.stage)}, not {target}")
    if LADDER.index(target) > LADDER.index("shadow"):
        days = version.time_in("shadow", registry.now()).total_seconds() / 86_400.0
        evidence["shadow_days"] = days
        if days < rules.min_shadow_days:
            objections.append(
                f"it has been in shadow for {days:.1f} of {rules.min_shadow_days:g} days (deploy.min_shadow_days)"
            )
        champion = _champion(registry, version)
        if champion is not None:
            margin = margin_over(version, champion, settings)
            evidence |= {"champion": champion.reference, "margin": margin.evidence}
            objections += margin.objections
    return Assessment(objections=tuple(objections), evidence=evidence)


def margin_over(version: Version, champion: Version, settings: DeploySettings) -> Assessment:
    """Hold the live days of a version, from when it went into shadow on, to the champion's on the same days."""
    ours = daily_record(trading_runs(version, settings.shadow_run)).since(_shadowed(version))
    theirs = daily_record(trading_runs(champion, settings.champion_run))
    rules = settings.deploy
    margin = _margin(ours, theirs, rules)
    sources = {"ours": list(ours.sources), "theirs": list(theirs.sources)}
    evidence = {
        "mean": margin.mean,
        "low": margin.mean_low,
        "high": margin.mean_high,
        "level": margin.level,
        "num_days": margin.num_bars,
        "sources": sources,
    }
    evidence = {key: (None if value != value else value) for key, value in evidence.items()}
    if margin.num_bars < rules.min_common_days:
        return Assessment(
            objections=(
                f"it has {margin.num_bars} days of live returns in common with {champion.reference}, and "
                f"{rules.min_common_days} are needed (deploy.min_common_days; trade both, with broker=shadow)",
            ),
            evidence=evidence,
        )
    low, high, mean = (1e4 * value for value in (margin.mean_low, margin.mean_high, margin.mean))
    if low > rules.min_margin_bps:
        return Assessment(objections=(), evidence=evidence)
    return Assessment(
        objections=(
            f"its margin over {champion.reference} is {mean:+.2f} bps a day, interval {low:+.2f} to {high:+.2f} over "
            f"{margin.num_bars} days, and its lower end is not above {rules.min_margin_bps:g} (deploy.min_margin_bps)",
        ),
        evidence=evidence,
    )


def demote(
    registry: Registry, reference: str, settings: DeploySettings, *, who: str | None = None
) -> Version:
    """Put a version one stage down, or where `stage` says; a reason is asked for.

    Raises
    ------
    ConfigError
        If there is no stage below, or no reason.
    """
    version = registry.version(reference)
    target = _target(version, settings, up=False)
    why = _reason(settings, "demote")
    return registry.move(version, "demote", target, why=why, who=who)


def retire(registry: Registry, reference: str, settings: DeploySettings) -> Version:
    """End a version for good; a reason is asked for.

    Raises
    ------
    ConfigError
        If it is retired, or there is no reason.
    """
    version = registry.version(reference)
    if version.stage == "retired":
        raise ConfigError(f"{version.reference} is retired already")
    return registry.move(version, "retire", "retired", why=_reason(settings, "retire"))


def _target(version: Version, settings: DeploySettings, *, up: bool) -> Stage:
    """The stage that a version goes to: the next one in this direction, or a further one that `stage` names.

    Raises
    ------
    ConfigError
        If there is none in this direction.
    """
    target = settings.stage or (above if up else below)(version.stage)
    at = f"{version.reference} is {version.stage}"
    if version.stage == "retired" or target is None or target == "retired":
        if not up:
            raise ConfigError(f"{at}: there is nothing below; use retire")
        again = "; register the policy again" if version.stage == "retired" else ""
        raise ConfigError(f"{at}: it cannot be promoted{again}")
    if (LADDER.index(target) > LADDER.index(version.stage)) is not up or target == version.stage:
        where, other = ("above", "demote") if up else ("below", "promote")
        raise ConfigError(f"{at} and stage={target} is not {where} that; use {other}")
    return target


def _champion(registry: Registry, version: Version) -> Version | None:
    others = registry.versions().values()
    return next(
        (
            o
            for o in others
            if o.name == version.name and o.stage == "champion" and o.number != version.number
        ),
        None,
    )


def _shadowed(version: Version) -> np.datetime64:
    """When it went into shadow last; days before are no evidence."""
    at = next((step.at for step in reversed(version.history) if step.stage == "shadow"), None)
    if at is None:
        return np.datetime64("9999-12-31")
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "D") + np.timedelta64(1, "D")


def _margin(ours: DailyRecord, theirs: DailyRecord, rules: PromotionRules) -> PairedDifference:
    _, one, other = common_days((ours.days, ours.net_return), (theirs.days, theirs.net_return))
    random = np.random.default_rng(rules.seed)
    return paired_difference(one, other, random, level=rules.margin_level, num_draws=rules.num_draws)


def _reason(settings: DeploySettings, command: str) -> str:
    reason = (settings.reason or "").strip()
    if not reason:
        raise ConfigError(f"{command} needs a reason, which is recorded: reason='...'")
    return reason
