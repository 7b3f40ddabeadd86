"""What an audit found: checks with an outcome and one sentence, in sections, as JSON and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Outcome = Literal["pass", "fail", "warn", "skip"]
NOT_DERIVED = "not derived:"
"""Start of the sentence on what is taken as recorded because nothing is left to derive it from."""


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
    """All checks of one audit, in order; `subject` says of what, `left_out` which sections were not looked at."""

    subject: str
    checks: tuple[Check, ...]
    left_out: tuple[str, ...] = ()

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
        open_ones = [c.name for c in self.checks if c.detail.startswith(NOT_DERIVED)]
        if self.passed and open_ones:
            found = f"Nothing wrong was found in what could be derived again: {tail}"
            return f"{found}; not derived: {', '.join(open_ones)}."
        if self.passed:
            return f"Nothing wrong was found: {tail}."
        first = self.failed[0]
        return (
            f"{len(self.failed)} checks failed, first {first.section}, {first.name}: {first.detail} ({tail}.)"
        )

    def to_dict(self) -> dict[str, Any]:
        """The content of audit_report.json."""
        rows = [
            {"section": c.section, "check": c.name, "outcome": c.outcome, "detail": c.detail}
            for c in self.checks
        ]
        return {"subject": self.subject, "pass": self.passed, "headline": self.headline, "checks": rows}

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
