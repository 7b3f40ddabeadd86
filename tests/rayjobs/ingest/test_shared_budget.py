"""Two ingests of one lake together stay within what a vendor allows."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from data.lake import Lake
from data.lake.files import LakeError
from data.vendors.definition import Budget
from rayjobs.ingest.pacing import Pacing
from rayjobs.ingest.settings import PacingSettings
from rayjobs.ingest.shared_budget import FILE, SharedBudget, shared_budget

SETTINGS = PacingSettings(
    first_wait_s=1.0, longest_wait_s=60.0, jitter=0.0, rest_s=30.0, outage_after=3, tries=6, patience_s=900.0
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def budget(minute=None, day=None) -> Budget:
    return Budget(calls_per_minute=minute, calls_per_day=day, at_a_time=4)


def pacing(folder, clock, allowed, vendor="made") -> Pacing:
    shared = SharedBudget(folder, vendor, allowed, clock)
    return Pacing(allowed, SETTINGS, clock, np.random.default_rng(0), shared)


@pytest.mark.parametrize("limit", [0.5, 1, 5])
def test_no_stretch_of_a_window_has_more_calls_of_both_than_allowed(tmp_path, limit):
    clock, made = Clock(), []
    both = [pacing(tmp_path, clock, budget(limit)) for _ in range(2)]
    length, count = (60.0, int(limit)) if limit >= 1 else (60.0 / limit, 1)
    while len(made) < 4 * count:
        waits = []
        for one in both:
            wait = one.ask()
            if wait == 0.0:
                made.append(clock.now)
                one.succeeded(1)
            waits.append(wait)
        clock.now += max(min(waits), 0.01)
    for begun in made:
        assert sum(begun <= call < begun + length for call in made) <= count
    assert made[-1] - made[0] <= 3 * length + 0.1 * count + 1  # and no time is lost


def test_the_calls_of_a_day_are_remembered_by_a_command_that_is_started_again(tmp_path):
    clock = Clock()
    first = pacing(tmp_path, clock, budget(day=3))
    assert first.ask() == 0.0
    first.succeeded(3)  # with two more pages
    clock.now += 3600.0
    again = pacing(tmp_path, clock, budget(day=3))
    assert again.ask() == pytest.approx(86_400.0 - 3600.0)
    clock.now += 86_400.0 - 3600.0
    assert again.ask() == 0.0


def test_a_rest_that_one_was_told_is_kept_by_the_other_and_by_no_other_vendor(tmp_path):
    clock = Clock()
    one, two = (pacing(tmp_path, clock, budget(100)) for _ in range(2))
    assert one.ask() == 0.0
    one.rate_limited(45.0)
    assert two.ask() == pytest.approx(45.0)
    assert pacing(tmp_path, clock, budget(100), vendor="other").ask() == 0.0


def test_many_at_once_write_every_call_down_and_none_too_many(tmp_path):
    # Each call opens the file anew, so that threads stand to each other as processes do.
    clock = Clock()
    granted = []

    def work() -> None:
        own = SharedBudget(tmp_path, "made", budget(25), clock)
        granted.extend(own.take() == 0.0 for _ in range(10))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (len(granted), sum(granted)) == (40, 25)


def test_a_lake_has_it_beside_its_folders_and_object_storage_has_none(tmp_path):
    shared = shared_budget(str(tmp_path / "lake"), "made", budget(5))
    assert shared is not None
    assert shared.take() == 0.0
    assert (tmp_path / "lake" / FILE).is_file()
    assert Lake(str(tmp_path / "lake")).series() == []
    assert shared_budget("s3://bucket/lake", "made", budget(5)) is None
    assert shared_budget(str(tmp_path), "made", budget()) is None


def test_a_file_that_is_none_is_one_sentence(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(LakeError, match="cannot keep the count of calls in .*or remove that file"):
        SharedBudget(tmp_path, "made", budget(5)).take()
