"""The gate: criteria that a policy's out-of-sample, net-of-cost record must meet before anything is deployed.

Each criterion carries its value, its threshold, the bars it was computed on and one sentence. An enforced criterion
whose evidence is missing or undefined fails: the gate cannot be passed by leaving something out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from evaluation.gate.config import GateConfig
from evaluation.gate.criteria import CRITERIA, UNSEEN_SYMBOLS, Measured, criteria_of
from evaluation.gate.evidence import GateEvidence
from evaluation.ledger.looks import Looks
from evaluation.scoring.path_distribution import PathDistribution

__all__ = ["CRITERIA", "Criterion", "GateConfig", "GateEvidence", "Verdict", "judge"]


INVALID_RECORD = ("unseen", "leak_check", "full_costs")
"""Criteria whose failure makes every other number void: the headline names them first."""
ALWAYS_DECIDES = ("unseen",)
"""Criteria that decide where they are measured and fail, whatever `gate.enforced` names."""


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One criterion's outcome. `value` and `threshold` are nan when undefined; `passed` is None if not measured."""

    name: str
    label: str
    value: float
    threshold: float
    comparison: str
    passed: bool | None
    enforced: bool
    first_bar_utc: str
    last_bar_utc: str
    num_bars: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The gate's decision. `headline` is one sentence; `lowered` says what less than the standard gate demands,
    `synthetic` that the market was drawn from a law: neither is leave to deploy. `paths` are those of combinatorial
    cross-validation, which is never approved."""

    passed: bool
    headline: str
    criteria: tuple[Criterion, ...]
    num_trials: float
    lowered: tuple[str, ...] = ()
    synthetic: bool = False
    looks: Looks | None = None
    paths: PathDistribution | None = None

    def to_dict(self) -> dict[str, object]:
        """The content of verdict.json."""
        rows = [{**asdict(c), "pass": c.passed} for c in self.criteria]
        for row in rows:
            row.pop("passed")
            row["bars"] = {key: row.pop(key) for key in ("first_bar_utc", "last_bar_utc", "num_bars")}
        return {
            "pass": self.passed,
            "headline": self.headline,
            "num_trials": self.num_trials,
            "lowered": list(self.lowered),
            "synthetic": self.synthetic,
            **({} if self.looks is None else {"looks": self.looks.to_json()}),
            **({} if self.paths is None else {"paths": self.paths.to_json()}),
            "criteria": rows,
        }


def refuse_unknown(config: GateConfig) -> None:
    """Refuse a gate that enforces what is no criterion.

    Raises
    ------
    ValueError
        With the criteria that there are.
    """
    for name in config.enforced:
        if name not in CRITERIA:
            raise ValueError(f"gate.enforced names {name!r}; known criteria are {', '.join(CRITERIA)}")


def judge(
    config: GateConfig,
    evidence: GateEvidence,
    *,
    lowered: tuple[str, ...] = (),
    remarks: tuple[str, ...] = (),
) -> Verdict:
    """Measure every criterion and decide: passed when every enforced one holds.

    Parameters
    ----------
    lowered : what is demanded less of than by the standard gate (`evaluation.gate.standard`): an approval names it.
    remarks : sentences that end the headline, whatever it says.
    """
    refuse_unknown(config)
    outcomes = tuple(
        _outcome(name, label, measure(config, evidence), config, evidence)
        for name, (label, measure) in criteria_of(config, evidence).items()
    )
    enforced = [c for c in outcomes if c.enforced]
    failed = sorted((c for c in enforced if not c.passed), key=_order_of_failure)
    if failed:
        headline = f"Refused: {failed[0].reason[0].lower()}{failed[0].reason[1:]}"
        if len(failed) > 1:
            headline = f"{headline[:-1]} ({len(failed)} of {len(enforced)} criteria fail)."
    elif lowered:
        headline = f"Approved under lowered criteria: {'; '.join(lowered)}; the {len(enforced)} that are enforced hold."
    else:
        where = " on a made market" if evidence.synthetic else ""
        headline = f"Approved{where}: all {len(enforced)} criteria hold out of sample and net of costs."
    for note in (*(() if evidence.looks is None else evidence.looks.notes), *remarks):
        headline = headline if note[:-1] in headline else f"{headline} {note}"
    return Verdict(
        passed=not failed,
        headline=headline,
        criteria=outcomes,
        num_trials=evidence.num_trials,
        lowered=lowered,
        synthetic=evidence.synthetic,
        looks=evidence.looks,
        paths=evidence.paths,
    )


def _outcome(
    name: str, label: str, measured: Measured, config: GateConfig, evidence: GateEvidence
) -> Criterion:
    bars = evidence.bar_utc.astype("datetime64[s]")
    return Criterion(
        name=name,
        label=label,
        enforced=_demanded(name, config) or (name in ALWAYS_DECIDES and measured.passed is False),
        first_bar_utc=f"{bars[0]}Z" if len(bars) else "",
        last_bar_utc=f"{bars[-1]}Z" if len(bars) else "",
        num_bars=len(bars),
        **asdict(measured),
    )


def _demanded(name: str, config: GateConfig) -> bool:
    return name in config.enforced or (name == UNSEEN_SYMBOLS and config.unseen_symbols)


def _order_of_failure(criterion: Criterion) -> int:
    """Place in the headline: what makes the record void first."""
    names = INVALID_RECORD
    return names.index(criterion.name) if criterion.name in names else len(names)
