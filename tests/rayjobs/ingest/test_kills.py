"""An ingest that is killed at any moment: the same command goes on, nothing is lost, nothing is there twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ingest_settings import fetch, ingest_settings
from made_vendor import MadeVendor, law
from s3_server import new_bucket, s3_server

from data.lake import Lake, Series, Span
from data.lake.holdings import holding

START, STOP = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-04-01", tz="UTC")
ROOT = Path(__file__).resolve().parents[3]


def work(place: str) -> None:
    """One run of the command: fetch what is missing, curate."""
    settings = ingest_settings(place, symbols=["AAA"])
    fetch(settings, {"made": MadeVendor()})
    for series in Lake(place).series():
        Lake(place).curate(series)


def assert_whole(place: str) -> None:
    lake = Lake(place)
    series = Series(source="made", bar_seconds=3600, adjustment="raw", symbol="AAA")
    rows = law("AAA", START, STOP, 3600).tz_localize(None)
    reading = lake.read(series)
    pd.testing.assert_frame_equal(reading.rows[list(rows.columns)], rows, check_freq=False, check_names=False)
    assert reading.uncurated == 0
    assert lake.fetched(series) == [Span.between(START, STOP)]
    found = holding(lake, series, verify=True)
    assert (found.damaged, found.missing, sum(found.defects.values())) == (None, 0, 0)
    assert (found.rows_delivered, found.deliveries) == (len(rows), 3)  # each month once, in raw as well


def test_after_a_kill_at_any_of_20_moments_the_same_command_goes_on(tmp_path):
    fork = multiprocessing.get_context("fork")
    generator = np.random.default_rng(int(time.time()))
    began = time.monotonic()
    work(str(tmp_path / "timed"))
    length = time.monotonic() - began
    for number, share in enumerate(generator.random(20)):
        place = str(tmp_path / f"lake {number}")
        process = fork.Process(target=work, args=(place,))
        process.start()
        time.sleep(share * length)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        work(place)
        assert_whole(place)


@pytest.mark.slow
def test_after_a_kill_at_any_of_20_moments_a_lake_in_object_storage_is_whole(monkeypatch):
    pytest.importorskip("moto.server")
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    paths = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    # Says when it begins, so that kills fall into the work and not into the imports before it.
    program = "import sys, test_kills; print('begun', flush=True); test_kills.work(sys.argv[1])"
    generator = np.random.default_rng(int(time.time()))
    with s3_server() as port:
        timed = new_bucket(port, "timed")
        began = time.monotonic()
        work(timed)
        length = time.monotonic() - began
        assert_whole(timed)
        for number, share in enumerate(generator.random(20)):
            place = new_bucket(port, f"bucket-{number}")
            process = subprocess.Popen(
                [sys.executable, "-c", program, place], env=environment, stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            time.sleep(share * length)
            process.kill()
            process.wait()
            work(place)
            assert_whole(place)


@pytest.mark.slow
def test_any_text_is_a_symbol_in_object_storage_as_well(monkeypatch):
    pytest.importorskip("moto.server")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    symbols = ["BTC/USDT:USDT", "^VIX", "BRK.B", "a b", "日経", "%2F"]
    with s3_server() as port:
        place = new_bucket(port, "symbols")
        settings = ingest_settings(place, symbols=symbols, end="2024-01-03")
        tally, _, _ = fetch(settings, {"made": MadeVendor()})
        assert tally.left == []
        lake = Lake(place)
        assert sorted(series.symbol for series in lake.series()) == sorted(symbols)
        for series in lake.series():
            lake.curate(series)
            assert len(lake.read(series).rows) == 48
