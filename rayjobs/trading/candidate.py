"""What may trade: a policy of a finished run, found by a path, and held to its verdict, its files and the ledger.

On paper and at a broker a policy trades only where the gate has passed its run, every file of the run is what it was
when the run ended, and the ledger holds the seal of just these files. Editing verdict, config, weights or manifest
breaks one of the three.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from data.own_objects import own_code
from policies.exports import ExportedPolicy, load_export
from policies.origin import Origin
from rayjobs.config.typed_config import ConfigError
from rayjobs.registry.stages import WITHOUT_VERDICT
from rayjobs.registry.vouching import REAL_MONEY, read_verdict, refuse_short, shortfalls
from rayjobs.replay.finished_run import FinishedRun
from rayjobs.replay.policy_of_run import run_and_fold
from rayjobs.replay.rescoring import open_policy
from rayjobs.replay.run_seal import unvouched
from rayjobs.study.study import Study

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A policy that is asked for.

    Parameters
    ----------
    run : that trained it. fold : whose policy it is.
    """

    run: FinishedRun
    fold: int

    @property
    def name(self) -> str:
        """Run and fold, as orders and journals name it."""
        return f"{self.run.path.name}-f{self.fold}"

    def policy_origin(self) -> Origin:
        """Symbols and bars that the policy was trained on.

        Raises
        ------
        ConfigError
            If its contract does not say.
        """
        origin = load_export(self.run.policy(self.fold)).contract.origin
        if origin is None:
            raise ConfigError(
                f"the policy of fold {self.fold} does not say what it was trained on; train it again"
            )
        return origin

    def open(self, study: Study) -> ExportedPolicy:
        """The policy, checked against what was scored and against the bars and features that it is to act on.

        Raises
        ------
        ValueError
            If it is damaged, was trained on other symbols, bars or features, or its own code has changed.
        """
        refuse_changed_code(self.run)
        return open_policy(self.run, self.fold, study)


def find_candidate(given: str, fold: int | None) -> Candidate:
    """The policy of a run directory, of an experiment's newest run, or of an export inside a run.

    Raises
    ------
    ConfigError
        If there is none, or the export does not lie in the run that trained it.
    """
    run, chosen = run_and_fold(given, fold)
    return Candidate(run=run, fold=chosen)


def require_leave(candidate: Candidate, broker: str, *, real_money: bool = False) -> None:
    """Refuse a policy without a passed verdict that the ledger vouches for; replay and shadow need none.

    Parameters
    ----------
    real_money : also refuse a verdict of a lowered gate or of a made market: neither is leave to deploy.

    Raises
    ------
    ConfigError
        In one sentence.
    """
    if broker in WITHOUT_VERDICT:
        return
    run = candidate.run
    verdict = read_verdict(run.path)
    other = f"broker={broker} trades only what the gate has passed; watch it with broker=shadow"
    if verdict.get("pass") is not True:
        raise ConfigError(
            f"{run.path} has not passed the gate ({verdict.get('headline', 'no verdict')}); {other}"
        )
    warning = unvouched(run.path, (str(run.values["ledger"]),))
    if warning is not None:
        raise ConfigError(f"{warning.rstrip('.')}; {other}")
    short = shortfalls(verdict.get("lowered", ()), synthetic=bool(verdict.get("synthetic")))
    if real_money:
        refuse_short(str(run.path), short, leave=REAL_MONEY)
    if short:
        LOG.warning(
            "%s was approved under less than the standard gate asks for: %s", run.path, "; ".join(short)
        )


def refuse_changed_code(run: FinishedRun) -> None:
    """Refuse to act with code of one's own that is not what the run was trained with.

    Raises
    ------
    ConfigError
        With the name.
    """
    now = own_code(run.values)
    for name, digest in (run.provenance.get("own_code") or {}).items():
        if now.get(name) != digest:
            raise ConfigError(
                f"{name} is not the code that {run.path} was trained with (sha256 {str(now.get(name))[:12]}, then "
                f"{digest[:12]}); put it back, or train again"
            )
