"""Two processes ingest into one lake at once: together they ask a vendor no more often than it allows."""

from __future__ import annotations

import multiprocessing
import sys
import time
from pathlib import Path

import pytest

from data.lake import Lake, Series
from rayjobs.ingest.__main__ import main

sys.path.insert(0, str(Path(__file__).parents[2] / "data" / "vendors" / "web"))

from scripted_server import Answer, ScriptedServer
from vendor_doubles import MINUTES, massive_bars

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
WINDOW = ("start=2024-05-31", "end=2024-06-01", "bar=1m")


def command(place: Path, url: str, symbols: tuple[str, ...], *words: str) -> list[str]:
    return [
        "source=massive", f"symbols=[{','.join(symbols)}]", *WINDOW, f"lake={place}", "env_file=none",
        f"+source.massive.options.base_url={url}", "pacing.patience_s=0.5", *words,
    ]  # fmt: skip


def run(arguments: list[str], codes) -> None:
    codes.put(int(main(arguments)))


def side_by_side(commands: list[list[str]]) -> list[int]:
    """Exit codes of commands that run at once, each in a process of its own."""
    fork = multiprocessing.get_context("fork")
    codes = fork.Queue()
    processes = [fork.Process(target=run, args=(arguments, codes)) for arguments in commands]
    for process in processes:
        process.start()
    found = sorted(codes.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    return found


@pytest.fixture
def vendor(monkeypatch):
    """Massive, which answers every symbol with three minutes, and takes its time."""
    monkeypatch.setenv("MASSIVE_API_KEY", "key-of-two-ingests")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def answer(seen) -> Answer:
        time.sleep(0.02)
        return Answer(body=massive_bars(MINUTES))

    with ScriptedServer() as server:
        server.answer = answer
        yield server


def rows(place: Path, symbol: str) -> int:
    return len(
        Lake(str(place)).read(Series(source="massive", bar_seconds=60, adjustment="raw", symbol=symbol)).rows
    )


@pytest.mark.parametrize("limit", ["calls_per_day", pytest.param("calls_per_minute", marks=pytest.mark.slow)])
def test_two_that_share_nothing_but_the_lake_ask_as_often_as_one_may(vendor, tmp_path, limit):
    place = tmp_path / "lake"
    few = (
        f"source.massive.{limit}=5",
        *(() if limit == "calls_per_minute" else ("source.massive.calls_per_minute=100000",)),
    )
    commands = [
        command(place, vendor.url, half, *few) for half in (SYMBOLS[:2] + ("EEE",), SYMBOLS[2:] + ("FFF",))
    ]
    codes = side_by_side(commands)
    assert len(vendor.seen) == 5  # of six pieces, whoever came first
    assert codes == [0, 1]
    # A command that is started again knows what was asked before it began.
    assert side_by_side(commands) == [0, 1]
    assert len(vendor.seen) == 5
    # With a larger budget it goes on, and asks for nothing twice.
    more = (f"source.massive.{limit}=6", *few[1:])
    every = (*SYMBOLS, "EEE", "FFF")
    assert side_by_side([command(place, vendor.url, every, *more)]) == [0]
    assert len(vendor.seen) == 6
    assert len({seen.path for seen in vendor.seen}) == 6
    assert [rows(place, symbol) for symbol in every] == [3] * 6


def test_the_same_symbols_twice_at_once_are_there_once(vendor, tmp_path):
    place = tmp_path / "lake"
    words = ("source.massive.calls_per_minute=100000",)
    assert side_by_side([command(place, vendor.url, SYMBOLS, *words)] * 2) == [0, 0]
    assert [rows(place, symbol) for symbol in SYMBOLS] == [3] * 4
    for series in Lake(str(place)).series():
        assert sum(part.rows for part in Lake(str(place)).parts(series)) == 3
