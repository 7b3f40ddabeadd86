"""Look for what is wrong: leaks in an experiment, or anything at all in a finished run.

Run: python -m rayjobs.audit +experiment=crypto_portfolio checks=leak
A finished run: python -m rayjobs.audit run=runs/crypto_portfolio
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from rayjobs.config.arguments import command_line, given_value, is_override, key_of, split
from rayjobs.config.exit_codes import ExitCode, JobOutcome
from rayjobs.config.typed_config import ConfigError, convert, did_you_mean
from rayjobs.entry import reading_input, run_entry_point

LEAK = "leak"
KERNELS = "kernels"
RETRAINING = "retraining"
"""Takes as long as the training did, so that it is run by name only."""
OWN = ("checks", "leak_cuts")
"""Settings of the audit itself."""
RUN_CHECKS = (
    "manifest",
    "data",
    "normalisation",
    "contract",
    "execution",
    "costs",
    "trades",
    "ppo",
    "callbacks",
    "metrics",
    "reproduction",
    KERNELS,
    "warnings",
)


def audit(values: dict[str, Any], run: str | None, others: Sequence[str] = ()) -> JobOutcome:
    """Read, check, report.

    Parameters
    ----------
    values : the resolved ``conf/audit.yaml``.
    run : directory of a finished run; None audits the experiment that ``values`` describe.
    others : overrides of the experiment's settings, which a finished run has no use for.
    """
    checks = wanted_checks(values["checks"], of_run=run is not None)
    cuts = convert(int, values["leak_cuts"], "leak_cuts")
    if cuts < 1:
        raise ConfigError(f"leak_cuts is {cuts}; it must be at least 1")
    if run is None:
        return audit_experiment({k: v for k, v in values.items() if k not in OWN}, cuts)
    if others:
        raise ConfigError(f"run={run} is audited under its own configuration; leave out {others[0]}")
    return audit_run(run, checks, cuts)


def wanted_checks(given: Any, *, of_run: bool) -> tuple[str, ...]:
    """The names of the checks to run.

    Raises
    ------
    ConfigError
        For a name that is not known, or that needs a finished run.
    """
    all_of_them = (*RUN_CHECKS, LEAK) if of_run else (LEAK,)
    names = [given] if isinstance(given, str) else given
    if names == ["all"]:
        return all_of_them
    known = (*all_of_them, RETRAINING) if of_run else all_of_them
    if not isinstance(names, Sequence) or not names:
        raise ConfigError(f"checks is {given!r}; it must be all, or names of checks: {', '.join(known)}")
    for name in names:
        if name in (*RUN_CHECKS, RETRAINING) and not of_run:
            raise ConfigError(
                f"checks={name} needs a finished run; name one with run=DIR, or use checks=leak"
            )
        if name not in known:
            raise ConfigError(f"checks names {name!r}; {did_you_mean(str(name), ['all', *known])}")
    return tuple(names)


def audit_experiment(values: dict[str, Any], cuts: int) -> JobOutcome:
    """Change the future of an experiment's bars, and see whether anything before it moves."""
    from rayjobs.study.config import build_train_config

    config = build_train_config(values)
    from rayjobs.monitoring.result_tables import print_sentence
    from rayjobs.study.leak_check import leak_report
    from rayjobs.study.load import load_study

    with reading_input():
        study, _, _ = load_study(config)
    report = leak_report(study, num_cuts=cuts)
    print_sentence(f"{config.run.experiment}: {report}")
    return JobOutcome(code=ExitCode.DONE if report.clean and report.sufficient else ExitCode.FAILED)


def audit_run(path: str, checks: Sequence[str], cuts: int) -> JobOutcome:
    """Derive what a finished run recorded again, compare, and write the report there (`write_audit`)."""
    from rayjobs.replay.fresh_kernels import compiled_afresh

    with compiled_afresh() if KERNELS in checks else nullcontext() as private:
        return _audited(path, checks, cuts, private)


def _audited(path: str, checks: Sequence[str], cuts: int, private: Path | None) -> JobOutcome:
    from rayjobs.cluster.session import ray_session
    from rayjobs.monitoring.result_tables import print_paths, print_sentence, print_table
    from rayjobs.replay.audit import examine, write_audit
    from rayjobs.replay.finished_run import open_run
    from rayjobs.study.config import build_train_config

    run = open_run(path)
    with ExitStack() as stack:
        if RETRAINING in checks:
            stack.enter_context(ray_session(build_train_config(run.values).cluster))
        stack.enter_context(reading_input())
        report = examine(run, checks, leak_cuts=cuts, private_kernels=private)
    rows = [
        {
            "section": c.section,
            "check": c.name,
            "outcome": c.outcome.upper() if c.outcome == "fail" else c.outcome,
            "found": c.detail,
        }
        for c in report.checks
    ]
    print_table(f"Audit of {report.subject}", rows)
    print_sentence(report.headline)
    print_paths(write_audit(report, run.path))
    return JobOutcome(code=ExitCode.DONE if report.passed else ExitCode.FAILED, directory=run.path)


def main(argv: Sequence[str] | None = None) -> ExitCode:
    """The entry point; ``run=DIR`` is not for Hydra, to which `run` is the group that says where runs are written."""
    named, others = split(command_line(argv), lambda argument: argument.startswith("run="))
    settings = [argument for argument in others if is_override(argument) and key_of(argument) not in OWN]
    run = given_value(named[-1]) if named else None
    return run_entry_point(partial(audit, run=run, others=settings), "audit", others)


if __name__ == "__main__":
    sys.exit(main())
