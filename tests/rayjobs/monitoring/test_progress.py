"""Progress is one line a fold now and then where there is no terminal, a table where there is one."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from rayjobs.monitoring.progress import ProgressDisplay, TrainingProgress, progress_line

REPORT = TrainingProgress(
    fold=1,
    env_steps=250_000,
    total_env_steps=1_000_000,
    env_steps_per_second=10_000.0,
    episode_return=0.1234,
    approx_kl=0.0061,
    clip_fraction=0.07,
    entropy=1.05,
    explained_variance=0.5,
)


def plain_console():
    return Console(file=io.StringIO(), width=140)


def display(console, **options):
    now = [0.0]
    shown = ProgressDisplay(4, console=console, clock=lambda: now[0], **options)
    return shown, now


def test_a_line_holds_every_number_with_its_meaning():
    # 750,000 steps left at 10,000 a second are 75 s.
    assert progress_line(REPORT) == (
        "fold 1: 250,000 (25%) env steps, 10,000 steps/s, return +0.123, KL 0.0061, clipped 0.07, entropy 1.05, "
        "explained variance 0.50, 1 min 15 s left"
    )


def test_numbers_that_are_not_known_yet_are_dashes():
    early = replace(REPORT, episode_return=None, approx_kl=float("nan"), env_steps_per_second=0.0)
    for unknown in (early, replace(early, episode_return=float("nan"))):
        assert "0 steps/s, KL -," in progress_line(unknown)
    assert progress_line(early).endswith(" - left")


@pytest.mark.parametrize(
    ("kl", "shown"), [(0.003, "0.0030,"), (0.010, "0.0100,"), (0.002, "0.0020 low,"), (0.02, "0.0200 high,")]
)
def test_kl_outside_the_healthy_range_is_flagged(kl, shown):
    assert f"KL {shown}" in progress_line(replace(REPORT, approx_kl=kl))


def test_clipping_and_a_value_function_out_of_their_ranges_are_flagged_too():
    line = progress_line(replace(REPORT, clip_fraction=0.12, explained_variance=-0.5))
    assert "clipped 0.12 high, entropy 1.05, explained variance -0.50 poor," in line
    early = progress_line(replace(REPORT, explained_variance=-0.5, env_steps=100_000))
    assert "explained variance -0.50, " in early  # it may settle in the first fifth


def test_plain_lines_are_limited_in_rate_for_each_fold_and_the_last_one_always_shows():
    console = plain_console()
    shown, now = display(console, seconds_between_lines=10.0)
    with shown:
        shown.update(REPORT)
        now[0] = 5.0
        shown.update(replace(REPORT, env_steps=300_000))  # too early
        shown.update(replace(REPORT, fold=2))  # another fold's first
        now[0] = 10.0
        shown.update(replace(REPORT, env_steps=400_000))
        shown.update(replace(REPORT, env_steps=1_000_000))  # done
    lines = console.file.getvalue().splitlines()
    assert [line.split(" env steps")[0] for line in lines] == [
        "fold 1: 250,000 (25%)",
        "fold 2: 250,000 (25%)",
        "fold 1: 400,000 (40%)",
        "fold 1: 1,000,000 (100%)",
    ]
    assert lines[-1].endswith(", done")


def test_time_left_in_all_counts_the_folds_that_wait_at_the_speed_of_those_that_run():
    shown, _ = display(plain_console(), parallel_folds=2)
    assert shown.seconds_left is None
    shown.update(replace(REPORT, fold=0))
    shown.update(replace(REPORT, fold=1, env_steps=500_000))
    # The slower of the two needs 75 s more; the two that wait run side by side for 100 s.
    assert shown.seconds_left == pytest.approx(175.0)


def test_on_a_terminal_one_table_shows_the_folds_side_by_side():
    console = Console(file=io.StringIO(), width=140, force_terminal=True)
    shown, _ = display(console)
    with shown:
        shown.update(replace(REPORT, fold=0, approx_kl=0.02))
        shown.update(REPORT)
    text = console.file.getvalue()
    for expected in ("steps/s", "expl. var.", "250,000 (25%)", "0.0200 high", "2 more to come"):
        assert expected in text
