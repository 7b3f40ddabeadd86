"""What an audit found: checks with an outcome and one sentence, in sections, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

Outcome = Literal["pass", "fail", "warn", "skip"]
NOT_DERIVED = "not derived:"
"""Start of the sentence on what is taken as recorded because nothing is left to derive it from."""
RETRAINING = "retraining"
"""The part that takes as long as the training, so that a full audit leaves it out, and says so."""
FOUND_AT = "as found at"
"""Words before the time of an earlier audit, whose finding is kept."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    section : part of the audit that it belongs to. name : what was looked at.
    outcome : "fail" makes the audit fail; "warn" is worth a look; "skip" could not be looked at.
    detail : one sentence that names the culprit, or what was compared.
    """

    section: str
    name: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """All checks of one audit, in order.

    Attributes
    ----------
    subject : what was audited. at_utc : when.
    looked_at, left_out : names of the parts that were looked at, and of those that were not.
    kept : names of the parts whose checks are those of an earlier audit (`onto`).
    """

    subject: str
    checks: tuple[Check, ...]
    at_utc: str = ""
    looked_at: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def onto(self, earlier: Mapping[str, Any]) -> AuditReport:
        """This audit laid onto an earlier one: parts that were not looked at now stay as they were found then.

        Parameters
        ----------
        earlier : the content of audit_report.json; one that does not say what it looked at is not kept.
        """
        known = [str(name) for name in earlier.get("looked_at") or ()]
        kept = tuple(name for name in self.left_out if name in known)
        if not kept:
            return self
        now = {check.section for check in self.checks} | set(self.looked_at)
        then = f" ({FOUND_AT} {earlier.get('at_utc')})"
        rows = [row for row in earlier["checks"] if row["section"] not in now]
        checks = [
            Check(
                section=row["section"],
                name=row["check"],
                outcome=row["outcome"],
                detail=row["detail"] + ("" if FOUND_AT in row["detail"] else then),
            )
            for row in rows
        ]
        return replace(
            self,
            checks=(*checks, *self.checks),
            looked_at=tuple(dict.fromkeys([*known, *self.looked_at])),
            left_out=tuple(name for name in self.left_out if name not in known),
            kept=kept,
        )

    @property
    def passed(self) -> bool:
        """True when no check failed."""
        return not self.failed

    @property
    def failed(self) -> list[Check]:
        """The checks that failed."""
        return [check for check in self.checks if check.outcome == "fail"]

    @property
    def headline(self) -> str:
        """One sentence."""
        count = {
            outcome: sum(c.outcome == outcome for c in self.checks) for outcome in ("pass", "warn", "skip")
        }
        passed = f"{count['pass']} check{'' if count['pass'] == 1 else 's'} passed"
        tail = f"{passed}, {count['warn']} warnings, {count['skip']} skipped"
        if self.left_out:
            tail += f"; not looked at: {', '.join(self.left_out)}"
        if self.kept:
            tail += f"; as an earlier audit found them: {', '.join(self.kept)}"
        open_ones = [c.name for c in self.checks if c.detail.startswith(NOT_DERIVED)]
        # What was not looked at may be wrong: the first words must not say more than the checks do.
        part = [name for name in self.left_out if name != RETRAINING]
        alone = f"Of the run only {', '.join(self.looked_at)} was looked at: nothing" if part else "Nothing"
        if self.passed and open_ones:
            found = f"{alone} wrong was found in what could be derived again: {tail}"
            return f"{found}; not derived: {', '.join(open_ones)}."
        if self.passed:
            return f"{alone} wrong was found: {tail}."
        first = self.failed[0]
        checks = "1 check" if len(self.failed) == 1 else f"{len(self.failed)} checks"
        return f"{checks} failed, first {first.section}, {first.name}: {first.detail} ({tail}.)"

    def to_dict(self) -> dict[str, Any]:
        """The content of audit_report.json."""
        rows = [
            {"section": c.section, "check": c.name, "outcome": c.outcome, "detail": c.detail}
            for c in self.checks
        ]
        return {
            "subject": self.subject,
            "at_utc": self.at_utc,
            "pass": self.passed,
            "headline": self.headline,
            "looked_at": list(self.looked_at),
            "left_out": list(self.left_out),
            "checks": rows,
        }

    def markdown(self) -> str:
        """The content of audit_report.md."""
        lines = [f"# Audit of {self.subject}", "", f"**{self.headline}**"]
        for section in dict.fromkeys(check.section for check in self.checks):
            lines += ["", f"## {section.capitalize()}", "", "| | check | what was found |", "|---|---|---|"]
            lines += [
                f"| {c.outcome.upper() if c.outcome == 'fail' else c.outcome} | {c.name} | {_cell(c.detail)} |"
                for c in self.checks
                if c.section == section
            ]
        return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


@dataclass(frozen=True, kw_only=True)
class Section:
    """Makes the checks of one section."""

    name: str

    def passes(self, name: str, detail: str) -> Check:
        """A check that found nothing wrong."""
        return Check(section=self.name, name=name, outcome="pass", detail=detail)

    def fails(self, name: str, detail: str) -> Check:
        """A check that found something wrong."""
        return Check(section=self.name, name=name, outcome="fail", detail=detail)

    def warns(self, name: str, detail: str) -> Check:
        """Something that is not wrong but worth a look."""
        return Check(section=self.name, name=name, outcome="warn", detail=detail)

    def skips(self, name: str, detail: str) -> Check:
        """Something that could not be looked at."""
        return Check(section=self.name, name=name, outcome="skip", detail=detail)

    def judges(self, name: str, holds: bool | np.bool_, good: str, bad: str) -> Check:
        """Passes with one sentence or fails with the other."""
        return self.passes(name, good) if holds else self.fails(name, bad)
