"""What an audit's report says of the parts that it did not look at, and what a later audit takes from it."""

from __future__ import annotations

import json

from evaluation.audit.findings import AuditReport, Section

DATA, COSTS, LEAK = Section(name="data"), Section(name="costs"), Section(name="leak")


def report(*checks, at: str, looked_at: tuple[str, ...], left_out: tuple[str, ...] = ("retraining",)):
    return AuditReport(subject="run", checks=checks, at_utc=at, looked_at=looked_at, left_out=left_out)


FULL = report(
    DATA.passes("windows", "as cut"), COSTS.fails("fees", "too low"), at="T1", looked_at=("data", "costs")
)


def test_a_full_audit_says_that_nothing_was_trained_again():
    full = report(DATA.passes("windows", "as cut"), at="T1", looked_at=("data", "costs"))
    assert (
        full.headline
        == "Nothing wrong was found: 1 check passed, 0 warnings, 0 skipped; not looked at: retraining."
    )


def test_an_audit_of_some_parts_does_not_begin_as_if_it_had_looked_at_all():
    part = report(
        LEAK.passes("future", "same"), at="T2", looked_at=("leak",), left_out=("data", "costs", "retraining")
    )
    assert part.headline.startswith("Of the run only leak was looked at: nothing wrong was found")
    assert "not looked at: data, costs, retraining" in part.headline


def test_an_audit_of_some_parts_takes_nothing_from_the_report_of_a_full_one():
    part = report(
        DATA.fails("windows", "moved"), at="T2", looked_at=("data",), left_out=("costs", "retraining")
    )
    both = part.onto(json.loads(json.dumps(FULL.to_dict())))
    assert {(c.section, c.outcome, c.detail) for c in both.checks} == {
        ("data", "fail", "moved"),
        ("costs", "fail", "too low (as found at T1)"),
    }
    assert (both.left_out, both.kept) == (("retraining",), ("costs",))
    assert "as an earlier audit found them: costs" in both.headline
    # A third audit keeps the first one's date.
    third = report(LEAK.passes("future", "same"), at="T3", looked_at=("leak",), left_out=("data", "costs"))
    details = [check.detail for check in third.onto(both.to_dict()).checks]
    assert "too low (as found at T1)" in details
    assert "moved (as found at T2)" in details


def test_a_full_audit_takes_the_place_of_an_earlier_one():
    again = report(DATA.passes("windows", "as cut"), at="T2", looked_at=("data", "costs", "leak"))
    assert again.onto(FULL.to_dict()) == again
