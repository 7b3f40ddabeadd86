"""What the report says of a training: which updates left their healthy ranges, and how often."""

from __future__ import annotations

from evaluation.report.page_tables import training_health_rows
from evaluation.report.training_health import flag_shares, health_sentence, is_healthy


def rows(*flags: str) -> list[dict[str, str]]:
    return [{"health": flag} for flag in flags]


def test_the_share_of_each_flag_is_counted_over_all_updates():
    shares = flag_shares(rows("KL low, clip low", "KL low", "", "value poor"))
    assert shares == {"KL low": 0.5, "clip low": 0.25, "value poor": 0.25}


def test_the_odd_update_is_healthy_and_half_of_them_is_not():
    odd, half = rows("KL high", "", ""), rows("KL high", "KL high", "", "")
    assert is_healthy(odd)
    assert health_sentence(odd) == "KL above 0.01, steps too bold in 33% of updates"
    assert not is_healthy(half)
    assert health_sentence(rows("", "")) == "all updates healthy"


def test_the_report_has_a_row_per_trained_fold_and_none_for_a_script():
    table = training_health_rows({1: rows("KL low", "KL low"), 0: rows(""), 2: []})
    assert [(row["fold"], row["word"], row["style"]) for row in table] == [
        ("0", "healthy", "pass"),
        ("1", "look", "warn"),
    ]


def test_a_missing_flag_as_a_csv_reader_gives_it_counts_as_healthy():
    assert flag_shares([{"health": float("nan")}, {}]) == {}
